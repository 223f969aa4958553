"""One lap for one position: look, decide, plan, simulate, decide again by what the chain says, carry out.

The daemon's lanes, a one-shot harvest and a dry run all take this lap; they differ in what stands behind the ports.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.events import EventName
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, UsdWad, usd_decimal, usd_text
from keeper.domain.plan import Plan
from keeper.domain.transaction import IntentState
from keeper.engine.authorize import gas_limit
from keeper.engine.context import ChainContext
from keeper.engine.decide import Case
from keeper.engine.execute import Work, carry_out, reprice
from keeper.engine.plan import make_plan
from keeper.engine.resolve import Book
from keeper.engine.simulate import Rehearsal, rehearse
from keeper.engine.survey import Assessment, decide_again, survey
from keeper.errors import HarvestPaidNothing, SimulationReverted, TxPending

__all__ = ["Execute", "Outcome", "Prepared", "compound", "in_flight", "prepare", "resume"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A position looked at, planned and simulated. ``plan`` and ``rehearsal`` are there when the simulation passed."""

    assessment: Assessment
    plan: Plan | None = None
    rehearsal: Rehearsal | None = None

    @property
    def decision(self) -> Decision:
        """The decision by the best facts there are."""
        return self.assessment.decision


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a lap came to: a decision, and a harvest when one was carried out."""

    prepared: Prepared
    harvest: Harvest | None = None

    @property
    def decision(self) -> Decision:
        """The decision that the lap ended with."""
        return self.prepared.decision


#: What is done with a position that is due: carry it out, or only report it.
Execute = Callable[[ChainContext, Work], Harvest]


def prepare(context: ChainContext, assessment: Assessment) -> Prepared:
    """Plan and simulate one position, and decide again with the simulated amounts and gas.

    Works for WAIT positions too: it is how ``explain`` learns the truth behind a stale view.
    """
    case = assessment.case
    if case is None or assessment.holding is None or not any(amount.raw > 0 for amount in case.pending):
        return Prepared(assessment)
    try:
        plan = make_plan(context.plugins, assessment.holding, case.observation, case.valuation)
        rehearsal = rehearse(context.chain, plan, case.observation.block)
    except SimulationReverted as error:
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_REVERTED, str(error))))
    except HarvestPaidNothing as error:
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_SHORT, str(error))))
    context.learned_gas[plan.position_id] = rehearsal.simulation.gas_used
    l1_fee = sum(context.chain.l1_fee_wei(call.data) for call in rehearsal.calls)
    context.learned_l1_fee[plan.position_id] = l1_fee
    better, decision = decide_again(
        case, pending=rehearsal.claimed, gas_units=rehearsal.simulation.gas_used, l1_fee_wei=l1_fee
    )
    checked = _check_fee_limit(context, better, rehearsal, decision)
    return Prepared(replace(assessment, decision=checked, case=better), plan, rehearsal)


def compound(
    context: ChainContext, book: Book, position_id: str, *, forced: bool = False, execute: Execute = carry_out
) -> Outcome:
    """Take one lap for one position; an open compound of it is finished first.

    Raises:
        TxPending: the journal holds unfinished work; nothing is lost.
        Transient: the chain cannot be read.
        KeyError: no such position on this chain.
    """
    holding = book.holding(position_id)
    seen = survey(context, book, only={position_id}, forced=forced).assessments[0]
    for harvest, plan in context.store.open_harvests(context.name, holding.position.owner):
        if harvest.position_id == position_id:
            return Outcome(Prepared(seen), _go_on(context, harvest, plan, seen))
    prepared = prepare(context, seen) if seen.decision.verdict is Verdict.HARVEST else Prepared(seen)
    if prepared.decision != seen.decision:
        context.store.record_decision(prepared.decision)
    if prepared.decision.verdict is not Verdict.HARVEST or prepared.plan is None or prepared.rehearsal is None:
        return Outcome(prepared)
    return Outcome(
        prepared, _begin(context, prepared, prepared.plan, prepared.rehearsal, forced=forced, execute=execute)
    )


def resume(context: ChainContext, book: Book, owner: Address) -> list[Harvest | TxPending]:
    """Go on with every open compound of an account, oldest first.

    Returns:
        The finished harvests, and for each that must stay open the reason.
    """
    results: list[Harvest | TxPending] = []
    for harvest, plan in context.store.open_harvests(context.name, owner):
        seen = survey(context, book, only={harvest.position_id}).assessments
        if not seen:
            text = f"compound {harvest.id} of {harvest.position_id} is open, but that position is not configured"
            results.append(TxPending(f"{text}; put it back until it is finished"))
            continue
        try:
            results.append(_go_on(context, harvest, plan, seen[0]))
        except TxPending as pending:
            results.append(pending)
    return results


def in_flight(context: ChainContext, owner: Address) -> bool:
    """Whether a signed transaction of this account may still be mined: then no other is started behind it."""
    states = (IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED)
    return any(
        intent.state in states
        for harvest, _ in context.store.open_harvests(context.name, owner)
        for intent in context.store.intents(harvest.id)
    )


def _begin(
    context: ChainContext, prepared: Prepared, plan: Plan, rehearsal: Rehearsal, *, forced: bool, execute: Execute
) -> Harvest:
    case, numbers = prepared.assessment.case, prepared.decision.numbers
    assert case is not None
    assert numbers is not None
    signer = case.position.signer
    assert signer is not None, "the signer guard has passed"
    harvest = Harvest(
        id=uuid.uuid4().hex[:16],
        position_id=plan.position_id,
        chain=plan.chain,
        owner=plan.owner,
        state=HarvestState.OPEN,
        plan_id=plan.id,
        decided_block=case.observation.block.number,
        started_at=case.observation.block.timestamp,
        predicted_reward_usd=numbers.reward_usd,
        predicted_cost_usd=numbers.cost_usd,
        predicted_gas=rehearsal.simulation.gas_used,
    )
    budget = None if forced else numbers.fire_gas_price_wei
    context.store.open_harvest(harvest, plan)
    context.checkpoint("opened")
    _say_planned(context, harvest, plan, rehearsal)
    return execute(context, Work(harvest, plan, signer, case.valuation, budget))


def _go_on(context: ChainContext, harvest: Harvest, plan: Plan, seen: Assessment) -> Harvest:
    case = seen.case
    if case is None or case.position.signer is None:
        raise TxPending(f"compound {harvest.id} of {harvest.position_id} waits: {seen.decision.reasons[0].text}")
    done = sum(bool(context.store.receipt_of(i.id)) for i in context.store.intents(harvest.id))
    context.emit(
        EventName.HARVEST_RESUMED,
        position=harvest.position_id,
        harvest=harvest.id,
        leg=done + 1,
        legs=len(plan.legs),
    )
    work = Work(harvest, reprice(plan, case.valuation), case.position.signer, case.valuation, None)
    return carry_out(context, work)


def _blocked(assessment: Assessment, reason: Reason) -> Assessment:
    decision = replace(assessment.decision, verdict=Verdict.BLOCKED, reasons=(reason, *assessment.decision.reasons))
    return replace(assessment, decision=decision)


def _check_fee_limit(context: ChainContext, case: Case, rehearsal: Rehearsal, decision: Decision) -> Decision:
    """Block a harvest any leg of which could cost more than ``limits.per_tx`` at today's price."""
    dearest = max(gas_limit(call.gas_used) for call in rehearsal.simulation.calls)
    worst: UsdWad = case.valuation.gas_cost(dearest * (2 * case.fees.base_fee_wei + case.fees.tip_wei))
    if decision.verdict is not Verdict.HARVEST or worst <= context.limits.per_tx_usd:
        return decision
    limit = usd_text(context.limits.per_tx_usd)
    text = f"one transaction could cost up to {usd_text(worst)}, above limits.per_tx {limit}; raise it or wait"
    return replace(
        decision, verdict=Verdict.BLOCKED, reasons=(Reason(ReasonCode.FEE_ABOVE_LIMIT, text), *decision.reasons)
    )


def _say_planned(context: ChainContext, harvest: Harvest, plan: Plan, rehearsal: Rehearsal) -> None:
    context.emit(
        EventName.HARVEST_PLANNED,
        position=harvest.position_id,
        harvest=harvest.id,
        legs=len(plan.legs),
        reward_usd=f"{usd_decimal(harvest.predicted_reward_usd):.2f}",
        cost_usd=f"{usd_decimal(harvest.predicted_cost_usd):.2f}",
        plan=plan.id,
    )
    context.emit(
        EventName.HARVEST_SIMULATED,
        position=harvest.position_id,
        harvest=harvest.id,
        gas=rehearsal.simulation.gas_used,
        reward_usd=f"{usd_decimal(harvest.predicted_reward_usd):.2f}",
        method=rehearsal.simulation.method,
    )
