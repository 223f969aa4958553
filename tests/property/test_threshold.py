"""The money rule: its oracles, its monotonicity, its inverse, and its limits."""

from __future__ import annotations

from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import WAD, UsdWad, usd
from keeper.strategy.threshold import Economics, Rule, budget, cost_that_fires, evaluate, fires, threshold

getcontext().prec = 60

#: What a harvest earns counts however late it comes: the formula without its fading.
FOR_EVER = Rule(payback_seconds=10**40)

money = st.integers(min_value=10**14, max_value=10**27)  # $0.0001 .. $1e9
rates = st.integers(min_value=10**12, max_value=10**20)  # 0.0001 % .. 10,000 % a year


def proportional(principal: int, reward: int, cost: int, apr_wad: int, depth: int | None = None) -> Economics:
    forward = principal * apr_wad // WAD
    return Economics(
        UsdWad(principal), UsdWad(reward), UsdWad(cost), UsdWad(forward), apr_wad, UsdWad(depth) if depth else None
    )


@given(principal=money, cost=money, apr=rates)
def test_proportional_threshold_is_sqrt_2gs_plus_growth(principal, cost, apr):
    e = proportional(principal, 0, cost, apr)
    wanted = threshold(e, FOR_EVER)
    if e.forward == 0:
        assert wanted is None or wanted > cost  # nothing to wait for: as soon as it pays back
        return
    exact = (2 * Decimal(cost) * e.forward * WAD / apr).sqrt() + Decimal(4 * cost) / 3
    assert wanted is not None
    assert exact <= wanted <= exact + 4


def test_worked_example_of_the_docs():
    # $10,000 staked at 20 % a year, a compound costs $2: sqrt(2*2*10000) = 200 without fading, 200/(1 - 200/12000) =
    # 203.39 with it (six years of rewards are $12,000), and 8/3 on top
    e = proportional(usd(10_000), usd(50), usd(2), usd("0.2"))
    numbers = evaluate(e, Rule())
    assert numbers.reward is not None
    assert abs(numbers.reward - usd("206.056497175141242938")) <= 2
    plain = threshold(e, FOR_EVER)
    assert plain is not None
    assert abs(plain - usd("202.666666666666666667")) <= 10**8
    assert numbers.harvests_milli == 10_000  # n* = 0.2 * sqrt(10000/4) = 10 a year
    assert numbers.gain_per_year == usd(162)  # 2 * (10-1)^2
    assert abs(numbers.budget - usd("0.125")) <= 2  # 50^2 * 0.2 / (2*2000)
    assert numbers.eta_seconds == pytest.approx((206.0565 - 50) / 2000 * 365 * 86400, rel=1e-4)


@given(principal=money, cost=money, apr=rates, years=st.integers(1, 30))
def test_a_reward_that_fades_is_wanted_later_and_where_it_fades_too_much_never(principal, cost, apr, years):
    e = proportional(principal, 0, cost, apr)
    faded, plain = threshold(e, Rule(payback_seconds=years * 365 * 86_400)), threshold(e, FOR_EVER)
    if e.forward == 0 or plain is None:
        return
    root, most = Decimal(plain) - Decimal(4 * cost) / 3, 6 * Decimal(e.forward) * years
    if faded is None:
        assert root >= most * Decimal("0.999999") - 3
    else:
        exact = root / (1 - root / most) + Decimal(4 * cost) / 3
        assert abs(faded - exact) <= exact / 10**6 + 10 + (root * root / (most - root)) / 10**6 + most * 4 / (
            most - root
        )


@given(
    principal=money, reward=money, cost=money, apr=rates, weight=st.integers(10**4, 10**8), more=st.integers(1, 10**7)
)
def test_gas_that_counts_dearer_never_turns_wait_into_harvest(principal, reward, cost, apr, weight, more):
    e = proportional(principal, reward, cost, apr)
    if fires(e, Rule(weight_ppm=weight + more)):
        assert fires(e, Rule(weight_ppm=weight))
    wanted, dearer = threshold(e, Rule(weight_ppm=weight)), threshold(e, Rule(weight_ppm=weight + more))
    if wanted is not None and dearer is not None:
        assert wanted <= dearer


@given(principal=money, reward=money, cost=money, apr=rates, more=money)
def test_more_reward_never_turns_harvest_into_wait(principal, reward, cost, apr, more):
    if fires(proportional(principal, reward, cost, apr), Rule()):
        assert fires(proportional(principal, reward + more, cost, apr), Rule())


@given(principal=money, reward=money, cost=money, apr=rates, less=money)
def test_cheaper_gas_never_turns_harvest_into_wait(principal, reward, cost, apr, less):
    if fires(proportional(principal, reward, cost, apr), Rule()):
        assert fires(proportional(principal, reward, max(cost - less, 0), apr), Rule())


@given(principal=money, reward=money, cost=money, apr=rates, scale=st.integers(2, 10**6))
def test_scaling_all_money_changes_no_verdict(principal, reward, cost, apr, scale):
    small = proportional(principal, reward, cost, apr)
    wanted = threshold(small, Rule())
    if wanted is None or abs(wanted - reward) <= 10:
        return  # within rounding of the threshold itself
    large = Economics(
        UsdWad(principal * scale),
        UsdWad(reward * scale),
        UsdWad(cost * scale),
        UsdWad(small.forward * scale),
        apr,
        None,
    )
    assert fires(small, Rule()) == fires(large, Rule())


@given(
    principal=money,
    reward=money,
    apr=rates,
    depth=st.none() | money,
    risk=st.just(10_000) | st.integers(5_000, 10_000),
    weight=st.just(10**6) | st.integers(10**4, 10**8),
)
def test_the_firing_cost_is_the_inverse_of_the_rule(principal, reward, apr, depth, risk, weight):
    rule = Rule(risk_factor_bps=risk, weight_ppm=weight)
    reward = min(reward, 3 * principal)  # beyond, nearly all of it has faded, and its cost hangs on the last digits
    e = proportional(principal, reward, 1, apr, depth)
    limit = cost_that_fires(e, rule)
    at = Economics(e.principal, e.reward, limit, e.forward, e.yield_wad, e.depth)
    above = Economics(e.principal, e.reward, UsdWad(limit + limit // 10**4 + 10**6), e.forward, e.yield_wad, e.depth)
    if limit:
        assert fires(at, rule)
    assert not fires(above, rule)
    if risk == 10_000 and weight == 10**6:
        assert limit <= budget(e) + 2


@given(principal=money, reward=money, cost=money, apr=rates)
def test_never_harvests_at_a_loss(principal, reward, cost, apr):
    e = proportional(principal, reward, cost, apr)
    if fires(e, Rule()):
        assert e.reward > e.cost
        assert e.reward * e.yield_wad // WAD >= e.cost


@given(principal=money, reward=money, cost=money, yield_wad=st.integers(-(10**19), 0))
def test_without_yield_it_never_harvests(principal, reward, cost, yield_wad):
    e = Economics(UsdWad(principal), UsdWad(reward), UsdWad(cost), UsdWad(principal // 5), yield_wad)
    assert threshold(e, Rule()) is None
    assert not fires(e, Rule())
    assert cost_that_fires(e, Rule()) == 0


@given(principal=money, reward=money, cost=money, apr=rates, depth=money)
def test_a_shallow_pool_lowers_the_threshold(principal, reward, cost, apr, depth):
    deep = threshold(proportional(principal, reward, cost, apr), Rule())
    shallow = threshold(proportional(principal, reward, cost, apr, depth), Rule())
    if deep is not None and shallow is not None:
        assert shallow <= deep + 2


@given(principal=money, reward=money, cost=money, apr=rates, risk=st.integers(5_000, 9_999))
def test_a_smaller_risk_factor_harvests_earlier(principal, reward, cost, apr, risk):
    e = proportional(principal, reward, cost, apr)
    full, eager = threshold(e, Rule()), threshold(e, Rule(risk_factor_bps=risk))
    if full is not None and eager is not None:
        assert eager <= full


def test_gain_formula_against_a_year_played_out_step_by_step():
    # continuous play at the optimal rhythm: gain over never within 2 % of g*(n*-1)^2 at n* = 3, 5, 10
    for n_star in (3, 5, 10):
        principal, apr = Decimal(100_000), Decimal("0.1")
        gas = principal * apr**2 / (2 * n_star**2)
        best = _best_final(principal, apr, gas)
        never = principal * (1 + apr)
        e = proportional(usd(principal), 0, usd(gas), usd(apr))
        predicted = Decimal(evaluate(e, Rule()).gain_per_year) / WAD
        assert abs((best - never) - predicted) / predicted < Decimal("0.06")


def _best_final(principal: Decimal, apr: Decimal, gas: Decimal) -> Decimal:
    """Best of all evenly spaced schedules; the last harvest is a claim at the horizon and costs nothing."""
    outcomes = []
    for harvests in range(40):
        stake = principal
        period = Decimal(1) / (harvests + 1)
        for _ in range(harvests):
            stake += stake * apr * period - gas
        outcomes.append(stake + stake * apr * period)
    return max(outcomes)
