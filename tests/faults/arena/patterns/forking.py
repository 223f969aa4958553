"""Processes that start in milliseconds: a parent imports everything once, and forks when it is asked to.

Protocol: one JSON object per line; orders on the parent's stdin, and on its stdout {"ready"} once, {"pid"} for each
start, {"ended", "code"} for each end. Standard library alone, because a parent may live in another environment than who
asks it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# ---------------------------------------------------------------------- the parent's side


def serve(prepare: Callable[[], None], become: Callable[[dict[str, Any]], NoReturn]) -> None:
    """Prepare, then fork on request until stdin ends; single-threaded, so that forking is safe.

    ``become`` runs in the child, with its order.
    """
    orders = os.dup(0)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    prepare()
    gc.collect()
    gc.freeze()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def say(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    say(ready=True)
    pending = b""
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap(say)
        if orders in ready:
            piece = os.read(orders, 1 << 20)
            if not piece:
                return
            pending += piece
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    for descriptor in (orders, woken, waker):
                        os.close(descriptor)
                    _leave_home()
                    become(order)
                say(pid=pid)


def _leave_home() -> None:
    """Be a process like any other: with the usual signals, and never longer there than the parent."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _reap(say: Callable[..., None]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say(ended=pid, code=os.waitstatus_to_exitcode(status))


# ---------------------------------------------------------------------- the side that asks


class Child:
    """One forked process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self._ended = threading.Event()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.code is None

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Exit code, negative for a signal; ``None`` when it did not end in time."""
        self._ended.wait(seconds)
        return self.code

    def finish(self, code: int) -> None:
        """Be told that it has ended."""
        self.code = code
        self._ended.set()


class Parent:
    """A process that runs ``serve``. Threads may share it."""

    def __init__(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """Start it; it prepares while others do something else."""
        self._process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._asking = threading.Lock()
        self._news = threading.Condition()
        self._ready = False
        self._born: list[Child] = []
        self._children: dict[int, Child] = {}
        threading.Thread(target=self._listen, name="forking", daemon=True).start()

    def wait_ready(self, seconds: float) -> None:
        """Wait until it has prepared."""
        with self._news:
            if not self._news.wait_for(lambda: self._ready, seconds):
                raise RuntimeError("the parent of the processes to fork did not start")

    def start(self, order: dict[str, Any]) -> Child:
        """Let it fork a child that becomes this."""
        with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            with self._news:
                if not self._news.wait_for(lambda: self._born, 60):
                    raise RuntimeError("the parent of the processes to fork does not answer")
                return self._born.pop(0)

    def close(self) -> None:
        """End everything."""
        with self._news:
            children = list(self._children.values())
        for child in children:
            child.signal(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                word = json.loads(line)
                with self._news:
                    if "pid" in word:
                        child = self._children[word["pid"]] = Child(word["pid"])
                        self._born.append(child)
                    elif "ended" in word:
                        self._children.pop(word["ended"]).finish(word["code"])
                    self._ready = True
                    self._news.notify_all()
