"""Positions that share a cost are decided together: budgets add up, and each must carry its own marginal cost.

Item i is worth at most B_i now and costs c_i by itself. It is included when B_i >= c_i; the round is made when the sum
of B_i - c_i over the included reaches what all of them share. Of N identical items this is the exact optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.money import UsdWad

__all__ = ["Item", "Round", "round_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One position of a batch. USD wad."""

    id: str
    #: B: the most that harvesting it now is worth.
    budget: UsdWad
    #: c: what harvesting it costs beside what all share.
    marginal: UsdWad


@dataclass(frozen=True, slots=True)
class Round:
    """What a batch comes to now."""

    #: Items worth their own cost, in the order given; harvested together when ``due``.
    included: tuple[str, ...]
    #: Sum of B_i - c_i over the included.
    surplus: UsdWad
    #: What the round costs once, whatever is in it.
    shared: UsdWad

    @property
    def due(self) -> bool:
        """Whether the round is worth making now."""
        return bool(self.included) and self.surplus >= self.shared

    @property
    def missing(self) -> UsdWad:
        """What the surplus lacks; 0 when due."""
        return UsdWad(max(self.shared - self.surplus, 0))


def round_of(items: Sequence[Item], shared: UsdWad) -> Round:
    """Decide one round of a batch."""
    worth = [item for item in items if item.budget >= item.marginal and item.budget > 0]
    return Round(tuple(i.id for i in worth), UsdWad(sum(i.budget - i.marginal for i in worth)), shared)
