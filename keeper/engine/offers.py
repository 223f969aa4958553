"""What an unmined transaction could bid now, and its replacement signed: the same nonce, the same call or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from keeper.domain.journal import AddAttempt, MarkBroadcast
from keeper.domain.money import UsdWad
from keeper.domain.plan import Call
from keeper.domain.transaction import Attempt, AttemptState, Purpose, Simulation, TxRequest
from keeper.engine.launch import attempt_of, cancel_call, sign_request
from keeper.errors import PolicyDenied, RpcRejected, Transient
from keeper.ports import Warrant
from keeper.tx.fees import affordable, gas_limit
from keeper.tx.slot import Offer, Offered, Sign, Slot

if TYPE_CHECKING:
    from keeper.engine.flight import Flight
    from keeper.engine.work import Work

__all__ = ["quote", "sign"]

#: Seconds before the policy is asked again for what it has refused: it logs every refusal as an error.
_DENIED_SECONDS: Final = 600.0


def quote(flight: Flight, slot: Slot) -> Offered | None:
    """Ask for fees, and whether the call would still pass alone; ``None`` when the chain cannot be asked now."""
    context, work = flight.context, _work(flight, slot)
    try:
        fees, head = context.chain.fees(), context.chain.head()
        passes = slot.cancelling or work is None or _simulate(flight, slot, work).success
        l1_fees = context.chain.l1_fee_wei(slot.track.intent.data), context.chain.l1_fee_wei(b"")
        cancel_gas = gas_limit(_cancel_gas(flight))
    except (Transient, RpcRejected):
        return None
    native = context.prices_seen.get("native", 0)
    ceiling = context.limits.max_gas_price_wei
    work_caps: tuple[int | None, ...] = (0,)
    budget = None
    if work is not None:
        dollar = work.valuation.native.high
        work_caps = (ceiling, affordable(_less(context.limits.per_tx_usd, l1_fees[0], dollar), dollar, slot.top.gas))
        budget = work.budget_wei if slot.track.intent.leg_index == 0 else None
    least = min(context.cancel_max_usd, context.limits.per_tx_usd)
    cancel_caps = (affordable(_less(least, l1_fees[1], native), native, cancel_gas),)
    offer = Offer(fees, head.number, work_caps, cancel_caps, passes=passes, budget_wei=budget)
    return Offered(offer, context.clock.monotonic())


def sign(flight: Flight, slot: Slot, order: Sign) -> Attempt | None:
    """Sign a replacement and journal it; ``None`` when the policy or the chain keeps it from being signed.

    Raises:
        StoreUnavailable: the journal did not take it; nothing is sent.
    """
    context, intent, work = flight.context, slot.track.intent, _work(flight, slot)
    if order.purpose is Purpose.WORK and context.paused() is not None:
        return None
    denied = f"denied:{intent.id}:{order.purpose}"
    if context.clock.monotonic() - context.said.get(denied, -_DENIED_SECONDS) < _DENIED_SECONDS:
        return None
    try:
        head = context.chain.head()
        if order.purpose is Purpose.CANCEL:
            call = cancel_call(flight.owner)
            simulation = context.chain.simulate(flight.owner, [call], [], head)
        else:
            assert work is not None, "without its compound only a cancel is offered"
            call = Call(intent.kind, intent.label, intent.to, intent.data, intent.value)
            simulation = _simulate(flight, slot, work)
        if not simulation.success:
            return None
        request = TxRequest(
            chain_id=intent.chain_id,
            sender=intent.sender,
            nonce=slot.nonce,
            to=call.to,
            data=call.data,
            value=call.value,
            gas=_gas(slot, simulation, order.purpose),
            max_fee_wei=order.bid.max_fee_wei,
            max_tip_wei=order.bid.max_tip_wei,
            eip1559=context.chain.facts.fee_model != "legacy",
        )
        warrant = Warrant(
            work.harvest.position_id if work else "",
            work.harvest.plan_id if work else "",
            intent.leg_index,
            simulation,
            UsdWad(0),
            purpose=order.purpose,
        )
        signed, fee = sign_request(flight, request, warrant, signer=work.signer if work else None)
    except (Transient, RpcRejected):
        return None
    except PolicyDenied as error:
        context.said[denied] = context.clock.monotonic()
        flight.hold(slot, str(error))
        return None
    attempt = replace(attempt_of(intent, signed, head.number), purpose=order.purpose)
    # What was signed before may have left by now, whatever became of the answer: one at a time is unsent.
    unsent = [MarkBroadcast(intent.id, a.hash) for a in slot.track.attempts if a.state is AttemptState.SIGNED]
    context.store.apply([*unsent, AddAttempt(attempt, fee)])
    context.checkpoint("outbid" if order.purpose is Purpose.WORK else "cancel")
    return attempt


def _less(cap_usd: int, l1_fee_wei: int, native_usd: int) -> int:
    """What a cap in dollars leaves for gas once the L1 data fee is paid."""
    return max(cap_usd - -(-l1_fee_wei * native_usd // 10**18), 0)


def _cancel_gas(flight: Flight) -> int:
    """Gas of a transaction that does nothing: not the same on every chain, and asked for once."""
    if flight.cancel_gas is None:
        simulation = flight.context.chain.simulate(flight.owner, [cancel_call(flight.owner)], [])
        flight.cancel_gas = simulation.gas_used
    return flight.cancel_gas


def _gas(slot: Slot, simulation: Simulation, purpose: Purpose) -> int:
    """A bump never has less gas than what it replaces; a cancel needs only its own."""
    least = slot.top.gas if purpose is Purpose.WORK else 0
    return max(gas_limit(simulation.gas_used), least)


def _simulate(flight: Flight, slot: Slot, work: Work) -> Simulation:
    intent = slot.track.intent
    call = Call(intent.kind, intent.label, intent.to, intent.data, intent.value)
    tokens = [token.address for token in work.plan.tokens]
    return flight.context.chain.simulate(intent.sender, [call], tokens, flight.context.chain.head())


def _work(flight: Flight, slot: Slot) -> Work | None:
    return flight.works.get(slot.track.intent.harvest_id)
