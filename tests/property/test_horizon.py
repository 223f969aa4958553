"""Compounding before a known end, against the best of all schedules, and in its limits."""

from __future__ import annotations

from functools import cache
from math import isqrt

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.money import WAD, UsdWad, usd
from keeper.strategy import horizon
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Economics, Rule, cost_that_fires, evaluate, fires, threshold

DAY = 86_400
money = st.integers(min_value=10**15, max_value=10**26)
rates = st.integers(min_value=10**14, max_value=5 * 10**18)
times = st.integers(min_value=3_600, max_value=4 * SECONDS_PER_YEAR)


def case(principal, reward, cost, apr, tau, depth=None) -> Economics:
    forward = principal * apr // WAD
    return Economics(UsdWad(principal), UsdWad(reward), UsdWad(cost), UsdWad(forward), apr, depth, tau)


def best_gain(reward, cost, forward, k, days):
    """The exact optimum on a grid of days: reward * k * time left, for each harvest, less its cost (floats, dollars)."""

    @cache
    def best(day, since):
        # pending at ``day`` is forward/365 * since; harvest now or go on
        if day >= days:
            return 0.0
        pending = forward * since / 365
        now = pending * k * (days - day) / 365 - cost + best(day + 1, 1)
        later = best(day + 1, since + 1)
        return max(now, later)

    start = round(reward / forward * 365)
    return best(0, start)


@settings(max_examples=60, deadline=None)
@given(
    principal=st.floats(500, 200_000),
    apr=st.floats(0.05, 1.5),
    cost=st.floats(0.05, 20),
    days=st.integers(10, 240),
    started=st.integers(0, 90),
)
def test_the_rule_gains_what_the_best_schedule_gains(principal, apr, cost, days, started):
    forward, k = principal * apr, apr
    reward = forward * started / 365
    best = best_gain(reward, cost, forward, k, days)
    gained, since, times = 0.0, started, 0
    for day in range(days):
        pending = forward * since / 365
        left = (days - day) * DAY
        e = case(usd(str(principal)), usd(str(pending)), usd(str(cost)), int(apr * WAD), left)
        if fires(e, Rule(payback_seconds=10 * SECONDS_PER_YEAR)):
            gained += pending * k * (days - day) / 365 - cost
            since, times = 0, times + 1
        since += 1
    a_day_late = forward * k / 365**2 * (times + 1)  # the grid is days, the rule's moments are not
    assert gained >= 0.97 * best - 0.02 * cost - a_day_late
    assert gained <= best + 1e-6 * (1 + best)


@given(principal=money, reward=money, cost=money, apr=rates, tau=times)
def test_the_cost_that_fires_is_the_largest(principal, reward, cost, apr, tau):
    e = case(principal, reward, cost, apr, tau)
    most = cost_that_fires(e, Rule())
    if most:
        assert fires(case(principal, reward, most, apr, tau), Rule())
    beyond = most + max(most // 10**6, 10**6)
    assert not fires(case(principal, reward, beyond, apr, tau), Rule())


@given(principal=money, reward=money, cost=money, apr=rates, tau=times, more=money)
def test_more_reward_or_cheaper_gas_never_turns_harvest_into_wait(principal, reward, cost, apr, tau, more):
    if fires(case(principal, reward, cost, apr, tau), Rule()):
        assert fires(case(principal, reward + more, cost, apr, tau), Rule())
        assert fires(case(principal, reward, max(cost - more, 1), apr, tau), Rule())


@given(principal=st.integers(10**21, 10**26), apr=st.integers(10**16, 10**18), cost=st.integers(10**16, 10**19))
def test_a_far_end_is_the_rule_without_an_end(principal, apr, cost):
    e = case(principal, 0, cost, apr, 400 * SECONDS_PER_YEAR)
    root = isqrt(2 * cost * e.forward * WAD // apr)
    wanted = threshold(e, Rule())
    assert wanted is not None
    assert abs(wanted - root) <= root // 50 + 1


@given(principal=money, reward=money, cost=money, apr=rates)
def test_after_the_end_nothing_is_worth_doing(principal, reward, cost, apr):
    e = case(principal, reward, cost, apr, 0)
    numbers = evaluate(e, Rule())
    assert threshold(e, Rule()) is None
    assert (numbers.budget, numbers.fires_at_cost, numbers.gain_per_year) == (0, 0, 0)
    assert not fires(e, Rule())


@given(principal=money, reward=money, cost=money, apr=rates, tau=times, scale=st.integers(2, 10**4))
def test_dollars_have_no_unit(principal, reward, cost, apr, tau, scale):
    small = threshold(case(principal * 10**3, reward, cost * 10**3, apr, tau), Rule())
    large = threshold(case(principal * 10**3 * scale, reward * scale, cost * 10**3 * scale, apr, tau), Rule())
    if small is not None and large is not None:
        assert abs(large - small * scale) <= (small * scale) // 10**5 + 10**7 * scale


@given(reward=money, cost=money, forward=money, k=rates, tau=times)
def test_the_last_harvest_pays_for_itself(reward, cost, forward, k, tau):
    n = horizon.harvests_left(reward, cost, forward, k, tau)
    gain = horizon.gain(reward, cost, forward, k, tau)
    assert gain >= 0
    if n == 0:
        assert gain == 0


def test_worked_example_of_the_docs():
    # $10,000 at 20 %, a compound costs $2. Without an end the next one is due at $202.67; leaving in 90 days at $199.67
    # (three times $199.67 = sqrt(2*2*2000*3*4/0.2) - 493.15 fit); in 20 days never, as $110 more accrue by then
    e = case(usd(10_000), usd(50), usd(2), usd("0.2"), 90 * DAY)
    wanted = threshold(e, Rule())
    assert wanted is not None
    assert abs(wanted - usd("199.669638096044")) < 10**9
    late = case(usd(10_000), usd(50), usd(2), usd("0.2"), 20 * DAY)
    assert evaluate(late, Rule()).eta_seconds is None
    assert evaluate(late, Rule()).gain_per_year == 0
