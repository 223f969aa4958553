"""Keepers of the tests' own pace, forked from one warm parent: each starts in milliseconds instead of seconds.

Such a daemon looks so many times as often as its config says: whole seconds are long. Everything else is the real
command line, with real signals, files and exit codes; that a keeper starts from nothing is shown by other tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]


# ------------------------------------------------------------------------------------------------------ the tests' side


class Hurried:
    """One forked keeper, as ``subprocess`` would show it."""

    def __init__(self, argv: list[str], log: Path, pace: int, env: dict[str, str]) -> None:
        order = {"argv": argv, "log": str(log), "pace": pace, "env": env, "cwd": str(Path.cwd())}
        self._child = _parent().start(order)
        self.pid = self._child.pid
        self.stdout = None

    def poll(self) -> int | None:
        return self._child.code

    def kill(self) -> None:
        self.send_signal(9)

    def send_signal(self, number: int) -> None:
        self._child.signal(number)

    def wait(self, seconds: float) -> int:
        code = self._child.wait(seconds)
        if code is None:
            raise subprocess.TimeoutExpired("keeper", seconds)
        return code


@cache
def _parent() -> Any:
    """One parent for each test worker; it ends with the worker, whose end closes what it listens to."""
    from faults.arena.patterns.forking import Parent

    parent = Parent([sys.executable, __file__], cwd=ROOT)
    parent.wait_ready(120)
    return parent


# ---------------------------------------------------------------------------------------------------- the parent's side


def _prepare() -> None:
    import importlib
    import pkgutil

    import keeper

    # No daemon needs these, and numpy brings threads: this process must have one when it forks.
    others = (".demo", ".backtest", ".devnet", "migrations", "__main__")
    for module in pkgutil.walk_packages(keeper.__path__, "keeper."):
        if not any(part in module.name for part in others):
            importlib.import_module(module.name)
    for name in ("eth_account", "alembic.command", "alembic.config", "encodings.idna"):
        importlib.import_module(name)


def _become(order: dict[str, Any]) -> NoReturn:
    """In the forked child: be that command, and never return."""
    code = 70
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for path, descriptor in ((os.devnull, 0), (os.devnull, 1)):
            opened = os.open(path, os.O_RDWR)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.dup2(log, 2)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        sys.argv = ["keeper", *order["argv"]]
        _hurry(order["pace"])
        from keeper.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(10)
        os._exit(code)


def _hurry(pace: int) -> None:
    import random

    from keeper.app import App
    from keeper.engine.supervisor import Cadence

    random.seed(os.urandom(8))
    leisurely = App.watches

    def watches(self: App) -> list:
        found = leisurely(self)
        for watch in found:
            watch.cadence = Cadence(watch.cadence.gas_seconds / pace, watch.cadence.positions_seconds / pace)
        return found

    App.watches = watches


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    from faults.arena.patterns.forking import serve

    serve(_prepare, _become)
