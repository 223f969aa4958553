"""What happened between a position's samples: what accrued, what was compounded, and what came from outside.

Whatever the journal's ledger explains is taken from it. A change of the stake that it does not explain is money put in
or taken out from outside, unless the stake grows by itself; reward that vanished without a recorded claim was claimed
by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low
from typing import Final, TypeAlias

from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import WAD, Token
from keeper.domain.observation import Sample
from keeper.domain.plan import LegKind
from keeper.strategy.performance.points import GAS_TOKEN, Point, in_base, points_of
from keeper.strategy.performance.steps import Past, Step
from keeper.strategy.threshold import SECONDS_PER_YEAR

__all__ = ["Pace", "Past", "Step", "past_of", "step_between"]

#: Legs that bring rewards in: a deposit may pay them out as well.
_CLAIMS: Final = frozenset({LegKind.CLAIM.value, LegKind.DEPOSIT.value})

#: Legs whose money leaves the wallet and is income all the same: paid out, or turned into gas.
_SPENT: Final = frozenset({LegKind.PAYOUT.value, LegKind.UNWRAP.value})

#: Base units by which a stake may be off through rounding.
_DUST: Final = 2

#: A deposit that brings less than was sent, by up to this part of it, has lost it on the way (fee, tax on transfers).
_LOST: Final = 10

#: A reward that was claimed may differ by this part from what the contract's own view had promised.
_VIEW: Final = 1_000

#: A stake that grows by itself does so in most steps, and no faster than doubling a year; how many must be seen.
_RISES: Final = 3
#: Growth up to this part a year, and up to this many times the usual, is never taken for a deposit.
_SLOW: Final = 5
_FASTER: Final = 8


#: Base units and stake-seconds of the last step in which a reward accrued undisturbed, by the reward's place.
Pace: TypeAlias = dict[int, tuple[int, int]]


def past_of(
    samples: Sequence[Sample],
    harvests: Sequence[Harvest],
    ledger: Sequence[LedgerEntry],
    *,
    rebasing: bool | None = None,
) -> Past | None:
    """Put a position's history together; ``None`` while fewer than two samples can be valued.

    Args:
        samples: oldest first.
        harvests: its compounds, in any order. What a compound that is still under way does is not on record yet, so
            the past ends where it began.
        ledger: movements of those compounds.
        rebasing: whether the stake grows by itself; told from the samples when not given.
    """
    open_since = min((h.started_at for h in harvests if h.state is HarvestState.OPEN), default=None)
    known = _of_one_stake([s for s in samples if open_since is None or s.observation.block.timestamp <= open_since])
    found, rewards = points_of(known)
    points = list({point.at: point for point in found}.values())
    if len(points) < 2:
        return None
    stake_token = known[0].observation.principal.token
    moves = sorted(ledger, key=lambda entry: entry.timestamp)
    book = _Book(stake_token, rewards, moves, [h for h in harvests if h.finished_at is not None])
    pages = list(book.pages(points))
    usual = _usual_growth(pages)
    grows = rebasing if rebasing is not None else usual is not None or points[0].shared
    growth = (usual or 0) if grows else None
    steps = tuple(book.steps(pages, growth))
    done = [h for h in harvests if h.state is HarvestState.DONE and h.predicted_gas > 0 and h.gas_used > 0]
    used, predicted = (sum(h.gas_used for h in done), sum(h.predicted_gas for h in done))
    return Past(stake_token, rewards, steps, grows, book.unvalued, used * WAD // predicted if predicted else WAD)


def step_between(
    before: Point,
    after: Point,
    tokens: tuple[Token, tuple[Token, ...]],
    harvests: Sequence[Harvest],
    ledger: Sequence[LedgerEntry],
    *,
    rebasing: bool,
    pace: Pace,
) -> Step:
    """Return the single step between two looks, as they come.

    Args:
        before: the look before.
        after: this look.
        tokens: the stake's, and the rewards' in the order of the points.
        harvests: the position's compounds that have ended; none may be under way.
        ledger: movements of those compounds.
        rebasing: whether the stake grows by itself.
        pace: kept from step to step by the caller; changed in place.
    """
    moves = sorted(ledger, key=lambda entry: entry.timestamp)
    book = _Book(*tokens, moves, [h for h in harvests if h.finished_at is not None], _pace=pace)
    (step,) = book.steps(list(book.pages([before, after])), 0 if rebasing else None)
    return step


def _of_one_stake(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the last samples that are of one stake token: the position may have stood for something else before."""
    if not samples:
        return samples
    stake = samples[-1].observation.principal.token.address
    others = [n for n, sample in enumerate(samples) if sample.observation.principal.token.address != stake]
    return samples[others[-1] + 1 :] if others else samples


@dataclass(slots=True)
class _Page:
    """Two points, and what the journal recorded between them."""

    before: Point
    after: Point
    moves: list[LedgerEntry] = field(default_factory=list)
    ended: list[Harvest] = field(default_factory=list)
    #: Base units of stake that recorded compounds sent, and those times the seconds that they stood.
    sent: int = 0
    sent_seconds: int = 0

    @property
    def unexplained(self) -> int:
        """Change of the stake beyond what was sent."""
        return self.after.stake - self.before.stake - self.sent


@dataclass(slots=True)
class _Book:
    """Reads the journal along the points."""

    stake: Token
    rewards: tuple[Token, ...]
    moves: Sequence[LedgerEntry]
    ended: Sequence[Harvest]
    unvalued: int = 0
    _pace: Pace = field(default_factory=dict)

    def pages(self, points: Sequence[Point]) -> Iterator[_Page]:
        """Sort movements and compounds into the steps in which they happened."""
        moves, place = self.moves, 0
        ended = sorted(self.ended, key=lambda h: h.finished_at or 0)
        turn = 0
        for before, after in pairwise(points):
            page = _Page(before, after)
            while place < len(moves) and moves[place].timestamp <= after.at:
                if moves[place].timestamp > before.at:
                    page.moves.append(moves[place])
                place += 1
            while turn < len(ended) and (ended[turn].finished_at or 0) <= after.at:
                if (ended[turn].finished_at or 0) > before.at:
                    page.ended.append(ended[turn])
                turn += 1
            for move in page.moves:
                if move.kind == LegKind.DEPOSIT.value and self._is_stake(move) and move.amount.raw < 0:
                    page.sent -= move.amount.raw
                    page.sent_seconds -= move.amount.raw * (after.at - move.timestamp)
            yield page

    def steps(self, pages: Sequence[_Page], growth: int | None) -> Iterator[Step]:
        """Work out each step. ``growth``: usual growth by itself a second (in 10**18), ``None`` where there is none."""
        for page in pages:
            external, grown = _split(page, growth)
            stake_seconds = page.before.stake * (page.after.at - page.before.at) + page.sent_seconds
            accrued, by_hand = self._accrued(page, stake_seconds)
            received = sum(self._value(move, page.after) for move in page.moves if self._is_claim(move))
            wallet = sum(self._value(move, page.after) for move in page.moves if move.kind not in _SPENT)
            yield Step(
                before=page.before,
                after=page.after,
                external=external,
                compounded=page.sent,
                grown=grown,
                accrued=accrued,
                stake_seconds=stake_seconds,
                received=received,
                wallet=wallet,
                paid_out=-sum(self._value(move, page.after) for move in page.moves if move.kind in _SPENT),
                by_hand=by_hand,
                cost=sum(_paid(h, page.after) for h in page.ended),
                wasted=sum(_paid(h, page.after) for h in page.ended if h.state is not HarvestState.DONE),
                harvests=sum(h.state is HarvestState.DONE for h in page.ended),
            )

    def _accrued(self, page: _Page, stake_seconds: int) -> tuple[tuple[int, ...], int]:
        """Base units of each reward that accrued in a step, and the value of what was claimed by hand."""
        found: list[int] = []
        by_hand = 0
        for place, token in enumerate(self.rewards):
            claimed = sum(
                m.amount.raw for m in page.moves if self._is_claim(m) and m.amount.token.address == token.address
            )
            grown = page.after.pending[place] - page.before.pending[place] + claimed
            if grown < -(claimed // _VIEW) - _DUST and not page.after.shared:
                units, per = self._pace.get(place, (0, 1))
                expected = units * stake_seconds // per
                by_hand += (expected - grown) * page.after.reward_prices[place] // token.unit
                grown = expected
            elif stake_seconds > 0 and not page.after.shared:
                self._pace[place] = (grown, stake_seconds)
            found.append(grown)
        return tuple(found), by_hand

    def _is_claim(self, move: LedgerEntry) -> bool:
        paid = any(move.amount.token.address == token.address for token in self.rewards)
        return paid and move.kind in _CLAIMS and move.amount.raw > 0

    def _is_stake(self, move: LedgerEntry) -> bool:
        return move.amount.token.address == self.stake.address

    def _value(self, move: LedgerEntry, point: Point) -> int:
        """Value a movement at its moment; by the next sample's price where nobody noted it."""
        if move.value_usd is not None:
            return in_base(move.value_usd, point.base_usd)
        price = point.prices.get(move.amount.token.address)
        if price is None:
            self.unvalued += 1
            return 0
        return move.amount.raw * price // move.amount.token.unit


def _paid(harvest: Harvest, point: Point) -> int:
    """Value the fees of a compound; by the next sample's price where the journal was rebuilt and nobody noted it."""
    if harvest.cost_usd or not harvest.cost_wei:
        return in_base(harvest.cost_usd, point.base_usd)
    return harvest.cost_wei * point.prices.get(GAS_TOKEN, 0) // 10**18


def _usual_growth(pages: Sequence[_Page]) -> int | None:
    """Growth by itself a second (in 10**18), if the stake rises by itself in most steps; else ``None``."""
    still = [page for page in pages if page.sent == 0 and page.before.stake > 0]
    rises = [
        page.unexplained * 10**18 // (page.before.stake * (page.after.at - page.before.at))
        for page in still
        if page.unexplained > 0
    ]
    if len(rises) < _RISES or 2 * len(rises) <= len(still):
        return None
    usual = median_low(rises)
    return usual if usual * SECONDS_PER_YEAR <= 10**18 else None


def _split(page: _Page, growth: int | None) -> tuple[int, int]:
    """Split what the ledger does not explain into what came from outside and what grew by itself, base units."""
    change, seconds = page.unexplained, page.after.at - page.before.at
    if -max(page.sent // _LOST, page.sent * page.after.deposit_fee_bps // 10_000, _DUST) <= change <= _DUST:
        return 0, max(change, 0) if growth is not None else 0
    if growth is None:
        return change, 0
    least = page.before.stake * seconds // (_SLOW * SECONDS_PER_YEAR)
    usual = page.before.stake * seconds * growth // 10**18
    if 0 <= change <= max(least, _FASTER * usual) + _harvested_by_others(page):
        return 0, change
    return change - usual, usual


def _harvested_by_others(page: _Page) -> int:
    """Base units of stake that a vault's pending reward may have become."""
    if not page.after.shared or not page.before.stake or not page.before.staked:
        return 0
    return max(page.before.idle - page.after.idle, 0) * page.before.stake // page.before.staked * 2
