"""How a transaction is spelled: its state, its fees, and what happens to it next, in plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from keeper.cli.output import duration, gas_price
from keeper.domain.facts import ChainFacts
from keeper.domain.journal import Track
from keeper.domain.transaction import IN_FLIGHT, Attempt, AttemptState, IntentState, Purpose

__all__ = [
    "Seen",
    "age",
    "attempt_word",
    "fee_text",
    "hash_short",
    "is_open",
    "native",
    "next_step",
    "short_id",
    "state_word",
    "track_json",
]

_LONG_PART = re.compile(r"[0-9a-f]{9,}")


@dataclass(frozen=True, slots=True)
class Seen:
    """One transaction and what stands around it."""

    track: Track
    #: Position whose compound it belongs to; empty for a nonce that is only filled.
    position: str
    #: Facts of its chain; ``None`` when the config has no such chain any more.
    facts: ChainFacts | None
    #: Newest block that the journal knows of; ``None`` when it knows none.
    head: int | None
    #: Whether a process holds the account's lane and so looks after it.
    held: bool
    #: Why nothing is signed now; empty while nothing stops it.
    stopped: str = ""
    #: Whether a person, or keeper itself, asked for it to be cancelled.
    cancel_asked: bool = False
    #: Whether a reorg took a receipt of it back, and nothing has taken its place yet.
    reorged: bool = False

    @property
    def top(self) -> Attempt | None:
        """The newest signed transaction."""
        return self.track.attempts[-1] if self.track.attempts else None


def is_open(track: Track) -> bool:
    """Whether anything can still happen to it: it is not settled, or can be reorganised."""
    state = track.intent.state
    return state is IntentState.PLANNED or state in IN_FLIGHT or (not track.final and track.intent.nonce is not None)


def short_id(intent_id: str) -> str:
    """Cut the long parts of an id to eight letters; commands take that too."""
    return _LONG_PART.sub(lambda match: match[0][:8], intent_id)


def state_word(seen: Seen) -> str:
    """Spell where it stands in a word or two."""
    track, state = seen.track, seen.track.intent.state
    if state in (IntentState.SIGNED, IntentState.BROADCAST):
        if track.attempts and track.attempts[-1].purpose is Purpose.CANCEL:
            return "cancelling"
        if seen.reorged:
            return "reorged"
        return "in flight" if state is IntentState.BROADCAST else "signed"
    return "final" if track.final and state is IntentState.CONFIRMED else state.value


def hash_short(tx_hash: str) -> str:
    """Spell a transaction hash as ``0x1de7361f..ddc0``."""
    return f"{tx_hash[:10]}..{tx_hash[-4:]}"


def fee_text(attempt: Attempt, symbol: str) -> str:
    """Spell what an attempt bids, and what it can cost at most (without L1 data)."""
    most = native(attempt.gas * attempt.max_fee_wei, symbol)
    tip = f" (tip {gas_price(attempt.max_tip_wei)})" if attempt.max_tip_wei != attempt.max_fee_wei else ""
    return f"bids {gas_price(attempt.max_fee_wei)}{tip} for {attempt.gas:,} gas, at most {most}"


def native(wei: int, symbol: str) -> str:
    """Spell an amount of gas money with four digits."""
    from keeper.cli.output import amount
    from keeper.domain.money import Address, Amount, Token

    return amount(Amount(Token("", Address(""), symbol, 18), wei), 4)


def next_step(seen: Seen) -> str:
    """Say what happens next, and what a person can do about it."""
    state = seen.track.intent.state
    if state is IntentState.PLANNED:
        return _planned(seen)
    if state in (IntentState.SIGNED, IntentState.BROADCAST):
        return _waiting(seen)
    if state is IntentState.MINED:
        return _mined(seen)
    return _settled(seen)


def _nobody(seen: Seen) -> str:
    """Say that nothing happens by itself when no process looks after the account."""
    return "" if seen.held else "; nothing is done until `keeper run` (or `keeper harvest`) is started again"


def _planned(seen: Seen) -> str:
    if seen.stopped:
        return f"nothing is signed for it: {seen.stopped}"
    return f"nothing is signed for it yet; it is signed and sent, or dropped with its compound{_nobody(seen)}"


def _waiting(seen: Seen) -> str:
    short = short_id(seen.track.intent.id)
    top = seen.top
    if top is not None and top.purpose is Purpose.CANCEL:
        text = (
            "its cancel waits to be mined; whichever of its transactions is mined first stands: the cancel ends it as "
            "cancelled, the original as done"
        )
        return text + _nobody(seen)
    if seen.cancel_asked:
        return f"asked to be cancelled; its cancel is signed at the next look{_nobody(seen)}"
    if seen.stopped:
        return f"it may still be mined, and is watched; nothing new is begun: {seen.stopped}"
    back = "a reorg took its block away; it " if seen.reorged else ""
    text = (
        f"{back}waits to be mined; the same bytes are sent again every minute, and outbid when the price of gas has "
        f"passed them; `keeper tx speed-up {short}` and `keeper tx cancel {short}` do so now"
    )
    return text + _nobody(seen)


def _mined(seen: Seen) -> str:
    receipt, facts = seen.track.receipt, seen.facts
    if receipt is None or facts is None:
        return "mined; counts once enough blocks are on top"
    done = receipt.block_number + max(facts.confirmations, 1) - 1
    left = "" if seen.head is None else f", {max(done - seen.head, 0)} blocks from block {seen.head:,}"
    return f"mined; counts as done at block {done:,}{left}{_nobody(seen)}"


def _settled(seen: Seen) -> str:
    state, receipt = seen.track.intent.state, seen.track.receipt
    outcome = {
        IntentState.CONFIRMED: "done",
        IntentState.REVERTED: "mined and failed; what it cost is counted",
        IntentState.CANCELLED: "cancelled: its nonce was used by a transaction that does nothing",
    }[state]
    if state is IntentState.CANCELLED and seen.track.intent.nonce is None:
        return "dropped before anything was signed; it cost nothing"
    if state is IntentState.CANCELLED and receipt is None:
        outcome = "can never be mined: a transaction that keeper has not signed has its nonce"
    if seen.track.final:
        return f"{outcome}; final, nothing can change it any more"
    return f"{outcome}; {_until_final(seen)}"


def _until_final(seen: Seen) -> str:
    receipt, facts = seen.track.receipt, seen.facts
    if facts is None or receipt is None:
        return "looked at until it is final, because a reorg could still take it back"
    if facts.finality_tag:
        return f"final once {facts.name} calls block {receipt.block_number:,} finalized; until then a reorg is noticed"
    final = receipt.block_number + max(facts.finality_blocks, facts.confirmations) - 1
    left = "" if seen.head is None else f", {max(final - seen.head, 0)} blocks from block {seen.head:,}"
    return f"final at block {final:,}{left}; until then a reorg is noticed"


def age(seen: Seen, now: int) -> str:
    """Spell how long ago it was journaled."""
    return duration(max(now - seen.track.created_at, 0)) if seen.track.created_at else "-"


# ---------------------------------------------------------------------------- for programs


def track_json(seen: Seen) -> dict[str, Any]:
    """A transaction with everything on record, wei as text."""
    track, receipt = seen.track, seen.track.receipt
    intent = track.intent
    return {
        "id": intent.id,
        "key": intent.key,
        "position": seen.position or None,
        "harvest": intent.harvest_id or None,
        "leg": intent.leg_index + 1 if intent.harvest_id else None,
        "kind": intent.kind.value,
        "label": intent.label,
        "chain": intent.chain,
        "account": intent.sender,
        "to": intent.to,
        "value_wei": str(intent.value),
        "data": intent.data,
        "nonce": intent.nonce,
        "state": intent.state.value,
        "final": track.final,
        "open": is_open(track),
        "created_at": track.created_at,
        "cancel_asked": seen.cancel_asked,
        "reorged": seen.reorged,
        "attempts": [_attempt_json(attempt) for attempt in track.attempts],
        "receipt": None
        if receipt is None
        else {
            "tx": receipt.tx_hash,
            "block": receipt.block_number,
            "block_hash": receipt.block_hash,
            "status": receipt.status,
            "gas_used": receipt.gas_used,
            "price_wei": str(receipt.effective_gas_price_wei),
            "l1_fee_wei": str(receipt.l1_fee_wei),
            "cost_wei": str(receipt.cost_wei),
        },
        "next": next_step(seen),
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "tx": attempt.hash,
        "purpose": attempt.purpose.value,
        "state": attempt.state.value,
        "gas": attempt.gas,
        "max_fee_wei": str(attempt.max_fee_wei),
        "max_tip_wei": str(attempt.max_tip_wei),
        "signed_block": attempt.signed_block,
    }


def attempt_word(attempt: Attempt) -> str:
    """Spell what became of one signed transaction."""
    return {
        AttemptState.SIGNED: "signed, not sent yet",
        AttemptState.BROADCAST: "sent",
        AttemptState.MINED: "mined",
        AttemptState.REPLACED: "replaced",
    }[attempt.state]
