"""What a policy sees and what it answers: the one protocol of keeper's rule, the baselines, and everybody's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from keeper.strategy.gas_memory import GasMemory

__all__ = ["Bool", "Number", "Policy", "Scene"]

#: A float, or an array of floats: one for each of many positions that are decided at once.
Number: TypeAlias = Any

#: A bool, or an array of bools.
Bool: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a policy may look at, at one moment: the present, and what it remembers of the past.

    Numbers are floats, or arrays of one shape that hold a position in each place. Money is in US dollars, rates are per
    year of 365 days (0.2 is 20 % a year), times are seconds.
    """

    #: Unix seconds, UTC; one moment for all places.
    now: int
    #: S: value of the stake, USD.
    principal: Number
    #: R: pending reward, USD, net of swap fees and of the price impact of selling all of it now.
    reward: Number
    #: g: all-in cost of one compound at this moment, USD.
    cost: Number
    #: F: what will accrue a year at the present rate, USD a year, net of swap fees; 0 when rewards have ended.
    forward: Number
    #: m: what one more re-deposited dollar earns a year, less the declared drift of the reward token; may be <= 0.
    yield_: Number
    #: L: value of the sold side of the shallowest pool, USD; ``inf`` when nothing is sold.
    depth: Number
    #: Seconds since the last harvest; without one, since the position is watched.
    since: Number
    #: Gas price now, in wei or in any other unit that ``memory`` uses too; ``cost`` is proportional to it.
    gas: Number
    #: Features of the gas price up to now, the present price included.
    memory: GasMemory


@runtime_checkable
class Policy(Protocol):
    """Decides when to harvest. It must be causal: equal scenes, equal answers."""

    @property
    def name(self) -> str:
        """The name it has in the config and in every table."""

    def wants(self, scene: Scene) -> Bool:
        """Say whether to harvest now: a bool, or an array of bools when the scene holds arrays."""
