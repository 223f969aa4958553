"""What is reckoned on top of gas: restarted clocks, the year's events, failures; and that it all adds up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import WAD, UsdWad, usd
from keeper.domain.observation import Restart
from keeper.domain.position import StrategyOptions
from keeper.strategy.costs import Bill, event_price, locks_beyond, parts, restart_charge
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Economics, Rule, evaluate

NOW = 1_700_000_000
DAY = 86_400
money = st.integers(min_value=0, max_value=10**27)
options = st.builds(
    StrategyOptions,
    exits_per_year_milli=st.integers(0, 50_000),
    lock_premium_bps=st.integers(0, 5_000),
    max_harvests_per_year=st.none() | st.integers(1, 400),
    exit_at=st.none() | st.integers(NOW, NOW + 3 * SECONDS_PER_YEAR),
)
clocks = st.builds(
    Restart,
    seconds=st.integers(0, 2 * SECONDS_PER_YEAR),
    penalty_bps=st.none() | st.integers(0, 10_000),
    runs_until=st.none() | st.integers(NOW - SECONDS_PER_YEAR, NOW + 2 * SECONDS_PER_YEAR),
)


@given(
    gas=money,
    l1=money,
    failure=st.integers(0, 10**6),
    fee=money,
    principal=money,
    forward=money,
    k=st.integers(0, 10**19),
    restarts=st.lists(clocks, max_size=3),
    chosen=options,
)
def test_the_parts_are_the_whole(gas, l1, failure, fee, principal, forward, k, restarts, chosen):
    bill = Bill(UsdWad(gas), UsdWad(l1), failure, UsdWad(fee))
    cost = parts(bill, principal=principal, forward=forward, k=k, restarts=restarts, options=chosen, now=NOW)
    items = (cost.gas_usd, cost.l1_usd, cost.failure_usd, cost.restart_usd, cost.event_usd)
    assert min(items) >= 0
    assert cost.total == sum(items) - fee
    assert cost.total >= gas + l1 - fee


@given(principal=money, restart=clocks, chosen=options)
def test_a_clock_never_costs_more_than_leaving_at_its_worst(principal, restart, chosen):
    charge = restart_charge((restart,), principal, chosen, NOW)
    worst = principal * (restart.penalty_bps or 0) // 10_000 + 1
    if restart.penalty_bps is not None:
        assert 0 <= charge <= worst
    assert charge >= 0
    if restart.seconds == 0:
        assert charge == 0


@given(principal=money, seconds=st.integers(1, SECONDS_PER_YEAR), left=st.integers(0, SECONDS_PER_YEAR))
def test_a_clock_that_has_just_begun_costs_nothing_to_begin_again(principal, seconds, left):
    fresh = Restart(seconds, 100, NOW + seconds)
    older = Restart(seconds, 100, NOW + min(left, seconds))
    assert restart_charge((fresh,), principal, StrategyOptions(), NOW) == 0
    assert restart_charge((older,), principal, StrategyOptions(), NOW) >= 0


def test_an_exit_within_the_new_clock_is_charged_in_full():
    # 0.1 % for three days on $10,000, leaving tomorrow: the $10 are certain
    options = StrategyOptions(exit_at=NOW + DAY)
    assert restart_charge((Restart(3 * DAY, 10),), usd(10_000), options, NOW) == usd(10)
    # leaving about once a year otherwise: three days in 365 of $10
    assert abs(restart_charge((Restart(3 * DAY, 10),), usd(10_000), StrategyOptions(), NOW) - usd("0.08219")) < usd(
        "0.0001"
    )


def test_a_lock_beyond_the_exit_is_named():
    options = StrategyOptions(exit_at=NOW + 5 * DAY)
    assert locks_beyond((Restart(7 * DAY),), options, NOW) == NOW + 7 * DAY
    assert locks_beyond((Restart(4 * DAY), Restart(9 * DAY, 10)), options, NOW) is None
    assert locks_beyond((Restart(7 * DAY),), StrategyOptions(), NOW) is None


@given(
    forward=st.integers(10**18, 10**25),
    k=st.integers(10**15, 10**19),
    cost=st.integers(10**15, 10**21),
    allowed=st.integers(1, 300),
)
def test_the_price_of_an_event_makes_the_best_rhythm_what_is_allowed(forward, k, cost, allowed):
    extra = event_price(allowed, forward, k, cost)
    e = Economics(UsdWad(forward * WAD // k), UsdWad(0), UsdWad(cost + extra), UsdWad(forward), k)
    rhythm = evaluate(e, Rule()).harvests_milli
    assert rhythm <= allowed * 1000 + 1
    if extra:
        assert rhythm >= allowed * 1000 - max(allowed, 10)


def test_worked_example_of_the_docs():
    # $100,000 at 20 %, $2 a compound: 31.6 a year are best. With 12 allowed each is charged $11.89 on top: R* = $1,708.66
    extra = event_price(12, usd(20_000), usd("0.2"), usd(2))
    assert abs(extra - usd("11.888889")) < usd("0.00001")
    e = Economics(usd(100_000), UsdWad(0), UsdWad(usd(2) + extra), usd(20_000), usd("0.2"))
    wanted = evaluate(e, Rule()).reward
    assert wanted is not None
    assert abs(wanted - usd("1708.659")) < usd("0.01")  # sqrt(2*13.89*20000/0.2) = 1,666.67, faded, and 18.52
