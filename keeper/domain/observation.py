"""What a protocol says about a position at one block."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.block import BlockRef
from keeper.domain.money import Amount

__all__ = ["Accrual", "Observation"]


@dataclass(frozen=True, slots=True)
class Accrual:
    """Forward rate at which one reward token accrues to the position, from chain parameters."""

    #: Base units of the token per year (365 days) at the present stake.
    per_year: Amount
    #: The position's share of the rewarded pool, in parts per million; 0 when the rate is proportional to the stake.
    #: A re-deposit dilutes itself by this share.
    own_share_ppm: int = 0
    #: Unix seconds when emission stops (``periodFinish``, ``distributionEnd``); ``None`` when open-ended.
    ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """The protocol's own view. It schedules; only a simulated harvest decides."""

    position_id: str
    block: BlockRef
    #: Staked amount in the market's stake token.
    principal: Amount
    #: Pending rewards as the contract's views report them, one per reward token, in the market's order.
    pending: tuple[Amount, ...]
    accruals: tuple[Accrual, ...]
    #: Deposits are refused at present (paused, frozen, capped).
    deposits_paused: bool = False
    #: Harvests are refused at present.
    harvest_paused: bool = False
    #: Reward tokens the paying contract holds less of than is pending, so that a harvest would fall short.
    underfunded: tuple[str, ...] = ()
