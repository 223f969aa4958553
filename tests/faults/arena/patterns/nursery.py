"""Imports once what every pattern imports, then runs scripts in forked children: one costs milliseconds, not a second.

Reads one JSON object per line on stdin ({"script", "orders", "output"}); writes {"pid"} for each start and {"ended"} for
each end. Children die with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def become(order: dict[str, Any]) -> None:
    """In the child: be that script, and never return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    output = os.open(order["output"], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    sys.argv = [order["script"], json.dumps(order["orders"])]
    sys.path.insert(0, str(Path(order["script"]).parent))
    code = 0
    try:
        runpy.run_path(order["script"], run_name="__main__")
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Fork on request until stdin ends."""
    orders, answers = os.dup(0), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in ("web3", "tenacity", "safe_eth.eth"):
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pending = b""
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            reap(answers)
        if orders in ready:
            piece = os.read(orders, 1 << 20)
            if not piece:
                return
            pending += piece
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                pid = os.fork()
                if pid == 0:
                    become(json.loads(line))
                say(answers, pid=pid)


def reap(answers: Any) -> None:
    """Say which children have ended."""
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            say(answers, ended=pid)


def say(answers: Any, **word: int) -> None:
    """Answer."""
    answers.write(json.dumps(word) + "\n")
    answers.flush()


if __name__ == "__main__":
    serve()
