"""Carry out an open compound: go to the first leg that is not confirmed, and on from there.

The way a compound starts and the way it goes on after a kill are the same way: the journal says which legs the chain
has confirmed and what they brought; the rest is simulated afresh, signed, journaled, sent, confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.plan import Leg as PlanLeg
from keeper.domain.plan import LegKind, MinOut, Patch, Plan
from keeper.domain.transaction import Intent, IntentState, Receipt
from keeper.domain.valuation import Valuation
from keeper.engine.authorize import Leg, authorize, make_bid
from keeper.engine.confirm import await_confirmation
from keeper.engine.context import ChainContext, halt_key, looked_key
from keeper.engine.outbid import Outbidder
from keeper.engine.plan import oracle_rate
from keeper.engine.record import Executed, brought, mined, record_done, record_failed
from keeper.engine.send import broadcast
from keeper.engine.simulate import Rehearsal, rehearse
from keeper.engine.telling import say_mined, say_not_begun, say_quarantined, say_sent
from keeper.engine.verify import check_receipt, forget_own, spendable
from keeper.errors import (
    HarvestPaidNothing,
    PolicyDenied,
    Refused,
    SimulationReverted,
    TxPending,
    TxReplaced,
    TxReverted,
    UnaskedTransfer,
)
from keeper.ports import Submission
from keeper.strategy.guards import MAX_FAILURES

__all__ = ["Work", "carry_out", "drop", "reprice"]

#: How often a reverted leg is tried again, each time after a fresh simulation.
_MAX_REVERTS: Final = 2
#: How often an approval that was used up or revoked is given again.
_MAX_APPROVALS: Final = 2
#: A begun compound that cannot go on is given up after this many visits ...
_MAX_VISITS: Final = 5
#: ... and not before this many seconds of chain time: most reasons (a price, a pause, a cap) pass.
_PATIENCE_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Work:
    """An open compound and what it needs to go on."""

    harvest: Harvest
    #: The plan with floors by present prices.
    plan: Plan
    signer: str
    valuation: Valuation
    #: Wei per gas unit above which the first leg is neither sent nor outbid; ``None`` when a person forced it.
    budget_wei: int | None


def carry_out(context: ChainContext, work: Work) -> Harvest:
    """Finish a compound, leave it open in the journal, or drop it when nothing was signed yet.

    Returns:
        The harvest: DONE, FAILED or CANCELLED.

    Raises:
        TxPending: a transaction is unconfirmed, gas is too dear, or the process drains; the journal has everything.
        IntegrityError: the account is halted, durably, until a person has looked.
        Transient: the chain cannot be read.
        StoreUnavailable: the journal cannot be written; nothing was sent without it.
    """
    executed: list[Executed] = []
    try:
        for index, leg in enumerate(work.plan.legs):
            executed.append(_do_leg(context, work, index, leg, executed))
    except (SimulationReverted, HarvestPaidNothing, Refused, PolicyDenied) as error:
        return _cannot_go_on(context, work, executed, error)
    except TxReverted as error:
        return _give_up(context, work, error)
    except UnaskedTransfer as error:
        context.store.set_flag(halt_key(context.name, work.plan.owner), str(error))
        raise
    _forget(context, work.harvest)
    return record_done(context, work.harvest, work.plan, mined(context, work.harvest), work.valuation)


def drop(context: ChainContext, harvest: Harvest, why: str) -> Harvest:
    """Close a compound that never signed anything: it cost nothing, and the position is decided afresh."""
    for intent in context.store.intents(harvest.id):
        if intent.state is IntentState.PLANNED:
            context.store.settle(intent.id, IntentState.CANCELLED)
    dropped = replace(harvest, state=HarvestState.CANCELLED, finished_at=harvest.started_at, error=why)
    context.store.close_harvest(dropped, ())
    _forget(context, harvest)
    say_not_begun(context, dropped, why)
    return dropped


def reprice(plan: Plan, valuation: Valuation) -> Plan:
    """Return the plan with every swap's floor by present prices; a resumed compound never uses old ones."""
    return replace(plan, legs=tuple(_reprice_leg(leg, valuation) for leg in plan.legs))


def _reprice_leg(leg: PlanLeg, valuation: Valuation) -> PlanLeg:
    if leg.kind is not LegKind.SWAP or not leg.brings:
        return leg
    patches = []
    for patch in leg.patches:
        if isinstance(patch.rule, MinOut):
            top, bottom = oracle_rate(valuation, patch.rule.spent.token, leg.brings[0])
            patches.append(Patch(patch.word, replace(patch.rule, numerator=top, denominator=bottom)))
        else:
            patches.append(patch)
    return replace(leg, patches=tuple(patches))


def _do_leg(context: ChainContext, work: Work, index: int, leg: PlanLeg, executed: Sequence[Executed]) -> Executed:
    """Bring one leg to CONFIRMED, from wherever the journal says it stands, and judge what it did."""
    just_sent = False
    while True:
        past = [i for i in context.store.intents(work.harvest.id) if i.leg_index == index]
        live = [i for i in past if i.state not in (IntentState.REVERTED, IntentState.CANCELLED)]
        if live and live[-1].state is IntentState.CONFIRMED:
            receipt = context.store.receipt_of(live[-1].id)
            assert receipt is not None, "a confirmed intent has its receipt in the same commit"
            if context.store.get_flag(looked_key(work.harvest.id)) is None:
                check_receipt(work.plan, leg, receipt, executed)
            return live[-1], receipt
        if live and not context.store.attempts(live[-1].id):
            context.store.settle(live[-1].id, IntentState.CANCELLED)  # killed before anything was signed
            continue
        if sum(i.state is IntentState.REVERTED for i in past) > _MAX_REVERTS:
            raise TxReverted(f"{leg.label}: reverted {len(past)} times although each simulation passed")
        try:
            if not live:
                _start_leg(context, work, index, executed)
                just_sent = True
                continue
            _confirm(context, work, live[-1], just_sent=just_sent)
        except (TxReverted, TxReplaced):
            continue


def _confirm(context: ChainContext, work: Work, intent: Intent, *, just_sent: bool) -> Receipt:
    """Wait for one sent transaction, and say that it is there."""
    budget = work.budget_wei if intent.leg_index == 0 else None
    bidder = Outbidder(work.harvest, work.plan, work.signer, work.valuation, intent, budget)
    receipt = await_confirmation(
        context, intent, work.valuation.native.high, just_sent=just_sent, outbid=lambda: bidder.outbid(context)
    )
    say_mined(context, work.harvest, work.plan, intent, receipt)
    _reset_patience(context, work.harvest)
    return receipt


def _start_leg(context: ChainContext, work: Work, index: int, executed: Sequence[Executed]) -> None:
    """Simulate what is left on top of the newest block, then sign and send its first call."""
    if context.stopping():
        raise TxPending(f"{work.plan.legs[index].label}: not started, keeper is stopping; the next start goes on here")
    block = context.chain.head()
    have = spendable(context, work.harvest.id, work.plan, executed, block)
    try:
        rehearsal = rehearse(context.chain, work.plan, block, start=index, holdings=have)
    except SimulationReverted:
        again = _approvals_before(work.plan, index)
        if again == index or _times(context, work, again) > _MAX_APPROVALS:
            raise
        # Perhaps an approval was used up or revoked since: give it again if the rest passes with it.
        rehearsal = rehearse(context.chain, work.plan, block, start=again, holdings=have)
        for approval in range(again, index):
            _confirm(context, work, _send(context, work, approval, rehearsal, approval - again), just_sent=True)
        return
    _send(context, work, index, rehearsal, 0)


def _times(context: ChainContext, work: Work, index: int) -> int:
    """Count the transactions that a leg had so far."""
    return sum(intent.leg_index == index for intent in context.store.intents(work.harvest.id))


def _approvals_before(plan: Plan, index: int) -> int:
    """Return the index of the first of the approvals right before a leg; the leg's own when there are none."""
    while index > 0 and plan.legs[index - 1].kind is LegKind.APPROVE:
        index -= 1
    return index


def _send(context: ChainContext, work: Work, index: int, rehearsal: Rehearsal, at: int) -> Intent:
    """Sign, journal and send call ``at`` of a passing rehearsal as leg ``index``."""
    fees = context.chain.fees()
    budget = work.budget_wei if index == 0 else None
    bid = make_bid(fees, budget_wei=budget, ceiling_wei=context.limits.max_gas_price_wei)
    leg = Leg(
        harvest=work.harvest,
        signer=work.signer,
        index=index,
        tries=_times(context, work, index),
        call=rehearsal.calls[at],
        simulation=rehearsal.single(at),
        bid=bid,
        eip1559=fees.eip1559,
        valuation=work.valuation,
    )
    intent, signed = authorize(context, leg)
    outcome, words = broadcast(context, intent, signed)
    say_sent(context, work.harvest, work.plan, intent, signed.hash, bid.max_fee_wei)
    if outcome is Submission.REFUSED:
        text = f"{intent.label}: the node refused it ({words}); the same bytes are sent again when that changes"
        raise TxPending(text)
    return intent


def _cannot_go_on(context: ChainContext, work: Work, executed: Sequence[Executed], error: Exception) -> Harvest:
    """Drop a compound that has signed nothing; leave a begun one open until its patience ends.

    Raises:
        TxPending: it stays open.
    """
    signed = any(context.store.attempts(i.id) for i in context.store.intents(work.harvest.id))
    if not signed:
        return (
            _give_up(context, work, error)
            if isinstance(error, PolicyDenied)
            else drop(context, work.harvest, str(error))
        )
    if isinstance(error, HarvestPaidNothing) and not any(v > 0 for v in brought(work.plan, executed).values()):
        return _give_up(context, work, error)  # the claim itself brought nothing: there is nothing to wait for
    if isinstance(error, Refused) or not _patience_ended(context, work.harvest, work.valuation.block):
        text = f"{error}; {len(executed)} of {len(work.plan.legs)} legs are done, the rest follows when it can"
        raise TxPending(text) from error
    return _give_up(context, work, error)


def _patience_ended(context: ChainContext, harvest: Harvest, block: BlockRef) -> bool:
    """Count this visit to a compound that cannot go on."""
    first, _, visits = (context.store.get_flag(_stuck_key(harvest)) or f"{block.timestamp}:0").partition(":")
    context.store.set_flag(_stuck_key(harvest), f"{first}:{int(visits) + 1}")
    return int(visits) + 1 >= _MAX_VISITS and block.timestamp - int(first) >= _PATIENCE_SECONDS


def _reset_patience(context: ChainContext, harvest: Harvest) -> None:
    if context.store.get_flag(_stuck_key(harvest)) is not None:
        context.store.set_flag(_stuck_key(harvest), None)


def _stuck_key(harvest: Harvest) -> str:
    return f"stuck:{harvest.id}"


def _forget(context: ChainContext, harvest: Harvest) -> None:
    """Drop the notes of a finished compound."""
    _reset_patience(context, harvest)
    forget_own(context, harvest.id)
    if context.store.get_flag(looked_key(harvest.id)) is not None:
        context.store.set_flag(looked_key(harvest.id), None)


def _give_up(context: ChainContext, work: Work, error: Exception) -> Harvest:
    for intent in context.store.intents(work.harvest.id):
        if intent.state is IntentState.PLANNED:
            context.store.settle(intent.id, IntentState.CANCELLED)
    _forget(context, work.harvest)
    failed = record_failed(context, work.harvest, work.plan, mined(context, work.harvest), work.valuation, error)
    streak = context.store.failures(failed.position_id)
    if streak >= MAX_FAILURES:
        say_quarantined(context, failed, streak)
    return failed
