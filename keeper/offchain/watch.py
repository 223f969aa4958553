"""A thread that looks at something outside the chain again and again, so that no decision ever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Watch"]


class Watch:
    """Calls ``look`` at once and then every ``seconds``; it must not raise. Close it, or use it as a context."""

    def __init__(self, name: str, look: Callable[[], None], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._stop = threading.Event()
        self._again = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, wait: float = 0.0) -> None:
        """Begin; give the first look so many seconds to be done, and go on without it otherwise."""
        self._thread.start()
        self._done.wait(wait)

    def hurry(self) -> None:
        """Look again soon rather than when it is time."""
        self._again.set()

    def close(self) -> None:
        """End it, without waiting for a look under way."""
        self._stop.set()
        self._again.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._again.clear()
            self._look()
            self._done.set()
            self._again.wait(self._seconds)
