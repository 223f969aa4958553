"""At which price of gas each waiting position could fire before it is read again: what makes a gas tick cheap.

Reward only grows between two reads, and with it the price of gas at which a position fires. So its price at the end
of the window bounds it from above, and a tick has to look only at those whose bound the present price has reached.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import inf
from typing import Final

from keeper.domain.money import Amount
from keeper.engine.case import Case, cost_at, fire_gas_price, reckon, scene_of
from keeper.strategy.numbers import SECONDS_PER_YEAR

__all__ = ["Triggers", "later", "projected"]

#: By how much a cached bound stands above what was reckoned.
_MARGIN: Final = 1.1


class Triggers:
    """Waiting positions by the highest price of gas, in wei, at which they could fire within a window."""

    def __init__(self, cases: Mapping[str, Case], seconds: int) -> None:
        """Prepare for ``seconds`` from the block at which each case was read."""
        first = min((case.observation.block.timestamp for case in cases.values()), default=0)
        self._until = first + seconds
        bounds = sorted((_bound(case, seconds), position_id) for position_id, case in cases.items())
        self._prices = [bound for bound, _ in bounds]
        self._ids = [position_id for _, position_id in bounds]

    def __len__(self) -> int:
        """Count the positions that wait."""
        return len(self._ids)

    def near(self, price_wei: int, now: int) -> Collection[str]:
        """Return the ids of positions that may fire at this price at a block's time; after the window, every one."""
        if now > self._until:
            return self._ids
        return self._ids[bisect_left(self._prices, price_wei) :]


def later(case: Case, elapsed: int) -> Case:
    """Carry a case on by so many seconds: rewards as they have grown since they were read, the end as much nearer."""
    block = case.observation.block
    return replace(
        case,
        pending=projected(case, elapsed),
        observation=replace(case.observation, block=replace(block, timestamp=block.timestamp + max(elapsed, 0))),
        horizon=None if case.horizon is None else max(case.horizon - max(elapsed, 0), 0),
    )


def projected(case: Case, elapsed: int) -> tuple[Amount, ...]:
    """Return what is pending ``elapsed`` seconds after it was read: rewards are linear between two reads."""
    rates: dict[str, int] = {}
    for accrual in case.accruals:
        token = accrual.per_year.token.address
        rates[token] = rates.get(token, 0) + accrual.per_year.raw
    return tuple(
        replace(amount, raw=amount.raw + rates.get(amount.token.address, 0) * max(elapsed, 0) // SECONDS_PER_YEAR)
        for amount in case.pending
    )


def _bound(case: Case, seconds: int) -> float:
    """Bound the price at which it could fire; nothing bounds a batch, an interval that ends, or who does not tell."""
    longest = case.position.options.max_interval_seconds
    if case.round is not None or (longest is not None and case.since_seconds + seconds >= longest):
        return inf
    prices = [_fires_at(later(case, elapsed)) for elapsed in (0, seconds)]
    # Between the two an end comes nearer, and what is usual moves a little.
    return max(prices) * _MARGIN


def _fires_at(case: Case) -> float:
    if case.judge is None:
        return fire_gas_price(case, reckon(case)) or 0
    if not getattr(case.judge, "monotone", False):
        return inf
    r = reckon(case)
    return case.judge.judge(scene_of(case, r.economics), case.position.id, cost_at(case, r)).fires_below_wei or 0
