"""Many positions, each in its own year: what the race and the clairvoyant both replay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keeper.backtest.paths import HOURS, START, Floats

__all__ = ["FEE", "Errors", "Ints", "World", "net", "take"]

Ints: TypeAlias = NDArray[np.int64]

#: Fee of selling the reward: 0.3 %.
FEE: Final = 0.003


@dataclass(frozen=True, slots=True)
class Errors:
    """Factors by which a policy sees the world wrong; the world itself stays right. One for each lane, or for all."""

    gas: Floats | float = 1.0
    #: Of the reward token.
    price: Floats | float = 1.0
    #: Of the stake's value.
    principal: Floats | float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """Lanes side by side: lane i is one position, with its gas path, its reward-rate path and its price path.

    Paths are tables with one row for each step and one column for each path; several lanes may name one column. Step k
    is k*step seconds after the start, and a year has as many steps as there are rows of ``rates``. All lanes start
    alike: the stake just made, nothing pending. USD throughout; rates per year.
    """

    #: Gas price over its reference, one row a step.
    gas: Floats
    #: Reward rate over its reference, in force from the row's step to the next.
    rates: Floats
    #: Value of the stake at the start, for each lane.
    principal: Floats
    #: Cost of one compound where the gas path is 1, for each lane.
    cost: Floats
    #: Reward tokens a year and dollar staked where the rate path is 1, for each lane.
    scale: Floats
    #: Column of ``gas``, of ``rates`` and of ``prices`` that the lane uses.
    gas_of: Ints
    rate_of: Ints
    price_of: Ints
    #: Price of the reward token, one row a step and one more for the end.
    prices: Floats
    #: Step at which the position is left and everything is claimed, for each lane.
    end: Ints
    #: Value of the reward side of the pool in which rewards are sold; ``inf`` for no impact.
    depth: Floats
    #: Declared drift of the reward price a year (log), subtracted from m.
    drift: Floats
    errors: Errors = field(default_factory=Errors)
    #: Steps between two looks.
    poll: int = 1
    #: Unix seconds of step 0, and seconds between steps.
    start: int = START
    step: int = 365 * 86_400 // HOURS
    #: What the sale of the reward takes.
    fee: float = FEE

    @property
    def lanes(self) -> int:
        """How many positions."""
        return len(self.principal)

    @property
    def steps(self) -> int:
        """How many steps until the end of the year."""
        return len(self.rates)

    @property
    def years(self) -> float:
        """Length of one step in years."""
        return self.step / (365 * 86_400)

    def accrued(self) -> Floats:
        """Return the rate paths added up: tokens per unit of ``scale`` and dollar from the start until each step."""
        total = np.zeros((self.steps + 1, self.rates.shape[1]))
        np.cumsum(self.rates * self.years, axis=0, out=total[1:])
        return total


def net(value: Floats, depth: Floats, fee: float) -> Floats:
    """Return out(v) = v*(1-fee)/(1+v/L): what rewards of this value bring when sold."""
    found: Floats = value * (1.0 - fee) / (1.0 + value / depth)
    return found


def take(world: World, lanes: Ints) -> World:
    """Return the world of some of the lanes."""
    per_lane = ("principal", "cost", "scale", "gas_of", "rate_of", "price_of", "end", "depth", "drift")
    errors = Errors(*(np.broadcast_to(e, world.lanes)[lanes] for e in _each(world.errors)))
    return replace(world, errors=errors, **{name: getattr(world, name)[lanes] for name in per_lane})


def _each(errors: Errors) -> tuple[Floats | float, ...]:
    return errors.gas, errors.price, errors.principal
