"""Put journaled raw bytes on the wire, and the same bytes again; never anything that the journal does not hold."""

from __future__ import annotations

from keeper.domain.transaction import Attempt, Intent, SignedTx, TxRequest
from keeper.engine.context import ChainContext
from keeper.ports import Submission

__all__ = ["broadcast", "signed_from"]


def broadcast(context: ChainContext, intent: Intent, signed: SignedTx) -> tuple[Submission, str]:
    """Send raw bytes and record that they may have left, whatever was answered: only the chain knows their fate."""
    outcome, words = context.submitter.submit(signed)
    context.checkpoint("sent")
    context.store.mark_broadcast(intent.id, signed.hash)
    context.checkpoint("marked")
    return outcome, words


def signed_from(intent: Intent, attempt: Attempt) -> SignedTx:
    """Rebuild the signed transaction of a journaled attempt, to send the very same bytes again."""
    request = TxRequest(
        chain_id=intent.chain_id,
        sender=intent.sender,
        nonce=attempt.nonce,
        to=intent.to,
        data=intent.data,
        value=intent.value,
        gas=attempt.gas,
        max_fee_wei=attempt.max_fee_wei,
        max_tip_wei=attempt.max_tip_wei,
    )
    return SignedTx(request, attempt.raw, attempt.hash)
