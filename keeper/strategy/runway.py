"""How long an account's gas money lasts at the rate at which keeper has been spending it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import Track
from keeper.domain.transaction import IntentState

__all__ = ["ENOUGH_DAYS", "LOW_DAYS", "Runway", "Spent", "committed_wei", "forecast", "runway", "spending"]

_DAY: Final = 86_400

#: History that the rate is reckoned from, seconds: a month.
_WINDOW: Final = 30 * _DAY

#: History below which there is no rate: one compound on the first day says nothing about the second.
_LEAST: Final = 2 * _DAY

#: Days below which the account should be filled up.
LOW_DAYS: Final = 21

#: Days for which a suggested top-up lasts.
ENOUGH_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Spent:
    """Fees that the chain has taken from the account."""

    #: Unix seconds.
    at: int
    wei: int


@dataclass(frozen=True, slots=True)
class Runway:
    """A forecast for one account on one chain."""

    balance_wei: int
    #: Most that transactions on their way may still cost.
    committed_wei: int
    #: Fees in the time that was looked at.
    spent_wei: int
    #: Length of that time in seconds; 0 when too little has happened for a rate.
    span_seconds: int

    @property
    def days(self) -> int | None:
        """Whole days that the balance lasts at this rate; ``None`` when the rate is unknown."""
        if not self.span_seconds or not self.spent_wei:
            return None
        return max(self.balance_wei - self.committed_wei, 0) * self.span_seconds // self.spent_wei // _DAY

    @property
    def low(self) -> bool:
        """Whether somebody should fill the account up soon."""
        return self.days is not None and self.days < LOW_DAYS

    @property
    def wei_per_day(self) -> int | None:
        """Rate, rounded up; ``None`` when it is unknown."""
        if not self.span_seconds or not self.spent_wei:
            return None
        return -(-self.spent_wei * _DAY // self.span_seconds)

    @property
    def top_up_wei(self) -> int:
        """What to send so that it lasts ``ENOUGH_DAYS``, rounded up to two digits; 0 when it does, or is unknown."""
        lack = (self.wei_per_day or 0) * ENOUGH_DAYS + self.committed_wei - self.balance_wei
        if self.days is None or lack <= 0:
            return 0
        step = 10 ** max(len(str(lack)) - 2, 0)
        return int(-(-lack // step) * step)


def runway(balance_wei: int, spent: Iterable[Spent], committed: int, now: int, *, window: int = _WINDOW) -> Runway:
    """Forecast from what was spent.

    Args:
        balance_wei: what the account holds.
        spent: fees paid, in any order; what lies in the future counts as now.
        committed: most that transactions on their way may still take, wei.
        now: unix seconds, by the clock of the fees.
        window: history that counts, seconds; without any fee in it, all that is given counts.
    """
    fees = [Spent(min(fee.at, now), fee.wei) for fee in spent if fee.wei > 0]
    recent = [fee for fee in fees if fee.at > now - window] or fees
    span = now - min((fee.at for fee in recent), default=now)
    total = sum(fee.wei for fee in recent)
    return Runway(balance_wei, committed, total, span if span >= _LEAST else 0)


def spending(harvests: Iterable[Harvest], tracks: Iterable[Track]) -> list[Spent]:
    """List what one account has paid: for its finished compounds, and for what is mined of the others.

    Args:
        harvests: compounds of the account.
        tracks: its transactions that are on record with their receipts; those of finished compounds are not counted
            again.
    """
    closed = {h.id: h for h in harvests if h.state is not HarvestState.OPEN}
    fees = [Spent(h.finished_at or h.started_at, h.cost_wei) for h in closed.values()]
    return fees + [
        Spent(track.created_at, track.receipt.cost_wei)
        for track in tracks
        if track.receipt is not None and track.intent.harvest_id not in closed
    ]


def committed_wei(tracks: Iterable[Track]) -> int:
    """Add up what the transactions on their way may still cost, at the highest bid of each."""
    waiting = (t for t in tracks if t.intent.state in (IntentState.SIGNED, IntentState.BROADCAST))
    return sum(max((a.gas * a.max_fee_wei for a in track.attempts), default=0) for track in waiting)


def forecast(balance_wei: int, harvests: Iterable[Harvest], tracks: Iterable[Track], now: int) -> Runway:
    """Forecast for one account from what the journal has of it.

    Args:
        balance_wei: what the account holds.
        harvests: its compounds on this chain (``Store.harvests``, this chain and owner only).
        tracks: its transactions that are in flight or not final (``Journal.tracks``).
        now: unix seconds by the chain's clock.
    """
    known = list(tracks)
    return runway(balance_wei, spending(harvests, known), committed_wei(known), now)
