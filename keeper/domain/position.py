"""What the user configured (Position) and what its contracts say once and for all (Market)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keeper.domain.money import Address, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Market", "Position", "RewardsEnd", "RouteSpec", "SideEffect", "StrategyOptions"]


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
    #: The harvest serves every depositor of a vault; the position owns a share of what it brings.
    FOR_EVERYBODY = "for_everybody"


class RewardsEnd(StrEnum):
    """What the end of emission that a contract names means."""

    #: Final until it has been seen to move, then renewed: a harvest must pay back before the first end seen.
    AUTO = "auto"
    #: It is renewed again and again (weekly epochs): not an end.
    RENEWED = "renewed"
    #: Emission ends there.
    FINAL = "final"


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

    #: Which policy says when; ``""`` for the one of ``[strategy]``.
    policy: str = ""
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
    #: Longest time between two harvests, in seconds: after it a reward worth more than its cost is harvested whatever
    #: the rule says. ``None`` for no such bound.
    max_interval_seconds: int | None = None
    #: Unix seconds at which the owner means to leave; ``None`` when that is not known.
    exit_at: int | None = None
    #: Yearly yield of what a harvested reward goes into, where that is not this position; basis points.
    target_yield_bps: int | None = None
    #: Yearly change of the reward rate, basis points (negative: emission falls).
    rate_drift_bps: int = 0
    #: Whether the end of emission that the contract names is the last one: ``"auto"`` waits to see it renewed once.
    rewards_end: RewardsEnd = RewardsEnd.AUTO
    #: Harvests within any 365 days (each is a taxable receipt in many places); ``None`` for no such bound.
    max_harvests_per_year: int | None = None
    #: How often a year the owner would like to be able to leave, thousandths: what a lock or a penalty clock that a
    #: re-deposit restarts is charged by.
    exits_per_year_milli: int = 1_000
    #: Yearly value of being able to leave, basis points of the stake: what a restarted lock is charged by.
    lock_premium_bps: int = 500
    #: Part of each harvest that is paid out instead of re-deposited, basis points, and to whom.
    payout_bps: int = 0
    payout_to: Address | None = None
    #: Balance of the gas token, wei, below which a harvest also buys gas; 0 for never.
    gas_keep_wei: int = 0
    #: Most of one harvest that may become gas, basis points.
    gas_share_bps: int = 1_000
    #: Positions of the same chain and account with the same name here are decided together; ``""`` for alone.
    batch: str = ""
    #: Ids of positions that this one may be left for: advice only.
    candidates: tuple[str, ...] = ()
    #: Cost of leaving this position and of entering it, basis points of the stake, for that advice.
    exit_cost_bps: int = 0
    entry_cost_bps: int = 0


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
