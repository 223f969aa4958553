"""Whether a stake would earn more elsewhere: two positions compared after compounding, and after the cost of moving.

Over a time T a position is worth V = F*T*(1 + mu*T) - F^2*T^2/L + gain: what accrues when nothing is compounded and
all of it is sold at the end, and what compounding at the best rhythm gains over that, its cost taken off. Where the
rate changes, F and m are their means over T. All money is USD wad.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.decision import DecisionNumbers
from keeper.domain.money import BPS, NO_USD, WAD, UsdWad
from keeper.domain.observation import Observation, RateSource
from keeper.domain.position import Position
from keeper.strategy.breakeven import scaled
from keeper.strategy.growth import mean_wad
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Economics, Rule, evaluate

__all__ = ["FRESH_SECONDS", "Candidate", "Move", "compare", "doubt", "economics_of", "worth"]

#: Age above which numbers are too old to move money by.
FRESH_SECONDS: Final = 6 * 3_600

#: Least net gain over the horizon that is worth the trouble, basis points of the stake.
_LEAST_BPS: Final = 100

_PPM: Final = 10**6


@dataclass(frozen=True, slots=True)
class Candidate:
    """One position with the last that is known of it."""

    position: Position
    observation: Observation | None
    numbers: DecisionNumbers | None
    #: Unix seconds of the block that the numbers are of.
    at: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """What moving the whole stake from one position into another comes to over a time."""

    #: Seconds that are looked at: until the exit, or the payback time.
    horizon: int
    #: What staying and what moving is worth over that time, the cost of moving not taken off.
    stays: UsdWad
    moved: UsdWad
    #: Leaving, entering, and the gas of both.
    cost: UsdWad
    #: Stake that moves.
    principal: UsdWad
    #: Whether the other one is better at either's size, before cost: then the way back never is.
    everywhere: bool

    @property
    def net(self) -> UsdWad:
        """Gain over the whole time, cost taken off."""
        return UsdWad(self.moved - self.stays - self.cost)

    @property
    def pays(self) -> bool:
        """Whether it may be advised: better at every size, and by more than a trifle."""
        return self.everywhere and self.net > 0 and self.net * BPS >= self.principal * _LEAST_BPS

    @property
    def per_year(self) -> UsdWad:
        """What moving earns more a year, its cost not taken off."""
        return UsdWad((self.moved - self.stays) * SECONDS_PER_YEAR // self.horizon)

    @property
    def payback_seconds(self) -> int | None:
        """Time in which the cost is earned back; ``None`` when never."""
        more = self.moved - self.stays
        return None if more <= 0 else -(-self.cost * self.horizon // more)

    def yearly(self, value: int) -> int:
        """Turn what the stake is worth over the horizon into a yearly yield, wad."""
        return value * WAD * SECONDS_PER_YEAR // (self.horizon * self.principal)


def economics_of(numbers: DecisionNumbers) -> Economics:
    """Return what the rule looked at, from the start: nothing pending, no shadow price of events, no end."""
    return Economics(
        principal=numbers.principal_usd,
        reward=NO_USD,
        cost=UsdWad(numbers.cost_usd - numbers.cost_parts.event_usd),
        forward=numbers.forward_usd_per_year,
        yield_wad=numbers.yield_wad,
        depth=numbers.depth_usd,
    )


def worth(one: Candidate, principal: int, seconds: int, *, entering: bool = False) -> UsdWad:
    """Return V of a stake of this size in a position over a time; never below zero.

    Args:
        one: the position, with numbers and a stake.
        principal: the stake, USD wad.
        seconds: the time; rewards that end before it count until then.
        entering: the stake comes on top of everything that is in the pool, and dilutes it.
    """
    numbers = one.numbers
    assert numbers is not None
    time = seconds if numbers.horizon_seconds is None else max(min(seconds, numbers.horizon_seconds), 0)
    options = one.position.options
    e = _later(_sized(one, principal, entering=entering), options.rate_drift_bps, time)
    if time <= 0 or e.forward <= 0:
        return NO_USD
    accrued = e.forward * time // SECONDS_PER_YEAR
    drifted = accrued * _drift_bps(one) * time // (BPS * SECONDS_PER_YEAR)
    at_end = accrued * e.depth // (e.depth + accrued) if e.depth else accrued
    never = at_end + drifted
    gain = evaluate(replace(e, horizon=time), Rule(options.risk_factor_bps, options.payback_seconds)).gain_per_year
    if gain <= 0:
        return UsdWad(max(never, 0))
    first_order = accrued + drifted - (accrued * accrued // e.depth if e.depth else 0)
    return UsdWad(max(first_order + gain, never, 0))


def compare(here: Candidate, there: Candidate, now: int) -> Move | None:
    """Reckon the move of the whole stake; ``None`` when there is no time for it or nothing to compare."""
    ours, theirs = here.numbers, there.numbers
    if ours is None or theirs is None or ours.principal_usd <= 0 or theirs.principal_usd <= 0:
        return None
    horizon, back = _horizon(here, now), _horizon(there, now)
    if horizon <= 0 or back <= 0:
        return None
    stake, other = ours.principal_usd, theirs.principal_usd
    stays = worth(here, stake, horizon)
    better_here = worth(there, stake, horizon) > stays
    better_there = worth(there, other, back) > worth(here, other, back)
    return Move(
        horizon=horizon,
        stays=stays,
        moved=worth(there, stake, horizon, entering=True),
        cost=_moving_cost(here, there, now),
        principal=stake,
        everywhere=better_here and better_there,
    )


def doubt(one: Candidate, now: int, *, whose: str = "its") -> str | None:
    """Say why no money should be moved by these numbers; ``None`` when they are sound. ``whose`` begins the words."""
    observation, numbers = one.observation, one.numbers
    if observation is None or numbers is None:
        return f"{whose} numbers are not known yet"
    if numbers.principal_usd <= 0:
        return f"{whose} yield is not seen while nothing is staked; watch another account's stake there with `owner`"
    if now - one.at > FRESH_SECONDS:
        return f"{whose} numbers are {(now - one.at) // 3_600} hours old"
    observed = any(accrual.source is RateSource.OBSERVED for accrual in observation.accruals)
    if observed or numbers.rate_source == RateSource.OBSERVED.value:
        return f"{whose} rate is only estimated, from what was seen to accrue"
    if observation.deposits_paused or observation.harvest_paused:
        return f"{whose} contract refuses deposits or harvests at present"
    return None


def _horizon(one: Candidate, now: int) -> int:
    options = one.position.options
    return options.payback_seconds if options.exit_at is None else options.exit_at - now


def _sized(one: Candidate, principal: int, *, entering: bool) -> Economics:
    """Return a position's economics at another stake; what a restarted clock costs grows with the stake."""
    numbers, observation = one.numbers, one.observation
    assert numbers is not None
    e = economics_of(numbers)
    restart = numbers.cost_parts.restart_usd
    cost = UsdWad(e.cost - restart + restart * principal // e.principal)
    e = replace(scaled(e, principal), cost=cost)
    share = max((a.own_share_ppm for a in observation.accruals), default=0) if observation else 0
    if not entering or not share:
        return e
    pool = numbers.principal_usd * _PPM // share
    return replace(
        e,
        forward=UsdWad(e.forward * pool // (pool + principal)),
        yield_wad=e.yield_wad * pool // (pool + principal) if e.yield_wad > 0 else e.yield_wad,
    )


def _later(e: Economics, rate_drift_bps: int, seconds: int) -> Economics:
    """Return the economics with the rate's mean over a time instead of the present one."""
    if not rate_drift_bps:
        return e
    mean = mean_wad(rate_drift_bps * seconds * WAD // (BPS * SECONDS_PER_YEAR))
    lower = e.yield_wad * mean // WAD if e.yield_wad > 0 else e.yield_wad
    return replace(e, forward=UsdWad(e.forward * mean // WAD), yield_wad=lower)


def _drift_bps(one: Candidate) -> int:
    """What an idle reward gains a year; nothing where the reward is the stake itself."""
    observation = one.observation
    stake = observation.principal.token.address if observation else None
    own = observation is not None and all(a.per_year.token.address == stake for a in observation.accruals)
    return 0 if own else one.position.options.reward_drift_bps


def _moving_cost(here: Candidate, there: Candidate, now: int) -> UsdWad:
    """Add up what leaving and entering cost: the declared parts of the stake, penalties, deposit fee, and gas."""
    ours = here.numbers
    assert ours is not None
    bps = here.position.options.exit_cost_bps + there.position.options.entry_cost_bps
    if there.observation is not None:
        bps += there.observation.deposit_fee_bps
    if here.observation is not None:
        bps += sum(r.penalty_bps or 0 for r in here.observation.restarts if (r.runs_until or 0) > now)
    return UsdWad(ours.principal_usd * bps // BPS + _gas(here) + _gas(there))


def _gas(one: Candidate) -> int:
    """Gas of leaving or entering: about that of a compound, which claims, swaps and deposits."""
    numbers = one.numbers
    assert numbers is not None
    paid = numbers.cost_parts.gas_usd + numbers.cost_parts.l1_usd
    return paid or max(numbers.cost_usd, 0)
