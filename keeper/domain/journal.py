"""What the journal holds of a transaction, and every change it takes: data, several to one durable commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from keeper.domain.money import NO_USD, UsdWad
from keeper.domain.transaction import Attempt, Intent, IntentState, Receipt

__all__ = [
    "AddAttempt",
    "AddIntent",
    "AddReceipt",
    "Change",
    "Finalise",
    "MarkBroadcast",
    "Reopen",
    "Settle",
    "Track",
]


@dataclass(frozen=True, slots=True)
class Track:
    """Everything on record about one intent."""

    intent: Intent
    #: Oldest first.
    attempts: tuple[Attempt, ...] = ()
    #: The receipt that stands; ``None`` while unmined, or after a reorg took it.
    receipt: Receipt | None = None
    #: The receipt's block can no longer be reorganised; nothing about this intent is ever looked at again.
    final: bool = False
    #: Unix seconds when it was journaled.
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class AddIntent:
    """Record one thing to do (state PLANNED). Its key is unique for ever."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class AddAttempt:
    """Record signed raw bytes, and the intent as SIGNED with this nonce, before anything is sent."""

    attempt: Attempt
    #: Value of the fees at the attempt's caps; the day's budget counts it while in flight.
    max_fee_usd: UsdWad = NO_USD


@dataclass(frozen=True, slots=True)
class MarkBroadcast:
    """The raw bytes left, or may have left, the process."""

    intent_id: str
    tx_hash: str


@dataclass(frozen=True, slots=True)
class AddReceipt:
    """Mined, not yet confirmed. Replaces an earlier receipt of the same intent."""

    intent_id: str
    receipt: Receipt
    #: Value of its fees.
    cost_usd: UsdWad = NO_USD


@dataclass(frozen=True, slots=True)
class Settle:
    """CONFIRMED, REVERTED or CANCELLED."""

    intent_id: str
    state: IntentState


@dataclass(frozen=True, slots=True)
class Reopen:
    """A reorg took the receipt away: back to BROADCAST; receipt and ledger rows reversed, the compound open again."""

    intent_id: str


@dataclass(frozen=True, slots=True)
class Finalise:
    """The receipt's block is final."""

    intent_id: str


Change: TypeAlias = AddIntent | AddAttempt | MarkBroadcast | AddReceipt | Settle | Reopen | Finalise
