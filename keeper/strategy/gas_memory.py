"""What a policy may remember of the gas price: causal recursions that work for one price and for arrays of prices."""

from __future__ import annotations

from collections import deque
from math import exp
from typing import Any, Final

from keeper.strategy.gas_levels import GasLevels

__all__ = ["HOUR", "GasMemory"]

#: Seconds.
HOUR: Final = 3_600

#: Hours of the sliding mean.
_WEEK: Final = 168

_DAY_SECONDS: Final = 86_400

#: Keeps a price of nothing from being divided by.
_TINY: Final = 1e-300


class GasMemory:
    """Features of the gas price up to now. Prices are in any unit; every feature but a ratio is in the same one.

    A price may be a float or an array (one number for each of many paths); then every feature is an array as well.
    Reading a feature before the first ``observe`` is a mistake: nothing is known yet.
    """

    __slots__ = (
        "_hours",
        "_in_hour",
        "_seen",
        "_total",
        "ewma_1d",
        "ewma_30d",
        "hour_ratio",
        "last",
        "last_at",
        "levels",
        "mean",
    )

    def __init__(self) -> None:
        #: The newest price.
        self.last: Any = None
        #: Unix seconds of it.
        self.last_at: int | None = None
        #: Mean of everything seen, each observation counting alike.
        self.mean: Any = None
        #: Exponentially weighted means with time constants of 1 and 30 days.
        self.ewma_1d: Any = None
        self.ewma_30d: Any = None
        #: For each UTC hour of the day: price over ``ewma_1d``, averaged over the days seen; 1.0 where nothing was.
        self.hour_ratio: list[Any] = [1.0] * 24
        #: What is usual: levels, seasons, and how far hours stray.
        self.levels = GasLevels()
        self._hours: deque[Any] = deque()
        self._in_hour = 0
        self._total: Any = 0.0
        self._seen = 0

    def observe(self, now: int, gas: Any) -> None:
        """Take in the price at ``now`` (unix seconds, never falling), before the decision at ``now`` is made."""
        self._slide(now, gas)
        self.levels.observe(now, gas)
        self._seen += 1
        if self.last_at is None:
            self.mean = self.ewma_1d = self.ewma_30d = gas
        else:
            past = now - self.last_at
            self.mean = self.mean + (gas - self.mean) / self._seen
            self.ewma_1d = self.ewma_1d + (gas - self.ewma_1d) * (1.0 - exp(-past / _DAY_SECONDS))
            self.ewma_30d = self.ewma_30d + (gas - self.ewma_30d) * (1.0 - exp(-past / (30 * _DAY_SECONDS)))
        hour = now // HOUR % 24
        self.hour_ratio[hour] = self.hour_ratio[hour] * 0.9 + gas / (self.ewma_1d + _TINY) * 0.1
        self.last, self.last_at = gas, now

    @property
    def mean_7d(self) -> Any:
        """Mean of the last 168 hours in which a price was seen, the present one included."""
        return self._total / len(self._hours)

    def _slide(self, now: int, gas: Any) -> None:
        """Keep one mean for each hour: prices that come every few seconds count no more than one an hour."""
        if self.last_at is not None and self.last_at // HOUR == now // HOUR:
            self._in_hour += 1
            before = self._hours[-1]
            self._hours[-1] = before + (gas - before) / self._in_hour
            self._total = self._total + (self._hours[-1] - before)
            return
        self._in_hour = 1
        self._hours.append(gas)
        self._total = self._total + gas
        if len(self._hours) > _WEEK:
            self._total = self._total - self._hours.popleft()
