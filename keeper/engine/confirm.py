"""Wait until the chain has done it, deep enough that it stays done; send the same bytes again meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keeper.domain.money import UsdWad
from keeper.domain.transaction import Attempt, Intent, IntentState, Receipt
from keeper.engine.context import ChainContext
from keeper.engine.send import broadcast, signed_from
from keeper.errors import RpcRejected, Transient, TxPending, TxReplaced, TxReverted

__all__ = ["await_confirmation"]

#: Seconds before the second look for a receipt; doubles up to the context's ``poll_seconds``.
_FIRST_PAUSE: Final = 0.05


def await_confirmation(
    context: ChainContext,
    intent: Intent,
    native_usd: int,
    *,
    just_sent: bool = False,
    outbid: Callable[[], bool] = lambda: False,
) -> Receipt:
    """Return the intent's receipt at confirmation depth.

    A receipt that disappears (reorg) puts the intent back to broadcast, and its raw bytes on the wire again.

    Args:
        context: the chain.
        intent: an intent with at least one journaled attempt.
        native_usd: price of the gas token, USD wad, to value the fees.
        just_sent: this process has sent it a moment ago; otherwise its bytes are sent again at once.
        outbid: asked, before the same bytes are sent again, whether a dearer transaction with its nonce was sent.

    Raises:
        TxReverted: mined with status 0; settled as such.
        TxReplaced: another transaction provably has the nonce, at confirmation depth; settled as cancelled.
        TxPending: not confirmed in time, or the process is draining. The journal has it; the next start goes on.
    """
    attempts = context.store.attempts(intent.id)
    started = context.clock.monotonic()
    deadline = started + context.confirm_timeout
    resend_at = started + (context.resend_seconds if just_sent else 0)
    words = ""
    stopping_since: float | None = None
    pause = min(_FIRST_PAUSE, context.poll_seconds)
    while True:
        receipt = _look(context, intent, attempts, native_usd)
        if receipt is not None and _deep(context, receipt):
            return _settle(context, intent, receipt)
        now = context.clock.monotonic()
        if receipt is None and now >= resend_at:
            _check_nonce(context, intent, attempts)
            if outbid():
                attempts = context.store.attempts(intent.id)
            else:
                words = _send_again(context, intent, attempts)
            resend_at = now + context.resend_seconds
        if context.stopping():
            stopping_since = stopping_since if stopping_since is not None else now
            deadline = min(deadline, stopping_since + context.drain_seconds)
        if now >= deadline:
            raise TxPending(_pending_text(intent, attempts, words))
        context.clock.sleep(pause)
        pause = min(2 * pause, context.poll_seconds)


def _look(context: ChainContext, intent: Intent, attempts: list[Attempt], native_usd: int) -> Receipt | None:
    """Ask for the receipts of all attempts, and keep the journal in step with the answer."""
    known = context.store.receipt_of(intent.id)
    try:
        found = next(filter(None, (context.chain.receipt(a.hash) for a in reversed(attempts))), None)
    except (Transient, RpcRejected):  # "transaction indexing is in progress", say
        return None
    if found is None:
        if known is not None:
            context.store.reopen(intent.id)
            _send_again(context, intent, attempts)
        return None
    if known is None or (known.tx_hash, known.block_hash) != (found.tx_hash, found.block_hash):
        if known is not None:
            context.store.reopen(intent.id)
        context.store.add_receipt(intent.id, found, cost_usd=UsdWad(found.cost_wei * native_usd // 10**18))
        context.checkpoint("mined")
    return found


def _deep(context: ChainContext, receipt: Receipt) -> bool:
    """Whether the receipt's block is canonical and has enough blocks on top of it."""
    try:
        head = context.chain.head()
        block = context.chain.block(receipt.block_number)
    except (Transient, RpcRejected):
        return False
    depth = head.number - receipt.block_number + 1
    return block is not None and block.hash == receipt.block_hash and depth >= context.chain.facts.confirmations


def _settle(context: ChainContext, intent: Intent, receipt: Receipt) -> Receipt:
    if receipt.status != 1:
        context.store.settle(intent.id, IntentState.REVERTED)
        raise TxReverted(f"{intent.label}: transaction {receipt.tx_hash} was mined and reverted")
    context.store.settle(intent.id, IntentState.CONFIRMED)
    context.checkpoint("confirmed")
    return receipt


def _send_again(context: ChainContext, intent: Intent, attempts: list[Attempt]) -> str:
    _, words = broadcast(context, intent, signed_from(intent, attempts[-1]))
    return words


def _check_nonce(context: ChainContext, intent: Intent, attempts: list[Attempt]) -> None:
    """Release an intent whose nonce another transaction has: only on proof, which is that transaction, deep enough.

    A missing receipt proves nothing; that the account's count has passed the nonce does not say by what.

    Raises:
        TxReplaced: proven.
    """
    nonce = attempts[-1].nonce
    try:
        if context.chain.nonces(intent.sender).latest <= nonce:
            return
        used, head = context.chain.used_by(intent.sender, nonce), context.chain.head()
    except (Transient, RpcRejected):
        return
    if used is None or used[0].lower() in {attempt.hash.lower() for attempt in attempts}:
        return
    if head.number - used[1] + 1 >= max(context.chain.facts.confirmations, 1):
        context.store.settle(intent.id, IntentState.CANCELLED)
        raise TxReplaced(f"{intent.label}: nonce {nonce} was used by {used[0]}, which is not of keeper; doing it again")


def _pending_text(intent: Intent, attempts: list[Attempt], words: str) -> str:
    said = f" (the node says: {words})" if words else ""
    return (
        f"{intent.label}: transaction {attempts[-1].hash} (nonce {attempts[-1].nonce}) is not confirmed yet{said}; "
        "it is in the journal, and keeper goes on with it by itself"
    )
