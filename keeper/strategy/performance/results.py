"""What is known of a position's result over a window: values only; ``measure`` works them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.money import WAD, Amount
from keeper.strategy.performance.holding import AgainstHolding
from keeper.strategy.performance.returns import annualised, simple_rate

__all__ = ["SHORT_SECONDS", "Against", "Bias", "Performance", "Returns", "Total"]

#: Below this an annualised growth says little.
SHORT_SECONDS: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Returns:
    """A result in one unit of account, wad."""

    #: Everything earned, costs taken off.
    profit: int
    #: What was staked times the seconds that it was, summed.
    stake_seconds: int
    #: Time-weighted growth of stake and pending rewards; 10**18 is none.
    growth: int
    #: Seconds in which anything was staked.
    seconds: int

    @property
    def apr(self) -> int | None:
        """Profit a year on the average stake, without compounding; wad."""
        return simple_rate(self.profit, self.stake_seconds)

    @property
    def apy(self) -> int | None:
        """What the growth comes to in a year at this pace, compounding included; wad. Says little of a short window."""
        return annualised(self.growth, self.seconds)


@dataclass(frozen=True, slots=True)
class Against:
    """The real result beside another rhythm's, by the model; wad."""

    #: How much more was really earned.
    gain: int
    #: What the other rhythm would have done and paid.
    harvests: int
    cost: int
    #: How much more is staked now.
    ahead: int


@dataclass(frozen=True, slots=True)
class Bias:
    """What finished compounds were predicted to bring and cost, beside what they did; wad."""

    predicted_reward: int
    reward: int
    predicted_cost: int
    cost: int


@dataclass(frozen=True, slots=True)
class Performance:
    """One position over one window. Money in wad of ``currency``."""

    position_id: str
    currency: str
    #: First and last sample, unix seconds; how many there are, and the longest time without one.
    since: int
    until: int
    samples: int
    longest_gap: int
    #: The stake, and its value.
    principal_start: Amount
    principal_end: Amount
    staked_start: int
    staked_end: int
    pending_start: int
    pending_end: int
    #: Money from outside, put in and taken out.
    deposits: int
    withdrawals: int
    #: What price moves of the stake token did to its value.
    price_gain: int
    #: Rewards: by recorded claims at receipt, by hand, and what the stake grew by itself.
    received: int
    by_hand: int
    interest: int
    #: Fees of compounds, and what selling and depositing the rewards lost.
    cost: int
    lost: int
    #: Put back; and paid out, turned into gas or left in the wallet.
    compounded: int
    kept: int
    harvests: int
    failed: int
    #: With price moves of the stake token, and in kind (in stake tokens, wad of a whole one).
    money: Returns
    in_kind: Returns
    #: The alternatives; ``None`` where the past does not say what they would have cost.
    never: Against | None
    daily: Against | None
    #: By how much the model misses the real result when it lives through the real rhythm.
    model_error: int | None
    #: For a pool position: against having held its two sides.
    holding: AgainstHolding | None
    bias: Bias
    #: The stake grows by itself.
    rebasing: bool
    #: Ledger rows without a known value.
    unvalued: int
    #: A compound is under way: what happened since it began is not counted.
    open_since: int | None = None

    @property
    def seconds(self) -> int:
        """Length of the window that there are samples of."""
        return self.until - self.since

    @property
    def income(self) -> int:
        """Rewards and interest earned, received or pending, before costs."""
        return self.received + self.by_hand + self.interest + self.pending_end - self.pending_start

    @property
    def net(self) -> int:
        """Income after fees and losses; price moves of the stake token left out."""
        return self.money.profit - self.price_gain

    @property
    def ahead_per_year(self) -> int:
        """What the part of the stake that never compounding would not have earns a year, at the window's income."""
        pace = simple_rate(self.income, self.money.stake_seconds)
        return 0 if self.never is None or pace is None else self.never.ahead * pace // WAD

    @property
    def short(self) -> bool:
        """Whether annualised growth would say little."""
        return self.seconds < SHORT_SECONDS


@dataclass(frozen=True, slots=True)
class Total:
    """Several positions together; what is ``None`` is unknown for one of them. Wad."""

    staked: int
    income: int
    cost: int
    net: int
    profit: int
    apr: int | None
    apr_in_kind: int | None
    apy: int | None
    over_never: int | None
    over_daily: int | None
    model_error: int | None
    #: Of the pool positions; ``None`` when there is none.
    over_holding: int | None
    harvests: int
    #: Longest of the windows.
    seconds: int
