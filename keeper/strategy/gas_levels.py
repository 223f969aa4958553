"""What gas costs these days, this season and since it is watched: levels of the log price, and how far hours stray.

One price an hour counts, the last one of each. A feature never holds the present hour's price, so what is thought
normal does not depend on the price that is held against it. Works for a float and for an array of prices alike.
"""

from __future__ import annotations

from collections import deque
from math import exp
from typing import Any, Final

from keeper.strategy.arithmetic import high, ln, low
from keeper.strategy.gas_season import GasSeason

__all__ = ["GasLevels"]

_HOUR: Final = 3_600

#: Hours over which a level forgets: against which an hour's noise is measured; these days; this season; nothing.
_FAST: Final = 8.0
_DAYS: Final = 48.0
_SEASON: Final = 1_000.0
_EVER: Final = 1e9

#: A spike counts as at most so many deviations and this much (log price).
_CLIP_DEVIATIONS: Final = 3.0
_CLIP: Final = 0.2

#: A deviation from these days' level is looked at again after so many hours, to learn how much of it is gone by then;
#: what is learnt fades over so many, and begins as if nothing went back (squared log price).
_LATER: Final = 48
_REACH_HOURS: Final = 1_500.0
_REACH_PRIOR: Final = 0.48

#: Hours over which the deviation forgets, and hours of none that it starts with.
_DEVIATION_HOURS: Final = 336.0
_CALM_HOURS: Final = 12.0

#: Weight of the newest distance between two prices.
_SPACING: Final = 0.05

_TINY: Final = 1e-300


class GasLevels:
    """Levels in logarithms, without the season. Before anything was seen nothing may be read."""

    __slots__ = (
        "_count",
        "_hour",
        "_last",
        "_open",
        "_price",
        "_slope",
        "_sums",
        "_variance",
        "_weights",
        "deviation",
        "reach",
        "season",
        "spacing",
        "values",
    )

    def __init__(self) -> None:
        self.season = GasSeason()
        #: Fast, these days, this season, ever.
        self.values: tuple[Any, Any, Any, Any] | None = None
        #: How far single hours stray from the fast level.
        self.deviation: Any = 0.0
        #: Part of a deviation from these days' level that is gone two days later: 0 where gas wanders off, 1 where it
        #: comes back.
        self.reach: Any = 0.0
        self._sums: list[Any] = [0.0] * 4
        self._weights = [0.0] * 4
        self._variance: tuple[Any, float] = (0.0, 0.0)
        #: Hours between two prices, on average: 1 where every hour is seen, 24 in a daily series.
        self.spacing = 1.0
        #: Products and squares of deviations and what is left of them; and those that are not two days old.
        self._slope: tuple[Any, Any] = (0.0, 0.0)
        self._open: deque[tuple[int, Any, Any]] = deque()
        self._price: Any = None
        self._hour: int | None = None
        self._last: int | None = None
        self._count = 0

    def observe(self, now: int, price: Any) -> None:
        """Take in a price at ``now`` (unix seconds); where a clock was set back, the newest hour goes on."""
        hour = now // _HOUR if self._hour is None else max(now // _HOUR, self._hour)
        if self._hour is not None and hour > self._hour:
            self._commit(self._hour, ln(self._price + _TINY))
        if self.values is None:  # nothing else is known: what is seen is the level
            level = ln(price + _TINY)
            self.values = (level, level, level, level)
        self._price, self._hour = price, hour

    @property
    def hour(self) -> int:
        """The present unix hour."""
        assert self._hour is not None, "a price was seen"
        return self._hour

    @property
    def hours_seen(self) -> int:
        """Hours whose price is part of the levels."""
        return self._count

    def _commit(self, hour: int, log_price: Any) -> None:
        assert self.values is not None
        self.season.turn(hour)
        usual = self.season.now(hour)
        bare, gap = log_price - usual, 1 if self._last is None else hour - self._last
        if self._count:
            self.spacing += (gap - self.spacing) * _SPACING
            limit = self.deviation * _CLIP_DEVIATIONS + _CLIP
            strays = low(high(bare - self.values[0], -limit), limit)
            bare = self.values[0] + strays
            self._revert(hour, gap, bare)
            self._deviate(strays, gap)
        self.season.learn(hour, bare + usual)
        for place, hours in enumerate((_FAST, _DAYS, _SEASON, _EVER)):
            keep = exp(-gap / hours)
            weight = (1 - keep) / (1 - exp(-1 / hours))
            self._sums[place] = self._sums[place] * keep + bare * weight
            self._weights[place] = self._weights[place] * keep + weight
        fast, days, season, ever = (s / w for s, w in zip(self._sums, self._weights, strict=True))
        self.values = (fast, days, season, ever)
        self._count += 1
        self._last = hour

    def _revert(self, hour: int, gap: int, bare: Any) -> None:
        """Learn from the deviations of two days ago what is left of them now: the slope of a regression."""
        while self._open and self._open[0][0] <= hour - _LATER:
            _, was, level = self._open.popleft()
            keep = exp(-gap / _REACH_HOURS)
            product, square = self._slope
            self._slope = (product * keep + was * (bare - level), square * keep + was * was)
            left = (self._slope[0] + _REACH_PRIOR) / (self._slope[1] + _REACH_PRIOR)
            self.reach = low(high(1.0 - left, 0.0), 1.0)
        assert self.values is not None
        self._open.append((hour, bare - self.values[1], self.values[1]))

    def _deviate(self, strays: Any, gap: int) -> None:
        keep = exp(-gap / _DEVIATION_HOURS)
        weight = (1 - keep) / (1 - exp(-1 / _DEVIATION_HOURS))
        total, weights = self._variance
        self._variance = (total * keep + strays * strays * weight, weights * keep + weight)
        self.deviation = (self._variance[0] / (self._variance[1] + _CALM_HOURS)) ** 0.5
