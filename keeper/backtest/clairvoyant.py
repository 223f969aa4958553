"""The best that anybody could have done who knew the whole year: exact, by dynamic programming over harvests.

M[k] = max_{j<k} M[j] + out(M[j]*(C[k]-C[j])*p_k) - g_k is the stake right after a harvest at step k, j being the
harvest before it (or the start); W = max_{j<end} M[j] + out(M[j]*(C[end]-C[j])*p_end) is the wealth at the end,
where all that is pending is claimed and, as for every policy, claiming it costs nothing. More stake right after a
harvest can only lead to more at the end (whatever schedule follows brings more from more), so keeping the best M[k]
of each k is exact.

``quadratic`` is that formula as it stands, O(N^2). ``foresight`` finds the same maximum faster, in one of two ways:

Without impact (L = inf) the value of j at k is M[j]*(1 + w*C[k]) - w*M[j]*C[j] with w = p_k*(1-fee): linear in the
point (M[j], M[j]*C[j]), with a positive first and a negative second factor. So the best j lies on the lower right
hull of the points. A point k with M[k] <= M[i], i < k, is never needed: i has more stake and has earned for longer.
All other points come in order of M, so the hull is a stack, and the best point is the last one that the hull's
slope leads to while it is at most 1/w + C[k]. That bound moves little from step to step, so it is found by walking
from where it was.

With impact and a constant price, write r_j = M[j]*(C-C[j]) and V_j = M[j] + out(p*r_j), both functions of C. Let j
be the best at some step, and i < j. Then i is never better again. Were M[i] >= M[j], i would have more of both and
be at least as good, so the two are equal and stay so. Else M[i] < M[j], and r_i - r_j falls as C grows. While r_i
>= r_j, out' falls with its argument, so V_j grows at p*M[j]*out'(p*r_j) >= p*M[i]*out'(p*r_i), at least as fast as
V_i, and stays ahead; once r_j >= r_i, j has more stake and more reward, for good. So the best j never moves back,
and only j's from it on are looked at: O(N * interval). With impact and a moving price neither holds, and
``quadratic`` is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keeper.backtest.paths import Floats
from keeper.backtest.world import Ints, World, net, take

__all__ = ["Foresight", "foresight", "quadratic"]

#: Steps by step and lane, in as little room as they need.
Steps: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Foresight:
    """What perfect foresight does, for each lane."""

    #: Value at the lane's end, USD.
    wealth: Floats
    #: Harvests before the end.
    harvests: Ints
    #: Sum of the gas path at those harvests.
    gas_paid: Floats
    #: The steps of the harvests, in order.
    schedule: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class _Hull:
    """One stack of points for each lane: row 0 is the start."""

    x: Floats
    y: Floats
    #: Step of each point.
    step: Ints
    #: Index of the topmost point, and of the best one at the last query.
    top: Ints
    best: Ints


def quadratic(world: World) -> Foresight:
    """Compute every pair of harvests: slow, and as simple as the formula."""
    return _backtrack(world, *_scan(world))


def foresight(world: World) -> Foresight:
    """Compute the same, as fast as the world allows; lanes are treated by what they need."""
    free = np.isinf(world.depth)
    still = np.all(world.prices == world.prices[0], axis=0)[world.price_of]
    found = []
    for chosen, solve, most in ((free, _by_hull, 4_096), (~free & still, _scan_on, 8), (~free & ~still, _scan, 8)):
        of_kind = np.flatnonzero(chosen)
        for first in range(0, len(of_kind), most):  # neighbours are alike, and look back equally far
            lanes = of_kind[first : first + most]
            part = take(world, lanes)
            found.append((lanes, _backtrack(part, *solve(part))))
    return _join(world, found)


def _join(world: World, found: list[tuple[Ints, Foresight]]) -> Foresight:
    wealth, paid = np.zeros(world.lanes), np.zeros(world.lanes)
    harvests = np.zeros(world.lanes, dtype=np.int64)
    schedule: list[tuple[int, ...]] = [()] * world.lanes
    for lanes, part in found:
        wealth[lanes], paid[lanes], harvests[lanes] = part.wealth, part.gas_paid, part.harvests
        for lane, steps in zip(lanes.tolist(), part.schedule, strict=True):
            schedule[lane] = steps
    return Foresight(wealth, harvests, paid, tuple(schedule))


def _backtrack(world: World, wealth: Floats, before: Steps) -> Foresight:
    """Follow each lane's best from its end; ``before[k]`` is the best harvest before one at k, 0 the start."""
    schedule = []
    for lane, end in enumerate(world.end.tolist()):
        steps = []
        at = int(before[end, lane])
        while at:
            steps.append(at)
            at = int(before[at, lane])
        schedule.append(tuple(reversed(steps)))
    paid = [float(np.sum(world.gas[list(s), c])) for s, c in zip(schedule, world.gas_of.tolist(), strict=True)]
    return Foresight(wealth, np.array([len(s) for s in schedule], dtype=np.int64), np.array(paid), tuple(schedule))


def _scan_on(world: World) -> tuple[Floats, Steps]:
    return _scan(world, monotone=True)


def _scan(world: World, *, monotone: bool = False) -> tuple[Floats, Steps]:
    """Look at every earlier harvest, or at those from the last best on; return wealth and each step's predecessor."""
    accrued = np.ascontiguousarray(world.accrued()[:, world.rate_of].T) * world.scale[:, None]
    prices = world.prices[:, world.price_of]
    costs = world.gas[:, world.gas_of] * world.cost
    stake = np.empty((world.lanes, world.steps + 1))
    stake[:, 0] = world.principal
    before = np.zeros((world.steps + 1, world.lanes), dtype=np.int32)
    wealth, rows = np.zeros(world.lanes), np.arange(world.lanes)
    low = 0
    for k in range(1, world.steps + 1):
        held = stake[:, low:k]
        value = held * (accrued[:, k : k + 1] - accrued[:, low:k]) * prices[k][:, None]
        value = held + net(value, world.depth[:, None], world.fee)
        found = k - 1 - np.argmax(value[:, ::-1], axis=1)  # of equals the last, which stays at least as good
        best = value[rows, found - low]
        before[k] = found
        wealth = np.where(world.end == k, best, wealth)
        if k < world.steps:
            stake[:, k] = np.maximum(best - costs[k], 0.0)
        if monotone:
            low = int(found.min())
    return wealth, before


def _by_hull(world: World) -> tuple[Floats, Steps]:
    """Keep the hull of each lane; return wealth and each step's predecessor."""
    accrued = world.accrued()
    hull = _start(world)
    before = np.zeros((world.steps + 1, world.lanes), dtype=np.int32)
    wealth, rows = np.zeros(world.lanes), np.arange(world.lanes)
    for k in range(1, world.steps + 1):
        grown = accrued[k, world.rate_of] * world.scale
        weight = world.prices[k, world.price_of] * (1.0 - world.fee)
        _seek(hull, rows, 1.0 / weight + grown)
        x, y = hull.x[hull.best, rows], hull.y[hull.best, rows]
        best = x + weight * (x * grown - y)
        before[k] = hull.step[hull.best, rows]
        if k < world.steps:
            stake = best - world.gas[k, world.gas_of] * world.cost
            _push(hull, np.flatnonzero(stake > hull.x[hull.top, rows]), stake, grown, k)
        wealth = np.where(world.end == k, best, wealth)
    return wealth, before


def _start(world: World) -> _Hull:
    room = (64, world.lanes)
    hull = _Hull(np.zeros(room), np.zeros(room), np.zeros(room, dtype=np.int64), *_zeros(world.lanes))
    hull.x[0] = world.principal
    return hull


def _zeros(count: int) -> tuple[Ints, Ints]:
    return np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)


def _seek(hull: _Hull, rows: Ints, bound: Floats) -> None:
    """Move every lane's best point to the last one that a slope of at most ``bound`` leads to."""
    np.minimum(hull.best, hull.top, out=hull.best)
    lanes = rows[hull.best < hull.top]
    while len(lanes):
        at = hull.best[lanes]
        rise = hull.y[at + 1, lanes] - hull.y[at, lanes]
        lanes = lanes[rise <= bound[lanes] * (hull.x[at + 1, lanes] - hull.x[at, lanes])]
        hull.best[lanes] += 1
        lanes = lanes[hull.best[lanes] < hull.top[lanes]]
    lanes = rows[hull.best > 0]
    while len(lanes):
        at = hull.best[lanes]
        rise = hull.y[at, lanes] - hull.y[at - 1, lanes]
        lanes = lanes[rise > bound[lanes] * (hull.x[at, lanes] - hull.x[at - 1, lanes])]
        hull.best[lanes] -= 1
        lanes = lanes[hull.best[lanes] > 0]


def _push(hull: _Hull, lanes: Ints, stake: Floats, grown: Floats, step: int) -> None:
    """Put a point on top of the hull of some lanes, after taking away what it makes needless."""
    x, y = stake, stake * grown
    left = lanes[hull.top[lanes] > 0]
    while len(left):
        at = hull.top[left]
        x1, y1 = hull.x[at, left], hull.y[at, left]
        x0, y0 = hull.x[at - 1, left], hull.y[at - 1, left]
        left = left[(y1 - y0) * (x[left] - x1) >= (y[left] - y1) * (x1 - x0)]
        hull.top[left] -= 1
        left = left[hull.top[left] > 0]
    hull.top[lanes] += 1
    at = hull.top[lanes]
    if len(lanes) and int(at.max()) >= len(hull.x):
        hull.x, hull.y = (np.concatenate([part, np.zeros_like(part)]) for part in (hull.x, hull.y))
        hull.step = np.concatenate([hull.step, np.zeros_like(hull.step)])
    hull.x[at, lanes], hull.y[at, lanes], hull.step[at, lanes] = x[lanes], y[lanes], step
