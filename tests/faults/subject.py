"""A keeper to fork: imports it once, then runs ``keeper`` commands in forked children whose clock runs fast.

Each child is the real command line with real signals, files and exit codes. Only the scale of time differs: what keeper
waits for in minutes takes a second, and the harness mines blocks at the same pace.
"""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import random
import resource
import sys
import threading
import time
import types
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.faults.arena.patterns.forking import Child, Parent, serve

_ROOT: Final = Path(__file__).parents[2]


# ---------------------------------------------------------------------- the child: keeper with a fast clock


class FastTime(types.ModuleType):
    """The ``time`` module, running ``scale`` times as fast from ``epoch`` on."""

    def __init__(self, epoch: float, origin: float, scale: float, jump: str = "") -> None:
        super().__init__("time")
        self.__dict__.update({name: getattr(time, name) for name in dir(time) if not name.startswith("__")})
        self.monotonic = lambda: (time.monotonic() - origin) * scale + 1_000
        self.perf_counter = self.monotonic
        self.time = lambda: epoch + (time.monotonic() - origin) * scale + _jumped(jump)
        self.sleep = lambda seconds: time.sleep(max(seconds / scale, 0.002))
        self.gmtime = lambda seconds=None: time.gmtime(self.time() if seconds is None else seconds)
        self.localtime = lambda seconds=None: time.localtime(self.time() if seconds is None else seconds)


def _jumped(path: str) -> float:
    """Return by how much the wall clock is wrong at this moment: what a file says, if there is one."""
    try:
        return float(Path(path).read_text()) if path else 0.0
    except (OSError, ValueError):
        return 0.0


def hasten(clock: dict[str, float]) -> None:
    """Let all of keeper see the fast clock, and wait for endpoints as long as that makes sense on loopback."""
    fast = FastTime(clock["epoch"], clock["origin"], clock["scale"], str(clock.get("jump", "")))
    swapped = {getattr(time, name): getattr(fast, name) for name in ("monotonic", "time", "sleep", "perf_counter")}
    for name, module in list(sys.modules.items()):
        # The endpoint's time-outs are measured in real seconds, like the socket's.
        real = name in ("keeper.chain.endpoint", "keeper.chain.anvil")
        if name.startswith("keeper") and not real and isinstance(module, types.ModuleType):
            for key, value in list(vars(module).items()):
                if value is time:
                    setattr(module, key, fast)
                elif isinstance(value, types.BuiltinFunctionType) and value in swapped:
                    setattr(module, key, swapped[value])
                elif isinstance(value, (type, types.FunctionType)):
                    _rebind(value, swapped, clock["timeout"])
    for name in ("keeper.chain.endpoint", "keeper.chain.client", "keeper.chain.pool"):
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, (type, types.FunctionType)):
                _rebind(value, {}, clock["timeout"])
    _hasten_engine(fast, clock)


def _rebind(value: Any, swapped: dict[Any, Any], timeout: float) -> None:
    """Replace the clock's functions where they are defaults of parameters, and the RPC time-out."""
    functions = (
        [value]
        if isinstance(value, types.FunctionType)
        else [f for f in vars(value).values() if isinstance(f, types.FunctionType)]
    )
    for function in functions:
        keywords = function.__kwdefaults__ or {}
        for key, default in keywords.items():
            if isinstance(default, types.BuiltinFunctionType) and default in swapped:
                keywords[key] = swapped[default]
            elif key == "timeout" and default == 10.0:
                keywords[key] = timeout
        if function.__defaults__:
            function.__defaults__ = tuple(
                swapped[d] if isinstance(d, types.BuiltinFunctionType) and d in swapped else d
                for d in function.__defaults__
            )


def _hasten_engine(fast: FastTime, clock: dict[str, float]) -> None:
    """Shorten the waits that are not made through the ``time`` module: events, and the scheduler's intervals."""
    from keeper.app import App
    from keeper.engine import clock as engine_clock
    from keeper.engine import supervisor

    scale = clock["scale"]

    def sleep(self: Any, seconds: float) -> None:
        if self._stop.wait(max(seconds / scale, clock["least"])):
            time.sleep(min(seconds / scale, 0.02))

    engine_clock.SystemClock.sleep = sleep
    watches = App.watches

    @functools.wraps(watches)
    def hastened(self: Any) -> Any:
        found = watches(self)
        for watch in found:
            cadence = watch.cadence
            watch.cadence = supervisor.Cadence(
                max(cadence.gas_seconds / scale, 0.1), max(cadence.positions_seconds / scale, 0.25)
            )
        return found

    App.watches = hastened
    tick = supervisor.Supervisor.__init__.__kwdefaults__
    if tick:
        tick["tick_seconds"] = 0.05
    from keeper.cli import daemon

    daemon._TICK = 0.05


# ---------------------------------------------------------------------- twists: what only happens inside a process


def _slow_key(seconds: float) -> None:
    """Let the key take its time for every signature, as a remote one would."""
    _wrap_keys(lambda _count: time.sleep(seconds))


def _refusing_key(times: int) -> None:
    """Let the key refuse its first signatures."""
    from keeper.errors import KeyUnavailable

    def act(count: int) -> None:
        if count <= times:
            raise KeyUnavailable("the key does not answer. Unlock it.")

    _wrap_keys(act)


def _wrap_keys(act: Any) -> None:
    """Call ``act`` with a running number before each signature of the key in memory."""
    from keeper.signers.local import LocalKey

    sign, count = LocalKey.sign, [0]

    def wrapped(self: Any, request: Any) -> Any:
        count[0] += 1
        act(count[0])
        return sign(self, request)

    LocalKey.sign = wrapped


_TWISTS: Final = {"slow_key": _slow_key, "refusing_key": _refusing_key}


def _become(order: dict[str, Any]) -> NoReturn:
    """In the forked child: become that command, and never return."""
    code = 70
    try:
        for path, descriptor in ((os.devnull, 0), (order["out"], 1), (order["err"], 2)):
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.environ.update(order.get("env", {}))
        random.seed(os.urandom(8) if order.get("seed") is None else order["seed"])
        sys.argv = ["keeper", *order["argv"]]
        if order.get("largest_file"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], resource.RLIM_INFINITY))
        for name, options in order.get("twists", {}).items():
            _TWISTS[name](**options)
        hasten(order["clock"])
        from keeper.cli import main

        code = main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(5)
        os._exit(code)


# ---------------------------------------------------------------------- the parent that forks


def _import_all() -> None:
    import keeper

    # No daemon needs these, and numpy brings threads: this process must have one when it forks.
    others = (".demo", ".backtest", "migrations", "__main__")
    for module in pkgutil.walk_packages(keeper.__path__, "keeper."):
        if not any(part in module.name for part in others):
            with suppress(ImportError):
                importlib.import_module(module.name)
    for name in ("eth_account", "alembic.command", "alembic.config", "coincurve", "encodings.idna"):
        with suppress(ImportError):
            importlib.import_module(name)


# ---------------------------------------------------------------------- the harness's side


class Nursery:
    """Starts keepers by forking; each costs a few milliseconds instead of a second."""

    def __init__(self) -> None:
        self._parent = Parent([sys.executable, "-m", "tests.faults.subject"], cwd=_ROOT)
        self._parent.wait_ready(60)

    def start(self, argv: list[str], *, out: Path, err: Path, clock: dict[str, float], **more: Any) -> Child:
        """Start one keeper command."""
        return self._parent.start({"argv": argv, "out": str(out), "err": str(err), "clock": clock, **more})

    def close(self) -> None:
        """End everything."""
        self._parent.close()


if __name__ == "__main__":
    serve(_import_all, _become)
