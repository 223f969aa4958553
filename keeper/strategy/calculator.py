"""A farm that nobody has entered yet, in numbers: when to compound it, how often, and what other rhythms would bring.

The rule's numbers are ``threshold.evaluate``'s own. Rhythms are played through a year, or until the exit: a stake S
earns F a year, what was put back earns m a year, each compound costs g and sells into pools of depth L, the reward's
price drifts meanwhile, and what is pending at the end is claimed. All money is USD wad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.money import BPS, NO_USD, WAD, UsdWad
from keeper.strategy.breakeven import cost_limit, principal_limit, scaled
from keeper.strategy.growth import exp_wad
from keeper.strategy.horizon import harvests_left
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Economics, Rule, Thresholds, evaluate, pressure

__all__ = ["Farm", "Forecast", "Rhythm", "Size", "economics_of", "forecast", "played"]

_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY
_PPM: Final = 10**6

#: More compounds than this are not played one by one: nobody makes them.
_MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class Farm:
    """What somebody knows about a farm before entering it."""

    principal: UsdWad
    #: Rewards a year over the stake, as the farm's page says; wad.
    apr_wad: int
    #: All-in cost of one compound.
    cost: UsdWad
    #: Swap fees on the way from the reward to the stake, basis points.
    fee_bps: int = 0
    #: Value of the side of the pool that rewards are sold into; ``None`` when nothing is sold, or it is deep enough.
    depth: UsdWad | None = None
    #: Share of the rewarded pool that this stake has, parts per million.
    share_ppm: int = 0
    #: Expected yearly change of the reward's price, basis points.
    drift_bps: int = 0
    #: Seconds until the exit; ``None`` when it is not known.
    horizon: int | None = None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One way of compounding, played through the year, or until the exit."""

    name: str
    compounds: int
    #: What they cost together.
    cost: UsdWad
    #: What the stake earned after that.
    earned: UsdWad


@dataclass(frozen=True, slots=True)
class Size:
    """The same farm with another stake."""

    principal: UsdWad
    thresholds: Thresholds
    #: Compounds that are worth their cost in the time that is looked at.
    compounds: int
    #: What they earn more than claiming once at its end, played.
    against_never: UsdWad


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything that there is to say about a farm."""

    economics: Economics
    thresholds: Thresholds
    #: Seconds that rhythms are played through.
    time: int
    #: Compounds that are worth their cost in that time; 0 for never.
    compounds: int
    #: Never, weekly, daily, and the rule's own.
    rhythms: tuple[Rhythm, ...]
    #: Ten times the stake, the stake, and a tenth of it.
    sizes: tuple[Size, ...]
    #: Smallest stake from which compounding pays; ``None`` when at no size.
    least_principal: UsdWad | None
    #: Highest cost at which it pays; 0 when at none.
    most_cost: UsdWad

    @property
    def pays(self) -> bool:
        """Whether compounding is worth its cost at all: by the rule, and when it is played too."""
        return self.compounds > 0


def economics_of(farm: Farm) -> Economics:
    """Return what the rule looks at, with nothing pending: as ``economics`` finds it for a position."""
    forward = farm.principal * farm.apr_wad // WAD * (BPS - farm.fee_bps) // BPS
    gross = forward * (_PPM - farm.share_ppm) // _PPM * WAD // farm.principal if farm.principal > 0 else 0
    return Economics(
        principal=farm.principal,
        reward=NO_USD,
        cost=farm.cost,
        forward=UsdWad(forward),
        yield_wad=gross - farm.drift_bps * WAD // BPS,
        depth=farm.depth,
        horizon=farm.horizon,
    )


def forecast(farm: Farm, rule: Rule | None = None) -> Forecast:
    """Work everything out."""
    rule = rule or Rule()
    e = economics_of(farm)
    t = evaluate(e, rule)
    time = SECONDS_PER_YEAR if farm.horizon is None else farm.horizon
    best = _compounds(e, t, time, farm.drift_bps)
    names = (("never", 0), ("weekly", _times(time, _WEEK)), ("daily", _times(time, _DAY)), ("rule", best))
    rhythms = tuple(_rhythm(name, e, count, time, farm.drift_bps) for name, count in names)
    others = [scaled(e, size, own_share_ppm=farm.share_ppm) for size in (10 * farm.principal, farm.principal // 10)]
    return Forecast(
        economics=e,
        thresholds=t,
        time=time,
        compounds=best,
        rhythms=rhythms,
        sizes=tuple(_size(each, rule, time, farm.drift_bps) for each in (others[0], e, others[1])),
        least_principal=principal_limit(e, time, own_share_ppm=farm.share_ppm),
        most_cost=cost_limit(e, time),
    )


def played(e: Economics, compounds: int, seconds: int, *, drift_bps: int = 0) -> UsdWad:
    """Return what a stake earns in a time with so many compounds at equal distances, their cost taken off.

    What is pending at the end is claimed; what that costs is the same for every rhythm, and left out.
    """
    parts = compounds + 1
    drift = drift_bps * WAD // BPS
    later = exp_wad(drift * seconds // (parts * SECONDS_PER_YEAR))
    earns = e.yield_wad + drift
    put_back, price = 0, WAD
    for part in range(1, parts + 1):
        price = price * later // WAD
        accrued = (e.forward + earns * put_back // WAD) * seconds // (parts * SECONDS_PER_YEAR)
        value = accrued * price // WAD
        sold = value * e.depth // (e.depth + value) if e.depth and value > 0 else value
        put_back += sold - (e.cost if part < parts else 0)
    return UsdWad(put_back)


def _rhythm(name: str, e: Economics, compounds: int, seconds: int, drift_bps: int) -> Rhythm:
    count = min(compounds, _MOST)
    return Rhythm(name, compounds, UsdWad(e.cost * compounds), played(e, count, seconds, drift_bps=drift_bps))


def _size(e: Economics, rule: Rule, seconds: int, drift_bps: int) -> Size:
    t = evaluate(e, rule)
    times = _compounds(e, t, seconds, drift_bps)
    rhythm, never = (_rhythm("", e, count, seconds, drift_bps) for count in (times, 0))
    return Size(e.principal, t, times, UsdWad(rhythm.earned - never.earned))


def _compounds(e: Economics, t: Thresholds, seconds: int, drift_bps: int) -> int:
    """Count the compounds that the rule finds worth their cost; 0 where the play does not bear it out.

    The rule reckons to first order; where a year's reward would empty the pool that it is sold into, that is too rosy.
    """
    times = harvests_left(0, e.cost, e.forward, pressure(e), seconds) if t.gain_per_year > 0 else 0
    rhythm, never = (_rhythm("", e, count, seconds, drift_bps) for count in (times, 0))
    return times if rhythm.earned > never.earned else 0


def _times(seconds: int, every: int) -> int:
    """Count what a timer makes before the end."""
    return max(-(-seconds // every) - 1, 0)
