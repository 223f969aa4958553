"""What another rhythm would have earned: the recorded rates, prices and gas, lived through once more.

The model: between two samples a unit of stake earns what a unit of the real stake earned; a harvest sells everything
that pends at that sample's prices, fees and depth, and its stake earns from then on; what came from outside comes just
the same. It knows no more than the samples, so a harvest stands at the sample after it, and it takes the pools to be
what they were. The real rhythm lived through by the model, beside what really came of it, says how far it is off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from keeper.domain.money import BPS, WAD
from keeper.strategy.past import Past, Step

__all__ = ["Replayed", "as_recorded", "daily", "earned", "never", "replay"]

#: Digits below a base unit that the model keeps.
_FINE: Final = 10**18

_DAY: Final = 86_400

#: Says at the end of a step whether to harvest.
When = Callable[[Step], bool]


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a rhythm ended; wad."""

    #: Everything earned: price moves, rewards, less what was paid.
    profit: int
    #: What is staked at the end.
    staked: int
    harvests: int
    cost: int


def never(_step: Step) -> bool:
    """Leave the rewards where they are."""
    return False


def daily(step: Step) -> bool:
    """Harvest at the first sample of each day (UTC)."""
    return step.before.at // _DAY < step.after.at // _DAY


def as_recorded(step: Step) -> bool:
    """Harvest when it was really done."""
    return step.compounded > 0


def earned(past: Past) -> int:
    """Return what really came of it, by the same measure as ``Replayed.profit``."""
    return sum(step.profit(past.stake_token.unit) for step in past.steps)


def replay(past: Past, when: When, *, compounded: int = WAD) -> Replayed | None:
    """Live through the steps with another rhythm; ``None`` where the cost of a harvest is not on record.

    Args:
        past: the steps.
        when: asked at the end of each.
        compounded: part of each harvest that is put back, wad; the rest is paid out.
    """
    model = _Model(past, compounded)
    for step in past.steps:
        model.live(step)
        if when(step) and model.idle(step) > 0:
            cost = model.known_cost(step)
            if cost is None:
                return None
            model.harvest(step, cost)
    last, unit = past.last, past.stake_token.unit
    staked = model.stake * last.price // (unit * _FINE)
    begun = past.first.staked + past.first.idle
    profit = staked + model.idle(past.steps[-1]) + model.cash - begun
    return Replayed(profit, staked, model.harvests, model.paid)


@dataclass(slots=True)
class _Model:
    """Stake and pending reward in base units with further digits; ``cash`` is what came out, less what went in."""

    past: Past
    compounded: int
    stake: int = 0
    pending: list[int] = field(default_factory=list)
    cash: int = 0
    paid: int = 0
    harvests: int = 0
    _kept: int = WAD
    _cost: int | None = None

    def __post_init__(self) -> None:
        first = self.past.first
        self.stake = first.stake * _FINE
        self.pending = [raw * _FINE for raw in first.pending]
        points = [step.after for step in self.past.steps]
        self._kept = next((p.kept for p in (first, *points) if p.kept is not None), WAD)
        self._cost = next((p.cost for p in (first, *points) if p.cost is not None), None)

    def live(self, step: Step) -> None:
        """Let the rewards accrue, the stake grow, and money come and go."""
        if step.stake_seconds > 0:
            before = step.before.stake * _FINE
            weight = self._diluted(before, step.before.own_share_ppm)
            # The real step may have been compounded within: that is the real stake's, not this one's.
            for place, raw in enumerate(step.accrued):
                self.pending[place] += raw * weight * step.seconds // step.stake_seconds
        if step.grown and step.before.stake:
            self.stake += self.stake * step.grown // step.before.stake
        if step.by_hand:
            self.cash += self.idle(step)
            self.pending = [0] * len(self.pending)
        if step.external:
            self._flow(step)
        self._kept = self._kept if step.after.kept is None else step.after.kept
        self._cost = self._cost if step.after.cost is None else step.after.cost

    def _diluted(self, real: int, share_ppm: int) -> int:
        """Stake that counts for the rewards: a pool that one owns a share of pays a larger stake less for each unit."""
        if share_ppm == 0 or real == 0:
            return self.stake
        return self.stake * 10**6 * real // (10**6 * real + share_ppm * (self.stake - real))

    def _flow(self, step: Step) -> None:
        """Put in what was put in; take out the part that was taken out."""
        unit = self.past.stake_token.unit
        moved = step.external * _FINE
        if moved < 0:
            there = step.after.stake - step.external
            moved = -(self.stake * -step.external // there) if there > 0 else -self.stake
        self.stake += moved
        self.cash -= moved * step.after.price // (unit * _FINE)

    def idle(self, step: Step) -> int:
        """Value of what pends."""
        prices, tokens = step.after.reward_prices, self.past.reward_tokens
        return sum(
            raw * price // (token.unit * _FINE) for raw, price, token in zip(self.pending, prices, tokens, strict=True)
        )

    def known_cost(self, step: Step) -> int | None:
        """Cost of a harvest at the end of the step, or when it was last on record."""
        return self._cost if step.after.cost is None else step.after.cost

    def harvest(self, step: Step, cost: int) -> None:
        """Sell what pends, put it back, pay for it."""
        worth, depth = self.idle(step), step.after.depth
        net = worth * self._kept // WAD
        net = net * depth // (depth + net) if depth else net
        back = net * self.compounded // WAD
        kept = back * (BPS - step.after.deposit_fee_bps) // BPS
        self.stake += kept * self.past.stake_token.unit * _FINE // step.after.price
        self.cash += net - back - cost
        self.paid += cost
        self.harvests += 1
        self.pending = [0] * len(self.pending)
