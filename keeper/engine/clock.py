"""Real time, with a sleep that a stopping daemon wakes from."""

from __future__ import annotations

import threading
import time

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's clock; ``stop`` makes every ``sleep`` short from then on."""

    def __init__(self) -> None:
        """Make a running clock."""
        self._stop = threading.Event()

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; once stopped, at most a twentieth of a second, so that loops end soon but do not spin."""
        if self._stop.wait(seconds):
            time.sleep(min(seconds, 0.05))

    def stop(self) -> None:
        """Wake every sleeper."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()
