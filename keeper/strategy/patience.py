"""What gas normally costs soon, and how much that should hold back a harvest now, or hurry it.

The rule alone asks whether a harvest is worth its cost at the price of gas as it is. Gas wanders, though, and where it
comes back from what it strays to, a dear hour is worth sitting out and a cheap one worth taking early. So the cost of
now is weighed by rho before the rule looks at it. With the logarithms x of the price now, L of this season's level, E
of these days' level, S of the hour's season, and a = 1.25 times the part of a deviation that is gone two days later:

    ln rho = (1+a) * ((1+a)*x - L - a*(E + S) + saved) - (x - L)

``saved`` is what a wait that is short against the cycle normally saves: by the hours of day and week that are cheap, by
chance, and by the season's own return to what was usual before. Where gas is flat, or wanders without coming back, a is
0, saved is what the season alone tells, and rho is 1: the plain rule. rho never falls when the price rises. Written in
generic arithmetic, for a float and for arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, Final

from keeper.strategy.arithmetic import E, high, ln, low
from keeper.strategy.gas_levels import GasLevels
from keeper.strategy.gas_season import RATES

__all__ = ["Patience", "patience"]

#: Weight of what is normal where all of a deviation is gone two days later.
_PATIENCE: Final = 1.25

#: Deviations of an hour below the level that are worth waiting for, for each e-fold of the cycle over so many prices.
_NOISE: Final = 1.5
_NOISE_PRICES: Final = 50.0

#: How far this season is expected to come back to all that was seen, in cycles long against so many hours.
_EVER: Final = 0.35
_EVER_HOURS: Final = 1_600.0

#: Log price that one cycle of waiting for a trough must save.
_WAIT: Final = 0.17

#: Step of ``RATES``: each is a third of the one before; the first is one in four hours.
_STEP: Final = log(3.0)
_FIRST_HOURS: Final = 4.0

#: Slope below which rho says nothing of the price.
_FLAT: Final = 0.05

#: Bound of ln rho, either way.
_BOUND: Final = 4.0


@dataclass(frozen=True, slots=True)
class Patience:
    """rho as a function of the price of gas: ln rho = slope * ln(price) + offset, within bounds."""

    slope: Any
    offset: Any

    def weight(self, gas: Any) -> Any:
        """Return rho at a price above zero: how much dearer it counts than it is."""
        return E ** low(high(self.slope * ln(gas) + self.offset, -_BOUND), _BOUND)

    @property
    def even(self) -> float | None:
        """The price at which rho is 1, for a single position; ``None`` where the price hardly matters to it."""
        return float(E ** (-self.offset / self.slope)) if self.slope > _FLAT else None


def patience(levels: GasLevels, cycle_hours: Any) -> Patience:
    """Say what the memory of gas means to a position that is harvested once in ``cycle_hours`` (above zero)."""
    assert levels.values is not None, "a price was seen"
    _, days, season, ever = levels.values
    t, hour = cycle_hours, levels.hour
    a = levels.reach * _PATIENCE
    saved = (
        _drop(levels, t) * 2.0 * a / (a + 1.0)
        + levels.reach * levels.deviation * ln(t / (_NOISE_PRICES * levels.spacing) + 1.0) * _NOISE
        + (season - ever) * t / (t + _EVER_HOURS) * _EVER
    )
    offset = (a + 1.0) * (saved - season - a * (days + levels.season.now(hour))) + season
    return Patience((a + 1.0) * (a + 1.0) - 1.0, offset)


def _drop(levels: GasLevels, t: Any) -> Any:
    """How far the hours of day and week fall below the present one, net of the wait: between two rates of the table."""
    place = high(low(ln(t / (_FIRST_HOURS * _WAIT)) / _STEP, len(RATES) - 1.0), 0.0)
    drop: Any = 0.0
    for step, each in enumerate(levels.season.drops(levels.hour)):
        apart = place - step
        drop = drop + each * high(1.0 - (apart * apart) ** 0.5, 0.0)
    return drop
