"""keeper's rule in floats is the rule in integers, and has its shape: monotone, without scale, exact to first order."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keeper.domain.money import WAD, UsdWad
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.numbers import PPM
from keeper.strategy.patience import patience
from keeper.strategy.policies import POLICIES, rule
from keeper.strategy.policy import Scene
from keeper.strategy.threshold import SECONDS_PER_YEAR, Economics, Rule, cost_that_fires, fires, threshold

money = st.floats(1e-2, 1e9)
rates = st.floats(1e-4, 1e2)


def scene(
    principal: float, reward: float, cost: float, forward: float, yield_: float, depth: float = math.inf
) -> Scene:
    memory = GasMemory()
    memory.observe(0, 1.0)
    return Scene(
        now=0,
        principal=principal,
        reward=reward,
        cost=cost,
        forward=forward,
        yield_=yield_,
        depth=depth,
        since=0.0,
        gas=1.0,
        memory=memory,
    )


@functools.cache
def remembered(seed: int) -> GasMemory:
    """Weeks of gas that wanders, comes back, has hours of the day, and spikes; the last price is now, hour 1,000."""
    rng = np.random.default_rng(seed)
    memory, strays, back, swing = GasMemory(), 0.0, rng.uniform(0.8, 1.0), rng.uniform(0.0, 0.5)
    for hour in range(int(rng.integers(0, 1_000)), 1_001):
        strays = back * strays + 0.2 * rng.standard_normal() + 2.0 * (rng.random() < 0.01)
        memory.observe(hour * 3_600, float(np.exp(strays + swing * np.sin(hour % 24 / 24 * 2 * np.pi))))
    return memory


def now(seed: int) -> float:
    """A price like those that were seen: dear, cheap, or usual."""
    levels = remembered(seed).levels
    return math.exp(levels.values[1] + levels.season.now(levels.hour) + 0.2 * (seed % 9 - 6))


def weight_of(shown: Scene) -> float:
    """Rho, from the memory itself: for the cycle sqrt(2g/(Fk)) that the position has at this season's gas."""
    levels = shown.memory.levels
    k = shown.yield_ + 2 * shown.forward / shown.depth
    at_level = shown.cost * math.exp(levels.values[2]) / shown.gas
    # where next to nothing is earned, a cycle is still no longer than a million years
    hours = math.sqrt(min(2 * at_level / max(shown.forward * k, 1e-300), 1e12)) * 8_760
    return float(patience(levels, max(hours, 1 / 60)).weight(shown.gas))


def wad(value: float) -> UsdWad:
    return UsdWad(int(value * WAD))


@given(
    principal=money,
    reward=money,
    cost=money,
    forward=money,
    yield_=st.floats(-1.0, 100.0),
    depth=st.one_of(st.none(), money),
    factor=st.integers(5_000, 10_000),
    payback=st.integers(86_400, 5 * SECONDS_PER_YEAR),
    past=st.integers(0, 20),
)
@example(1.0, 1.0, 1.0, 1.0, 2.225073858507203e-309, None, 5_000, 86_400, 0)
@example(1.0, 1.0, 1.0, 1e-2, 5e-324, None, 5_000, 86_400, 0)
@example(1.0, 1.0, 1.0, 1e-2, 1e-14, None, 5_000, 86_400, 0)
def test_floats_decide_as_integers_do(principal, reward, cost, forward, yield_, depth, factor, payback, past):
    terms = Rule(risk_factor_bps=factor, payback_seconds=payback)
    shown = scene(principal, reward, cost, forward, yield_, math.inf if depth is None else depth)
    shown = replace(shown, memory=remembered(past), gas=now(past))
    rho = weight_of(shown) if yield_ + (2 * forward / depth if depth else 0.0) > 0 else 1.0
    weighed = replace(terms, weight_ppm=max(int(rho * PPM), 1))
    e = Economics(
        wad(principal), wad(reward), wad(cost), wad(forward), wad(yield_), None if depth is None else wad(depth)
    )
    wanted = threshold(e, weighed)
    if wanted is None and yield_ > 0:  # no reward is worth so much: one part in a million of rho may be what it lacks
        assume(threshold(e, replace(weighed, weight_ppm=max(int(rho * PPM * (1 - 1e-4)), 1))) is None)
    if wanted is not None:  # within rounding of a border either answer is right; rho is known to the millionth
        border = max(1e-9, 2 / weighed.weight_ppm, 1e-7)
        nearest = threshold(e, replace(weighed, weight_ppm=int(weighed.weight_ppm * (1 + border)) + 2))
        assume(nearest is not None and not wanted * (1 - 1e-6) <= e.reward <= nearest * (1 + 1e-6))
        earned = reward * yield_ * payback / SECONDS_PER_YEAR
        assume(abs(reward - cost) > 1e-9 * cost and abs(earned - cost) > 1e-9 * cost)

    assert bool(rule(terms)(shown)) == fires(e, weighed)
    plain = rule(terms, patient=False)(shown)
    if int(rho * PPM) == PPM:
        assert bool(plain) == fires(e, terms)


def test_the_memories_of_these_tests_make_a_difference():
    shown = [replace(scene(1e4, 100.0, 2.0, 2e3, 0.2), memory=remembered(past), gas=now(past)) for past in range(21)]
    weights = [weight_of(one) for one in shown]

    assert min(weights) < 0.7
    assert max(weights) > 1.4


@given(principal=money, cost=money, rate=rates, part=st.floats(0.5, 2.0))
def test_floats_decide_as_integers_do_near_the_threshold(principal, cost, rate, part):
    e = Economics(wad(principal), UsdWad(0), wad(cost), wad(principal * rate), wad(rate))
    wanted = threshold(e, Rule())
    assume(wanted is not None and wanted > 0 and abs(part - 1) > 1e-6)
    reward = part * wanted / WAD
    assume(abs(reward - cost) > 1e-6 * cost and abs(reward * rate - cost) > 1e-6 * cost)

    shown = scene(principal, reward, cost, principal * rate, rate)

    assert bool(rule()(shown)) == fires(replace(e, reward=wad(reward)), Rule())
    assert cost_that_fires(replace(e, reward=wad(reward)), Rule()) >= 0


def test_one_decision_and_many_are_the_same_lines():
    rng = np.random.default_rng(1)
    columns = [10.0 ** rng.uniform(-2, 7, 500) for _ in range(4)]
    yields = columns[3] / columns[0]
    together = rule()(scene(columns[0], columns[1], columns[2], columns[3], yields))

    single = [bool(rule()(scene(*row))) for row in zip(*(c.tolist() for c in columns), yields.tolist(), strict=True)]

    assert together.tolist() == single
    assert 10 < sum(single) < 490


@pytest.mark.parametrize("name", ["rule", "sqrt-spot", "sqrt-7d", "r>g", "r>100g", "share"])
@given(principal=money, reward=money, cost=money, rate=rates, more=st.floats(1.0, 100.0), less=st.floats(0.0, 1.0))
def test_more_reward_or_cheaper_gas_never_turns_harvest_into_wait(name, principal, reward, cost, rate, more, less):
    policy = POLICIES[name]
    shown = scene(principal, reward, cost, principal * rate, rate)
    if policy.wants(shown):
        assert policy.wants(replace(shown, reward=reward * more))
        assert policy.wants(replace(shown, cost=cost * less))


@given(principal=money, reward=money, cost=money, rate=rates, power=st.integers(-20, 20))
def test_money_has_no_scale(principal, reward, cost, rate, power):
    scale = 2.0**power  # exact in floats
    small = scene(principal, reward, cost, principal * rate, rate)
    large = scene(principal * scale, reward * scale, cost * scale, principal * rate * scale, rate)

    assert rule()(small) == rule()(large)


@pytest.mark.parametrize("gamma", [1e-6, 1e-4, 1e-3, 5e-3, 1e-2])
def test_the_growth_correction_is_lamberts_to_first_order(gamma):
    # 1 + x = exp(1 + W0((gamma-1)/e)), R*/S = x + gamma, gamma = g/S; the first term left out is of order 3/2
    exact = math.exp(1 + lambert((gamma - 1) / math.e)) - 1 + gamma

    # what a harvest earns for ever counts in full
    ever = Rule(payback_seconds=10**15 * SECONDS_PER_YEAR)
    wanted = threshold(Economics(wad(1.0), UsdWad(0), wad(gamma), wad(1.0), WAD), ever)

    assert wanted is not None
    assert wanted / WAD == pytest.approx(math.sqrt(2 * gamma) + 4 / 3 * gamma, rel=1e-12)
    assert abs(exact - wanted / WAD) < 0.05 * gamma**1.5


def lambert(z: float) -> float:
    """W0 by bisection between its branch point and 1."""
    low, high = -1.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.exp(middle) < z else (low, middle)
    return low
