"""Make a simulated call a signed transaction: bid, nonce, gas limit, policy, and the journal before anything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.harvest import Harvest
from keeper.domain.money import UsdWad
from keeper.domain.plan import Call
from keeper.domain.transaction import (
    Attempt,
    AttemptState,
    FeeQuote,
    Intent,
    IntentState,
    SignedTx,
    Simulation,
    TxRequest,
)
from keeper.domain.valuation import Valuation
from keeper.engine.context import ChainContext
from keeper.errors import PolicyDenied, Refused
from keeper.ports import Warrant

__all__ = ["Bid", "Leg", "attempt_of", "authorize", "gas_limit", "make_bid"]

#: Gas limit over simulated gas, in percent: another transaction in the same block can make ours dearer.
GAS_MARGIN_PERCENT: Final = 130

#: What the price of gas can become in two blocks, in percent: 1.125 squared.
_TWO_BLOCKS_PERCENT: Final = 127


@dataclass(frozen=True, slots=True)
class Bid:
    """Fee fields of a transaction, wei per gas unit."""

    max_fee_wei: int
    max_tip_wei: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg about to be signed."""

    harvest: Harvest
    signer: str
    index: int
    #: How many intents this leg had before (reverted or never signed).
    tries: int
    call: Call
    #: Simulation of exactly this call.
    simulation: Simulation
    bid: Bid
    eip1559: bool
    valuation: Valuation


def gas_limit(gas_used: int) -> int:
    """Gas limit for a call that used this much in simulation."""
    return -(-gas_used * GAS_MARGIN_PERCENT // 100)


def make_bid(fees: FeeQuote, *, budget_wei: int | None, ceiling_wei: int | None) -> Bid:
    """Bid twice the base fee plus tip, within the decision's budget and the configured ceiling.

    The budget leaves room for two dearer blocks in a row (27 %): where the rule fires the loss is flat around its
    optimum, while a transaction stuck a hair below the price would hold the account up.

    Args:
        fees: price of the next block.
        budget_wei: wei per gas unit at which the harvest stops being worth it; ``None`` for a leg that must follow.
        ceiling_wei: ``limits.max_gas_price_gwei``.

    Raises:
        Refused: when even the next block costs more than that.
    """
    if budget_wei is not None and budget_wei >= fees.price_wei:
        budget_wei = max(budget_wei, fees.price_wei * _TWO_BLOCKS_PERCENT // 100)
    caps = [cap for cap in (budget_wei, ceiling_wei) if cap is not None]
    wanted = 2 * fees.base_fee_wei + fees.tip_wei if fees.eip1559 else fees.tip_wei
    bid = min([wanted, *caps])
    if bid < fees.price_wei:
        raise Refused(
            f"gas is {fees.price_wei / 10**9:.4g} gwei now, above the {bid / 10**9:.4g} gwei this may cost; waiting"
        )
    return Bid(bid, min(fees.tip_wei, bid))


def authorize(context: ChainContext, leg: Leg) -> tuple[Intent, SignedTx]:
    """Journal the intent, have it signed by the policy, journal the raw bytes. Nothing has left the process yet.

    Raises:
        PolicyDenied: when the request is outside the position's policy (the intent is then cancelled).
        StoreUnavailable: when the journal did not take it; nothing is sent.
    """
    harvest, facts = leg.harvest, context.chain.facts
    signer = context.signers[leg.signer]
    if signer.address != harvest.owner:
        raise PolicyDenied(f"signer {leg.signer} holds {signer.address}, this compound belongs to {harvest.owner}")
    intent = Intent(
        id=f"{harvest.id}-{leg.index}-{leg.tries}",
        key=f"{harvest.id}:{leg.index}:{leg.tries}",
        harvest_id=harvest.id,
        leg_index=leg.index,
        chain=facts.name,
        chain_id=facts.chain_id,
        sender=signer.address,
        kind=leg.call.kind,
        label=leg.call.label,
        to=leg.call.to,
        data=leg.call.data,
        value=leg.call.value,
    )
    context.store.add_intent(intent)
    context.checkpoint("planned")
    request = _request(context, leg, intent)
    max_fee_usd = leg.valuation.gas_cost(request.gas * request.max_fee_wei + context.chain.l1_fee_wei(request.data))
    warrant = Warrant(harvest.position_id, harvest.plan_id, leg.index, leg.simulation, max_fee_usd)
    signed = signer.sign(request, warrant)
    context.checkpoint("signed")
    context.store.add_attempt(attempt_of(intent, signed, leg.simulation.block), max_fee_usd=UsdWad(max_fee_usd))
    context.checkpoint("journaled")
    return replace(intent, state=IntentState.SIGNED, nonce=request.nonce), signed


def _request(context: ChainContext, leg: Leg, intent: Intent) -> TxRequest:
    nonce = _next_nonce(context, intent)
    return TxRequest(
        chain_id=intent.chain_id,
        sender=intent.sender,
        nonce=nonce,
        to=intent.to,
        data=intent.data,
        value=intent.value,
        gas=gas_limit(leg.simulation.gas_used),
        max_fee_wei=leg.bid.max_fee_wei,
        max_tip_wei=leg.bid.max_tip_wei,
        eip1559=leg.eip1559,
    )


def _next_nonce(context: ChainContext, intent: Intent) -> int:
    """Return the account's next nonce; one transaction is in flight at a time, so that must be the mined count.

    Raises:
        Refused: the journal or a pool knows of a transaction that is not mined; a nonce above it could stay a gap.
    """
    seen = context.chain.nonces(intent.sender)
    known = max(context.store.next_nonce(intent.chain_id, intent.sender), seen.pending)
    if known > seen.latest:
        text = f"a transaction of {intent.sender} with nonce {known - 1} is not mined yet"
        raise Refused(f"{text}; waiting for it, or for the pool to forget it")
    return seen.latest


def attempt_of(intent: Intent, signed: SignedTx, block: int) -> Attempt:
    """Make the journal's record of signed bytes, before anything is sent; ``block`` is the head they were made on."""
    return Attempt(
        intent_id=intent.id,
        hash=signed.hash,
        raw=signed.raw,
        nonce=signed.request.nonce,
        gas=signed.request.gas,
        max_fee_wei=signed.request.max_fee_wei,
        max_tip_wei=signed.request.max_tip_wei,
        state=AttemptState.SIGNED,
        signed_block=block,
    )
