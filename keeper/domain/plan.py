"""A compound as pure data: ordered, labelled calls whose amounts are rules over what the harvest really brings.

A leg's calldata is a template with zero words; a patch says which word takes which amount. The same plan can therefore
be simulated, signed leg by leg by a plain account, or executed in one transaction by a contract that patches words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.money import BPS, Address, Amount, Token
from keeper.domain.reads import Read

__all__ = [
    "Call",
    "Deadline",
    "Leg",
    "LegKind",
    "MinOut",
    "Nft",
    "Patch",
    "Plan",
    "Proof",
    "Share",
]


class LegKind(StrEnum):
    """What a leg does."""

    CLAIM = "claim"
    #: Part of what was claimed is sent to the account that the owner named.
    PAYOUT = "payout"
    APPROVE = "approve"
    SWAP = "swap"
    #: The wrapped gas token becomes gas money.
    UNWRAP = "unwrap"
    ADD_LIQUIDITY = "add_liquidity"
    DEPOSIT = "deposit"
    #: An NFT leaves a farm or goes back to it, or a checkpoint is made: no token moves.
    STAKE = "stake"
    #: Rewards are claimed and put back in one call, without passing through the wallet.
    COMPOUND = "compound"
    #: No leg of a plan: a nonce that is only filled.
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Share:
    """An amount: ``bps`` of what this harvest has brought of ``token`` and not yet spent."""

    token: Token
    bps: int = BPS
    #: Nothing is an amount, too: one side of a deposit that a range does not take. Else nothing ends the compound.
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MinOut:
    """A floor: ``spent`` valued by oracle prices, less slippage. Never zero for a spent amount above zero.

    With numerator and denominator 1 it is a share of the spent amount itself: the least that a deposit may take of it.

    floor = spent * numerator // denominator, then less ``slippage_bps``; in base units of the bought token.
    """

    spent: Share
    numerator: int
    denominator: int
    slippage_bps: int


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time: the block's timestamp plus ``seconds``, as unix seconds."""

    seconds: int = 600


@dataclass(frozen=True, slots=True)
class Patch:
    """Calldata word ``word`` (0 is the first after the selector) takes the value of ``rule``."""

    word: int
    rule: Share | MinOut | Deadline


@dataclass(frozen=True, slots=True)
class Nft:
    """One ERC-721 token."""

    contract: Address
    token_id: int


@dataclass(frozen=True, slots=True)
class Proof:
    """An event without which a leg has done nothing, whatever its status says."""

    #: Contract that emits it.
    address: Address
    #: First topic, 0x hex (``keeper.abi.EventSig.topic``).
    topic: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One transaction of a plan."""

    kind: LegKind
    #: Short label for people, e.g. ``"swap UNI for WETH"``.
    label: str
    to: Address
    #: Calldata with zero words where patches apply.
    template: bytes
    patches: tuple[Patch, ...] = ()
    #: Tokens this leg may take out of the wallet; anything else leaving is an integrity error.
    spends: tuple[Token, ...] = ()
    #: Tokens this leg is expected to bring in; an empty delta on all of them fails the leg.
    brings: tuple[Token, ...] = ()
    #: NFTs this leg may take out of the wallet; any other NFT that leaves is an integrity error.
    nfts: tuple[Nft, ...] = ()
    #: Events that its receipt must hold, where no token tells whether it did anything.
    proves: tuple[Proof, ...] = ()
    #: A view whose answer the leg must change: how its simulation tells a silent nothing.
    changes: Read | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A concrete call: a leg with its amounts filled in. What is simulated is byte for byte what is signed."""

    kind: LegKind
    label: str
    to: Address
    data: bytes
    #: Native wei sent along.
    value: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered compound of one position. ``id`` is the hash of its content."""

    id: str
    position_id: str
    chain: str
    owner: Address
    legs: tuple[Leg, ...]
    #: Every token whose balance may change; simulation and receipts watch these.
    tokens: tuple[Token, ...]
    #: The stake token that the last leg deposits.
    stake_token: Token
    #: What a COMPOUND leg takes in and puts back without it passing through the wallet, as simulated.
    in_place: tuple[Amount, ...] = ()
