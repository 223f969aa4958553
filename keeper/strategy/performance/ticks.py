"""Steps of a past, ready for another rhythm to live through: with the terms of selling, the cost, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from keeper.domain.decision import DecisionNumbers
from keeper.domain.money import WAD, Token
from keeper.strategy.performance.past import Past, Step
from keeper.strategy.performance.points import Point

__all__ = ["Seen", "Terms", "Tick", "seen_of", "tick_of", "ticks_of"]

#: A stake of which so many parts in ten were taken out at once was left: nobody's rhythm goes on with the rest.
_LEFT = 9


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy is shown of a look beside stake and reward: dollars, years, wei; as of then, and no later."""

    #: F: what the real stake earns a year.
    forward: float
    #: m.
    yield_: float
    #: g: all that a compound is charged with, allowances included.
    cost: float
    #: L.
    depth: float
    #: Wei per gas unit.
    gas: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be missing from a look, and is carried on from the one before."""

    #: Part of a reward's value that is left after fees when it is sold, wad.
    kept: int = WAD
    #: What a compound takes from the wallet, wad; ``None`` where nobody knows yet.
    cost: int | None = None

    def after(self, point: Point) -> Terms:
        """Take in what a look says."""
        kept = self.kept if point.kept is None else point.kept
        cost = self.cost if point.cost is None else point.cost
        return self if (kept, cost) == (self.kept, self.cost) else Terms(kept, cost)


@dataclass(frozen=True, slots=True)
class Tick:
    """A step of the past, ready to be lived through."""

    step: Step
    #: Base units in a whole token: of the stake, and of each reward.
    unit: int
    units: tuple[int, ...]
    terms: Terms
    #: ``None`` where the look did not say enough to be decided on.
    seen: Seen | None = None
    #: Part of a harvest that is put back, wad; the rest is paid out.
    put_back: int = WAD

    @property
    def at(self) -> int:
        """Unix seconds."""
        return self.step.after.at

    @property
    def left(self) -> bool:
        """Whether the stake was taken out, or nearly all of it."""
        gone = -self.step.external
        return gone > 0 and gone * 10 >= (self.step.after.stake + gone) * _LEFT


def ticks_of(past: Past, numbers: Mapping[int, DecisionNumbers] | None = None) -> list[Tick]:
    """Return a past's ticks.

    Args:
        past: what happened.
        numbers: what was decided by, by unix seconds: then a tick shows what was known at its time and nothing later.
            Without it nobody is shown anything, and what no look had said yet is taken from the first that does.
    """
    terms = (Terms() if numbers is not None else _ahead(past)).after(past.first)
    tokens = past.stake_token, past.reward_tokens
    ticks = []
    for step in past.steps:
        terms = terms.after(step.after)
        ticks.append(tick_of(step, tokens, terms, (numbers or {}).get(step.after.at)))
    return ticks


def tick_of(step: Step, tokens: tuple[Token, tuple[Token, ...]], terms: Terms, numbers: DecisionNumbers | None) -> Tick:
    """Make one tick. ``tokens``: the stake's, and the rewards' in the order of the step's points."""
    return Tick(
        step=step,
        unit=tokens[0].unit,
        units=tuple(token.unit for token in tokens[1]),
        terms=terms,
        seen=None if numbers is None else seen_of(numbers),
        put_back=WAD if numbers is None else _put_back(numbers),
    )


def seen_of(numbers: DecisionNumbers) -> Seen:
    """Return what a policy is shown of a decision's numbers."""
    return Seen(
        forward=numbers.forward_usd_per_year / WAD,
        yield_=numbers.yield_wad / WAD,
        cost=numbers.cost_usd / WAD,
        depth=numbers.depth_usd / WAD if numbers.depth_usd else inf,
        gas=float(numbers.gas_price_wei),
    )


def _put_back(numbers: DecisionNumbers) -> int:
    if numbers.payout_usd <= 0 or numbers.reward_usd <= 0:
        return WAD
    return max(WAD - numbers.payout_usd * WAD // numbers.reward_usd, 0)


def _ahead(past: Past) -> Terms:
    points = [past.first, *(step.after for step in past.steps)]
    kept = next((p.kept for p in points if p.kept is not None), WAD)
    return Terms(kept, next((p.cost for p in points if p.cost is not None), None))
