"""The rule: harvest when the reward has grown to where waiting longer loses more than one harvest costs.

Per unit of time a rhythm T loses g/T (cost), m*F*T/2 (reward lying idle) and F^2*T/L (price impact growing with size).
The minimum gives R* = sqrt(2*g*F/k) + 4/3*g with k = m + 2F/L; see docs/explanation/when-to-compound.md.
Where the end is known (an exit, emission that stops) a whole number of harvests fits before it: ``keeper.strategy.
horizon``. Everything is an integer: US dollars and yearly yields as wad (10**18).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Final

from keeper.domain.money import BPS, NO_USD, WAD, UsdWad
from keeper.strategy import horizon
from keeper.strategy.numbers import PPM, SECONDS_PER_YEAR, ceil_div, ceil_sqrt

__all__ = [
    "SECONDS_PER_YEAR",
    "Economics",
    "Rule",
    "Thresholds",
    "affordable",
    "at_cost",
    "budget",
    "cost_ceiling",
    "cost_that_fires",
    "evaluate",
    "fires",
    "pressure",
    "threshold",
]


#: Rounds within which the affordable cost is found, to one part in 2**40.
_ROUNDS: Final = 48


@dataclass(frozen=True, slots=True)
class Economics:
    """What the rule looks at. All money in USD wad."""

    #: S: value of the stake.
    principal: UsdWad
    #: R: net pending reward, after swap fees and impact at full size.
    reward: UsdWad
    #: g: all-in cost of one compound now; zero or less where the call itself is paid for.
    cost: UsdWad
    #: F: forward net accrual per year.
    forward: UsdWad
    #: m: yearly yield of a re-deposited dollar, less the reward token's drift; wad.
    yield_wad: int
    #: L: value of the sold side of the pools, as one pool of the same impact; ``None`` when nothing is sold.
    depth: UsdWad | None = None
    #: Seconds until the owner leaves or emission stops for good; ``None`` when no end is known.
    horizon: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule's two options."""

    #: a: scales the square-root term, basis points; below 10_000 harvests earlier.
    risk_factor_bps: int = BPS
    #: A harvest must earn its cost back within this many seconds, rolling; what it earns later counts less and less.
    payback_seconds: int = SECONDS_PER_YEAR
    #: rho: how much dearer today's gas counts than it is, parts per million (``keeper.strategy.patience``).
    weight_ppm: int = PPM


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the rule stands. ``None`` means never."""

    #: R*: harvest at or above this.
    reward: UsdWad | None
    #: B: what harvesting now is worth at most.
    budget: UsdWad
    #: k, wad per year.
    pressure_wad: int
    #: Optimal harvests a year, thousandths.
    harvests_milli: int
    #: Yearly gain at the optimum over never compounding, or all of it up to a known end; 0 where it never pays.
    gain_per_year: UsdWad
    #: Largest all-in cost at which the rule would fire now; 0 when none.
    fires_at_cost: UsdWad
    #: m*R/365.
    waiting_cost_per_day: UsdWad
    #: Seconds until the reward reaches R* at the present cost; 0 when there, ``None`` when never.
    eta_seconds: int | None

    #: Whether the payback condition holds.
    pays_back: bool


def pressure(e: Economics) -> int:
    """Return k = m + 2F/L in wad per year: what an idle dollar of reward loses a year."""
    impact = 2 * e.forward * WAD // e.depth if e.depth else 0
    return e.yield_wad + impact


def threshold(e: Economics, rule: Rule) -> UsdWad | None:
    """Return R*, rounded up; ``None`` when compounding never pays (m <= 0, or the end is here)."""
    k = pressure(e)
    if e.yield_wad <= 0 or k <= 0 or (e.horizon is not None and e.horizon <= 0):
        return None
    if e.cost <= 0:
        return NO_USD
    if e.forward <= 0:  # nothing more comes, so there is nothing to wait for: once, if it earns its cost back
        return UsdWad(max(e.cost + 1, ceil_div(e.cost * WAD * SECONDS_PER_YEAR, e.yield_wad * _payback(e, rule))))
    weighed = ceil_div(e.cost * rule.weight_ppm, PPM)
    if e.horizon is not None:
        return UsdWad(horizon.reward_wanted(weighed, e.forward, k, e.horizon, rule.risk_factor_bps))
    root = ceil_div(ceil_sqrt(2 * weighed * e.forward * WAD, k) * rule.risk_factor_bps, BPS)
    wanted = _unfaded(root, e, rule)
    return None if wanted is None else UsdWad(wanted + ceil_div(4 * e.cost, 3))


def _unfaded(root: int, e: Economics, rule: Rule) -> int | None:
    """Return the reward z whose faded worth z/(1 + z/(6*F*H)) is ``root``; ``None`` where none is worth so much.

    What a harvest earns over a rolling time H, fading after it, is m*F*H^2*(y - 1 + exp(-y)) with y = z/(F*H):
    the square of the above times m/2F, to the third order of y.
    """
    most = 6 * e.forward * rule.payback_seconds // SECONDS_PER_YEAR
    return None if root >= most else ceil_div(root * most, most - root)


def budget(e: Economics, rule: Rule | None = None) -> UsdWad:
    """Return B = R^2 * k / (2F): harvesting now is worth at most this. 0 when compounding never pays.

    Near an end the harvests that still fit count; where nothing more accrues, what the reward earns while it can.
    """
    k = pressure(e)
    if e.yield_wad <= 0 or k <= 0 or e.reward <= 0:
        return NO_USD
    rule = rule or Rule()
    if e.horizon is not None and e.forward > 0:
        most = horizon.cost_worth(e.reward, e.forward, k, e.horizon, rule.risk_factor_bps)
        return UsdWad(min(most, _payback_ceiling(e, rule)))
    if e.forward <= 0:
        return UsdWad(_payback_ceiling(e, rule))
    return UsdWad(e.reward * e.reward * k // (2 * e.forward) // WAD)


def cost_that_fires(e: Economics, rule: Rule) -> UsdWad:
    """Return the largest cost at which the rule would fire now: the inverse of ``threshold``, within the guards.

    What a cost leaves of the reward says which cost is affordable, and less is left by more: the two meet within a few
    rounds, as a cost is small beside what is worth harvesting. Then it is lowered until the rule itself agrees.
    """
    most = min(affordable(at_cost(e, 0), rule) * PPM // rule.weight_ppm, cost_ceiling(e, rule))
    if e.forward <= 0:
        most = cost_ceiling(e, rule)  # then gas is not weighed
    if e.forward <= 0 or e.horizon is not None:
        return UsdWad(_settle(e, rule, most))
    low, high, guess = 0, most, most
    for _ in range(_ROUNDS):
        found = affordable(at_cost(e, guess), rule) * PPM // rule.weight_ppm
        if abs(found - guess) <= guess >> 40 or found >= guess == most:
            break
        low, high = (guess, high) if found > guess else (low, guess)
        above = 3 * e.reward - 4 * guess
        # Newton's step: of what is asked more, 8g/3z is affordable less
        near = guess + (found - guess) * above // (above + 8 * guess) if above > 0 else 0
        guess = near if low < near < high else (low + high) // 2
    return UsdWad(_settle(e, rule, guess))


def affordable(e: Economics, rule: Rule) -> int:
    """Return the largest weighed cost, g*rho, that the reward left by the cost ``e.cost`` is worth; USD wad."""
    k = pressure(e)
    if e.yield_wad <= 0 or k <= 0 or e.reward <= 0:
        return 0
    if e.forward <= 0:
        return _payback_ceiling(e, rule)
    if e.horizon is not None:
        return horizon.cost_worth(e.reward, e.forward, k, e.horizon, rule.risk_factor_bps)
    most = 6 * e.forward * rule.payback_seconds // SECONDS_PER_YEAR
    above = max(e.reward - 4 * e.cost // 3, 0)
    faded = above * most // (above + most) if most else 0
    return faded * faded * k * BPS**2 // (2 * e.forward * WAD * rule.risk_factor_bps**2)


def cost_ceiling(e: Economics, rule: Rule) -> int:
    """Return the cost above which the rule never fires, whatever gas counts: less than the reward, and paid back."""
    return min(max(e.reward - 1, 0), _payback_ceiling(e, rule)) if e.yield_wad > 0 else 0


def evaluate(e: Economics, rule: Rule) -> Thresholds:
    """Work out every number of the rule for one position at one moment."""
    k = max(pressure(e), 0)
    wanted = threshold(e, rule)
    return Thresholds(
        reward=wanted,
        budget=budget(e, rule),
        pressure_wad=k,
        harvests_milli=_harvests_milli(e, k),
        gain_per_year=_gain(e, k),
        fires_at_cost=cost_that_fires(e, rule),
        waiting_cost_per_day=UsdWad(max(e.yield_wad, 0) * e.reward // WAD // 365),
        eta_seconds=_eta(e, wanted),
        pays_back=_payback_ceiling(e, rule) >= e.cost,
    )


def fires(e: Economics, rule: Rule) -> bool:
    """Say whether the rule harvests now: m > 0, R > g, R >= R*, and the cost is earned back in time."""
    wanted = threshold(e, rule)
    return wanted is not None and e.reward > e.cost and e.reward >= wanted and _payback_ceiling(e, rule) >= e.cost


def at_cost(e: Economics, cost: int) -> Economics:
    """The same at another cost."""
    return Economics(e.principal, e.reward, UsdWad(cost), e.forward, e.yield_wad, e.depth, e.horizon)


def _settle(e: Economics, rule: Rule, guess: int) -> int:
    """Move a candidate cost by its error to the largest at which the rule fires, to one part in a million."""
    step = max(guess >> 36, 1)
    below, above = guess, guess
    if fires(at_cost(e, guess), rule):
        while fires(at_cost(e, above := above + step), rule):
            below, step = above, step * 4
    else:
        while below > 0 and not fires(at_cost(e, below), rule):
            above, below, step = below, below - step, step * 4
    below = max(below, 0)
    while above - below > 1 + (below >> 22):
        middle = (above + below) // 2
        below, above = (middle, above) if fires(at_cost(e, middle), rule) else (below, middle)
    return below


def _payback(e: Economics, rule: Rule) -> int:
    """Seconds within which a harvest must earn its cost back: never longer than there are."""
    return rule.payback_seconds if e.horizon is None else min(rule.payback_seconds, e.horizon)


def _payback_ceiling(e: Economics, rule: Rule) -> int:
    """R * m * payback: the largest cost that is earned back in time."""
    return max(e.yield_wad, 0) * e.reward * _payback(e, rule) // (WAD * SECONDS_PER_YEAR)


def _harvests_milli(e: Economics, k: int) -> int:
    """n* = sqrt(F*k/(2g)), in thousandths; for reward proportional to principal this is (F/S)*sqrt(S/2g)."""
    if e.yield_wad <= 0 or e.forward <= 0 or k <= 0 or e.cost <= 0:
        return 0
    return isqrt(10**6 * e.forward * k // (2 * e.cost * WAD))


def _gain(e: Economics, k: int) -> UsdWad:
    """g*(n*-1)^2 above the break-even n* = sqrt(2), else 0; up to a known end, what the harvests before it gain."""
    if e.horizon is not None and e.forward > 0 and e.yield_wad > 0 and e.cost > 0:
        return UsdWad(horizon.gain(e.reward, e.cost, e.forward, k, e.horizon))
    n = _harvests_milli(e, k)
    return NO_USD if n < 1414 else UsdWad(e.cost * (n - 1000) ** 2 // 10**6)


def _eta(e: Economics, wanted: UsdWad | None) -> int | None:
    if wanted is None:
        return None
    missing = max(wanted - e.reward, 0)
    if missing and e.forward <= 0:
        return None
    eta = ceil_div(missing * SECONDS_PER_YEAR, e.forward) if missing else 0
    return eta if e.horizon is None or eta < e.horizon else None
