"""A pool position against its two sides, held: impermanent loss and the fees that made up for it, apart.

Half the value of a constant-product pool is each side's. Every stake is compared from the moment it was there: what the
same two amounts would be worth now, held; what they would be worth in a pool without fees; what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Final

from keeper.strategy.performance.returns import without_fees

__all__ = ["AgainstHolding", "PoolLook", "against_holding"]

#: Further digits of what would be held.
_FINE: Final = 10**18

#: A pool that lost more than this part of its value beside the impermanent loss keeps no constant product.
_TOLERANCE: Final = 200


@dataclass(frozen=True, slots=True)
class PoolLook:
    """A stake in a pool at one moment. Money in wad of one currency."""

    #: Base units of the LP token.
    stake: int
    #: Per whole LP token, and per whole token of its two sides.
    price: int
    sides: tuple[int, int]


@dataclass(frozen=True, slots=True)
class AgainstHolding:
    """The pool against its two sides, wad; ``pooled - held`` is ``loss + fees``. What was withdrawn keeps its worth."""

    #: What the two sides would be worth, held.
    held: int
    #: What the stake is worth, its rewards left out.
    pooled: int
    #: Impermanent loss, at most 0 but for rounding.
    loss: int
    #: What the pool's fees brought.
    fees: int

    @property
    def difference(self) -> int:
        """How much better the pool did than holding."""
        return self.pooled - self.held


@dataclass(slots=True)
class _Held:
    """What would be held for the stake of the moment, and what went with earlier stakes."""

    unit: int
    sides: list[int] = field(default_factory=lambda: [0, 0])
    #: Square root of the product of the two amounts, of each stake put in, summed: what a pool keeps.
    kept: int = 0
    gone: list[int] = field(default_factory=lambda: [0, 0, 0])

    def put_in(self, raw: int, look: PoolLook) -> None:
        """Note what a new stake is made of."""
        half = raw * look.price * _FINE // (2 * self.unit)
        amounts = [half * _FINE // price for price in look.sides]
        self.sides = [held + new for held, new in zip(self.sides, amounts, strict=True)]
        self.kept += isqrt(amounts[0] * amounts[1])

    def take_out(self, raw: int, of: int, look: PoolLook) -> None:
        """Let a part of everything go at its worth of the moment."""
        worth = self.worth(of, look)
        self.gone = [gone + part * raw // of for gone, part in zip(self.gone, worth, strict=True)]
        self.sides = [held - held * raw // of for held in self.sides]
        self.kept -= self.kept * raw // of

    def worth(self, stake: int, look: PoolLook) -> tuple[int, int, int]:
        """Value what is held, the same in a pool without fees, and the stake as it is."""
        held = sum(side * price for side, price in zip(self.sides, look.sides, strict=True)) // _FINE**2
        bare = without_fees((self.kept // _FINE, self.kept // _FINE), look.sides)
        return held, bare, stake * look.price // self.unit


def against_holding(looks: Sequence[PoolLook], unit: int) -> AgainstHolding | None:
    """Compare a stake in a constant-product pool with holding its two sides; ``None`` where it is no such pool.

    Args:
        looks: in order of time; a change of the stake happened at the prices of the look that shows it.
        unit: base units in one whole LP token.
    """
    if not looks or any(not all((look.price, *look.sides)) for look in looks):
        return None
    state, stake = _Held(unit), 0
    for look in looks:
        if look.stake > stake:
            state.put_in(look.stake - stake, look)
        elif look.stake < stake:
            state.take_out(stake - look.stake, stake, look)
        stake = look.stake
    held, bare, pooled = (gone + now for gone, now in zip(state.gone, state.worth(stake, looks[-1]), strict=True))
    if pooled - bare < -(bare // _TOLERANCE):
        return None
    return AgainstHolding(held, pooled, bare - held, pooled - bare)
