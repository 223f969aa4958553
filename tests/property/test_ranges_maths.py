"""Maths of concentrated liquidity against exact fractions."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import isqrt

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keeper.domain.money import WAD
from keeper.prices.uniswap_v3_range import range_value
from keeper.ranges import (
    MAX_TICK,
    MIN_TICK,
    Q96,
    Q128,
    amounts_for_liquidity,
    fee_growth_inside,
    fees_since,
    gap_bps,
    liquidity_for_amounts,
    mix_ppm,
    next_sqrt_price,
    side_floors_bps,
    sqrt_price_of,
    sqrt_ratio_at_tick,
    swap_within_range,
    virtual_reserve,
)

TICK = st.integers(MIN_TICK, MAX_TICK)
LIQUIDITY = st.integers(1, 2**128 - 1)


@st.composite
def spans(draw, most: int = MAX_TICK) -> tuple[int, int]:
    low, high = sorted((draw(st.integers(-most, most)), draw(st.integers(-most, most))))
    assume(low < high)
    return sqrt_ratio_at_tick(low), sqrt_ratio_at_tick(high)


def exact_sqrt(tick: int) -> Decimal:
    return (Decimal("1.0001") ** tick).sqrt() * Q96


@given(tick=TICK)
@example(tick=MIN_TICK)
@example(tick=MAX_TICK)
@example(tick=0)
def test_sqrt_ratio_is_near_the_true_root(tick):
    with localcontext() as context:
        context.prec = 80
        true = exact_sqrt(tick)
        # The contract's own error is that of 20 roundings, largest at the highest prices.
        assert abs(sqrt_ratio_at_tick(tick) - true) <= true * Decimal("1e-19") + 1


def test_ends_are_the_contracts_constants():
    assert sqrt_ratio_at_tick(MIN_TICK) == 4295128739
    assert sqrt_ratio_at_tick(MAX_TICK) == 1461446703485210103287273052203988822378723970342
    assert sqrt_ratio_at_tick(0) == Q96
    for tick in (MIN_TICK - 1, MAX_TICK + 1):
        with pytest.raises(ValueError, match="tick"):
            sqrt_ratio_at_tick(tick)


@given(tick=st.integers(MIN_TICK, MAX_TICK - 1))
def test_sqrt_ratio_grows_with_the_tick(tick):
    assert sqrt_ratio_at_tick(tick) < sqrt_ratio_at_tick(tick + 1)


@given(span=spans(), tick=TICK, liquidity=LIQUIDITY)
def test_amounts_are_the_exact_ones_rounded(span, tick, liquidity):
    price = sqrt_ratio_at_tick(tick)
    at = min(max(price, span[0]), span[1])
    exact = (
        Fraction(liquidity * Q96 * (span[1] - at), span[1] * at),
        Fraction(liquidity * (at - span[0]), Q96),
    )
    down, up = (amounts_for_liquidity(price, *span, liquidity, up=each) for each in (False, True))
    for low, high, true in zip(down, up, exact, strict=True):
        assert low <= true <= high
        assert true - low < 2
        assert high - true < 2


@given(span=spans(200_000), tick=st.integers(-200_000, 200_000), liquidity=st.integers(10**9, 2**120))
def test_liquidity_of_its_own_amounts_is_never_more_and_hardly_less(span, tick, liquidity):
    price = sqrt_ratio_at_tick(tick)
    amounts = amounts_for_liquidity(price, *span, liquidity)

    back = liquidity_for_amounts(price, *span, amounts)

    assert back <= liquidity
    # One base unit less of an amount is as much liquidity as that amount is of it.
    for side, amount in enumerate(amounts):
        if amount > 10**6 and amounts[1 - side] == 0:
            assert back >= liquidity * (10**5 - 1) // 10**5


@given(
    everywhere=st.integers(0, Q128**2 - 1),
    outside=st.tuples(st.integers(0, Q128**2 - 1), st.integers(0, Q128**2 - 1)),
    grown=st.integers(0, 2**160),
    tick=st.integers(-100, 99),
)
def test_growth_inside_a_range_grows_as_the_pool_does_even_across_the_overflow(everywhere, outside, grown, tick):
    ticks = (-100, 100)
    before = fee_growth_inside(tick, ticks, everywhere, outside)
    after = fee_growth_inside(tick, ticks, (everywhere + grown) % Q128**2, outside)

    assert (after - before) % Q128**2 == grown
    assert fees_since(after, before, 10**18) == grown * 10**18 // Q128


@given(
    everywhere=st.integers(0, Q128**2 - 1),
    outside=st.tuples(st.integers(0, Q128**2 - 1), st.integers(0, Q128**2 - 1)),
    grown=st.integers(0, 2**160),
    tick=st.sampled_from((-101, -500, 100, 500)),
)
def test_growth_outside_a_range_is_none_of_its_own(everywhere, outside, grown, tick):
    ticks = (-100, 100)
    before = fee_growth_inside(tick, ticks, everywhere, outside)
    assert fee_growth_inside(tick, ticks, (everywhere + grown) % Q128**2, outside) == before


@given(
    prices=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    units=st.tuples(st.sampled_from((6, 8, 18)), st.sampled_from((6, 8, 18))),
    middle=st.integers(-50_000, 50_000),
    width=st.integers(1, 50_000),
    liquidity=st.integers(10**12, 10**24),
)
def test_value_of_a_range_equals_brute_force(prices, units, middle, width, liquidity):
    ticks = (middle - width, middle + width)
    values = prices[0] * WAD // 1000, prices[1] * WAD // 1000
    bases = 10 ** units[0], 10 ** units[1]

    found = range_value(values, bases, ticks, liquidity)

    with localcontext() as context:
        context.prec = 80
        price = (Decimal(values[0] * bases[1]) / Decimal(values[1] * bases[0])).sqrt()
        low, high = (Decimal(sqrt_ratio_at_tick(tick)) / Q96 for tick in ticks)
        at = min(max(price, low), high)
        first, second = liquidity * (1 / at - 1 / high), liquidity * (at - low)
        true = first * values[0] / bases[0] + second * values[1] / bases[1]
        assert abs(found - true) <= true * Decimal("1e-9") + 2


@given(
    prices=st.tuples(st.integers(10**12, 10**24), st.integers(10**12, 10**24)),
    middle=st.integers(-50_000, 50_000),
    width=st.integers(1, 50_000),
    push=st.integers(-30_000, 30_000),
)
def test_fair_value_is_never_above_what_a_pushed_pool_holds(prices, middle, width, push):
    """Trading a pool off its price leaves more in it by the true prices: that is what the pusher loses."""
    ticks = (middle - width, middle + width)
    ends = sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
    units, liquidity = (10**18, 10**18), 10**24
    fair = range_value(prices, units, ticks, liquidity)
    fair_price = sqrt_price_of(*prices, *units)
    pushed = fair_price * sqrt_ratio_at_tick(push) // Q96
    first, second = amounts_for_liquidity(pushed, *ends, liquidity, up=True)
    assert fair <= (first * prices[0] + second * prices[1]) // WAD + fair // 10**6 + 2


@given(span=spans(300_000), tick=st.integers(-300_000, 300_000))
def test_mix_sums_to_a_million_and_is_all_of_one_outside(span, tick):
    price = sqrt_ratio_at_tick(tick)
    mix = mix_ppm(price, *span)

    assert sum(mix) == 10**6
    assert all(part >= 0 for part in mix)
    if price <= span[0]:
        assert mix == (10**6, 0)
    if price >= span[1]:
        assert mix == (0, 10**6)


@given(
    span=st.integers(50, 40_000),
    at=st.integers(-90, 90),
    slippage=st.integers(1, 500),
    moved=st.floats(-1, 1),
)
def test_floors_let_pass_what_the_allowed_slippage_does_and_hold_somewhere(span, at, slippage, moved):
    ends = sqrt_ratio_at_tick(-span), sqrt_ratio_at_tick(span)
    price = sqrt_ratio_at_tick(span * at // 100)
    amounts = amounts_for_liquidity(price, *ends, 10**30)
    floors = side_floors_bps(price, *ends, slippage)
    assert all(0 <= floor < 10_000 for floor in floors)
    moved_price = isqrt(int(price * price * (1 + moved * slippage / 10_000)))
    assume(ends[0] < moved_price < ends[1])

    took = amounts_for_liquidity(moved_price, *ends, liquidity_for_amounts(moved_price, *ends, amounts), up=True)

    for amount, taken, floor in zip(amounts, took, floors, strict=True):
        assert taken + 2 >= amount * (10_000 - floor) // 10_000
    # A move of ten times the slippage is refused by one side, unless that leaves the range.
    far = isqrt(price * price * (10_000 + 10 * slippage) // 10_000)
    if far < ends[1] and slippage < 100:
        took = amounts_for_liquidity(far, *ends, liquidity_for_amounts(far, *ends, amounts), up=True)
        assert took[0] < amounts[0] * (10_000 - floors[0]) // 10_000


@given(
    tick=st.integers(-400_000, 400_000),
    liquidity=st.integers(10**12, 10**30),
    zero=st.booleans(),
    part=st.integers(1, 10**6),
    fee=st.sampled_from((100, 500, 3_000, 10_000)),
)
def test_swap_within_a_range_is_constant_product_of_the_virtual_reserves(tick, liquidity, zero, part, fee):
    price = sqrt_ratio_at_tick(tick)
    reserve_in, reserve_out = (virtual_reserve(price, liquidity, zero=z) for z in (zero, not zero))
    assume(min(reserve_in, reserve_out) > 10**9)
    sold = reserve_in * part // 10**6 + 1

    bought = swap_within_range(price, liquidity, fee, sold, zero=zero)

    taxed = sold * (10**6 - fee) // 10**6
    expected = taxed * reserve_out // (reserve_in + taxed)
    assert abs(bought - expected) <= expected // 10**6 + reserve_out // 10**9 + 2
    after = next_sqrt_price(price, liquidity, taxed, zero=zero)
    assert after <= price if zero else after >= price


@given(tick=st.integers(-400_000, 400_000), off=st.integers(-2_000, 2_000))
def test_gap_is_told_in_basis_points_of_the_lower_price(tick, off):
    fair, price = sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick + off)  # a tick is a basis point, compounded

    with localcontext() as context:
        context.prec = 40
        expected = (Decimal("1.0001") ** abs(off) - 1) * 10_000
    assert abs(gap_bps(price, fair) - expected) <= 1
    assert gap_bps(price, fair) == gap_bps(fair, price)
