"""One position, fully looked at: what every later step starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Standing
from keeper.domain.money import NO_USD, Address, UsdWad
from keeper.domain.observation import Observation
from keeper.domain.position import Position
from keeper.domain.transaction import FeeQuote
from keeper.domain.valuation import Valuation
from keeper.engine.book import Book, Holding
from keeper.engine.case import Case
from keeper.engine.context import ChainContext
from keeper.engine.decide import decide, price_reasons
from keeper.engine.learnt import learnt_horizon, learnt_rates
from keeper.engine.observe import Sighting
from keeper.engine.payout import part
from keeper.engine.track_record import NO_COMPOUND, TrackRecord, track_record, watched_since
from keeper.engine.value import PriceBoard, valuation
from keeper.strategy.guards import MAX_FAILURES, Surroundings
from keeper.strategy.split import GasMoney

__all__ = ["Assessment", "Known", "assess", "decide_again"]

#: Of a position that was never compounded.
_NOTHING_YET: Final = Standing()


@dataclass(frozen=True, slots=True)
class Assessment:
    """One position, fully looked at. ``case`` is ``None`` when it could not be valued."""

    position: Position
    decision: Decision
    holding: Holding | None = None
    observation: Observation | None = None
    case: Case | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the accounts have and the journal holds, asked once for all positions of a look."""

    #: Native balance of each signing account, wei.
    balances: Mapping[Address, int]
    #: Fees of the last day by account.
    spent_today: Mapping[Address, UsdWad]
    #: What came of earlier compounds; positions without any are not in it.
    standings: Mapping[str, Standing]
    #: Positions by account whose open compounds buy gas: what they bring is not bought twice.
    topping_up: Mapping[Address, frozenset[str]] = field(default_factory=dict)


def decide_again(case: Case, **changes: object) -> tuple[Case, Decision]:
    """Decide once more with better facts (a simulated claim, measured gas)."""
    better = replace(case, **changes)  # type: ignore[arg-type]  # fields of Case, by name
    return better, decide(better)


def assess(
    context: ChainContext,
    book: Book,
    holding: Holding,
    sighting: Sighting,
    board: PriceBoard,
    fees: FeeQuote,
    known: Known,
    forced: bool,
) -> Assessment:
    """Value one position and decide about it by what was seen; say what stands in the way otherwise."""
    position = holding.position
    if position.id in sighting.failures:
        reason = Reason(ReasonCode.READ_FAILED, str(sighting.failures[position.id]))
        return Assessment(position, Decision(position.id, sighting.block, Verdict.BLOCKED, (reason,), None), holding)
    observation = sighting.observations[position.id]
    worth = valuation(context, book, holding, sighting, board)
    if not isinstance(worth, Valuation):
        blocked = Decision(position.id, sighting.block, Verdict.BLOCKED, price_reasons(worth), None)
        return Assessment(position, blocked, holding, observation)
    standing, now = known.standings.get(position.id, _NOTHING_YET), observation.block.timestamp
    record = track_record(context, position, standing.newest)
    gas = context.learned_gas.get(position.id) or record.gas_units or standing.last_gas or holding.market.typical_gas
    # A batch decides by the rule's numbers: no policy is asked about its members.
    judge = None if position.options.batch else context.policies.get(position.options.policy or context.policy)
    rates = learnt_rates(context, position, observation, compounded=standing.newest != NO_COMPOUND)
    horizon = learnt_horizon(context, position, rates if rates is not None else observation.accruals, now)
    timed = judge is not None or position.options.max_interval_seconds is not None
    since = watched_since(context, position, now) if timed else None
    around = _around(context, position, record, fees, known, gas, forced, now)
    money = _gas_money(position, around, fees, known)
    case = Case(
        holding=holding,
        observation=observation,
        valuation=worth,
        pending=observation.pending,
        fees=fees,
        gas_units=gas,
        l1_fee_wei=context.learned_l1_fee.get(position.id, 0),
        around=around,
        forced=forced,
        learnt=rates,
        horizon=horizon,
        correction_ppm=record.correction_ppm,
        failure_ppm=record.failure_ppm,
        usual_gas_wei=context.outlook.usual_wei,
        memory=context.outlook.memory,
        judge=judge,
        watched_since=since,
        gas_money=money,
        top_up_bps=_top_up(context, holding, observation, worth, money),
    )
    return Assessment(position, decide(case), holding, observation, case)


def _gas_money(position: Position, around: Surroundings, fees: FeeQuote, known: Known) -> GasMoney | None:
    """Return what the account has for gas; ``None`` where nothing may become gas now.

    While a compound of the same account buys gas, no other does: both would see the same low balance. What is still
    missing when it has ended is for the next harvest.
    """
    others = known.topping_up.get(position.owner, frozenset()) - {position.id}
    if not around.can_sign or not position.options.gas_keep_wei or others:
        return None
    return GasMoney(around.native_balance_wei, fees.price_wei)


def _top_up(
    context: ChainContext,
    holding: Holding,
    observation: Observation,
    worth: Valuation,
    money: GasMoney | None,
) -> int:
    """Return the part of a harvest that would become gas, basis points."""
    if money is None:
        return 0
    return part(context.plugins, holding, observation.pending, worth, money).parts.top_up_bps


def _around(
    context: ChainContext,
    position: Position,
    record: TrackRecord,
    fees: FeeQuote,
    known: Known,
    gas: int,
    forced: bool,
    now: int,
) -> Surroundings:
    limits, options = context.limits, position.options
    return Surroundings(
        can_sign=position.signer is not None,
        native_balance_wei=known.balances.get(position.owner, 0),
        min_native_wei=max(limits.min_native_wei, 2 * gas * fees.price_wei),
        spent_today_usd=known.spent_today.get(position.owner, NO_USD),
        per_day_usd=limits.per_day_usd,
        gas_price_wei=fees.price_wei,
        max_gas_price_wei=limits.max_gas_price_wei,
        failures=0 if forced else known.standings.get(position.id, _NOTHING_YET).failures,
        max_failures=MAX_FAILURES,
        last_harvest_at=record.last_at,
        min_interval_seconds=0 if forced else options.min_interval_seconds,
        round_open_since=record.opened_at,
        native_symbol=context.chain.facts.native_symbol,
        harvests_this_year=record.within_a_year(now),
        max_harvests_per_year=options.max_harvests_per_year,
        forced=forced,
    )
