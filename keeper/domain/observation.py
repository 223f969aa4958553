"""What a protocol says about a position at one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.decision import DecisionNumbers
from keeper.domain.money import WAD, Amount, UsdWad

__all__ = ["Accrual", "Observation", "RateSource", "Restart", "Sample", "with_amounts"]


#: One US dollar.
USD_ONE: Final = UsdWad(WAD)


class RateSource(StrEnum):
    """Where a forward rate comes from."""

    #: Parameters of the contract: emission, share, end.
    CHAIN = "chain"
    #: What was seen to accrue between looks, because the protocol names no rate.
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Accrual:
    """Forward rate at which one reward token accrues to the position."""

    #: Base units of the token per year (365 days) at the present stake.
    per_year: Amount
    #: The position's share of the rewarded pool, in parts per million; 0 when the rate is proportional to the stake.
    #: A re-deposit dilutes itself by this share.
    own_share_ppm: int = 0
    #: Unix seconds when emission stops (``periodFinish``, ``distributionEnd``); ``None`` when open-ended.
    ends_at: int | None = None
    source: RateSource = RateSource.CHAIN


@dataclass(frozen=True, slots=True)
class Restart:
    """A clock that a re-deposit starts anew: leaving before it has run down costs something, or is impossible."""

    #: Seconds for which it runs after a deposit.
    seconds: int
    #: What leaving earlier costs, basis points of the whole stake; ``None`` when leaving is impossible (a lock).
    penalty_bps: int | None = None
    #: Unix seconds at which it runs down if nothing is deposited; ``None`` when it is not running.
    runs_until: int | None = None


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
    #: Fee taken from every deposit, basis points.
    deposit_fee_bps: int = 0
    #: Clocks that a re-deposit restarts.
    restarts: tuple[Restart, ...] = ()
    #: What the protocol pays to whoever calls the harvest, beside the reward itself.
    call_fee: tuple[Amount, ...] = ()
    #: Where a harvest serves all depositors of a vault: the position's share of it, parts per million. ``principal``,
    #: ``pending`` and ``accruals`` are the whole vault's then. ``None`` where everything is the position's own.
    vault_share_ppm: int | None = None
    #: Rewards come once in so many seconds rather than evenly (weekly epochs); 0 when evenly.
    epoch_seconds: int = 0
    #: How the value of a deposit is spread over the market's ``stake_parts``, parts per million; empty when evenly.
    mix_ppm: tuple[int, ...] = ()
    #: Unix seconds before which a harvest would lose rewards or lock them up (early-claim penalty, harvest lock-up).
    harvest_opens_at: int | None = None
    #: Further numbers that the adapter will need to make its calls (a tick, a price), by name.
    notes: tuple[tuple[str, int], ...] = ()
    #: Why deposits or harvests are refused, where the owner can do something about it; one sentence, no full stop.
    paused_because: str = ""

    def note(self, name: str) -> int:
        """Return one of the adapter's own numbers. KeyError when it has not noted it."""
        return dict(self.notes)[name]


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of a position's history: what was seen, what it meant, and the prices it was valued by."""

    observation: Observation
    #: ``None`` in histories that older versions wrote.
    numbers: DecisionNumbers | None
    #: US dollars (wad) per whole token, midpoint, of each token of the market; the gas token under ``""``.
    prices: tuple[tuple[str, UsdWad], ...] = ()
    #: The reporting currency in US dollars (wad), as it was then.
    base_usd: UsdWad = USD_ONE


def with_amounts(observation: Observation, amounts: Sequence[int]) -> Observation:
    """Note what there is of both sides: floors of a deposit then follow from it, in whatever mix it was bought.

    For a compound that goes on later, at another price. Only to be done while the pool's price is a fair one.
    """
    noted = ((f"have{side}", raw) for side, raw in enumerate(amounts))
    return replace(observation, notes=(*observation.notes, *noted))
