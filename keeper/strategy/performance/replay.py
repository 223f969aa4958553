"""What another rhythm would have earned: the recorded rates, prices and gas, lived through once more.

The model is that of ``shadow``, with the wallet beside it: gas is paid out of the wallet, what was claimed by hand or
taken out goes there, and what pends at the end is worth its price. It knows no more than the samples: between two of
them rewards accrue evenly, a harvest has the prices and the gas of the next, and the pools are what they were. What
the position's own compounds really lost in selling and took in gas sets the model (``fit_of``). The real rhythm lived
through by the model, beside what really came of it, says how far it is still off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.money import WAD
from keeper.strategy.performance.past import Past, Step
from keeper.strategy.performance.shadow import FINE, Shadow, accrue, begin, deposit, grow, idle, net, net_of
from keeper.strategy.performance.ticks import Tick, ticks_of

__all__ = ["Fit", "Replayed", "as_recorded", "daily", "earned", "fit_of", "never", "replay"]

#: Bounds of what selling may have lost or gained, wad: beyond them the record speaks of something else.
_LEAST, _MOST = 90 * WAD // 100, 102 * WAD // 100

_DAY: Final = 86_400

#: Says when to harvest in a step: seconds before its end, the earliest harvest (the most seconds) first.
When = Callable[[Step], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Fit:
    """What really came of compounds, over what the model says of the same; wad."""

    #: Put back of what was claimed.
    sale: int = WAD
    #: Gas units that they took, at whatever price.
    gas: int = WAD


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a rhythm ended; wad."""

    #: Everything earned: price moves, rewards, less what was paid.
    profit: int
    #: What is staked at the end.
    staked: int
    harvests: int
    cost: int


def never(_step: Step) -> Sequence[int]:
    """Leave the rewards where they are."""
    return ()


def daily(step: Step) -> Sequence[int]:
    """Harvest at each midnight (UTC), whatever it costs."""
    first = step.before.at // _DAY + 1
    return [step.after.at - day * _DAY for day in range(first, step.after.at // _DAY + 1)]


def as_recorded(step: Step) -> Sequence[int]:
    """Harvest when it was really done."""
    return (step.compounded_for,) if step.compounded > 0 else ()


def earned(past: Past) -> int:
    """Return what really came of it, by the same measure as ``Replayed.profit``."""
    return sum(step.profit(past.stake_token.unit) for step in past.steps)


def fit_of(past: Past) -> Fit:
    """Set the model by what the recorded compounds really put back of what they sold, and by the gas that they took."""
    back = modelled = 0
    for tick in ticks_of(past):
        step = tick.step
        sold = step.received - step.wallet
        if step.compounded > 0 and sold > 0:
            back += step.compounded * step.after.price // tick.unit
            modelled += net_of(sold, tick)
    sale = min(max(back * WAD // modelled, _LEAST), _MOST) if modelled > 0 else WAD
    return Fit(sale, past.gas_ratio)


def replay(past: Past, when: When, *, compounded: int = WAD, fit: Fit | None = None) -> Replayed | None:
    """Live through the steps with another rhythm; ``None`` where the cost of a harvest is not on record.

    Args:
        past: the steps.
        when: asked of each.
        compounded: part of each harvest that is put back, wad; the rest is paid out.
        fit: what the model is set by; nothing by default.
    """
    shadow, ticks = begin(past.first), ticks_of(past)
    for tick in ticks:
        left = tick.step.seconds
        for then in when(tick.step):
            accrue(shadow, tick.step, left - then)
            left = then
            if idle(shadow, tick) > 0:
                if tick.terms.cost is None:
                    return None
                _harvest(shadow, tick, tick.terms.cost, compounded, fit or Fit())
        accrue(shadow, tick.step, left)
        grow(shadow, tick.step)
        _from_outside(shadow, tick)
    last, unit = past.last, past.stake_token.unit
    staked = shadow.stake * last.price // (unit * FINE)
    begun = past.first.staked + past.first.idle
    profit = staked + idle(shadow, ticks[-1]) + shadow.cash - begun
    return Replayed(profit, staked, shadow.harvests, shadow.paid)


def _from_outside(shadow: Shadow, tick: Tick) -> None:
    """Claim what was claimed by hand, put in what was put in, take out the part that was taken out."""
    past = tick.step
    if past.by_hand:
        shadow.cash += idle(shadow, tick)
        shadow.pending = [0] * len(shadow.pending)
    if not past.external:
        return
    moved = past.external * FINE
    if moved < 0:
        there = past.after.stake - past.external
        moved = -(shadow.stake * -past.external // there) if there > 0 else -shadow.stake
    shadow.stake += moved
    shadow.cash -= moved * past.after.price // (tick.unit * FINE)


def _harvest(shadow: Shadow, tick: Tick, cost: int, compounded: int, fit: Fit) -> None:
    """Sell what pends, put it back, and pay for it out of the wallet, as it really is."""
    brought = net(shadow, tick) * fit.sale // WAD
    paid = cost * fit.gas // WAD
    back = brought * compounded // WAD
    deposit(shadow, tick, back)
    shadow.cash += brought - back - paid
    shadow.paid += paid
    shadow.harvests += 1
    shadow.pending = [0] * len(shadow.pending)
