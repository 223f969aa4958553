"""A compound as pure data: ordered, labelled calls whose amounts are rules over what the harvest really brings.

A leg's calldata is a template with zero words; a patch says which word takes which amount. The same plan can therefore
be simulated, signed leg by leg by a plain account, or executed in one transaction by a contract that patches words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.money import BPS, Address, Token

__all__ = [
    "Call",
    "Deadline",
    "Leg",
    "LegKind",
    "MinOut",
    "Patch",
    "Plan",
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
    #: No leg of a plan: a nonce that is only filled.
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Share:
    """An amount: ``bps`` of what this harvest has brought of ``token`` and not yet spent."""

    token: Token
    bps: int = BPS


@dataclass(frozen=True, slots=True)
class MinOut:
    """A floor: ``spent`` valued by oracle prices, less slippage. Never zero for a spent amount above zero.

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
