"""Tracebacks that cannot show a secret: the interpreter's last words go through the redactor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from keeper.notify.redact import Redactor

__all__ = ["install_excepthook"]


def install_excepthook(redactor: Redactor, stream: TextIO | None = None) -> Callable[[], None]:
    """Route uncaught exceptions of all threads, and unraisable ones, through ``redactor`` to ``stream`` (stderr).

    Returns:
        A function that puts the former hooks back.
    """

    def show(error: BaseException | None, heading: str = "") -> None:
        target = stream if stream is not None else sys.stderr
        if error is None or target is None:
            return
        try:
            target.write(redactor.text(heading) + redactor.exception(error))
            target.flush()
        except (OSError, ValueError):
            return  # nobody is left to read it

    def on_main(_kind: type[BaseException], error: BaseException, _frames: TracebackType | None) -> None:
        show(error)

    def on_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else "?"
            show(args.exc_value, f"Exception in thread {name}:\n")

    def on_unraisable(args: sys.UnraisableHookArgs) -> None:
        show(args.exc_value, f"{args.err_msg or 'Exception ignored in'}:\n")

    former = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook, threading.excepthook, sys.unraisablehook = on_main, on_thread, on_unraisable

    def restore() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = former

    return restore
