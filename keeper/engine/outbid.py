"""Outbid our own stuck transaction: same nonce, same call, higher fees, within what the compound may cost.

The same nonce means that at most one of them is ever mined; all are in the journal, and a receipt of any counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.harvest import Harvest
from keeper.domain.money import UsdWad
from keeper.domain.plan import Call, Plan
from keeper.domain.transaction import Attempt, FeeQuote, Intent, TxRequest
from keeper.domain.valuation import Valuation
from keeper.engine.authorize import Bid, attempt_of, gas_limit
from keeper.engine.context import ChainContext
from keeper.engine.send import broadcast
from keeper.engine.telling import say_sent
from keeper.errors import PolicyDenied, RpcRejected, Transient
from keeper.ports import Warrant

__all__ = ["Outbidder", "higher_bid"]


def higher_bid(last: Attempt, fees: FeeQuote, caps: list[int]) -> Bid | None:
    """Return a bid that replaces ``last`` and can be mined in the next block, or ``None``.

    Nodes take a replacement only when both fields rise by a tenth; an eighth is used, rounded up, as geth users do.

    Args:
        last: the highest attempt so far.
        fees: price of the next block.
        caps: wei per gas unit that may not be passed.
    """
    if last.max_fee_wei >= fees.base_fee_wei + (0 if fees.eip1559 else fees.tip_wei):
        return None  # it can still be mined as it is
    least = -(-last.max_fee_wei * 9 // 8)
    wanted = 2 * fees.base_fee_wei + fees.tip_wei if fees.eip1559 else fees.tip_wei
    bid = min([max(least, wanted), *caps])
    if bid < least or bid < fees.price_wei:
        return None
    return Bid(bid, min(max(fees.tip_wei, -(-last.max_tip_wei * 9 // 8)), bid))


@dataclass(frozen=True, slots=True)
class Outbidder:
    """What is needed to sign a replacement for one intent."""

    harvest: Harvest
    plan: Plan
    signer: str
    valuation: Valuation
    intent: Intent
    #: Wei per gas unit at which the harvest stops being worth it; ``None`` once it must be finished.
    budget_wei: int | None

    def outbid(self, context: ChainContext) -> bool:
        """Replace the transaction when the price of gas has left it behind; ``False`` leaves it to wait.

        Never above the budget, ``limits.max_gas_price_gwei`` or the signer's caps; never a call that would now fail.
        """
        attempts = context.store.attempts(self.intent.id)
        last = max(attempts, key=lambda attempt: attempt.max_fee_wei)
        try:
            fees = context.chain.fees()
            caps = [cap for cap in (self.budget_wei, context.limits.max_gas_price_wei) if cap is not None]
            bid = higher_bid(last, fees, caps)
            return bid is not None and self._replace(context, last, bid, fees, len(attempts) + 1)
        except (Transient, RpcRejected, PolicyDenied):
            return False

    def _replace(self, context: ChainContext, last: Attempt, bid: Bid, fees: FeeQuote, number: int) -> bool:
        intent, head = self.intent, context.chain.head()
        call = Call(intent.kind, intent.label, intent.to, intent.data, intent.value)
        simulation = context.chain.simulate(intent.sender, [call], [t.address for t in self.plan.tokens], head)
        if not simulation.success:
            return False
        request = TxRequest(
            chain_id=intent.chain_id,
            sender=intent.sender,
            nonce=last.nonce,
            to=intent.to,
            data=intent.data,
            value=intent.value,
            gas=max(gas_limit(simulation.gas_used), last.gas),
            max_fee_wei=bid.max_fee_wei,
            max_tip_wei=bid.max_tip_wei,
            eip1559=fees.eip1559,
        )
        fee = self.valuation.gas_cost(request.gas * request.max_fee_wei + context.chain.l1_fee_wei(request.data))
        warrant = Warrant(self.harvest.position_id, self.harvest.plan_id, intent.leg_index, simulation, UsdWad(fee))
        signed = context.signers[self.signer].sign(request, warrant)
        context.store.add_attempt(attempt_of(intent, signed, head.number), max_fee_usd=UsdWad(fee))
        context.checkpoint("outbid")
        broadcast(context, intent, signed)
        say_sent(context, self.harvest, self.plan, intent, signed.hash, request.max_fee_wei, attempt=number)
        return True
