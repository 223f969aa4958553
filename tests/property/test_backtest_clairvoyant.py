"""Perfect foresight is exact: it equals every schedule tried one by one, and its two fast forms equal the formula."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.backtest.clairvoyant import foresight, quadratic
from keeper.backtest.race import never, race
from keeper.backtest.world import World, net
from keeper.strategy.policies import POLICIES


def random_world(seed: int, *, lanes: int = 6, steps: int = 11, depth: bool, drift: bool, spread: float = 0.6) -> World:
    """Rough worlds: gas from a hundredth to a hundred, rewards that pause, and a whole year in a few steps."""
    rng = np.random.default_rng(seed)
    principal = 10.0 ** rng.uniform(1, 3, lanes)
    price = np.exp(rng.normal(0, 0.3, (steps + 1, lanes))) if drift else np.ones((steps + 1, lanes))
    return World(
        gas=np.exp(spread * rng.normal(0, 2, (steps, lanes))),
        rates=np.exp(rng.normal(0, 1, (steps, lanes))) * (rng.random((steps, lanes)) < 0.8),
        principal=principal,
        cost=10.0 ** rng.uniform(-1, 1.5, lanes),
        scale=10.0 ** rng.uniform(-1, 1, lanes),
        gas_of=np.arange(lanes),
        rate_of=np.arange(lanes),
        price_of=np.arange(lanes),
        prices=price,
        end=rng.integers(1, steps + 1, lanes),
        depth=principal * 10.0 ** rng.uniform(-1, 1, lanes) if depth else np.full(lanes, np.inf),
        drift=np.zeros(lanes),
        step=365 * 86_400 // steps,
    )


def play(world: World, lane: int, schedule: tuple[int, ...]) -> float:
    """What one schedule ends with, step by step, in plain Python."""
    accrued = world.accrued()[:, world.rate_of[lane]] * world.scale[lane]
    prices, gas = world.prices[:, world.price_of[lane]], world.gas[:, world.gas_of[lane]]
    stake, mark = float(world.principal[lane]), 0.0
    for step in (*schedule, int(world.end[lane])):
        sold = stake * (accrued[step] - mark) * prices[step]
        brought = sold * (1 - world.fee) / (1 + sold / world.depth[lane])
        last = step == world.end[lane]
        stake, mark = max(stake + brought - (0.0 if last else gas[step] * world.cost[lane]), 0.0), accrued[step]
    return stake


@pytest.mark.parametrize(("depth", "drift"), [(False, False), (False, True), (True, False), (True, True)])
@given(seed=st.integers(0, 2**32 - 1))
def test_it_equals_every_schedule_tried(depth, drift, seed):
    world = random_world(seed, lanes=2, depth=depth, drift=drift)

    found = foresight(world)

    for lane in range(world.lanes):
        steps = range(1, int(world.end[lane]))
        best = max(play(world, lane, chosen) for n in range(len(steps) + 1) for chosen in combinations(steps, n))
        assert found.wealth[lane] == pytest.approx(best, rel=1e-12)
        assert play(world, lane, found.schedule[lane]) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(("depth", "drift"), [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("seed", range(4))
def test_the_fast_forms_equal_the_formula(depth, drift, seed):
    world = random_world(seed, lanes=24, steps=400, depth=depth, drift=drift, spread=0.3)

    fast, slow = foresight(world), quadratic(world)

    assert fast.wealth == pytest.approx(slow.wealth, rel=1e-12)
    for lane, schedule in enumerate(fast.schedule):
        assert play(world, lane, schedule) == pytest.approx(slow.wealth[lane], rel=1e-12)
    assert fast.harvests.max() > 3  # the worlds are not all of the kind where one waits


@given(seed=st.integers(0, 2**32 - 1))
def test_nobody_does_better(seed):
    world = random_world(seed, depth=seed % 2 == 0, drift=seed % 3 == 0)

    best = foresight(world).wealth
    found = race(world, list(POLICIES.values())).wealth

    assert np.all(found <= best * (1 + 1e-12))
    assert np.all(never(world) <= best * (1 + 1e-12))


def test_what_a_pool_pays():
    assert net(np.array([100.0]), np.array([np.inf]), 0.003)[0] == pytest.approx(99.7)
    assert net(np.array([100.0]), np.array([100.0]), 0.003)[0] == pytest.approx(49.85)
