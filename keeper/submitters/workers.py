"""Threads that send: one endpoint's silence never holds up another's, and their number is bounded."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Final

__all__ = ["Workers"]

#: Sends to one endpoint that may be unanswered at once.
MOST: Final = 8

#: Seconds after which a thread with nothing to do ends.
IDLE_SECONDS: Final = 60.0


class Workers:
    """Runs tasks by key, each at once. A thread keeps to its key, because endpoints keep a connection per thread.

    The threads are daemons: an endpoint that hangs does not keep the process from ending. What they were about to send
    is in the journal.
    """

    def __init__(self, *, most: int = MOST, idle_seconds: float = IDLE_SECONDS) -> None:
        self._most = most
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._busy: defaultdict[int, int] = defaultdict(int)
        self._idle: defaultdict[int, list[queue.SimpleQueue[Callable[[], None]]]] = defaultdict(list)

    def run(self, key: int, task: Callable[[], None]) -> bool:
        """Begin a task; ``False`` (and nothing is begun) while too many of this key are under way."""
        with self._lock:
            if self._busy[key] >= self._most:
                return False
            self._busy[key] += 1
            inbox = self._idle[key].pop() if self._idle[key] else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(key, inbox), name=f"send-{key}", daemon=True).start()
        inbox.put(task)
        return True

    def _work(self, key: int, inbox: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            try:
                task = inbox.get(timeout=self._idle_seconds)
            except queue.Empty:
                if self._retire(key, inbox):
                    return
                continue
            try:
                task()
            except BaseException:
                self._done(key)
                raise  # a defect: this thread ends, and the process's hook tells
            self._done(key, inbox)

    def _done(self, key: int, inbox: queue.SimpleQueue[Callable[[], None]] | None = None) -> None:
        with self._lock:
            self._busy[key] -= 1
            if inbox is not None:
                self._idle[key].append(inbox)

    def _retire(self, key: int, inbox: queue.SimpleQueue[Callable[[], None]]) -> bool:
        """Leave, unless a task was handed over this very moment."""
        with self._lock:
            if inbox not in self._idle[key]:
                return False
            self._idle[key].remove(inbox)
            return True
