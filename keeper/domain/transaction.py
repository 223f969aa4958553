"""One thing to do (Intent), its signed transactions (Attempt), and what the chain did (Receipt).

The allowed transitions are a table, enforced by the store: an intent never goes anywhere the table does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Amount, Token
from keeper.domain.plan import LegKind

__all__ = [
    "INTENT_TRANSITIONS",
    "IN_FLIGHT",
    "Attempt",
    "AttemptState",
    "FeeQuote",
    "Intent",
    "IntentState",
    "NftLog",
    "Nonces",
    "Purpose",
    "Receipt",
    "Sight",
    "SignedTx",
    "SimulatedCall",
    "Simulation",
    "Submission",
    "TransferLog",
    "TxRequest",
]


class IntentState(StrEnum):
    """Where an intent stands."""

    #: Journaled; nothing signed yet.
    PLANNED = "planned"
    #: At least one raw transaction is journaled; it may be on the wire.
    SIGNED = "signed"
    #: At least one endpoint was given a raw transaction.
    BROADCAST = "broadcast"
    #: A receipt was seen, not yet at confirmation depth.
    MINED = "mined"
    #: Executed with status 1 at confirmation depth.
    CONFIRMED = "confirmed"
    #: Executed with status 0 at confirmation depth.
    REVERTED = "reverted"
    #: A cancel (or foreign) transaction provably took the nonce, or nothing was ever signed.
    CANCELLED = "cancelled"


#: States in which a transaction of the intent may still be mined.
IN_FLIGHT: Final[frozenset[IntentState]] = frozenset({IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED})

#: The one table of allowed transitions. A reorg takes what had a receipt, also a mined cancel, back to BROADCAST.
INTENT_TRANSITIONS: Final[dict[IntentState, frozenset[IntentState]]] = {
    IntentState.PLANNED: frozenset({IntentState.SIGNED, IntentState.CANCELLED}),
    IntentState.SIGNED: frozenset({IntentState.BROADCAST, IntentState.MINED, IntentState.CANCELLED}),
    IntentState.BROADCAST: frozenset({IntentState.MINED, IntentState.CANCELLED}),
    IntentState.MINED: frozenset(
        {IntentState.CONFIRMED, IntentState.REVERTED, IntentState.BROADCAST, IntentState.CANCELLED}
    ),
    IntentState.CONFIRMED: frozenset({IntentState.BROADCAST}),
    IntentState.REVERTED: frozenset({IntentState.BROADCAST}),
    IntentState.CANCELLED: frozenset({IntentState.BROADCAST}),
}


class Purpose(StrEnum):
    """What a signed transaction of an intent is for."""

    #: Do what the intent says.
    WORK = "work"
    #: Use up the nonce and do nothing: no value, no data, to the account itself.
    CANCEL = "cancel"


class AttemptState(StrEnum):
    """Where a signed transaction stands."""

    #: Journaled, not yet known to have left the process.
    SIGNED = "signed"
    #: Given to an endpoint that accepted it, or may have.
    BROADCAST = "broadcast"
    #: Its receipt is the intent's receipt.
    MINED = "mined"
    #: Another attempt or transaction took the nonce.
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """What a transaction in the next block costs, in wei per gas unit."""

    #: Base fee of the next block; 0 on legacy chains.
    base_fee_wei: int
    #: Priority fee to bid, within the chain's floor and cap. On legacy chains the whole gas price.
    tip_wei: int
    #: ``False`` on chains without EIP-1559: then ``tip_wei`` is the gas price.
    eip1559: bool = True

    @property
    def price_wei(self) -> int:
        """Expected price paid per gas unit."""
        return self.base_fee_wei + self.tip_wei


@dataclass(frozen=True, slots=True)
class TxRequest:
    """An unsigned transaction, complete: the signer adds nothing and changes nothing."""

    chain_id: int
    sender: Address
    nonce: int
    to: Address
    data: bytes
    value: int
    gas: int
    #: EIP-1559 cap in wei; on legacy chains the gas price.
    max_fee_wei: int
    max_tip_wei: int
    eip1559: bool = True


@dataclass(frozen=True, slots=True)
class SignedTx:
    """Raw signed bytes and their hash. These very bytes are journaled, sent, and sent again."""

    request: TxRequest
    raw: bytes
    #: 0x-prefixed transaction hash.
    hash: str
    #: Blocks since the first transaction of the same intent was signed: when a private relay is no longer waited for.
    waited_blocks: int = 0


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing to do: one leg of one harvest, or a nonce to be filled."""

    #: UUID.
    id: str
    #: Idempotency key, unique for ever: ``harvest_id:leg_index:try``, or ``gap:chain_id:sender:nonce``.
    key: str
    #: Empty for a nonce that is only filled, so that what waits behind it can be mined.
    harvest_id: str
    leg_index: int
    chain: str
    chain_id: int
    sender: Address
    kind: LegKind
    label: str
    to: Address
    data: bytes
    value: int
    state: IntentState = IntentState.PLANNED
    #: ``None`` until the first attempt is signed.
    nonce: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of an intent (the first, a fee bump, or a cancel with the same nonce)."""

    intent_id: str
    hash: str
    raw: bytes
    nonce: int
    gas: int
    max_fee_wei: int
    max_tip_wei: int
    state: AttemptState
    #: Chain head when it was signed.
    signed_block: int
    purpose: Purpose = Purpose.WORK


@dataclass(frozen=True, slots=True)
class TransferLog:
    """One ERC-20 Transfer event of a receipt; unwrapping the gas token counts as one to the zero address."""

    token: Address
    sender: Address
    recipient: Address
    raw: int
    log_index: int


@dataclass(frozen=True, slots=True)
class NftLog:
    """One ERC-721 Transfer event of a receipt."""

    contract: Address
    sender: Address
    recipient: Address
    token_id: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the chain did with a transaction."""

    tx_hash: str
    block_number: int
    block_hash: str
    #: 1 success, 0 reverted.
    status: int
    gas_used: int
    effective_gas_price_wei: int
    #: L1 data fee of OP-stack chains, in wei; 0 elsewhere.
    l1_fee_wei: int
    transfers: tuple[TransferLog, ...]
    nfts: tuple[NftLog, ...] = ()
    #: Every event without repeats: the contract and the first topic (0x hex). What proves a leg that moves no token.
    events: tuple[tuple[Address, str], ...] = ()

    @property
    def cost_wei(self) -> int:
        """All-in cost of the transaction in wei."""
        return self.gas_used * self.effective_gas_price_wei + self.l1_fee_wei

    def delta(self, token: Token, owner: Address) -> Amount:
        """Net amount of ``token`` that this transaction brought to ``owner`` by its Transfer logs."""
        moves = [t for t in self.transfers if t.token == token.address and t.sender != t.recipient]
        gained = sum(t.raw for t in moves if t.recipient == owner)
        return Amount(token, gained - sum(t.raw for t in moves if t.sender == owner))


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """What one call of a simulation would do."""

    success: bool
    gas_used: int
    #: Decoded revert reason, empty on success.
    error: str = ""
    #: Net change of the owner's balance of each watched token, by address.
    deltas: tuple[tuple[Address, int], ...] = ()
    #: What the call returned.
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the chain says the calls would do, run one after another on top of ``block``."""

    block: int
    #: ``"eth_simulateV1"``, ``"probe"`` or ``"estimate"``.
    method: str
    calls: tuple[SimulatedCall, ...]

    @property
    def success(self) -> bool:
        """Whether every call succeeded."""
        return bool(self.calls) and all(call.success for call in self.calls)

    @property
    def gas_used(self) -> int:
        """Gas of all calls, each with its own transaction's intrinsic cost."""
        return sum(call.gas_used for call in self.calls)

    def delta(self, token: Address) -> int:
        """Net change of the owner's balance of ``token`` over all calls, base units."""
        return sum(raw for call in self.calls for address, raw in call.deltas if address == token)


@dataclass(frozen=True, slots=True)
class Nonces:
    """An account's transaction counts as one endpoint sees them."""

    latest: int
    pending: int


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at everything an account has in flight, from one moment, agreed by the chain's quorum of endpoints."""

    head: BlockRef
    #: Height of the newest finalized block; ``None`` where the chain names none (then depth counts).
    finalized: int | None
    nonces: Nonces
    #: Receipts that were found, by lower-case hash. A missing one proves nothing.
    receipts: Mapping[str, Receipt]
    #: Hash of the canonical block at each asked height; one above the head, or one that could not be told, is missing.
    canonical: Mapping[int, str]


class Submission(StrEnum):
    """What an endpoint said to a raw transaction. Anything unknown is MAYBE: the same bytes may be sent again."""

    ACCEPTED = "accepted"
    #: The pool or the chain has it already: as good as accepted.
    KNOWN = "known"
    #: Time-out, closed connection, 5xx, unknown error.
    MAYBE = "maybe"
    #: The nonce is used: look for our receipts.
    NONCE_USED = "nonce_used"
    #: Refused for certain, and not in any pool (funds, fee floor, intrinsic gas).
    REFUSED = "refused"
