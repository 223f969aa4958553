"""What keeper decided about a position at a block, and every number behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.block import BlockRef
from keeper.domain.money import NO_USD, UsdWad

__all__ = ["CostParts", "Decision", "DecisionNumbers", "Reason", "ReasonCode", "Verdict"]


class Verdict(StrEnum):
    """The three answers. WAIT means not yet; BLOCKED means something must change first."""

    HARVEST = "HARVEST"
    WAIT = "WAIT"
    BLOCKED = "BLOCKED"


class ReasonCode(StrEnum):
    """Machine-readable reasons. The CLI, the log and the metrics all use these words."""

    #: Reward has passed the threshold of the rule.
    ABOVE_THRESHOLD = "above_threshold"
    #: Reward has not reached the threshold; waiting earns more.
    BELOW_THRESHOLD = "below_threshold"
    #: Reward is worth less than the cost of fetching it.
    BELOW_COST = "below_cost"
    #: The harvest would not earn its cost back within the payback time.
    PAYBACK_TOO_LONG = "payback_too_long"
    #: What is re-deposited would earn nothing (rewards ended, drift above yield).
    NO_YIELD = "no_yield"
    #: Nothing is pending.
    NOTHING_PENDING = "nothing_pending"
    #: Nothing is staked.
    NO_PRINCIPAL = "no_principal"
    #: Emission has ended.
    REWARDS_ENDED = "rewards_ended"
    #: The protocol refuses deposits or harvests at present.
    PROTOCOL_PAUSED = "protocol_paused"
    #: A claim before some time would lose rewards, or lock them up.
    HARVEST_TOO_EARLY = "harvest_too_early"
    #: Nothing is ever harvested here: the balance, or what a share is worth, grows by itself.
    GROWS_BY_ITSELF = "grows_by_itself"
    #: The paying contract cannot pay what is pending.
    UNDERFUNDED = "underfunded"
    PRICE_MISSING = "price_missing"
    PRICE_STALE = "price_stale"
    PRICE_DISAGREES = "price_disagrees"
    #: Simulating the compound reverted.
    SIMULATION_REVERTED = "simulation_reverted"
    #: The simulated harvest paid nothing or less than it costs.
    SIMULATION_SHORT = "simulation_short"
    #: An aggregator would get much more for a reward than the best configured way (``[quotes]``).
    ROUTE_WORSE = "route_worse"
    #: What an aggregator said beside the best configured way, where it is no reason to wait.
    ROUTE_COMPARED = "route_compared"
    #: A fee ceiling of ``[limits]`` would be exceeded.
    FEE_ABOVE_LIMIT = "fee_above_limit"
    #: The day's spending budget is used up.
    DAY_LIMIT_REACHED = "day_limit_reached"
    #: The wallet holds too little of the gas token.
    GAS_BALANCE_LOW = "gas_balance_low"
    #: Too soon after the last harvest (``min_interval``).
    TOO_SOON = "too_soon"
    #: The position failed several times in a row and is set aside.
    QUARANTINED = "quarantined"
    #: A compound of this position is under way.
    IN_FLIGHT = "in_flight"
    #: No signer is configured.
    WATCH_ONLY = "watch_only"
    #: A person forced it.
    FORCED = "forced"
    #: The longest configured interval has passed, and the reward is worth more than fetching it.
    MAX_INTERVAL = "max_interval"
    #: A configured policy other than keeper's rule says so.
    POLICY_HARVESTS = "policy_harvests"
    POLICY_WAITS = "policy_waits"
    #: The configured policy gave no answer in time, or none that makes sense.
    POLICY_FAILED = "policy_failed"
    #: The threshold is passed, but gas is expected to be cheaper soon, by more than waiting costs.
    CHEAPER_SOON = "cheaper_soon"
    #: Worth it by itself, or not; its batch as a whole is decided.
    BATCH_DUE = "batch_due"
    BATCH_WAITS = "batch_waits"
    #: So near the exit, or the end of emission, that a harvest would not earn its cost back.
    EXIT_NEAR = "exit_near"
    #: The harvests allowed within a year are used up.
    YEAR_LIMIT_REACHED = "year_limit_reached"
    #: The rate at which rewards accrue is not known yet.
    RATE_UNKNOWN = "rate_unknown"
    #: A re-deposit would lock the stake beyond the configured exit.
    LOCK_BEYOND_EXIT = "lock_beyond_exit"
    #: Advice: compounding never beats its cost at this size.
    TOO_SMALL = "too_small"
    #: Advice: claim when leaving, not before.
    CLAIM_AT_EXIT = "claim_at_exit"
    #: Advice: another configured position earns more, net of moving.
    SWITCH = "switch"
    #: Reads of this position failed.
    READ_FAILED = "read_failed"
    #: A guard passed (shown by ``explain``).
    GUARD_OK = "guard_ok"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason with its sentence; facts are in the sentence, the code is for machines."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True)
class CostParts:
    """What one compound costs, item by item; USD wad. Their sum is ``cost_usd``."""

    #: Gas units at the price of the next block.
    gas_usd: UsdWad = NO_USD
    #: L1 data fee, where the chain has one.
    l1_usd: UsdWad = NO_USD
    #: Allowance for what failed before, from the position's own record.
    failure_usd: UsdWad = NO_USD
    #: What restarting a lock or a penalty clock is worth.
    restart_usd: UsdWad = NO_USD
    #: Shadow price of one of the harvests allowed in a year.
    event_usd: UsdWad = NO_USD
    #: What the protocol pays for the call (negative).
    call_fee_usd: UsdWad = NO_USD

    @property
    def total(self) -> UsdWad:
        """All of it; below zero when the call pays more than it costs."""
        parts = (self.gas_usd, self.l1_usd, self.failure_usd, self.restart_usd, self.event_usd, self.call_fee_usd)
        return UsdWad(sum(parts))


@dataclass(frozen=True, slots=True)
class DecisionNumbers:
    """The quantities of the rule (see docs/explanation/when-to-compound.md). USD as wad, yields as wad per year."""

    #: S: principal.
    principal_usd: UsdWad
    #: R: net pending reward after swap fees.
    reward_usd: UsdWad
    #: R*: the reward at which a harvest is worth its cost; ``None`` when never.
    threshold_usd: UsdWad | None
    #: B: the most a harvest is worth paying for now.
    budget_usd: UsdWad
    #: g: all-in cost of one compound now.
    cost_usd: UsdWad
    #: F: forward accrual a year.
    forward_usd_per_year: UsdWad
    #: m: yearly yield of what is re-deposited, wad (5 % is 5 * 10**16).
    yield_wad: int
    #: k = m + 2F/L, wad.
    pressure_wad: int
    #: Gas units the cost was computed with.
    gas_units: int
    #: Wei per gas unit the cost was computed with.
    gas_price_wei: int
    #: n*: optimal number of harvests a year, in thousandths.
    harvests_per_year_milli: int
    #: What waiting costs a day: m * R / 365.
    waiting_cost_per_day_usd: UsdWad
    #: Yearly gain at the optimum over never compounding; 0 when not worth it.
    gain_per_year_usd: UsdWad
    #: Seconds until R reaches R* at today's gas; ``None`` when never.
    eta_seconds: int | None
    #: Wei per gas unit at which it would fire now; ``None`` when no price would do.
    fire_gas_price_wei: int | None
    #: The policy that was asked.
    policy: str = "rule"
    #: What makes up ``cost_usd``.
    cost_parts: CostParts = CostParts()
    #: Realised over predicted gas of this position's past compounds, by which the simulation is corrected; ppm.
    gas_correction_ppm: int = 1_000_000
    #: Seconds until the exit or the last end of emission, whichever is first; ``None`` when neither is known.
    horizon_seconds: int | None = None
    #: Where the forward rate comes from; ``""`` when there is none.
    rate_source: str = ""
    #: Depth of the pools that rewards are sold into, as the rule counts it; ``None`` when nothing is sold.
    depth_usd: UsdWad | None = None
    #: rho: how much dearer today's gas counts than it is, by the memory of gas; parts per million.
    gas_weight_ppm: int = 1_000_000
    #: Price of gas that is usual at present, wei; ``None`` before enough was seen.
    usual_gas_price_wei: int | None = None
    #: Price of gas at which rho is 1: what is normally to be had soon; ``None`` before enough was seen.
    expected_gas_price_wei: int | None = None
    #: Seconds within which that is so; ``None`` where nobody says.
    expected_in_seconds: int | None = None
    #: Parts of the harvest that are paid out and turned into gas, USD wad.
    payout_usd: UsdWad = NO_USD
    top_up_usd: UsdWad = NO_USD


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with reasons, numbers and the counterfactual. WAIT is a decision too, and is recorded."""

    position_id: str
    block: BlockRef
    verdict: Verdict
    #: The reasons for the verdict, most important first.
    reasons: tuple[Reason, ...]
    #: ``None`` when the position could not be valued.
    numbers: DecisionNumbers | None
    #: Guards that were checked and passed, for ``explain``.
    guards: tuple[Reason, ...] = ()
    #: Unix seconds at which another look is worth while.
    next_check: int | None = None
    #: What a person might do about it: too small, better claimed at exit, another pool earns more.
    advice: tuple[Reason, ...] = ()

    @property
    def code(self) -> ReasonCode:
        """The first reason's code: what the log line and the metric carry."""
        return self.reasons[0].code
