"""Carry out an open compound: go to the first leg that is not confirmed, and on from there.

The way a compound starts and the way it goes on after a kill are the same way: the journal says which legs the chain
has confirmed and what they brought; the rest is simulated afresh, signed, journaled, sent, confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest
from keeper.domain.money import Amount, usd_decimal
from keeper.domain.plan import Leg as PlanLeg
from keeper.domain.plan import LegKind, MinOut, Patch, Plan
from keeper.domain.transaction import Intent, IntentState, Receipt
from keeper.domain.valuation import Valuation
from keeper.engine.authorize import Leg, authorize, make_bid
from keeper.engine.confirm import await_confirmation
from keeper.engine.context import ChainContext
from keeper.engine.plan import oracle_rate
from keeper.engine.record import Executed, brought, record_done, record_failed
from keeper.engine.send import broadcast, signed_from
from keeper.engine.simulate import rehearse
from keeper.errors import (
    HarvestPaidNothing,
    IntegrityError,
    PolicyDenied,
    Refused,
    SimulationReverted,
    TxPending,
    TxReverted,
)
from keeper.ports import Submission
from keeper.strategy.guards import MAX_FAILURES

__all__ = ["Work", "carry_out", "reprice"]

#: How often a reverted leg is tried again, each time after a fresh simulation.
_MAX_REVERTS: Final = 2
#: How many visits a compound that cannot go on gets before it is given up.
_MAX_VISITS: Final = 5


@dataclass(frozen=True, slots=True)
class Work:
    """An open compound and what it needs to go on."""

    harvest: Harvest
    #: The plan with floors by present prices.
    plan: Plan
    signer: str
    valuation: Valuation
    #: Wei per gas unit above which the first leg is not sent; ``None`` when forced or already begun.
    budget_wei: int | None


def carry_out(context: ChainContext, work: Work) -> Harvest:
    """Finish a compound, or leave it open in the journal.

    Returns:
        The harvest, DONE or FAILED.

    Raises:
        TxPending: a transaction is unconfirmed, gas is too dear, or the process drains; the journal has everything.
        Transient: the chain cannot be read.
        StoreUnavailable: the journal cannot be written; nothing was sent without it.
    """
    executed: list[Executed] = []
    try:
        for index, leg in enumerate(work.plan.legs):
            executed.append(_do_leg(context, work, index, leg, executed))
    except (SimulationReverted, HarvestPaidNothing, Refused) as error:
        if executed and _visits(context, work.harvest) < _MAX_VISITS:
            text = f"{error}; {len(executed)} of {len(work.plan.legs)} legs are done, the rest follows when it can"
            raise TxPending(text) from error
        return _give_up(context, work, error)
    except (TxReverted, PolicyDenied) as error:
        return _give_up(context, work, error)
    context.store.set_flag(_visits_key(work.harvest), None)
    return record_done(context, work.harvest, work.plan, _mined(context, work.harvest), work.valuation)


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
    """Bring one leg to CONFIRMED, from wherever the journal says it stands."""
    while True:
        past = [i for i in context.store.intents(work.harvest.id) if i.leg_index == index]
        live = [i for i in past if i.state not in (IntentState.REVERTED, IntentState.CANCELLED)]
        if live and live[-1].state is IntentState.CONFIRMED:
            receipt = context.store.receipt_of(live[-1].id)
            assert receipt is not None, "a confirmed intent has its receipt in the same commit"
            return live[-1], receipt
        if live and not context.store.attempts(live[-1].id):
            context.store.settle(live[-1].id, IntentState.CANCELLED)  # killed before anything was signed
            continue
        if sum(i.state is IntentState.REVERTED for i in past) > _MAX_REVERTS:
            raise TxReverted(f"{leg.label}: reverted {len(past)} times although each simulation passed")
        try:
            intent = live[-1] if live else _start_leg(context, work, index, len(past), executed)
            if live:
                _resume_leg(context, intent)
            receipt = await_confirmation(context, intent, work.valuation.native.high)
        except TxReverted:
            continue
        _say_mined(context, work, index, intent, receipt)
        _check_left(work.plan, leg, receipt, executed)
        _check_paid(work.plan, leg, receipt)
        return intent, receipt


def _start_leg(context: ChainContext, work: Work, index: int, tries: int, executed: Sequence[Executed]) -> Intent:
    """Simulate what is left on top of the newest block, then sign and send its first call."""
    if context.stopping():
        raise TxPending(f"{work.plan.legs[index].label}: not started, keeper is stopping; the next start goes on here")
    fees = context.chain.fees()
    first = index == 0
    bid = make_bid(fees, budget_wei=work.budget_wei if first else None, ceiling_wei=context.limits.max_gas_price_wei)
    block = context.chain.head()
    rehearsal = rehearse(context.chain, work.plan, block, start=index, holdings=brought(work.plan, executed))
    leg = Leg(
        harvest=work.harvest,
        signer=work.signer,
        index=index,
        tries=tries,
        call=rehearsal.calls[0],
        simulation=rehearsal.single(0),
        bid=bid,
        eip1559=fees.eip1559,
        valuation=work.valuation,
    )
    intent, signed = authorize(context, leg)
    outcome, words = broadcast(context, intent, signed)
    _say_sent(context, work, index, intent, signed.hash, bid.max_fee_wei)
    if outcome is Submission.REFUSED:
        raise TxPending(
            f"{intent.label}: the node refused it ({words}); the same bytes are sent again when that changes"
        )
    return intent


def _resume_leg(context: ChainContext, intent: Intent) -> None:
    """Send an unmined leg's journaled bytes again: perhaps they never left, perhaps the pool lost them."""
    if intent.state in (IntentState.SIGNED, IntentState.BROADCAST):
        broadcast(context, intent, signed_from(intent, context.store.attempts(intent.id)[-1]))


def _check_paid(plan: Plan, leg: PlanLeg, receipt: Receipt) -> None:
    """Believe the Transfer logs, not the status: a claim or swap that brought nothing has failed."""
    if leg.brings and not any(receipt.delta(token, plan.owner).raw > 0 for token in leg.brings):
        names = ", ".join(token.symbol for token in leg.brings)
        raise HarvestPaidNothing(f"{leg.label}: transaction {receipt.tx_hash} succeeded but brought no {names}")


def _check_left(plan: Plan, leg: PlanLeg, receipt: Receipt, executed: Sequence[Executed]) -> None:
    """Halt when anything left the wallet that this leg may not spend, or more than the harvest had brought.

    Raises:
        IntegrityError: policy and simulation both allowed what should not have happened; a person must look.
    """
    allowed = {token.address for token in leg.spends}
    have = brought(plan, executed)
    for log in receipt.transfers:
        if log.sender == plan.owner != log.recipient and log.raw and log.token not in allowed:
            text = f"{leg.label}: transaction {receipt.tx_hash} took token {log.token} out of the wallet unasked"
            raise IntegrityError(f"{text}; revoke approvals and look at this contract before starting again")
    for token in leg.spends:
        if have.get(token.address, 0) + receipt.delta(token, plan.owner).raw < 0:
            text = f"{leg.label}: transaction {receipt.tx_hash} spent more {token.symbol} than the harvest had brought"
            raise IntegrityError(f"{text}; look at it before starting again")


def _visits_key(harvest: Harvest) -> str:
    return f"visits:{harvest.id}"


def _visits(context: ChainContext, harvest: Harvest) -> int:
    """Count this visit to a compound that cannot go on; returns how many there were."""
    visits = int(context.store.get_flag(_visits_key(harvest)) or 0) + 1
    context.store.set_flag(_visits_key(harvest), str(visits))
    return visits


def _mined(context: ChainContext, harvest: Harvest) -> list[Executed]:
    """Every transaction of the compound that the chain has executed, the reverted ones too: they cost as well."""
    pairs = ((i, context.store.receipt_of(i.id)) for i in context.store.intents(harvest.id))
    return [(intent, receipt) for intent, receipt in pairs if receipt is not None]


def _give_up(context: ChainContext, work: Work, error: Exception) -> Harvest:
    for intent in context.store.intents(work.harvest.id):
        if intent.state is IntentState.PLANNED:
            context.store.settle(intent.id, IntentState.CANCELLED)
    context.store.set_flag(_visits_key(work.harvest), None)
    failed = record_failed(context, work.harvest, work.plan, _mined(context, work.harvest), work.valuation, error)
    streak = context.store.failures(failed.position_id)
    if streak >= MAX_FAILURES:
        context.emit(
            EventName.POSITION_QUARANTINED,
            Level.ERROR,
            position=failed.position_id,
            streak=streak,
            error=f"set aside after {streak} failures in a row; the last: {failed.error}",
        )
    return failed


def _say_sent(context: ChainContext, work: Work, index: int, intent: Intent, tx: str, max_fee_wei: int) -> None:
    context.emit(
        EventName.HARVEST_SENT,
        position=work.harvest.position_id,
        harvest=work.harvest.id,
        leg=index + 1,
        legs=len(work.plan.legs),
        label=intent.label,
        nonce=intent.nonce,
        tx=tx,
        bid_gwei=f"{max_fee_wei / 10**9:.4g}",
        budget_usd=f"{usd_decimal(work.harvest.predicted_cost_usd):.2f}",
    )


def _say_mined(context: ChainContext, work: Work, index: int, intent: Intent, receipt: Receipt) -> None:
    gained = [receipt.delta(token, work.plan.owner) for token in work.plan.tokens]
    context.emit(
        EventName.HARVEST_MINED,
        position=work.harvest.position_id,
        harvest=work.harvest.id,
        leg=index + 1,
        legs=len(work.plan.legs),
        label=intent.label,
        tx=receipt.tx_hash,
        block=receipt.block_number,
        gas=receipt.gas_used,
        cost_wei=receipt.cost_wei,
        received=", ".join(_word(amount) for amount in gained if amount.raw > 0),
    )


def _word(amount: Amount) -> str:
    return f"{amount.decimal:.6g} {amount.token.symbol}"
