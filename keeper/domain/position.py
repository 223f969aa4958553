"""What the user configured (Position) and what its contracts say once and for all (Market)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keeper.domain.money import Address, Token
from keeper.domain.spec import PriceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Basket", "Market", "Position", "RewardsEnd", "RouteSpec", "SideEffect", "StrategyOptions"]


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
    #: Anybody may harvest; the rewards go to the owner all the same.
    ANYONE_MAY_HARVEST = "anyone_may_harvest"
    #: A public call has to come first (``harvestFromMasterChef``, ``earmarkRewards``) before anything is paid.
    TWO_STEPS = "two_steps"
    #: The stake is an NFT; it may leave the farm and go back to it within a compound.
    NFT = "nft"
    #: Rewards are claimed and put back in one call.
    ONE_CALL = "one_call"
    #: What is added to the stake earns from the next harvest on only.
    COUNTS_NEXT_TIME = "counts_next_time"
    #: A deposit restarts a clock: a lock, an exit fee, a penalty on early claims.
    RESTARTS_CLOCK = "restarts_clock"
    #: A part of every deposit is kept by the farm.
    DEPOSIT_FEE = "deposit_fee"
    #: Nothing is harvested: the balance, or what a share is worth, grows by itself.
    GROWS_BY_ITSELF = "grows_by_itself"


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
    #: Swap fee of the pools in basis points (30 for Uniswap V2), where the exchange has one fee for all.
    fee_bps: int = 30
    #: Contract that quotes (Uniswap V3 and V4).
    quoter: Address | None = None
    #: Fee tiers to try, hundredths of a basis point (Uniswap V3: 100, 500, 3000, 10000); empty for the usual ones.
    tiers: tuple[int, ...] = ()
    #: Pools to use, where the exchange has no registry to ask (Curve).
    pools: tuple[Address, ...] = ()


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
    #: Further exchanges: the best of all, net of gas, is taken at each harvest.
    other_routes: tuple[RouteSpec, ...] = ()

    @property
    def routes(self) -> tuple[RouteSpec, ...]:
        """Every exchange it may sell on."""
        return (*(() if self.route is None else (self.route,)), *self.other_routes)


@dataclass(frozen=True, slots=True)
class Basket:
    """How a stake token is made of others: an LP token of its sides, a vault share of its asset."""

    #: Pool maker's name, e.g. ``"uniswap-v2"``.
    kind: str
    #: What comes out, and is staked.
    token: Token
    #: What goes in: two sides, or one where a single one is enough.
    parts: tuple[Token, ...]
    #: Contract that takes the parts (router, pool, vault).
    entry: Address
    #: How it is valued where the config names no source.
    price: PriceSpec
    #: Cost of entering beyond slippage, basis points of what goes in (a swap fee inside the pool).
    fee_bps: int = 0
    #: Further addresses and numbers that the pool maker found.
    contracts: Mapping[str, Address] = field(default_factory=lambda: MappingProxyType({}))
    numbers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Market:
    """Facts about a position's contracts that do not change: resolved once, cached, never trusted for permissions."""

    #: What is staked.
    stake_token: Token
    #: What harvests pay, in the adapter's order.
    reward_tokens: tuple[Token, ...]
    #: What the stake is made of: an LP token's sides (see ``basket``), or what a deposit itself takes (a range of
    #: Uniswap V3 takes two tokens). Empty when the stake token is deposited as it is.
    stake_parts: tuple[Token, ...] = ()
    #: Further contract addresses that the adapter found (e.g. ``"rewards_controller"``).
    contracts: Mapping[str, Address] = field(default_factory=lambda: MappingProxyType({}))
    #: Further numbers that the adapter found (e.g. the number of a pool in another contract).
    numbers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    #: Gas units of one whole compound as seen on real code; used until the first simulation.
    typical_gas: int = 600_000
    side_effects: frozenset[SideEffect] = frozenset()
    #: The stake token is no ERC-20 but stands for a position (liquidity of an NFT): nothing asks for its balance.
    virtual: bool = False
    #: How tokens are valued where the config names no source (a range's liquidity, a share).
    prices: Mapping[Address, PriceSpec] = field(default_factory=lambda: MappingProxyType({}))
    #: How the stake token is made; found by the engine, not by adapters.
    basket: Basket | None = None
    #: Tokens that a harvest for everybody pays to whoever calls it.
    fee_tokens: tuple[Token, ...] = ()

    @property
    def held(self) -> tuple[Token, ...]:
        """Every token of this market that a wallet can hold, without repeats."""
        stake = () if self.virtual else (self.stake_token,)
        return tuple(dict.fromkeys((*stake, *self.stake_parts, *self.reward_tokens, *self.fee_tokens)))

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every token of this market, without repeats."""
        return tuple(dict.fromkeys((self.stake_token, *self.stake_parts, *self.reward_tokens, *self.fee_tokens)))
