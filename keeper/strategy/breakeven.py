"""From which stake on, and up to which cost, compounding earns its cost: the rule read backwards.

Within a time T, from nothing pending, one compound is worth its cost while g <= k*F*T^2/4; where T is a year, that is
n* = sqrt(2). All money is USD wad, k is wad per year.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from keeper.domain.money import NO_USD, WAD, UsdWad
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Economics, pressure

__all__ = ["cost_limit", "earns_its_cost", "principal_limit", "scaled"]

_PPM: Final = 10**6

#: Doublings of the stake, up and down, within which a limit is looked for.
_REACH: Final = 80


def cost_limit(e: Economics, seconds: int = SECONDS_PER_YEAR) -> UsdWad:
    """Return the most that a compound may cost to be worth making once within this time; 0 when it never is."""
    k = pressure(e)
    if e.yield_wad <= 0 or e.forward <= 0 or k <= 0 or seconds <= 0:
        return NO_USD
    return UsdWad(k * e.forward * seconds * seconds // (4 * WAD * SECONDS_PER_YEAR**2))


def earns_its_cost(e: Economics, seconds: int = SECONDS_PER_YEAR) -> bool:
    """Say whether one compound within this time, from nothing pending, is worth its cost."""
    return cost_limit(e, seconds) >= e.cost


def scaled(e: Economics, principal: int, *, own_share_ppm: int = 0) -> Economics:
    """Return the same farm with another stake in it: rewards grow with it, the cost and the pools stay.

    Args:
        e: the position; its principal is above zero.
        principal: the other stake, USD wad.
        own_share_ppm: share of the rewarded pool that the present stake has; 0 where the rate does not dilute. A pool
            of fixed emission pays each unit less by f = 1/(1 + w(s-1)) when the stake is s times as large, and what
            one unit more brings falls by f^2.
    """
    others = (_PPM - own_share_ppm) * e.principal + own_share_ppm * principal
    forward = e.forward * principal * _PPM // others if others else 0
    unit = _PPM * e.principal * WAD // others if others else 0
    gross = e.yield_wad if e.yield_wad <= 0 or not own_share_ppm else e.yield_wad * unit // WAD * unit // WAD
    return replace(e, principal=UsdWad(principal), forward=UsdWad(forward), yield_wad=gross)


def principal_limit(e: Economics, seconds: int = SECONDS_PER_YEAR, *, own_share_ppm: int = 0) -> UsdWad | None:
    """Return the smallest stake from which compounding is worth its cost, rounded up; ``None`` when at no size.

    In a pool of fixed emission more stake dilutes itself, so that there may be no such size.
    """
    if e.principal <= 0:
        return None

    def enough(principal: int) -> bool:
        return earns_its_cost(scaled(e, principal, own_share_ppm=own_share_ppm), seconds)

    sizes = [e.principal << step for step in range(_REACH)]
    if enough(e.principal):
        sizes = [max(e.principal >> step, 1) for step in range(_REACH, -1, -1)]
    above = next((index for index, size in enumerate(sizes) if enough(size)), None)
    if above is None:
        return None
    low, high = (sizes[above - 1] if above else 0), sizes[above]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return UsdWad(high)
