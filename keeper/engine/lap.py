"""One lap for one position: look, decide, plan, simulate, decide again by what the chain says, carry out.

The daemon's lanes, a one-shot harvest and a dry run all take this lap; they differ in what stands behind the ports.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.events import EventName
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, Amount, usd_text
from keeper.domain.observation import Observation
from keeper.domain.plan import Plan
from keeper.domain.transaction import IntentState
from keeper.engine.authorize import gas_limit
from keeper.engine.confirm import await_confirmation
from keeper.engine.context import ChainContext, halt_key
from keeper.engine.decide import Case
from keeper.engine.execute import Work, carry_out, drop, reprice
from keeper.engine.plan import make_plan
from keeper.engine.resolve import Book, Holding
from keeper.engine.simulate import Rehearsal, rehearse
from keeper.engine.survey import Assessment, decide_again, record_changes, survey
from keeper.engine.telling import say_planned
from keeper.engine.verify import remember_own
from keeper.errors import (
    HarvestPaidNothing,
    IntegrityError,
    ReadFailed,
    RpcRejected,
    SimulationReverted,
    TxPending,
    TxReplaced,
    TxReverted,
)

__all__ = ["Execute", "Outcome", "Prepared", "compound", "in_flight", "prepare", "refuse_halted", "resume"]


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

    Works for WAIT positions too: it is how ``explain`` learns the truth behind a stale view. One position that cannot
    be simulated is blocked, and harms no other.

    Raises:
        Transient: when the chain cannot be read.
    """
    case = assessment.case
    if case is None or assessment.holding is None:
        return Prepared(assessment)
    try:
        claimed = _simulated_claim(context, assessment.holding, case)
        plan = make_plan(context.plugins, assessment.holding, claimed, case.valuation)
        rehearsal = rehearse(context.chain, plan, case.observation.block)
    except HarvestPaidNothing as error:
        if not any(amount.raw > 0 for amount in case.pending):
            return Prepared(assessment)  # the views said so already
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_SHORT, str(error))))
    except (SimulationReverted, RpcRejected, ReadFailed) as error:
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_REVERTED, str(error))))
    context.learned_gas[plan.position_id] = rehearsal.simulation.gas_used
    l1_fee = sum(context.chain.l1_fee_wei(call.data) for call in rehearsal.calls)
    context.learned_l1_fee[plan.position_id] = l1_fee
    priced = {token.address for token in assessment.holding.market.reward_tokens}
    pending = tuple(amount for amount in rehearsal.claimed if amount.token.address in priced)
    better, decision = decide_again(case, pending=pending, gas_units=rehearsal.simulation.gas_used, l1_fee_wei=l1_fee)
    checked = _check_fee_limits(context, better, rehearsal, decision)
    return Prepared(replace(assessment, decision=checked, case=better), plan, rehearsal)


def _simulated_claim(context: ChainContext, holding: Holding, case: Case) -> Observation:
    """Return the observation with what a claim would really bring instead of what the views say."""
    position, observation = holding.position, case.observation
    legs = context.plugins.protocols[position.protocol].harvest(position, holding.market, observation)
    claim = Plan(
        "", position.id, position.chain, position.owner, tuple(legs), holding.market.tokens, holding.market.stake_token
    )
    brought = {a.token.address: a for a in rehearse(context.chain, claim, observation.block).claimed}
    pending = tuple(brought.get(t.address, Amount(t, 0)) for t in holding.market.reward_tokens)
    return replace(observation, pending=pending)


def compound(
    context: ChainContext, book: Book, position_id: str, *, forced: bool = False, execute: Execute = carry_out
) -> Outcome:
    """Take one lap for one position; an open compound of it is finished first.

    Raises:
        TxPending: the journal holds unfinished work; nothing is lost.
        IntegrityError: the account is halted.
        Transient: the chain cannot be read.
        KeyError: no such position on this chain.
    """
    holding = book.holding(position_id)
    refuse_halted(context, holding.position.owner)
    seen = survey(context, book, only={position_id}, forced=forced, record=False).assessments[0]
    for harvest, plan in context.store.open_harvests(context.name, holding.position.owner):
        if harvest.position_id == position_id:
            finished = _go_on(context, harvest, plan, seen)
            if finished.state is not HarvestState.CANCELLED:
                return Outcome(Prepared(seen), finished)
    prepared = prepare(context, seen) if seen.decision.verdict is Verdict.HARVEST else Prepared(seen)
    record_changes(context, [prepared.decision])
    if prepared.decision.verdict is not Verdict.HARVEST or prepared.plan is None or prepared.rehearsal is None:
        return Outcome(prepared)
    return Outcome(
        prepared, _begin(context, prepared, prepared.plan, prepared.rehearsal, forced=forced, execute=execute)
    )


def resume(context: ChainContext, book: Book, owner: Address) -> list[Harvest | TxPending]:
    """Go on with every open compound of an account, oldest first.

    Returns:
        The finished harvests, and for each that must stay open the reason.

    Raises:
        IntegrityError: the account is halted.
    """
    refuse_halted(context, owner)
    results: list[Harvest | TxPending] = []
    for harvest, plan in context.store.open_harvests(context.name, owner):
        seen = survey(context, book, only={harvest.position_id}, record=False).assessments
        try:
            if seen:
                results.append(_go_on(context, harvest, plan, seen[0]))
            else:
                _settle_in_flight(context, harvest, _native_usd(context, book))
                text = f"compound {harvest.id} of {harvest.position_id} is open, but that position is not configured"
                results.append(TxPending(f"{text}; put it back until it is finished"))
        except TxPending as pending:
            results.append(pending)
    return results


def refuse_halted(context: ChainContext, owner: Address) -> None:
    """Refuse to act for an account that an earlier finding has halted.

    Raises:
        IntegrityError: with that finding; ``keeper unblock`` clears it.
    """
    halted = context.store.get_flag(halt_key(context.name, owner))
    if halted is not None:
        raise IntegrityError(f"{owner} is halted: {halted}; look at it, then clear the halt with `keeper unblock`")


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
    remember_own(context, harvest.id, plan, case.observation.block)
    context.store.open_harvest(harvest, plan)
    context.checkpoint("opened")
    say_planned(context, harvest, plan, rehearsal.simulation)
    return execute(context, Work(harvest, plan, signer, case.valuation, budget))


def _go_on(context: ChainContext, harvest: Harvest, plan: Plan, seen: Assessment) -> Harvest:
    """Go on with one open compound; one that never signed anything is dropped, because its decision may be old.

    Raises:
        TxPending: it cannot go on now.
    """
    intents = context.store.intents(harvest.id)
    if not any(context.store.attempts(intent.id) for intent in intents):
        return drop(context, harvest, "keeper stopped before anything was signed")
    case = seen.case
    if case is None or case.position.signer is None:
        _settle_in_flight(context, harvest, 0 if case is None else case.valuation.native.high)
        why = "its position has no signer any more; give it back" if case else seen.decision.reasons[0].text
        raise TxPending(f"compound {harvest.id} of {harvest.position_id} waits: {why}")
    if case.position.owner != plan.owner:
        _settle_in_flight(context, harvest, case.valuation.native.high)
        text = f"compound {harvest.id} of {harvest.position_id} was begun by {plan.owner}, the position now belongs to"
        raise TxPending(f"{text} {case.position.owner}; give it back its signer until the compound is finished")
    try:
        fresh = reprice(plan, case.valuation)
    except KeyError as error:
        _settle_in_flight(context, harvest, case.valuation.native.high)
        text = f"compound {harvest.id} was begun for another farm under the name {harvest.position_id}"
        raise TxPending(f"{text}; give that farm its name back until the compound is finished") from error
    context.emit(
        EventName.HARVEST_RESUMED,
        position=harvest.position_id,
        harvest=harvest.id,
        leg=sum(bool(context.store.receipt_of(i.id)) for i in intents) + 1,
        legs=len(plan.legs),
    )
    numbers = seen.decision.numbers  # an unconfirmed first leg is outbid only as far as the harvest is worth it now
    budget = (numbers.fire_gas_price_wei or 0) if numbers is not None else 0
    work = Work(harvest, fresh, case.position.signer, case.valuation, budget)
    return carry_out(context, work)


def _native_usd(context: ChainContext, book: Book) -> int:
    """Price of the gas token by any position that can be valued now, USD wad; 0 when none can."""
    seen = survey(context, book, record=False).assessments
    return next((a.case.valuation.native.high for a in seen if a.case is not None), 0)


def _settle_in_flight(context: ChainContext, harvest: Harvest, native_usd: int) -> None:
    """See sent transactions of a compound confirmed, without beginning anything new: the account must not wait for it.

    Raises:
        TxPending: one is still unconfirmed.
    """
    for intent in context.store.intents(harvest.id):
        if intent.state in (IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED):
            with contextlib.suppress(TxReverted, TxReplaced):
                await_confirmation(context, intent, native_usd)


def _blocked(assessment: Assessment, reason: Reason) -> Assessment:
    decision = replace(assessment.decision, verdict=Verdict.BLOCKED, reasons=(reason, *assessment.decision.reasons))
    return replace(assessment, decision=decision)


def _check_fee_limits(context: ChainContext, case: Case, rehearsal: Rehearsal, decision: Decision) -> Decision:
    """Block a harvest whose legs could, at their caps, pass ``limits.per_tx`` or ``limits.per_day`` on the way.

    The signer counts caps, not expectations; a compound that it would stop halfway is better not begun.
    """
    if decision.verdict is not Verdict.HARVEST:
        return decision
    limits, bid = context.limits, 2 * case.fees.base_fee_wei + case.fees.tip_wei
    if limits.max_gas_price_wei is not None:
        bid = min(bid, limits.max_gas_price_wei)
    caps = [
        case.valuation.gas_cost(gas_limit(done.gas_used) * bid + context.chain.l1_fee_wei(call.data))
        for call, done in zip(rehearsal.calls, rehearsal.simulation.calls, strict=True)
    ]
    spent = case.around.spent_today_usd
    reason = None
    if max(caps) > limits.per_tx_usd:
        text = (
            f"one transaction could cost up to {usd_text(max(caps))}, above limits.per_tx {usd_text(limits.per_tx_usd)}"
        )
        reason = Reason(ReasonCode.FEE_ABOVE_LIMIT, f"{text}; raise it or wait")
    elif spent + sum(caps) > limits.per_day_usd:
        text = f"{usd_text(spent)} spent today and up to {usd_text(sum(caps))} for this compound are above"
        reason = Reason(ReasonCode.DAY_LIMIT_REACHED, f"{text} limits.per_day {usd_text(limits.per_day_usd)}")
    if reason is None:
        return decision
    return replace(decision, verdict=Verdict.BLOCKED, reasons=(reason, *decision.reasons))
