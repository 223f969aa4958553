"""What compounding was worth: keeper as it happened, never as its twin lived it, daily replayed on the same chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from keeper.domain.harvest import Harvest
from keeper.domain.money import WAD
from keeper.engine.assessment import Assessment
from keeper.engine.case import Case, sale_terms
from keeper.strategy.economics import net_of_sale

__all__ = ["Moment", "Score", "Scorer", "measured_gas", "worth"]

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the three stand at one time; US dollars (wad)."""

    at: int
    keeper: int
    never: int
    daily: int
    gas_price_wei: int


@dataclass(frozen=True, slots=True)
class Score:
    """How the month ended; US dollars (wad)."""

    start: int
    keeper: int
    never: int
    daily: int
    harvests: int
    gas_paid: int
    received: int


@dataclass(slots=True)
class _Daily:
    """A position that is compounded every day at that day's gas, by the twin's measured yield."""

    stake: int
    idle: int = 0
    #: The twin's pending reward per staked dollar when it was last looked at, wad.
    index: int = 0


@dataclass(slots=True)
class Scorer:
    """Follows the three through the month."""

    gas_used: Mapping[str, int] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    _daily: dict[str, _Daily] = field(default_factory=dict)
    _last_day: int = 0

    def look(self, ours: Sequence[Assessment], twins: Sequence[Assessment], gas_paid: int, loose: int) -> None:
        """Take one look at the keeper's positions and their never-compounding twins."""
        cases = [a.case for a in twins if a.case is not None]
        if len(cases) < len(twins) or any(a.case is None for a in ours):
            return  # a price is missing at this moment; the next look counts
        now = cases[0].observation.block.timestamp
        never = sum(worth(case) for case in cases)
        keeper = sum(worth(a.case) for a in ours if a.case is not None) - gas_paid + loose
        due = now // _DAY > self._last_day
        self._last_day = now // _DAY
        daily = sum(self._follow(case, due) for case in cases)
        self.moments.append(Moment(now, keeper, never, daily, cases[0].fees.price_wei))

    def _follow(self, twin: Case, due: bool) -> int:
        stake = twin.valuation.value_mid(twin.observation.principal)
        index = _pending(twin) * WAD // stake
        position = twin.position.id
        state = self._daily.setdefault(position, _Daily(stake, _pending(twin), index))
        state.idle += state.stake * max(index - state.index, 0) // WAD
        state.index = index
        if due and self.moments:
            gas = self.gas_used.get(position) or twin.gas_units
            state.stake += state.idle - twin.valuation.gas_cost(gas * twin.fees.price_wei)
            state.idle = 0
        return state.stake + state.idle

    def score(self, harvests: Sequence[Harvest]) -> Score:
        """Say how it ended."""
        first, last = self.moments[0], self.moments[-1]
        return Score(
            start=first.never,
            keeper=last.keeper,
            never=last.never,
            daily=last.daily,
            harvests=len(harvests),
            gas_paid=sum(h.cost_usd for h in harvests),
            received=sum(h.received_usd for h in harvests),
        )


def worth(case: Case) -> int:
    """Value a position: its stake, and what its pending reward would bring when sold. USD wad."""
    return case.valuation.value_mid(case.observation.principal) + _pending(case)


def measured_gas(harvests: Sequence[Harvest]) -> dict[str, int]:
    """Return the gas that compounds of each position really used, the median of them."""
    by_position: dict[str, list[int]] = {}
    for harvest in harvests:
        by_position.setdefault(harvest.position_id, []).append(harvest.gas_used)
    return {position: int(median(used)) for position, used in by_position.items()}


def _pending(case: Case) -> int:
    terms = sale_terms(case.holding, case.valuation)
    return sum(net_of_sale(case.valuation.value_low(a), terms.get(a.token.address)) for a in case.observation.pending)
