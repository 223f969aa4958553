"""Money formulas of a track record: growth between flows, yearly rates, and a pool against its two sides. Integers.

Money may be in any unit, as long as all of it is in the same one: dollars, another currency, or the stake token itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, Overflow, localcontext
from math import isqrt
from typing import Final

from keeper.domain.money import WAD
from keeper.strategy.threshold import SECONDS_PER_YEAR

__all__ = ["Mark", "annualised", "growth", "impermanent_loss", "simple_rate", "without_fees"]

#: Digits that a long chain of factors keeps.
_FINE: Final = 10**36

#: Yearly growth above this says nothing; wad.
_ABSURD: Final = 10**6 * WAD


@dataclass(frozen=True, slots=True)
class Mark:
    """What was invested at one moment, just before and just after money was put in or taken out."""

    before: int
    after: int


def growth(marks: Iterable[Mark]) -> int:
    """Return the time-weighted growth, wad (10**18 is none): what one unit left alone from first to last became.

    Between two flows growth is what the money became over what it was; the growths of the stretches are multiplied. A
    stretch that began with nothing counts as none; one that ended with nothing, or less, lost everything.
    """
    total, begun, last = _FINE, 0, None
    for mark in marks:
        if last is None:
            begun = mark.after
        elif mark.before != mark.after:
            total, begun = _stretch(total, begun, mark.before), mark.after
        last = mark
    if last is not None and last.before == last.after:
        total = _stretch(total, begun, last.before)
    return total * WAD // _FINE


def _stretch(total: int, begun: int, ended: int) -> int:
    return total * max(ended, 0) // begun if begun > 0 else total


def simple_rate(profit: int, stake_seconds: int) -> int | None:
    """Return a profit as a yearly rate on what was staked, without compounding (an APR); wad, ``None`` without stake.

    ``stake_seconds`` is the stake times the seconds that it stood, summed; a year has 365 days.
    """
    if stake_seconds <= 0:
        return None
    wad = abs(profit) * SECONDS_PER_YEAR * WAD // stake_seconds
    return -wad if profit < 0 else wad


def annualised(grown: int, seconds: int) -> int | None:
    """Return what a growth (wad) comes to in a year when it goes on at the same pace (an APY); wad, 0 for none.

    ``None`` where that says nothing: no time has passed, or the answer is beyond a million-fold.
    """
    if seconds <= 0 or grown < 0:
        return None
    if grown == 0:
        return -WAD
    with localcontext(prec=60):
        try:
            factor = (Decimal(grown) / WAD) ** (Decimal(SECONDS_PER_YEAR) / seconds)
        except Overflow:
            return None
        if factor > _ABSURD // WAD:
            return None
        return int((factor - 1) * WAD)


def impermanent_loss(ratio: int) -> int:
    """Return what half and half in a constant-product pool lost against holding, wad and at most 0, without fees.

    ``ratio`` is how much more one side's price has changed than the other's, wad (10**18: alike): 2*sqrt(r)/(1+r) - 1.
    """
    return 2 * isqrt(ratio * WAD) * WAD // (WAD + ratio) - WAD


def without_fees(units: tuple[int, int], prices: tuple[int, int]) -> int:
    """Return what two amounts, put into a constant-product pool at equal value, are worth there without any fees.

    The pool keeps their product and evens out their values: 2*sqrt(a*b*pa*pb). ``units`` and ``prices`` are wad.
    """
    return 2 * isqrt(units[0] * units[1] * prices[0] * prices[1]) // WAD
