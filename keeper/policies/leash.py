"""Runs one command, and ends it with everything it started when the pipe to whoever started this closes.

Run as a file by a bare interpreter, so it imports nothing of keeper: ``python -I -S leash.py LIFELINE COMMAND...``.
LIFELINE is a descriptor whose other end keeper alone holds: it closes however keeper ends, ``kill -9`` among the ways.
A parent-death signal would reach the command itself but none of its children, and would come when a *thread* ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time

#: prctl's option that makes this process the parent of every orphan below it: a child that detaches is still found.
_PR_SET_CHILD_SUBREAPER = 36

#: Seconds that killing may take before the whole process group goes at once, this process included.
_KILL_SECONDS = 2.0

#: Exit status of a command that could not be started, as shells have it.
_NOT_STARTED = 127


def run(lifeline: int, command: list[str]) -> int:
    """Run the command; return its exit status, 128 and the signal when one ended it."""
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signals = _hear_signals()
    try:
        # Python ignores these two; whoever is started would inherit that.
        defaults = (signal.SIGPIPE, signal.SIGXFSZ)
        child = os.posix_spawnp(command[0], command, os.environ, setsigdef=defaults)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the only words it ever says
        return _NOT_STARTED
    _let_go_of_pipes()
    status = _wait(child, lifeline, signals)
    _end_all()
    return status


def _hear_signals() -> int:
    """Return a descriptor on which every signal that matters arrives as a byte."""
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return heard


def _let_go_of_pipes() -> None:
    """Close keeper's pipes here: the command alone holds them, so that their end means its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _wait(child: int, lifeline: int, signals: int) -> int:
    while True:
        ready, _, _ = select.select([lifeline, signals], [], [])
        if lifeline in ready or any(number != signal.SIGCHLD for number in os.read(signals, 64)):
            return 128 + signal.SIGKILL
        for pid, status in _reaped():
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _reaped() -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            found.append(ended)
    return found


def _end_all() -> None:
    """Kill children until none is left: the orphans of each turn are the children of the next."""
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline and (children := _children()) is not None:
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # another user's, by sudo
                os.kill(pid, signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.002)
    os.killpg(0, signal.SIGKILL)


def _children() -> list[int] | None:
    """Return this process's children; ``None`` where the system does not list them (not Linux)."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as listed:  # noqa: PTH123 - no pathlib here
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
