"""The formulas of fair LP prices, against a StableSwap and a constant-product pool in plain integers."""

from __future__ import annotations

from math import isqrt

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import WAD
from keeper.prices.curve_lp import crypto_price, stable_price

A = 100
USD = st.integers(WAD // 1_000, 10_000 * WAD)
HELD = st.integers(1_000 * WAD, 10**9 * WAD)


def invariant(x: int, y: int) -> int:
    d = x + y
    for _ in range(255):
        product = d * d // (2 * x) * d // (2 * y)
        last, d = d, (2 * A * (x + y) + 2 * product) * d // ((2 * A - 1) * d + 3 * product)
        if abs(d - last) <= 1:
            return d
    raise AssertionError("no convergence")


def other(x: int, d: int) -> int:
    c = d * d // (2 * x) * d // (4 * A)
    b, y = x + d // (2 * A), d
    for _ in range(255):
        last, y = y, (y * y + c) // (2 * y + b - d)
        if abs(y - last) <= 1:
            return y
    raise AssertionError("no convergence")


@given(x=HELD, skew=st.integers(20, 500), sold=st.integers(1, 300), prices=st.tuples(USD, USD))
def test_swap_in_a_stable_pool_leaves_the_price_alone(x, skew, sold, prices):
    y = x * skew // 100
    supply = d = invariant(x, y)
    before = stable_price(d * WAD // supply, prices)
    moved = x + x * sold // 100

    after = stable_price(invariant(moved, other(moved, d) + 1) * WAD // supply, prices)

    assert abs(after - before) <= before // 10**9 + 1


@given(x=HELD, y=HELD, sold=st.integers(1, 10_000), prices=st.tuples(USD, USD))
def test_swap_in_a_crypto_pool_leaves_the_price_alone(x, y, sold, prices):
    supply = isqrt(x * y)
    before = crypto_price(WAD, prices)
    moved = x + x * sold // 100

    after = crypto_price(isqrt(moved * (x * y // moved + 1)) * WAD // supply, prices)

    assert before <= after <= before + before // 10**9 + 2


@given(x=HELD, y=HELD, prices=st.tuples(USD, USD))
def test_crypto_price_is_never_above_what_the_pool_holds(x, y, prices):
    """At the oracle's prices an imbalanced pool holds more than the fair price says: arbitrage takes the rest."""
    supply = isqrt(x * y)
    holds = (x * prices[0] + y * prices[1]) // supply

    assert crypto_price(isqrt(x * y) * WAD // supply, prices) <= holds + holds // 10**9 + 2


@given(x=HELD, skew=st.integers(20, 500), prices=st.tuples(USD, USD))
def test_stable_price_is_never_above_what_the_pool_holds(x, skew, prices):
    y = x * skew // 100
    d = invariant(x, y)
    holds = (x * prices[0] + y * prices[1]) // d

    assert stable_price(WAD, prices) <= holds + holds // 10**9 + 2


@given(value=USD, count=st.integers(2, 4))
def test_coins_of_one_price_are_worth_it_so_many_times(value, count):
    assert abs(crypto_price(WAD, (value,) * count) - count * value) <= count


@given(prices=st.lists(USD, min_size=3, max_size=3))
def test_root_of_three_is_the_largest_integer_below(prices):
    whole = crypto_price(WAD, prices) // 3
    product = prices[0] * prices[1] * prices[2]
    assert whole**3 <= product < (whole + 1) ** 3
