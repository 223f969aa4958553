"""The tables of keeper.toml about positions and when to compound them: positions, their defaults, policies, batches."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from keeper.config.fields import (
    Bps,
    Drift,
    Flag,
    HexAddress,
    NativeWei,
    RiskBps,
    Seconds,
    Text,
    Usd,
    Whole,
)
from keeper.config.strategy_fields import ExitDate, PerYear
from keeper.config.table import Table, as_tuple, split, written
from keeper.domain.money import BPS, Address, UsdWad
from keeper.domain.position import Position, RewardsEnd, RouteSpec, StrategyOptions

__all__ = [
    "INHERITED",
    "BatchConfig",
    "GasTopUpConfig",
    "PayoutConfig",
    "PolicyConfig",
    "PositionConfig",
    "RouteConfig",
    "StrategyConfig",
]

_YEAR = 365 * 86_400
#: What names of batches are made of; those of policies may say more, as ``r>6g`` does.
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_POLICY = r"^[a-z0-9][a-z0-9_.>-]{0,62}$"
_THOUSAND = UsdWad(10**21)
#: Hundredths of a basis point: a million is all of it.
FeeTier: TypeAlias = Annotated[Whole, Field(ge=1, lt=1_000_000)]


class StrategyConfig(Table):
    """``[strategy]``: when to compound, for every position that does not say otherwise."""

    policy: Text = Field("rule", pattern=_POLICY, description="Policy that says when; `rule` is keeper's own.")
    risk_factor: RiskBps = Field(
        written("1.0"), description="Scales the threshold; lower harvests earlier (0.5 to 1.0)."
    )
    payback: Seconds = Field(
        written("365d"), ge=86_400, le=100 * _YEAR, description="A harvest must earn its cost back within this."
    )
    max_slippage: Bps = Field(
        written("1%"), ge=1, le=1_000, description="Largest accepted loss of a swap against the agreed price."
    )
    min_interval: Seconds = Field(written("0s"), le=_YEAR, description="Shortest time between two harvests.")
    race: Flag = Field(True, description="Keep the score of every built-in policy beside what is done (`keeper race`).")


#: Keys that a position takes from ``[strategy]`` when it does not have them itself.
INHERITED = ("risk_factor", "payback", "max_slippage", "min_interval")


class PolicyConfig(Table):
    """``[policies.NAME]``: a policy of your own, a process in any language; or the keys of an installed one instead."""

    command: Annotated[tuple[Text, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        min_length=1,
        max_length=64,
        description="Program and arguments, each by itself; no shell is used and no variable filled in.",
    )
    timeout: Seconds = Field(
        written("2s"), ge=1, le=60, description="How long it may take for an answer; without one the position waits."
    )

    @model_validator(mode="after")
    def _a_program(self) -> Self:
        if not self.command[0].strip() or any("\0" in word for word in self.command):
            raise ValueError('command must begin with a program, e.g. command = ["python3", "my_policy.py"]')
        return self


class BatchConfig(Table):
    """``[batches.NAME]``: what positions that are decided together share."""

    shared_cost: Usd = Field(
        written("$0"), le=_THOUSAND, description="Cost of a round that does not grow with its members."
    )
    shared_gas: Whole = Field(
        0, ge=0, le=30_000_000, description="Gas units of a round that do not grow with its members, at today's price."
    )


class RouteConfig(Table):
    """``route`` of a position: where rewards are swapped."""

    kind: Text = Field(min_length=1, description="Exchange adapter, e.g. `uniswap-v2`; `keeper protocols` lists them.")
    router: HexAddress = Field(description="Router contract.")
    quoter: HexAddress | None = Field(None, description="Contract that quotes, where the exchange has one of its own.")
    via: Annotated[tuple[HexAddress, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), max_length=8, description="Tokens that two-hop routes may pass through, best first."
    )
    fee_bps: Whole = Field(
        30, ge=0, le=1_000, description="Swap fee of the pools, basis points, where it is the same for all."
    )
    tiers: Annotated[tuple[FeeTier, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (),
        max_length=8,
        description="Fee tiers to try (tick spacings, where the exchange counts by these); empty for the usual ones.",
    )
    pools: Annotated[tuple[HexAddress, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), max_length=64, description="Pools to use, where the exchange has no registry to ask."
    )

    @model_validator(mode="after")
    def _no_doubles(self) -> Self:
        for key in ("via", "tiers", "pools"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ValueError(f"{key} names something twice; keep one")
        return self

    def to_domain(self) -> RouteSpec:
        """Give the value that the engine takes."""
        return RouteSpec(self.kind, self.router, self.via, self.fee_bps, self.quoter, self.tiers, self.pools)


def _how_many(value: Any) -> str:
    return "[several]" if isinstance(value, (list, tuple)) else "[one]"


#: One route, or several of which the best is taken each time. The tags stand in brackets: they are no part of a place.
Routes: TypeAlias = Annotated[
    Annotated[RouteConfig, Tag("[one]")]
    | Annotated[
        tuple[RouteConfig, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=8), Tag("[several]")
    ],
    Discriminator(_how_many),
]


class PayoutConfig(Table):
    """``payout`` of a position: part of each harvest that is sent away instead of re-deposited, as it was claimed."""

    share: Bps = Field(ge=1, le=9_900, description="Part of every claimed reward token.")
    to: HexAddress = Field(description="Account that it is sent to; a wallet, never a contract of the position.")


class GasTopUpConfig(Table):
    """``gas_top_up`` of a position: rewards that become gas money while the account has too little of it."""

    keep: NativeWei = Field(
        gt=0, le=10**24, description="Balance of the gas token below which a harvest also buys some, up to this."
    )
    max_share: Bps = Field(written("10%"), ge=1, le=5_000, description="Most of one harvest that may become gas.")


class PositionConfig(Table):
    """``[[positions]]``: one staked position. The protocol's own keys stand beside these."""

    id: Text = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Name of the position, unique, in lower case.")
    chain: Text = Field(description="Chain name.")
    protocol: Text = Field(description="Protocol adapter; `keeper protocols` lists them.")
    target: HexAddress = Field(description="Contract that holds the stake (farm, chef, pool).")
    owner: HexAddress | None = Field(None, description="Account to watch; either this or `signer`.")
    signer: Text | None = Field(None, description="Signer whose account owns the stake; either this or `owner`.")
    route: Routes | None = Field(
        None,
        description="Where rewards are sold for what is staked; of an array of tables the best is taken each time; "
        "without any, the chain's exchanges are used.",
    )
    policy: Text | None = Field(None, pattern=_POLICY, description="Policy that says when; else `[strategy]`'s.")
    risk_factor: RiskBps = Field(
        written("1.0"), description="Scales the threshold; lower harvests earlier (0.5 to 1.0); else `[strategy]`'s."
    )
    payback: Seconds = Field(
        written("365d"),
        ge=86_400,
        le=100 * _YEAR,
        description="A harvest must earn its cost back within this; else `[strategy]`'s.",
    )
    max_slippage: Bps = Field(
        written("1%"),
        ge=1,
        le=1_000,
        description="Largest accepted loss of a swap against the agreed price; else `[strategy]`'s.",
    )
    min_interval: Seconds = Field(
        written("0s"), le=_YEAR, description="Shortest time between two harvests; else `[strategy]`'s."
    )
    max_interval: Seconds | None = Field(
        None,
        ge=3_600,
        le=10 * _YEAR,
        description="Longest time between two harvests: after it, a reward worth more than its cost is harvested.",
    )
    reward_drift: Drift = Field(
        0, ge=-50_000, le=50_000, description='Expected yearly change of the reward\'s price, e.g. "-50%/yr".'
    )
    rate_drift: Drift = Field(
        0, ge=-50_000, le=50_000, description='Expected yearly change of the emission, e.g. "-50%/yr".'
    )
    rewards_end: Literal["auto", "renewed", "final"] = Field(
        "auto",
        description="What the end of emission that the contract names means: `renewed` is no end (weekly epochs), "
        "`final` is one, `auto` counts as final until it has been seen to move.",
    )
    exit: ExitDate | None = Field(
        None, description="Day or moment (UTC) at which you mean to leave: no harvest that does not pay back by then."
    )
    target_yield: Drift | None = Field(
        None,
        ge=0,
        le=100_000,
        description='Yearly yield of what a harvest goes into, where that is not this position, e.g. "4%/yr".',
    )
    max_harvests_per_year: Whole | None = Field(
        None, ge=1, le=8_760, description="Harvests within any 365 days (in many places each is a taxable receipt)."
    )
    exits_per_year: PerYear = Field(
        written("1.0"), description="How often a year you would like to be able to leave; prices restarted penalties."
    )
    lock_premium: Drift = Field(
        written("5%/yr"),
        ge=0,
        le=10_000,
        description="Yearly worth of being able to leave, part of the stake; prices restarted locks.",
    )
    payout: PayoutConfig | None = Field(None, description="Part of each harvest that is paid out.")
    gas_top_up: GasTopUpConfig | None = Field(None, description="Rewards that become gas money.")
    batch: Text | None = Field(
        None,
        pattern=_NAME,
        description="Name of a `[batches.NAME]`: its positions of one chain and account are decided together.",
    )
    candidates: Annotated[tuple[Text, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), max_length=64, description="Ids of positions that this one might be left for; advice only."
    )
    exit_cost: Bps = Field(
        written("0%"), ge=0, le=5_000, description="Cost of leaving this position, part of the stake, for that advice."
    )
    entry_cost: Bps = Field(
        written("0%"), ge=0, le=5_000, description="Cost of entering this position, part of the stake, for that advice."
    )
    params: dict[str, str | int | bool] = Field({}, exclude=True, description="Filled from the protocol's own keys.")

    #: Keys that a person may write; ``params`` is ours.
    written: ClassVar[frozenset[str]]

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if (self.owner is None) == (self.signer is None):
            raise ValueError("needs exactly one of signer (compounds) and owner (watches only)")
        return self

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if self.payout and self.gas_top_up and self.payout.share + self.gas_top_up.max_share >= BPS:
            raise ValueError(
                "payout.share and gas_top_up.max_share together leave nothing to re-deposit; lower one of them"
            )
        return self

    @property
    def routes(self) -> tuple[RouteConfig, ...]:
        """Its own routes; empty when it has none and uses the chain's exchanges."""
        if self.route is None:
            return ()
        return self.route if isinstance(self.route, tuple) else (self.route,)

    def to_domain(self, owner: Address, *, can_sign: bool) -> Position:
        """Give the value that the engine takes, once the owner's address is known."""
        routes = tuple(route.to_domain() for route in self.routes)
        return Position(
            id=self.id,
            chain=self.chain,
            protocol=self.protocol,
            owner=owner,
            signer=self.signer if can_sign else None,
            target=self.target,
            params=dict(self.params),
            route=routes[0] if routes else None,
            options=self._options(),
            other_routes=routes[1:],
        )

    def _options(self) -> StrategyOptions:
        payout, top_up = self.payout, self.gas_top_up
        return StrategyOptions(
            policy=self.policy or "",
            risk_factor_bps=self.risk_factor,
            payback_seconds=self.payback,
            reward_drift_bps=self.reward_drift,
            max_slippage_bps=self.max_slippage,
            min_interval_seconds=self.min_interval,
            max_interval_seconds=self.max_interval,
            exit_at=self.exit,
            target_yield_bps=self.target_yield,
            rate_drift_bps=self.rate_drift,
            rewards_end=RewardsEnd(self.rewards_end),
            max_harvests_per_year=self.max_harvests_per_year,
            exits_per_year_milli=self.exits_per_year,
            lock_premium_bps=self.lock_premium,
            payout_bps=payout.share if payout else 0,
            payout_to=payout.to if payout else None,
            gas_keep_wei=top_up.keep if top_up else 0,
            gas_share_bps=top_up.max_share if top_up else StrategyOptions().gas_share_bps,
            batch=self.batch or "",
            candidates=self.candidates,
            exit_cost_bps=self.exit_cost,
            entry_cost_bps=self.entry_cost,
        )


PositionConfig.written = frozenset(PositionConfig.model_fields) - {"params"}
