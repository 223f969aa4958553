"""The best schedule of harvests that a history allowed: exact, by dynamic programming over a position's shadows.

Every harvest leads to a shadow with a stake and nothing pending, and whatever follows, more stake then is never worse
(``shadow`` sees to that: what comes and goes does so token for token, and gas is taken out of the stake). So of all the
ways that lead to a harvest at a tick the one with the most stake after it is enough, as in ``clairvoyant``; here every
way is lived through step by step, all at once, because rates dilute, several rewards have prices of their own, and
money comes and goes. O(ticks^2), in one vector operation a tick.

Where a part of each harvest is paid out, two numbers would be needed, and the schedule is the best by their sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keeper.backtest.paths import Floats
from keeper.domain.money import BPS, WAD
from keeper.strategy.performance.points import Point
from keeper.strategy.performance.ticks import Tick

__all__ = ["foresee"]


class _Ways:
    """Shadows side by side, in whole tokens and dollars: each has another last harvest."""

    def __init__(self, start: Point, tick: Tick) -> None:
        self.count = 1
        self.stake = np.zeros(256)
        self.pending = np.zeros((len(tick.units), 256))
        self.cash = np.zeros(256)
        #: The way that led there, and the place of the tick of the harvest; -1 for none.
        self.steps: list[tuple[int, int]] = [(-1, -1)]
        self.node = [0]
        self._stand(start, tick)

    def _stand(self, point: Point, tick: Tick) -> None:
        self.count = 1
        self.stake[0] = point.stake / tick.unit
        self.pending[:, 0] = [raw / unit for raw, unit in zip(point.pending, tick.units, strict=True)]
        self.cash[0] = 0.0

    def live(self, tick: Tick) -> None:
        """Let everything happen that is nobody's choice, but being paid off."""
        step, stake = tick.step, self.stake[: self.count]
        if step.stake_seconds > 0:
            weight = np.maximum(stake, 0.0)
            share, real = step.before.own_share_ppm / 1e6, step.before.stake / tick.unit
            if share and real:
                weight = weight / (1.0 + share * (weight / real - 1.0) + (weight == 0.0))
            for place, raw in enumerate(step.accrued):
                each = raw * step.seconds * tick.unit / (step.stake_seconds * tick.units[place])
                self.pending[place, : self.count] += weight * each
        if step.grown and step.before.stake:
            stake *= 1.0 + step.grown / step.before.stake
        if step.external and not tick.left:
            stake += step.external / tick.unit

    def net(self, tick: Tick) -> Floats:
        """What selling everything would bring."""
        prices = [price / WAD for price in tick.step.after.reward_prices]
        found: Floats = np.zeros(self.count)
        for place, price in enumerate(prices):
            found += self.pending[place, : self.count] * price
        found *= tick.terms.kept / WAD
        if tick.step.after.depth:
            found = np.where(found > 0, found / (1.0 + np.maximum(found, 0.0) * WAD / tick.step.after.depth), found)
        return found

    def worth(self, tick: Tick) -> Floats:
        """What each has come to."""
        found: Floats = self.stake[: self.count] * _price(tick) + self.net(tick) + self.cash[: self.count]
        return found

    def harvest(self, tick: Tick, place: int) -> None:
        """Add the best way to have harvested at this tick, if any is of use."""
        if tick.seen is None or tick.terms.cost is None:
            return
        brought, share = self.net(tick), tick.put_back / WAD
        able = np.flatnonzero((brought > 0) & (self.stake[: self.count] > 0))
        if not len(able):
            return
        entry = (BPS - tick.step.after.deposit_fee_bps) / BPS
        stake = self.stake[able] + (brought[able] * share * entry - tick.terms.cost / WAD) / _price(tick)
        cash = self.cash[able] + brought[able] * (1.0 - share)
        best = int(np.argmax(stake * _price(tick) + cash))
        if not self._needless(float(stake[best]), float(cash[best])):
            self._add(float(stake[best]), float(cash[best]), (self.node[able[best]], place))

    def pay_off(self, tick: Tick) -> None:
        """Keep the best, take its money out, and stand again where the real position stands."""
        value = self.worth(tick)
        best = int(np.argmax(value))
        self.node = [self.node[best]]
        self._stand(tick.step.after, tick)
        self.cash[0] = value[best] - float(self.worth(tick)[0])

    def schedule(self, tick: Tick) -> tuple[int, ...]:
        """Return the harvests of what has come to most."""
        at, found = self.node[int(np.argmax(self.worth(tick)))], []
        while at >= 0:
            at, place = self.steps[at]
            found.append(place)
        return tuple(place for place in reversed(found) if place >= 0)

    def _needless(self, stake: float, cash: float) -> bool:
        """Say whether one of the others has as much of both and something pending besides."""
        here = slice(self.count)
        better = (self.stake[here] >= stake) & (self.cash[here] >= cash) & np.all(self.pending[:, here] >= 0, axis=0)
        return bool(np.any(better))

    def _add(self, stake: float, cash: float, step: tuple[int, int]) -> None:
        if self.count == len(self.stake):
            self.stake, self.cash = (np.concatenate([part, np.zeros_like(part)]) for part in (self.stake, self.cash))
            self.pending = np.concatenate([self.pending, np.zeros_like(self.pending)], axis=1)
        self.stake[self.count], self.cash[self.count] = stake, cash
        self.pending[:, self.count] = 0.0
        self.count += 1
        self.steps.append(step)
        self.node.append(len(self.steps) - 1)


def foresee(start: Point, ticks: Sequence[Tick]) -> tuple[int, ...]:
    """Return the places of the ticks at which to harvest, in order.

    Args:
        start: where the position stands at first.
        ticks: at least one; a harvest at the last is never worth its cost.
    """
    ways = _Ways(start, ticks[0])
    for place, tick in enumerate(ticks):
        ways.live(tick)
        if tick.left:
            ways.pay_off(tick)
        if place < len(ticks) - 1:
            ways.harvest(tick, place)
    return ways.schedule(ticks[-1])


def _price(tick: Tick) -> float:
    return tick.step.after.price / WAD
