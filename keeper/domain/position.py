"""What the user configured (Position) and what its contracts say once and for all (Market)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keeper.domain.money import Address, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Market", "Position", "RouteSpec", "SideEffect", "StrategyOptions"]


class SideEffect(StrEnum):
    """What a harvest or deposit does beyond paying; declared by adapters, charged and shown by the engine."""

    #: A deposit of more stake also pays out pending rewards.
    DEPOSIT_PAYS = "deposit_pays"
    #: Only the owner may harvest.
    OWNER_ONLY = "owner_only"
    #: The contract emits no harvest event; only Transfer logs prove the payment.
    NO_HARVEST_EVENT = "no_harvest_event"
    #: The staked balance grows by itself (aTokens); only extra rewards are harvested.
    REBASING_PRINCIPAL = "rebasing_principal"
    #: Rewards accrue per block, not per second.
    PER_BLOCK = "per_block"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """How a reward is turned into what is deposited: an exchange by name and its router."""

    #: Swap adapter name, e.g. ``"uniswap-v2"``.
    kind: str
    router: Address
    #: Tokens that two-hop routes may pass through, in order of preference.
    via: tuple[Address, ...] = ()
    #: Swap fee of the pools in basis points (30 for Uniswap V2).
    fee_bps: int = 30


@dataclass(frozen=True, slots=True)
class StrategyOptions:
    """Per-position options of the rule; the defaults suit most positions."""

    #: Multiplies the square-root term of the threshold, in basis points (10_000 = 1.0; lower harvests earlier).
    risk_factor_bps: int = 10_000
    #: A harvest must earn its cost back within this time, in seconds (rolling).
    payback_seconds: int = 365 * 86_400
    #: Drift of the reward token, in basis points a year (negative: it loses value).
    reward_drift_bps: int = 0
    #: Largest accepted loss of a swap against the oracle price, in basis points.
    max_slippage_bps: int = 100
    #: Shortest time between two harvests, in seconds.
    min_interval_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """One staked position as configured: where it is, whose it is, and how it shall be compounded."""

    id: str
    chain: str
    #: Protocol adapter name, e.g. ``"synthetix-staking-rewards"``.
    protocol: str
    #: Account that owns the stake and receives rewards.
    owner: Address
    #: Signer name in the config; ``None`` for watch-only.
    signer: str | None
    #: The contract that holds the stake (farm, chef, pool).
    target: Address
    #: Protocol-specific settings, already checked by the adapter (e.g. ``pid``).
    params: Mapping[str, str | int | bool] = field(default_factory=lambda: MappingProxyType({}))
    route: RouteSpec | None = None
    options: StrategyOptions = field(default_factory=StrategyOptions)


@dataclass(frozen=True, slots=True)
class Market:
    """Facts about a position's contracts that do not change: resolved once, cached, never trusted for permissions."""

    #: What is staked.
    stake_token: Token
    #: What harvests pay, in the adapter's order.
    reward_tokens: tuple[Token, ...]
    #: When the stake is an LP token: its two sides. Empty otherwise.
    stake_parts: tuple[Token, ...] = ()
    #: Further contract addresses that the adapter found (e.g. ``"rewards_controller"``).
    contracts: Mapping[str, Address] = field(default_factory=lambda: MappingProxyType({}))
    #: Gas units of one whole compound as seen on real code; used until the first simulation.
    typical_gas: int = 600_000
    side_effects: frozenset[SideEffect] = frozenset()

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every token of this market, without repeats."""
        return tuple(dict.fromkeys((self.stake_token, *self.stake_parts, *self.reward_tokens)))
