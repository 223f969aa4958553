"""One look at a chain: observe, value, decide for every position; record what changed and say it in one line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.events import EventName, Level
from keeper.domain.money import Address
from keeper.domain.observation import Sample
from keeper.domain.plan import LegKind
from keeper.domain.transaction import FeeQuote
from keeper.engine.assessment import Assessment, Known, assess
from keeper.engine.book import Book, Holding
from keeper.engine.context import ChainContext
from keeper.engine.learnt import write_learnt
from keeper.engine.observe import Sighting, observe
from keeper.engine.rounds import in_rounds
from keeper.engine.value import PriceBoard, price_board
from keeper.errors import KeeperError, PriceUnavailable, StaleHead
from keeper.strategy.runway import forecast

__all__ = ["Survey", "check_age", "record_changes", "record_survey", "survey"]

#: Seconds after which a warning that still holds is said again.
_REPEAT_SECONDS: Final = 6 * 3600


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a chain."""

    block: BlockRef
    fees: FeeQuote
    assessments: tuple[Assessment, ...]
    #: Views read, for the log line.
    reads: int

    @property
    def due(self) -> tuple[Assessment, ...]:
        """Positions to harvest now."""
        return tuple(a for a in self.assessments if a.decision.verdict is Verdict.HARVEST)


def survey(
    context: ChainContext,
    book: Book,
    *,
    only: Collection[str] | None = None,
    forced: bool = False,
    record: bool = True,
) -> Survey:
    """Observe, value and decide; record every decision unless the caller will.

    Args:
        context: the chain.
        book: what was resolved.
        only: position ids to look at; all by default.
        forced: treat the rule as satisfied (guards still hold).
        record: keep decisions and observations now; ``False`` when they are simulated first, and recorded after.

    Raises:
        Transient: when the chain cannot be read.
    """
    started = context.clock.monotonic()
    wanted = tuple(h for h in book.holdings if only is None or h.position.id in only)
    block, fees = context.chain.head(), context.chain.fees()
    check_age(context, block)
    context.outlook.note(block.timestamp, fees.price_wei)
    sighting = observe(context, book, wanted, block)
    _take_base(context, sighting)
    board = price_board(context, book, sighting)
    known = _known(context, wanted, _balances(context, wanted, block, whole=only is None))
    assessments = [_assessed(context, book, holding, sighting, board, fees, known, forced) for holding in wanted]
    write_learnt(context)
    assessments = in_rounds(context, assessments)
    assessments += _failed(context, book, block, only)
    result = Survey(block, fees, tuple(assessments), sighting.reads)
    if record:
        record_survey(context, result, started)
    return result


def _assessed(
    context: ChainContext,
    book: Book,
    holding: Holding,
    sighting: Sighting,
    board: PriceBoard,
    fees: FeeQuote,
    known: Known,
    forced: bool,
) -> Assessment:
    """Assess one position; numbers of a hostile contract that nothing can be reckoned with stop no other."""
    try:
        return assess(context, book, holding, sighting, board, fees, known, forced)
    except KeeperError:
        raise
    except Exception as error:  # noqa: BLE001
        text = f"what its contracts say cannot be reckoned with: {type(error).__name__}: {error}"
        reason = Reason(ReasonCode.READ_FAILED, text)
        blocked = Decision(holding.position.id, sighting.block, Verdict.BLOCKED, (reason,), None)
        return Assessment(holding.position, blocked, holding)


def _known(context: ChainContext, holdings: Collection[Holding], balances: dict[Address, int]) -> Known:
    """Ask the journal once for what every one of these decisions looks at."""
    day = context.clock.now() - 86_400
    owners = dict.fromkeys(h.position.owner for h in holdings)
    spent = {owner: context.store.spent_usd(context.name, owner, day) for owner in owners}
    buyers = dict.fromkeys(h.position.owner for h in holdings if h.position.options.gas_keep_wei)
    topping_up = {owner: _topping_up(context, owner) for owner in buyers}
    return Known(balances, spent, context.store.standings([h.position.id for h in holdings]), topping_up)


def _topping_up(context: ChainContext, owner: Address) -> frozenset[str]:
    """Name the positions of an account whose open compounds buy gas."""
    plans = [plan for _, plan in context.store.open_harvests(context.name, owner)]
    return frozenset(plan.position_id for plan in plans if any(leg.kind is LegKind.UNWRAP for leg in plan.legs))


def _take_base(context: ChainContext, sighting: Sighting) -> None:
    """Take in the rate of the reporting currency; without one amounts are told in US dollars, and that is said."""
    try:
        context.base.take(sighting.base, sighting.block)
    except PriceUnavailable as error:
        key, now = "base currency", context.clock.monotonic()
        if now - context.said.get(key, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
            context.said[key] = now
            context.emit(EventName.CYCLE_FAILED, Level.WARNING, chain=context.name, error=str(error))


def check_age(context: ChainContext, block: BlockRef) -> None:
    """Refuse to decide by a node that stands still, or is ahead of time: its old prices would look fresh to its block.

    Raises:
        StaleHead: the newest block is too old, or from the future.
    """
    limit, age = context.max_head_age_seconds, context.clock.now() - block.timestamp
    lead = context.max_head_lead_seconds
    if lead is not None and -age > lead:
        raise StaleHead(
            f"the newest block of {context.name} ({block.number}) is {-age} s ahead of this machine's clock; the "
            "endpoint lies or the clock is wrong (`keeper doctor` tells which)"
        )
    if limit is not None and age > limit:
        raise StaleHead(
            f"the newest block of {context.name} ({block.number}) is {age} s old, more than {limit} s; "
            "the endpoint stands still or this machine's clock is wrong (`keeper doctor` tells which)"
        )


def _balances(
    context: ChainContext, holdings: Collection[Holding], block: BlockRef, *, whole: bool
) -> dict[Address, int]:
    """Read the gas money of every signing account, and say so when it is below the configured floor."""
    owners = dict.fromkeys(h.position.owner for h in holdings if h.position.signer)
    balances = {owner: context.chain.balance(owner) for owner in owners}
    floor = context.limits.min_native_wei
    for owner, wei in balances.items():
        days = _runway(context, owner, wei, block) if whole else None
        context.emit(
            EventName.BALANCE_READ,
            Level.DEBUG,
            chain=context.name,
            owner=owner,
            balance_wei=wei,
            floor_wei=floor,
            days=days,
        )
        if wei < floor:
            context.emit(
                EventName.BALANCE_LOW,
                Level.WARNING,
                chain=context.name,
                owner=owner,
                balance=f"{wei / 10**18:.4g} {context.chain.facts.native_symbol}",
                balance_wei=wei,
                floor_wei=floor,
            )
    return balances


def _runway(context: ChainContext, owner: Address, wei: int, block: BlockRef) -> int | None:
    """Return the days that the gas money lasts, and say once in a while that they are few."""
    ours = [h for h in context.store.harvests(None, 200) if (h.chain, h.owner) == (context.name, owner)]
    found = forecast(wei, ours, context.store.tracks(context.name, owner), block.timestamp)
    key, now = f"runway:{owner}", context.clock.monotonic()
    if found.days is None or found.days >= context.limits.min_runway_days:
        context.said.pop(key, None)
    elif now - context.said.get(key, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
        context.said[key] = now
        context.emit(
            EventName.RUNWAY_LOW,
            Level.WARNING,
            chain=context.name,
            account=owner,
            days=found.days,
            balance=f"{wei / 10**18:.4g} {context.chain.facts.native_symbol}",
        )
    return found.days


def _failed(context: ChainContext, book: Book, block: BlockRef, only: Collection[str] | None) -> list[Assessment]:
    positions = {p.id: p for p in context.positions}
    return [
        Assessment(
            positions[position_id],
            Decision(position_id, block, Verdict.BLOCKED, (Reason(ReasonCode.READ_FAILED, str(error)),), None),
        )
        for position_id, error in book.failures.items()
        if only is None or position_id in only
    ]


def record_survey(context: ChainContext, result: Survey, started: float) -> None:
    """Keep a survey's decisions and observations, and say it in one line.

    Args:
        context: the chain.
        result: the survey, with decisions as they shall be recorded.
        started: monotonic seconds at which it began.
    """
    record_changes(context, [a.decision for a in result.assessments])
    context.store.record_samples([sample for a in result.assessments if (sample := _sample(context, a)) is not None])
    context.store.record_gas(result.block, result.fees)
    context.emit(
        EventName.CYCLE_DONE,
        chain=context.name,
        positions=len(result.assessments),
        reads=result.reads,
        ms=int((context.clock.monotonic() - started) * 1000),
        due=len(result.due),
        block=result.block.number,
        head_age_s=max(context.clock.now() - result.block.timestamp, 0),
        gas_gwei=f"{result.fees.price_wei / 10**9:.4g}",
        next=_nearest(result),
    )


def _sample(context: ChainContext, assessment: Assessment) -> Sample | None:
    """Make a point of the position's history; ``None`` when it could not be valued."""
    case, numbers = assessment.case, assessment.decision.numbers
    if case is None or numbers is None:
        return None
    worth = case.valuation
    prices = [(token.address, worth.price(token).mid) for token in case.holding.market.tokens]
    base = context.base.rate(worth.block.timestamp)
    return Sample(case.observation, numbers, (*prices, ("", worth.native.mid)), base)


def record_changes(context: ChainContext, decisions: Sequence[Decision]) -> None:
    """Keep decisions; tell of those whose verdict or first reason changed."""
    for decision, changed in zip(decisions, context.store.record_decisions(decisions), strict=True):
        if not changed:
            continue
        first = decision.reasons[0]
        level = Level.WARNING if decision.verdict is Verdict.BLOCKED else Level.INFO
        context.emit(
            EventName.DECISION_CHANGED,
            level,
            chain=context.name,
            position=decision.position_id,
            verdict=decision.verdict.value,
            code=first.code.value,
            text=first.text,
        )


def _nearest(result: Survey) -> str | None:
    """Say which waiting position is nearest to its threshold, and what would fire it."""
    waiting = [
        (a.decision.numbers.eta_seconds, a)
        for a in result.assessments
        if a.decision.verdict is Verdict.WAIT and a.decision.numbers and a.decision.numbers.eta_seconds is not None
    ]
    if not waiting:
        return None
    eta, nearest = min(waiting, key=lambda pair: pair[0] or 0)
    assert nearest.decision.numbers is not None
    fire = nearest.decision.numbers.fire_gas_price_wei
    gas = f", or gas <= {fire / 10**9:.3g} gwei" if fire and fire * 100 > result.fees.price_wei else ""
    return f"{nearest.position.id} in {(eta or 0) // 86_400} d {(eta or 0) % 86_400 // 3600} h{gas}"
