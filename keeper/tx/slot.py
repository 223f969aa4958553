"""What the machine of one nonce remembers, hears and orders: its vocabulary, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from keeper.domain.journal import Change, Track
from keeper.domain.transaction import Attempt, FeeQuote, IntentState, Purpose, Sight, Submission
from keeper.tx.fees import Bid
from keeper.tx.refusals import NO_WORDS, Words

__all__ = [
    "Answered",
    "Asked",
    "Event",
    "Offer",
    "Offered",
    "Order",
    "Prove",
    "Proved",
    "Quote",
    "Rules",
    "Saw",
    "Send",
    "Sign",
    "Signed",
    "Slot",
    "Step",
    "Tell",
    "Woke",
]


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient one chain's machine is."""

    #: Blocks, the receipt's own included, after which a receipt counts.
    confirmations: int
    #: Blocks after which it is final, where the chain names no finalized block.
    finality_blocks: int
    #: Seconds after which unmined bytes go out again, unchanged.
    resend_seconds: float = 60.0
    #: Seconds after which an unmined transaction's price is looked at.
    bump_seconds: float = 30.0
    #: Blocks after which one is outbid that could have been mined at its price.
    bump_blocks: int = 3
    #: Looks in a row that show the nonce used, before a proof is asked for.
    sightings: int = 3
    #: Blocks after which a transaction that is not worth its present price is cancelled; before that it rides.
    deadline_blocks: int = 150
    #: Tip that is never passed.
    tip_cap_wei: int | None = None
    #: What this chain's nodes say, as far as the config knows better than the shipped table.
    words: Words = field(default_factory=lambda: NO_WORDS)


@dataclass(frozen=True, slots=True)
class Slot:
    """One intent as the journal has it, and what this process remembers beside."""

    track: Track
    #: Monotonic seconds when bytes of it last went out.
    sent_at: float | None = None
    #: Monotonic seconds when its price was last looked at, or when its newest attempt was sent.
    quoted_at: float | None = None
    #: Block from which on its nonce was seen to be the next; ``None`` while one before it is unmined.
    turn: int | None = None
    #: Looks in a row that showed its nonce used and none of its receipts.
    sightings: int = 0
    #: Proofs that were asked for in vain; each makes the next one rarer.
    proofs: int = 0
    #: Why it is being given up; empty while it is not.
    giving_up: str = ""
    #: Why it should be given up by the last look at its price; that can pass, unlike ``giving_up``.
    hopeless: str = ""
    #: By the last look at its price, the next block could not take it.
    behind: bool = False
    #: A person wants it dearer, now.
    hurry: bool = False
    #: What nodes said when all of them refused its newest bytes, and how often.
    refused: str = ""
    refusals: int = 0
    #: Block of the foreign transaction that has its nonce, when this process has seen the proof.
    foreign_block: int | None = None
    #: It was told that it is stuck.
    told: bool = False

    @property
    def state(self) -> IntentState:
        """Where its intent stands."""
        return self.track.intent.state

    @property
    def nonce(self) -> int:
        """Its nonce; -1 before it has one."""
        return -1 if self.track.intent.nonce is None else self.track.intent.nonce

    @property
    def top(self) -> Attempt:
        """Its highest bid, which is its newest."""
        return max(self.track.attempts, key=lambda attempt: (attempt.max_fee_wei, attempt.max_tip_wei))

    @property
    def cancelling(self) -> bool:
        """Whether only cancels are signed for it from now on."""
        return bool(self.giving_up) or any(a.purpose is Purpose.CANCEL for a in self.track.attempts)


# ------------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Woke:
    """It was loaded from the journal: nobody knows what the pools remember."""

    at: float


@dataclass(frozen=True, slots=True)
class Signed:
    """A new attempt is in the journal."""

    attempt: Attempt
    at: float


@dataclass(frozen=True, slots=True)
class Answered:
    """Bytes were given to the endpoints."""

    tx_hash: str
    outcome: Submission
    words: str
    at: float


@dataclass(frozen=True, slots=True)
class Saw:
    """An agreed look at the chain."""

    sight: Sight
    at: float
    #: Value of a wei in USD, wad per 1e18 wei, to value fees by.
    native_usd: int = 0


@dataclass(frozen=True, slots=True)
class Proved:
    """The agreed answer to ``Prove``: hash and block of the transaction that has the nonce, if it could be told."""

    user: tuple[str, int] | None
    head: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What the transaction could bid now, and whether it should."""

    fees: FeeQuote
    head: int
    #: Caps on a bid for the work, wei per gas unit.
    work_caps: tuple[int | None, ...]
    #: Caps on a bid for a cancel, wei per gas unit.
    cancel_caps: tuple[int | None, ...]
    #: Whether the call would still succeed, alone, on the newest block.
    passes: bool = True
    #: Wei per gas unit at which the work stops being worth it; ``None`` for what must be finished.
    budget_wei: int | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """The answer to ``Quote``."""

    offer: Offer
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A person, or the rest of the compound, wants it gone (``why``), or dearer (``hurry``)."""

    why: str = ""
    hurry: bool = False


Event: TypeAlias = Woke | Signed | Answered | Saw | Proved | Offered | Asked


# ------------------------------------------------------------------------------------------------------------ orders


@dataclass(frozen=True, slots=True)
class Send:
    """Put the journaled bytes of this attempt on the wire."""

    tx_hash: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Find out which transaction has the nonce."""

    nonce: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Find out what it could bid now, and whether its call still passes."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign another attempt with the same nonce, journal it, then say ``Signed``."""

    bid: Bid
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell people: ``reorged``, ``stuck``, ``foreign`` or ``cancelled``, with a reason or a hash."""

    what: str
    detail: str = ""


Order: TypeAlias = Send | Prove | Quote | Sign | Tell


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from an event."""

    slot: Slot
    #: To be committed, together, before any order is carried out.
    changes: tuple[Change, ...] = ()
    orders: tuple[Order, ...] = ()
