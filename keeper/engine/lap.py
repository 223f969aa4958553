"""One lap for one position: look, decide, plan, simulate, decide again by what the chain says, carry out.

The daemon's lanes, a one-shot harvest and a dry run all take this lap; they differ in what stands behind the ports.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, Amount, usd_text
from keeper.domain.observation import Observation, with_amounts
from keeper.domain.plan import LegKind, Plan, Share
from keeper.domain.position import SideEffect
from keeper.domain.transaction import IntentState
from keeper.engine.assessment import Assessment, decide_again
from keeper.engine.book import Book, Holding
from keeper.engine.case import Case
from keeper.engine.context import ChainContext, halt_key, native_key
from keeper.engine.decide import pool_is_near
from keeper.engine.drive import carry_out, drive, settle_in_flight
from keeper.engine.execute import drop, refloor, reprice
from keeper.engine.flight import Flight, flight_of
from keeper.engine.payout import part
from keeper.engine.plan import make_plan, sold_amounts
from keeper.engine.record import mined
from keeper.engine.rounds import mates
from keeper.engine.second_opinion import Opinion, second_opinion
from keeper.engine.simulate import Rehearsal, rehearse
from keeper.engine.survey import record_changes, survey
from keeper.engine.telling import say_planned, say_resumed
from keeper.engine.verify import remember_own, spendable
from keeper.engine.ways import best_ways
from keeper.engine.work import Work
from keeper.errors import (
    HarvestPaidNothing,
    IntegrityError,
    KeeperError,
    ReadFailed,
    Refused,
    RpcRejected,
    SimulationReverted,
    TxPending,
)
from keeper.tx.fees import gas_limit

__all__ = [
    "Begun",
    "Execute",
    "Outcome",
    "Prepared",
    "begin",
    "compound",
    "equip",
    "is_open",
    "prepare",
    "refuse_halted",
    "resume",
]


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


def prepare(context: ChainContext, assessment: Assessment, *, wait: bool = True) -> Prepared:
    """Plan and simulate one position, and decide again with the simulated amounts and gas.

    Works for WAIT positions too: it is how ``explain`` learns the truth behind a stale view. One position that cannot
    be simulated is blocked, and harms no other. ``wait``: for what somebody outside the chain says about its sales.

    Raises:
        Transient: when the chain cannot be read.
    """
    case = assessment.case
    if case is None or assessment.holding is None:
        return Prepared(assessment)
    opinion: Callable[[], Opinion] = Opinion
    try:
        claimed = _simulated_claim(context, assessment.holding, case)
        money, gas = case.gas_money, case.fees.price_wei
        sold = sold_amounts(context.plugins, assessment.holding, claimed, case.valuation, money, gas)
        holding = best_ways(context, assessment.holding, sold, case.valuation, gas, case.observation.block)
        opinion = partial(second_opinion, context, holding, sold, case, wait=wait)
        plan = make_plan(context.plugins, holding, claimed, case.valuation, money, gas)
        rehearsal = rehearse(context.chain, plan, case.observation.block)
    except HarvestPaidNothing as error:
        if not any(amount.raw > 0 for amount in case.pending):
            return Prepared(assessment)  # the views said so already
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_SHORT, str(error))))
    except (SimulationReverted, RpcRejected, ReadFailed) as error:
        why: tuple[Reason, ...] = (Reason(ReasonCode.SIMULATION_REVERTED, str(error)),)
        if assessment.decision.verdict is Verdict.HARVEST:
            why += opinion().worse  # a bad way may well be what reverts, and this says what to do about it
        return Prepared(_blocked(assessment, *why))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # what contracts say can be anything
        text = f"no compound can be made of what its contracts say: {type(error).__name__}: {error}"
        return Prepared(_blocked(assessment, Reason(ReasonCode.SIMULATION_REVERTED, text)))
    context.learned_gas[plan.position_id] = rehearsal.simulation.gas_used
    l1_fee = sum(context.chain.l1_fee_wei(call.data) for call in rehearsal.calls)
    context.learned_l1_fee[plan.position_id] = l1_fee
    pending = claimed.pending if _unseen(holding, plan) else _rewards(holding, rehearsal)
    divided = part(context.plugins, holding, pending, case.valuation, money).parts
    better, decision = decide_again(
        case,
        pending=pending,
        gas_units=rehearsal.simulation.gas_used,
        l1_fee_wei=l1_fee,
        top_up_bps=divided.top_up_bps,
    )
    checked = _check_fee_limits(context, better, rehearsal, decision)
    if checked.verdict is Verdict.HARVEST and any(leg.kind is LegKind.SWAP for leg in plan.legs):
        checked = opinion().on(checked)
    return Prepared(replace(assessment, decision=checked, case=better), plan, rehearsal)


def _unseen(holding: Holding, plan: Plan) -> bool:
    """Whether the wallet does not see what the harvest brings: it is a vault's, or put back in the same call."""
    return bool(plan.in_place) or SideEffect.FOR_EVERYBODY in holding.market.side_effects


def _rewards(holding: Holding, rehearsal: Rehearsal) -> tuple[Amount, ...]:
    """What the claim would bring of the position's rewards (a booster's call may bring other tokens beside)."""
    priced = {token.address for token in holding.market.reward_tokens}
    return tuple(amount for amount in rehearsal.claimed if amount.token.address in priced)


def _simulated_claim(context: ChainContext, holding: Holding, case: Case) -> Observation:
    """Return the observation with what a claim would really bring instead of what the views say."""
    position, observation = holding.position, case.observation
    if SideEffect.FOR_EVERYBODY in holding.market.side_effects:
        return observation
    legs = context.plugins.protocols[position.protocol].harvest(position, holding.market, observation)
    claim = Plan(
        "", position.id, position.chain, position.owner, tuple(legs), holding.market.held, holding.market.stake_token
    )
    brought = {a.token.address: a for a in rehearse(context.chain, claim, observation.block).claimed}
    pending = tuple(brought.get(t.address, Amount(t, 0)) for t in holding.market.reward_tokens)
    return replace(observation, pending=pending)


@dataclass(frozen=True, slots=True)
class Begun:
    """A position looked at, and its compound in the journal when it is worth one."""

    prepared: Prepared
    work: Work | None = None


def begin(context: ChainContext, book: Book, position_id: str, *, forced: bool = False) -> Begun:
    """Look at one position, decide, plan, simulate, and open its compound in the journal when it is due.

    Everything is asked of a quorum of endpoints, because a signature follows from it.

    Raises:
        IntegrityError: the account is halted.
        Transient: the chain cannot be read, or its endpoints contradict each other.
        KeyError: no such position on this chain.
    """
    sure, owner = context.sure(), book.holding(position_id).position.owner
    refuse_halted(context, owner)
    if is_open(context, owner, position_id):
        raise TxPending(f"an earlier compound of {position_id} is unfinished and goes first")
    together = {position_id} if forced else mates(context, book.holding(position_id).position)
    looked = _looked(sure, book, together, forced=forced)
    seen = next(each for each in looked if each.position.id == position_id)
    prepared = prepare(sure, seen) if seen.decision.verdict is Verdict.HARVEST else Prepared(seen)
    record_changes(context, [prepared.decision])
    if prepared.decision.verdict is not Verdict.HARVEST or prepared.plan is None or prepared.rehearsal is None:
        return Begun(prepared)
    return Begun(prepared, _open(sure, prepared, prepared.plan, prepared.rehearsal, forced=forced))


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
    owner = book.holding(position_id).position.owner
    refuse_halted(context, owner)
    sure = context.sure()
    for harvest, plan in context.store.open_harvests(context.name, owner):
        if harvest.position_id == position_id:
            seen = _looked(sure, book, {position_id}, forced=forced)[0]
            finished = _go_on(sure, harvest, plan, seen)
            finished = carry_out(sure, finished) if isinstance(finished, Work) else finished
            if finished.state is not HarvestState.CANCELLED:
                return Outcome(Prepared(seen), finished)
    begun = begin(context, book, position_id, forced=forced)
    return Outcome(begun.prepared, None if begun.work is None else execute(sure, begun.work))


def resume(context: ChainContext, book: Book, owner: Address) -> list[Harvest | KeeperError]:
    """Go on with every open compound of an account, oldest first, and look again at what is not final.

    Returns:
        For each open compound, in order: the finished harvest, or the reason why it stays open.

    Raises:
        IntegrityError: the account is halted.
    """
    refuse_halted(context, owner)
    sure, flight = context.sure(), flight_of(context, owner)
    flight.load()
    if flight.unmined and "native" not in context.prices_seen:
        _looked(sure, book)
    results: list[Harvest | KeeperError | Work] = []
    for harvest, plan in context.store.open_harvests(context.name, owner):
        seen = _looked(sure, book, {harvest.position_id})
        try:
            results.append(_go_on(sure, harvest, plan, seen[0]) if seen else _without_position(sure, harvest))
        except TxPending as pending:
            results.append(pending)
    works = [each for each in results if isinstance(each, Work)]
    if flight.slots and not works:
        flight.look()
    endings = iter(drive(sure, flight, works))
    return [next(endings) if isinstance(each, Work) else each for each in results]


def _looked(
    sure: ChainContext, book: Book, only: set[str] | None = None, *, forced: bool = False
) -> tuple[Assessment, ...]:
    """Look at positions through a quorum, and remember the agreed price of the gas token: fees are capped by it."""
    seen = survey(sure, book, only=only, forced=forced, record=False).assessments
    for assessment in seen:
        if assessment.case is not None:
            _keep_price(sure, assessment.case.valuation.native.high)
    return seen


def _keep_price(context: ChainContext, usd: int) -> None:
    """Remember the gas token's price, also over a restart: fees are counted by it when nobody tells a newer one."""
    key, known = native_key(context.name), context.prices_seen.get("native", 0)
    context.prices_seen["native"] = usd
    if abs(usd - known) * 100 > usd:
        context.store.set_flag(key, str(usd))


def is_open(context: ChainContext, owner: Address, position_id: str) -> bool:
    """Whether a compound of this position is unfinished: it is finished before another is begun."""
    return any(h.position_id == position_id for h, _ in context.store.open_harvests(context.name, owner))


def equip(context: ChainContext, book: Book, owner: Address) -> Flight:
    """Return what an account has in flight together with what each open compound may still cost; sends nothing.

    Raises:
        Transient: the chain cannot be read, or its endpoints contradict each other.
    """
    sure, flight = context.sure(), flight_of(context, owner)
    looked = {seen.position.id: seen for seen in _looked(sure, book)}
    for harvest, plan in context.store.open_harvests(context.name, owner):
        seen = looked.get(harvest.position_id)
        case = seen.case if seen is not None else None
        if seen is None or case is None or case.position.signer is None or case.position.owner != plan.owner:
            continue
        with contextlib.suppress(KeyError):
            fresh = _as_of_now(sure, harvest, plan, case)
            flight.works[harvest.id] = Work(harvest, fresh, case.position.signer, case.valuation, _budget(seen))
    return flight


def refuse_halted(context: ChainContext, owner: Address) -> None:
    """Refuse to act for an account that an earlier finding has halted.

    Raises:
        IntegrityError: with that finding; ``keeper unblock`` clears it.
    """
    halted = context.store.get_flag(halt_key(context.name, owner))
    if halted is not None:
        raise IntegrityError(f"{owner} is halted: {halted}; look at it, then clear the halt with `keeper unblock`")


def _open(context: ChainContext, prepared: Prepared, plan: Plan, rehearsal: Rehearsal, *, forced: bool) -> Work:
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
    _see_the_wallet(flight_of(context, plan.owner), case.observation.block)
    remember_own(context, harvest.id, plan, case.observation.block)
    context.store.open_harvest(harvest, plan)
    context.checkpoint("opened")
    say_planned(context, harvest, plan, rehearsal.simulation)
    return Work(harvest, plan, signer, case.valuation, budget)


def _without_position(context: ChainContext, harvest: Harvest) -> TxPending:
    """See what is under way settled; the rest waits until the position is configured again."""
    settle_in_flight(context, harvest)
    text = f"compound {harvest.id} of {harvest.position_id} is open, but that position is not configured"
    return TxPending(f"{text}; put it back until it is finished")


def _see_the_wallet(flight: Flight, block: BlockRef) -> None:
    """Make sure that whatever others in flight have brought by a block is on record, before the wallet is noted.

    What the wallet seems to hold of its own is never spent; a claim that is mined and not known would count as that.

    Raises:
        Refused: something is mined whose receipt nobody shows yet.
    """
    if not flight.slots:
        return
    flight.look()
    sight = flight.sight
    assert sight is not None, "a look leaves what it saw"
    hidden = [slot for slot in flight.unmined if slot.nonce < sight.nonces.latest]
    if hidden or sight.head.number < block.number:
        nonce = f"the receipt of nonce {hidden[0].nonce}" if hidden else f"block {block.number}"
        raise Refused(
            f"{nonce} is not there yet, so what the wallet holds is not certain; nothing is begun before it is"
        )


def _go_on(context: ChainContext, harvest: Harvest, plan: Plan, seen: Assessment) -> Harvest | Work:
    """Say how one open compound goes on; one that never signed anything is dropped, because its decision may be old.

    Raises:
        TxPending: it cannot go on now.
    """
    tracks = context.store.tracks_of(harvest.id)
    if not any(track.attempts for track in tracks):
        return drop(context, harvest, "keeper stopped before anything was signed")
    case = seen.case
    if case is None or case.position.signer is None:
        settle_in_flight(context, harvest)
        why = "its position has no signer any more; give it back" if case else seen.decision.reasons[0].text
        raise TxPending(f"compound {harvest.id} of {harvest.position_id} waits: {why}")
    if case.position.owner != plan.owner:
        settle_in_flight(context, harvest)
        text = f"compound {harvest.id} of {harvest.position_id} was begun by {plan.owner}, the position now belongs to"
        raise TxPending(f"{text} {case.position.owner}; give it back its signer until the compound is finished")
    try:
        fresh = _as_of_now(context, harvest, plan, case)
    except KeyError as error:
        settle_in_flight(context, harvest)
        text = f"compound {harvest.id} was begun for another farm under the name {harvest.position_id}"
        raise TxPending(f"{text}; give that farm its name back until the compound is finished") from error
    say_resumed(context, harvest, plan, tracks)
    return Work(harvest, fresh, case.position.signer, case.valuation, _budget(seen))


def _as_of_now(context: ChainContext, harvest: Harvest, plan: Plan, case: Case) -> Plan:
    """Return a begun plan with its floors by present prices.

    Those of a range's deposit follow from what there is of both sides, once all of it is there: bought in the mix of
    another time it would be refused by the old ones, and an NFT that was taken out for it would stay out.

    Raises:
        KeyError: the position is not the one that the plan was made for.
    """
    fresh, market = reprice(plan, case.valuation), case.holding.market
    done = {t.intent.leg_index for t in context.store.tracks_of(harvest.id) if t.intent.state is IntentState.CONFIRMED}
    left = [leg for index, leg in enumerate(plan.legs) if index not in done]
    puts_in = market.basket is None and market.stake_parts and any(leg.kind is LegKind.DEPOSIT for leg in left)
    if not puts_in or any(leg.brings for leg in left) or not pool_is_near(case):
        return fresh
    have = spendable(context, harvest.id, plan, mined(context, harvest), case.observation.block)
    seen = with_amounts(case.observation, [have.get(part.address, 0) for part in market.stake_parts])
    adapter = context.plugins.protocols[case.position.protocol]
    return refloor(fresh, adapter.deposit(case.position, market, Share(market.stake_token), seen))


def _budget(seen: Assessment) -> int:
    """An unconfirmed first leg is outbid only as far as the harvest is worth it now."""
    numbers = seen.decision.numbers
    return (numbers.fire_gas_price_wei or 0) if numbers is not None else 0


def _blocked(assessment: Assessment, *why: Reason) -> Assessment:
    decision = replace(assessment.decision, verdict=Verdict.BLOCKED, reasons=(*why, *assessment.decision.reasons))
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
