"""Conditions that stop a harvest whatever the rule says; each says what it saw and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keeper.domain.decision import Reason, ReasonCode
from keeper.domain.money import UsdWad, usd_text
from keeper.domain.observation import Observation
from keeper.domain.spans import span_text
from keeper.strategy.numbers import moment

__all__ = ["MAX_FAILURES", "Guards", "Surroundings", "check_guards"]

#: Failed compounds in a row after which a position is set aside until a person forces it.
MAX_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the engine knows about a position beside its numbers."""

    #: A signer is configured.
    can_sign: bool
    #: Wei the signing account holds.
    native_balance_wei: int
    min_native_wei: int
    #: Fees of the last 24 hours, in flight included.
    spent_today_usd: UsdWad
    per_day_usd: UsdWad
    #: Price per gas unit now and the configured ceiling, wei.
    gas_price_wei: int
    max_gas_price_wei: int | None
    #: Consecutive failures after which a position is set aside, and how many it has.
    failures: int
    max_failures: int
    #: Unix seconds of the last finished harvest; ``None`` when there was none.
    last_harvest_at: int | None
    min_interval_seconds: int
    #: Unix seconds at which the last harvest was begun that did not fail: it has paid what a batch shares.
    round_open_since: int | None = None
    #: Symbol of the gas token, for sentences.
    native_symbol: str = "ETH"
    #: Harvests of the last 365 days, and how many are wanted at most.
    harvests_this_year: int = 0
    max_harvests_per_year: int | None = None
    #: Unix seconds until which a re-deposit would lock the stake, where that is after the exit date.
    locked_beyond_exit: int | None = None
    #: Where the stake is a range: how far its pool's price is from the agreed one, and may be; basis points.
    pool_gap_bps: int | None = None
    max_pool_gap_bps: int = 0
    #: A person asked for it: intervals and wishes of the config do not hold, limits and the protocol do.
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Guards:
    """Which guards hold the position, and which were checked and passed."""

    blocked: tuple[Reason, ...]
    passed: tuple[Reason, ...]


def check_guards(observation: Observation, around: Surroundings, cost: UsdWad) -> Guards:
    """Check every guard; all are reported, not only the first that holds."""
    blocked: list[Reason] = []
    passed: list[Reason] = []
    for reason in _checks(observation, around, cost):
        (passed if reason.code is ReasonCode.GUARD_OK else blocked).append(reason)
    return Guards(tuple(blocked), tuple(passed))


def _checks(observation: Observation, around: Surroundings, cost: UsdWad) -> Iterable[Reason]:
    yield _protocol(observation)
    if observation.harvest_opens_at is not None:
        yield _opening(observation, observation.harvest_opens_at)
    if around.pool_gap_bps is not None:
        yield _pool_price(around, around.pool_gap_bps)
    yield _funding(observation)
    yield _signer(around)
    yield _failures(around)
    yield _day_limit(around, cost)
    yield _gas_price(around)
    yield _gas_balance(around)
    yield _interval(observation, around)
    yield _year_limit(around)
    yield _lock(around)


def _ok(text: str) -> Reason:
    return Reason(ReasonCode.GUARD_OK, text)


def _protocol(o: Observation) -> Reason:
    if o.paused_because and (o.harvest_paused or o.deposits_paused):
        return Reason(ReasonCode.PROTOCOL_PAUSED, o.paused_because)
    if o.harvest_paused or o.deposits_paused:
        what = "harvests" if o.harvest_paused else "deposits"
        return Reason(ReasonCode.PROTOCOL_PAUSED, f"the protocol refuses {what} at present; waiting for it to reopen")
    return _ok("not paused")


def _opening(o: Observation, opens_at: int) -> Reason:
    if o.block.timestamp < opens_at:
        when = moment(opens_at)
        text = f"a harvest before {when:%Y-%m-%d %H:%M} UTC would lose rewards or lock them up; waiting for it"
        return Reason(ReasonCode.HARVEST_TOO_EARLY, text)
    return _ok("no penalty on claiming now")


def _pool_price(a: Surroundings, gap_bps: int) -> Reason:
    if gap_bps > a.max_pool_gap_bps:
        text = (
            f"the pool's price is {gap_bps / 100:.2f} % off the agreed one, more than {a.max_pool_gap_bps / 100:.2f} %"
        )
        return Reason(ReasonCode.PRICE_DISAGREES, f"{text}: what is put in now would go in at a wrong price; waiting")
    return _ok(f"pool price ok ({gap_bps / 100:.2f} % off)")


def _funding(o: Observation) -> Reason:
    pending = {amount.token.symbol for amount in o.pending if amount.raw > 0}
    if o.underfunded and pending <= set(o.underfunded):  # one reward that can be paid is worth a harvest of its own
        tokens = ", ".join(o.underfunded)
        return Reason(ReasonCode.UNDERFUNDED, f"the paying contract holds less {tokens} than is pending")
    return _ok("rewards funded")


def _signer(a: Surroundings) -> Reason:
    if not a.can_sign:
        return Reason(ReasonCode.WATCH_ONLY, 'no key: add signer = "..." to the position to compound it')
    return _ok("signer configured")


def _failures(a: Surroundings) -> Reason:
    if a.failures >= a.max_failures:
        text = f"failed {a.failures} times in a row; look at `keeper ledger`, then `keeper harvest --force` it once"
        return Reason(ReasonCode.QUARANTINED, text)
    return _ok("no repeated failures")


def _day_limit(a: Surroundings, cost: UsdWad) -> Reason:
    if a.spent_today_usd + cost > a.per_day_usd:
        spent, limit = usd_text(a.spent_today_usd), usd_text(a.per_day_usd)
        text = f"fees of the last 24 h are {spent}; {usd_text(cost)} more would pass limits.per_day {limit}"
        return Reason(ReasonCode.DAY_LIMIT_REACHED, text)
    return _ok(f"limits ok ({usd_text(a.spent_today_usd)} of {usd_text(a.per_day_usd)} a day)")


def _gas_price(a: Surroundings) -> Reason:
    if a.max_gas_price_wei is not None and a.gas_price_wei > a.max_gas_price_wei:
        text = f"gas is {a.gas_price_wei / 10**9:.4g} gwei, limits.max_gas_price is {a.max_gas_price_wei / 10**9:.4g}"
        return Reason(ReasonCode.FEE_ABOVE_LIMIT, text)
    return _ok("gas price within limits")


def _gas_balance(a: Surroundings) -> Reason:
    if a.can_sign and a.native_balance_wei < a.min_native_wei:
        have, need = a.native_balance_wei / 10**18, a.min_native_wei / 10**18
        text = f"the wallet holds {have:.4g} {a.native_symbol}, this compound needs {need:.4g}; send some to it"
        return Reason(ReasonCode.GAS_BALANCE_LOW, text)
    return _ok("gas balance ok")


def _interval(o: Observation, a: Surroundings) -> Reason:
    if a.last_harvest_at is not None and o.block.timestamp < a.last_harvest_at + a.min_interval_seconds:
        ago, least = span_text(o.block.timestamp - a.last_harvest_at), span_text(a.min_interval_seconds)
        return Reason(ReasonCode.TOO_SOON, f"last harvest {ago} ago, min_interval is {least}")
    return _ok("interval ok")


def _year_limit(a: Surroundings) -> Reason:
    if a.max_harvests_per_year is None or a.forced:
        return _ok("no limit of harvests a year")
    if a.harvests_this_year >= a.max_harvests_per_year:
        text = f"{a.harvests_this_year} harvests within 365 days, max_harvests_per_year is {a.max_harvests_per_year}"
        return Reason(ReasonCode.YEAR_LIMIT_REACHED, f"{text}; the next one waits until the oldest is a year old")
    return _ok(f"harvest {a.harvests_this_year + 1} of {a.max_harvests_per_year} within a year")


def _lock(a: Surroundings) -> Reason:
    if a.locked_beyond_exit is None or a.forced:
        return _ok("no lock beyond the exit")
    day = moment(a.locked_beyond_exit).date().isoformat()
    text = f"re-depositing locks the stake until {day}, after the exit date; claim when you leave, or move `exit`"
    return Reason(ReasonCode.LOCK_BEYOND_EXIT, text)
