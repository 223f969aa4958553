"""What one compound costs beside gas: restarted clocks, the price of one of the year's events, what failed before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.decision import CostParts
from keeper.domain.money import BPS, NO_USD, WAD, UsdWad
from keeper.domain.observation import Restart
from keeper.domain.position import StrategyOptions
from keeper.strategy.numbers import SECONDS_PER_YEAR, ceil_div

__all__ = ["Bill", "event_price", "locks_beyond", "parts", "restart_charge"]

_PPM = 10**6


@dataclass(frozen=True, slots=True)
class Bill:
    """What is paid for one compound, before anything is reckoned on top. USD wad."""

    gas: UsdWad
    l1: UsdWad
    #: Allowance for failures, parts per million of gas and L1 fee.
    failure_ppm: int = 0
    #: What the protocol pays for the call.
    call_fee: UsdWad = NO_USD
    #: Gas and L1 fee at a usual price of gas; ``None`` while that is not known.
    usual: UsdWad | None = None


def parts(
    bill: Bill,
    *,
    principal: int,
    forward: int,
    k: int,
    restarts: Sequence[Restart],
    options: StrategyOptions,
    now: int,
) -> CostParts:
    """Add up g.

    Args:
        bill: gas, L1 fee, call fee.
        principal: S, USD wad.
        forward: F, USD wad a year.
        k: what an idle dollar loses a year, wad.
        restarts: clocks that the re-deposit restarts.
        options: the owner's.
        now: unix seconds of the block.
    """
    paid = bill.gas + bill.l1
    failure = ceil_div(paid * bill.failure_ppm, _PPM)
    restart = restart_charge(restarts, principal, options, now)
    usual = paid if bill.usual is None else bill.usual
    usual += ceil_div(usual * bill.failure_ppm, _PPM) + restart - bill.call_fee
    return CostParts(
        gas_usd=bill.gas,
        l1_usd=bill.l1,
        failure_usd=UsdWad(failure),
        restart_usd=restart,
        event_usd=event_price(options.max_harvests_per_year, forward, k, usual),
        call_fee_usd=UsdWad(-bill.call_fee),
    )


def event_price(allowed: int | None, forward: int, k: int, usual_cost: int) -> UsdWad:
    """Return the shadow price of one harvest where only ``allowed`` a year are wanted.

    The cost at which the best rhythm is just that many a year is F*k/(2N^2); what lacks to it is added to g.
    """
    if not allowed or forward <= 0 or k <= 0:
        return NO_USD
    return UsdWad(max(ceil_div(forward * k, 2 * allowed * allowed * WAD) - max(usual_cost, 0), 0))


def restart_charge(restarts: Sequence[Restart], principal: int, options: StrategyOptions, now: int) -> UsdWad:
    """Return what it is worth not to start the stake's clocks anew.

    A penalty is charged by the chance of wanting to leave within the time that the re-deposit adds (surely, when the
    exit date lies in it); a lock by the half of it that somebody who wants to leave has to wait on average, at the
    premium of being free.
    """
    return UsdWad(sum(_charge(each, principal, options, now) for each in restarts))


def locks_beyond(restarts: Sequence[Restart], options: StrategyOptions, now: int) -> int | None:
    """Return the unix seconds until which a re-deposit would lock the stake, when that is after the exit date."""
    ends = [now + each.seconds for each in restarts if each.penalty_bps is None]
    last = max(ends, default=0)
    return last if options.exit_at is not None and last > options.exit_at else None


def _charge(restart: Restart, principal: int, options: StrategyOptions, now: int) -> int:
    left = 0 if restart.runs_until is None else max(restart.runs_until - now, 0)
    added = max(restart.seconds - left, 0)
    chance = min(options.exits_per_year_milli * added * _PPM // (1_000 * SECONDS_PER_YEAR), _PPM)
    if restart.penalty_bps is None:
        premium = principal * options.lock_premium_bps // BPS
        return ceil_div(premium * chance * restart.seconds, 2 * _PPM * SECONDS_PER_YEAR)
    if options.exit_at is not None and now + left < options.exit_at <= now + restart.seconds:
        chance = _PPM
    return ceil_div(principal * restart.penalty_bps * chance, BPS * _PPM)
