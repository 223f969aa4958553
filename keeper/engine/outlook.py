"""What a chain's price of gas was lately: kept over restarts, noted at every tick, read by decisions."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from keeper.strategy.gas_memory import HOUR, GasMemory

__all__ = ["Outlook"]

#: Hours that must have been seen before a usual price is named.
_ENOUGH_HOURS: Final = 24

#: Seconds of history that are replayed at a start.
MEMORY_SECONDS: Final = 60 * 86_400


class Outlook:
    """The gas memory of one chain. Prices in wei; time never goes back in it, whatever a reorg does."""

    def __init__(self, history: Iterable[tuple[int, int]] = ()) -> None:
        """Start with what was seen before: (unix seconds, wei), oldest first."""
        self.memory = GasMemory()
        self._lock = threading.Lock()
        self._hours: set[int] = set()
        for at, price in history:
            self.note(at, price)

    def note(self, now: int, price_wei: int) -> None:
        """Take in the price of gas at a block's time; a time before the newest one changes nothing."""
        with self._lock:
            last = self.memory.last_at
            if price_wei <= 0 or (last is not None and now <= last):
                return
            self.memory.observe(now, float(price_wei))
            if len(self._hours) < _ENOUGH_HOURS:
                self._hours.add(now // HOUR)

    @property
    def usual_wei(self) -> int | None:
        """Mean price of the last week, wei; ``None`` before a day's hours were seen."""
        with self._lock:
            return int(self.memory.mean_7d) if len(self._hours) >= _ENOUGH_HOURS else None

    def at(self, now: int, price_wei: int) -> GasMemory:
        """Return the memory for a decision made now; a price not noted yet is noted first."""
        self.note(now, price_wei)
        return self.memory
