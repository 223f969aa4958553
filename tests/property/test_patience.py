"""What keeper remembers of gas: it learns what is there, learns nothing that is not, and never sees what is to come."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.strategy.arithmetic import high, ln, low
from keeper.strategy.gas_levels import GasLevels
from keeper.strategy.gas_season import HOURS, RATES, ahead_of
from keeper.strategy.patience import Patience, patience

DAY = 24
YEAR = 8_760
#: Cycles of positions, hours: from one an hour to one in years.
CYCLES = (1.0, 24.0, 300.0, 2_000.0, 50_000.0)

seeds = st.integers(0, 2**32 - 1)
cycles = st.floats(math.log(1 / 60), math.log(1e7)).map(math.exp)


def seen(logs, *, step: int = 1, levels: GasLevels | None = None) -> GasLevels:
    """Levels after these log prices, so many hours apart."""
    levels = levels or GasLevels()
    for place, value in enumerate(logs):
        levels.observe(place * step * 3_600, np.exp(value) if isinstance(value, np.ndarray) else math.exp(value))
    return levels


def wandering(seed: int, hours: int, keep: float, shock: float) -> list[float]:
    """An autoregressive log price: a random walk at ``keep`` 1."""
    path, value = [], 0.0
    for each in np.random.default_rng(seed).standard_normal(hours).tolist():
        value = keep * value + shock * each
        path.append(value)
    return path


@functools.cache
def market(seed: int) -> GasLevels:
    """A month or more of one kind of market or another."""
    rng = np.random.default_rng(seed)
    hours = int(rng.integers(1, 1_200))
    logs = np.array(wandering(seed, hours, rng.uniform(0.8, 1.0), rng.uniform(0.0, 0.4)))
    logs += rng.uniform(0.0, 0.6) * np.sin(np.arange(hours) / 24 * 2 * np.pi)
    logs += rng.uniform(0.0, 0.5) * rng.standard_normal(hours) + 3.0 * (rng.random(hours) < 0.01)
    return seen(logs.tolist())


@given(st.integers(0, 15), cycles, st.floats(-20.0, 20.0), st.floats(0.0, 10.0))
def test_rho_never_falls_when_the_price_rises(seed, cycle, at, more):
    found = patience(market(seed), cycle)

    assert found.slope >= 0
    assert found.weight(math.exp(at + more)) >= found.weight(math.exp(at)) * (1 - 1e-9)


def test_the_even_price_is_where_rho_is_one():
    evens = [(found, found.even) for found in (patience(market(seed), 300.0) for seed in range(16))]

    assert sum(even is not None for _, even in evens) > 4
    for found, even in evens:
        assert even is None or found.weight(even) == pytest.approx(1.0, rel=1e-5)
    assert Patience(0.0, 0.3).even is None


@pytest.mark.parametrize("price", [1e-9, 1.0, 3e10])
def test_in_flat_gas_rho_is_one_for_ever(price):
    levels = GasLevels()
    for hour in range(YEAR // 2):
        levels.observe(hour * 3_600, price)
        if hour % 97 < 2:
            assert [patience(levels, cycle).weight(price) for cycle in CYCLES] == pytest.approx([1.0] * 5, abs=1e-6)


def test_gas_that_wanders_off_teaches_no_return():
    walks = np.array([wandering(seed, YEAR, 1.0, 0.03) for seed in range(12)])
    levels = seen(list(walks.T))
    price = np.exp(walks[:, -1])

    assert np.mean(levels.reach) < 0.15
    # the terms of the season and of noise are small
    weights = np.array([patience(levels, cycle).weight(price) for cycle in CYCLES[:3]])
    assert np.median(np.abs(np.log(weights))) < 0.2


def test_gas_that_comes_back_teaches_patience():
    logs = np.array([wandering(seed, 3_000, math.exp(-1 / 10), 0.15) for seed in range(8)])
    levels = seen(list(logs.T))

    assert np.all(levels.reach > 0.8)
    found = patience(levels, 300.0)
    assert np.all(found.weight(np.exp(levels.values[2] + 0.5)) > 1.5)  # a dear hour is worth sitting out
    assert np.all(found.weight(np.exp(levels.values[2] - 1.0)) < 0.6)  # a cheap one is worth taking early
    shorter = patience(levels, 10.0)  # who harvests all the time waits for less
    assert np.all(shorter.weight(1.0) <= found.weight(1.0) * (1 + 1e-9))


def test_before_two_days_are_over_there_is_no_return():
    assert seen(wandering(1, 48, 0.5, 0.3)).reach == 0.0


def test_spikes_teach_little():
    rng = np.random.default_rng(2)
    quiet = 0.1 * rng.standard_normal(1_500)
    loud = quiet + 5.0 * (rng.random(1_500) < 0.005)
    without, beside = seen(quiet.tolist()), seen(loud.tolist())

    assert loud.max() > 4
    for level, usual in zip(beside.values, without.values, strict=True):
        assert level == pytest.approx(usual, abs=0.05)
    assert beside.deviation < 1.5 * without.deviation
    for cycle in CYCLES[:3]:
        assert patience(beside, cycle).weight(1.0) == pytest.approx(patience(without, cycle).weight(1.0), rel=0.2)


@pytest.mark.parametrize("weeks", [3, 8])
def test_a_shape_of_the_day_is_learnt_within_weeks(weeks):
    shape = 0.5 * np.sin(np.arange(DAY) / DAY * 2 * np.pi)  # dearest at 6, cheapest at 18 hours UTC
    hours = np.arange(weeks * 7 * DAY)
    levels = seen((shape[hours % DAY] + 0.05 * np.random.default_rng(3).standard_normal(len(hours))).tolist())
    table = np.array(levels.season.table)
    by_hour = np.array([table[(hour + 72) % 168] for hour in range(7 * DAY)]).reshape(7, DAY).mean(axis=0)

    assert np.corrcoef(by_hour, shape)[0, 1] > 0.99
    assert by_hour.max() - by_hour.min() == pytest.approx(1.0, abs=0.25)


def test_what_lies_ahead_is_the_least_of_the_week_net_of_the_wait():
    season = market(3).season
    for hour in range(0, 168, 5):
        later = [season.now(hour + wait) for wait in range(1, 2 * 168)]
        expected = [
            max(0.0, season.now(hour) - min(value + rate * wait for wait, value in enumerate(later, 1)))
            for rate in RATES
        ]
        assert season.drops(hour) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 15), st.floats(1e-6, 1e6), cycles)
def test_what_is_usual_does_not_depend_on_the_price_of_this_hour(seed, price, cycle):
    logs = wandering(seed, 100, 0.9, 0.3)
    one, other = seen(logs), seen(logs)
    one.observe(99 * 3_600 + 60, price)

    assert patience(one, cycle) == patience(other, cycle)


@given(seeds, cycles)
def test_an_array_is_remembered_as_its_places_are(seed, cycle):
    logs = np.array([wandering(seed + place, 120, 0.9, 0.3) for place in range(3)])
    together = patience(seen(list(logs.T)), np.full(3, cycle))
    alone = [patience(seen(one.tolist()), cycle) for one in logs]

    assert np.broadcast_to(together.slope, 3).tolist() == pytest.approx([one.slope for one in alone], abs=1e-7)
    assert together.weight(np.ones(3)).tolist() == pytest.approx([one.weight(1.0) for one in alone], rel=1e-6)


@pytest.mark.parametrize("factor", [1e-9, 0.3, 1e10])
def test_the_unit_of_the_price_does_not_matter(factor):
    logs = wandering(5, 900, 0.95, 0.2)
    one, other = seen(logs), seen([x + math.log(factor) for x in logs])

    for cycle in CYCLES:
        assert patience(other, cycle).weight(factor) == pytest.approx(patience(one, cycle).weight(1.0), rel=1e-4)


@given(seeds, st.lists(st.sampled_from([0, 1, 2, 5, 30, 400, 20_000]), min_size=1, max_size=60), cycles)
def test_gaps_and_repeated_hours_are_survived(seed, gaps, cycle):
    rng, levels, hour = np.random.default_rng(seed), GasLevels(), 0
    for gap in gaps:
        hour += gap
        levels.observe(hour * 3_600, float(np.exp(rng.normal(0, 2))))
        weight = patience(levels, cycle).weight(1.0)
        assert math.exp(-4.001) <= weight <= math.exp(4.001)
        assert 0 <= levels.reach <= 1
        assert levels.hours_seen < len(gaps)


def test_times_that_are_equal_or_fall_do_no_harm():
    logs = wandering(6, 300, 0.9, 0.3)
    levels, twice = GasLevels(), GasLevels()
    for hour, value in enumerate(logs):
        levels.observe(hour * 3_600, math.exp(value))
        twice.observe(hour * 3_600, 77.0)
        twice.observe(hour * 3_600, math.exp(value))  # the last price of an hour counts
    assert patience(twice, 300.0) == patience(levels, 300.0)

    levels.observe(290 * 3_600, 88.0)  # a clock that was set back
    levels.observe(291 * 3_600, math.exp(logs[-1]))
    for hour in range(300, 400):
        levels.observe(hour * 3_600, 1.0)
        twice.observe(hour * 3_600, 1.0)
    assert patience(twice, 300.0) == patience(levels, 300.0)


@pytest.mark.parametrize("step", [1, 6, 24])
def test_the_distance_of_prices_is_learnt(step):
    assert seen([0.0] * 300, step=step).spacing == pytest.approx(step, rel=1e-3)


@given(seeds, st.integers(1, 110), cycles)
def test_nothing_is_known_of_what_is_to_come(seed, until, cycle):
    one = wandering(seed, 120, 0.9, 0.4)
    other = [*one[:until], *(value + 3.0 for value in one[until:])]
    first, second = GasLevels(), GasLevels()
    for hour in range(120):
        first.observe(hour * 3_600, math.exp(one[hour]))
        second.observe(hour * 3_600, math.exp(other[hour]))
        if hour < until:
            assert patience(first, cycle) == patience(second, cycle)
    assert patience(first, cycle) != patience(second, cycle)


@given(st.floats(-25.0, 25.0))
def test_the_logarithm_is_one(x):
    assert ln(math.exp(x)) == pytest.approx(x, abs=1e-6)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_lesser_and_the_greater(a, b):
    assert low(a, b) == pytest.approx(min(a, b), rel=1e-12, abs=1e-6)
    assert high(a, b) == pytest.approx(max(a, b), rel=1e-12, abs=1e-6)


def in_words(table) -> list[list]:
    """The definition of what lies ahead, one rate and one hour after another."""
    columns = []
    for rate in RATES:
        least, column = table[0] + 1e3, [None] * HOURS
        for hour in [*range(HOURS - 1, -1, -1)] * 2:
            least = low(table[(hour + 1) % HOURS], least) + rate
            column[hour] = least
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def bits(number) -> bytes:
    """Every bit of a number or an array, but for the sign of what is not a number: processors choose that."""
    return np.where(np.isnan(number), np.nan, number).tobytes()


@given(seeds, st.sampled_from(["floats", "numpy floats", "one path", "paths", "mixed", "infinite", "equal"]))
def test_what_lies_ahead_is_to_the_last_digit_what_its_definition_says(seed, kind):
    rng = np.random.default_rng(seed)
    size = {"one path": (HOURS, 1), "paths": (HOURS, 5)}.get(kind, (HOURS,))
    drawn = rng.normal(scale=math.exp(rng.uniform(-12, 4)), size=size)
    table = list(drawn) if kind in ("numpy floats", "one path", "paths") else drawn.tolist()
    if kind == "mixed":
        table = [rng.normal(size=3) if rng.random() < 0.5 else value for value in table]
    elif kind == "infinite":
        table[rng.integers(HOURS)], table[rng.integers(HOURS)] = math.inf, math.nan
    elif kind == "equal":
        table = [round(value, 1) for value in table]

    for got, wanted in zip(ahead_of(table), in_words(table), strict=True):
        assert [np.shape(x) for x in got] == [np.shape(x) for x in wanted]
        assert list(map(bits, got)) == list(map(bits, wanted))
