"""Solidly's curves: a fair price that trading cannot move, quotes like the contracts', and the mix of a deposit."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import WAD, Address
from keeper.solidly import Pair, cube_root, depth, fair_value, fee_bps, invariant, mix_ppm

TOKENS = (Address("0x" + "11" * 20), Address("0x" + "22" * 20))
UNITS = st.sampled_from([(WAD, WAD), (10**6, WAD), (10**8, 10**6)])
#: Wad reserves from a thousand to a billion.
RESERVES = st.integers(10**3, 10**9).map(lambda whole: whole * WAD)
PRICES = st.integers(10**16, 10**22)
STABLE_PRICES = st.integers(9 * 10**17, 11 * 10**17)


def pair(x: int, y: int, *, stable: bool, units=(WAD, WAD)) -> Pair:
    return Pair(units, (x * units[0] // WAD, y * units[1] // WAD), stable, TOKENS)


def moved(x: int, y: int, factor: Fraction, *, stable: bool) -> tuple[int, int]:
    """Reserves after somebody has traded along the curve until the first is ``factor`` times as large."""
    new_x = int(x * factor)
    if not stable:
        return new_x, x * y // new_x
    target, low, high = invariant(x, y), 0, 10**6 * max(x, y)
    while low < high:  # by halves: another way than the code's own
        middle = (low + high) // 2
        low, high = (middle + 1, high) if invariant(new_x, middle) < target else (low, middle)
    return new_x, low


FACTORS = st.fractions(Fraction(1, 20), Fraction(20), max_denominator=1000)


@given(RESERVES, PRICES, PRICES, FACTORS)
def test_pushing_a_volatile_pair_does_not_move_the_fair_value(x, first, second, factor):
    y = x * first // second + 1
    before = fair_value(pair(x, y, stable=False), (first, second))
    after = fair_value(pair(*moved(x, y, factor, stable=False), stable=False), (first, second))

    assert abs(after - before) * 10**9 <= before


@given(RESERVES, st.integers(70, 140), STABLE_PRICES, STABLE_PRICES, FACTORS)
def test_pushing_a_stable_pair_does_not_move_the_fair_value(x, percent, first, second, factor):
    y = x * percent // 100
    before = fair_value(pair(x, y, stable=True), (first, second))
    after = fair_value(pair(*moved(x, y, factor, stable=True), stable=True), (first, second))

    assert abs(after - before) * 10**9 <= before


@given(RESERVES, st.integers(1, 1000), STABLE_PRICES, STABLE_PRICES, st.booleans())
def test_fair_value_is_the_least_that_the_reserves_are_worth_anywhere(x, percent, first, second, stable):
    y = x * percent // 100
    fair = fair_value(pair(x, y, stable=stable), (first, second))
    held = (x * first + y * second) // WAD

    assert fair <= held * (10**9 + 1) // 10**9


@given(RESERVES, STABLE_PRICES)
def test_at_par_both_sides_are_worth_what_they_are(x, price):
    fair = fair_value(pair(x, x, stable=True), (price, price))

    assert abs(fair - 2 * x * price // WAD) * 10**9 <= fair


@given(RESERVES, st.integers(20, 500), st.booleans())
def test_fair_value_at_the_pairs_own_price_is_what_it_holds(x, percent, stable):
    one = pair(x, x * percent // 100, stable=stable)
    top, bottom = one.price
    prices = (WAD * top // bottom, WAD)
    held = (one.reserves[0] * prices[0] + one.reserves[1] * prices[1]) // WAD

    assert abs(fair_value(one, prices) - held) * 10**8 <= held


@given(RESERVES, st.integers(30, 300), UNITS, st.booleans())
def test_mix_is_the_value_of_the_reserves_at_the_pairs_price(x, percent, units, stable):
    one = pair(x, x * percent // 100, stable=stable, units=units)
    top, bottom = one.price
    first, second = Fraction(one.reserves[0] * top, bottom), Fraction(one.reserves[1])
    said = mix_ppm(one)

    assert sum(said) == 10**6
    # Six decimals cannot say a reserve any finer than a millionth of a token.
    assert abs(first / (first + second) - Fraction(said[0], 10**6)) < Fraction(1, 10**5)


@given(RESERVES, st.integers(50, 200), UNITS, st.integers(1, 50), st.booleans())
def test_fee_is_felt_whatever_the_curve(x, percent, units, bps, stable):
    one = pair(x, x * percent // 100, stable=stable, units=units)
    sold = one.reserves[0] // 10_000 + 1
    free = pair_out(one, sold)
    got = free - free * bps // 10_000

    # Whole base units of a token with few decimals blur the last basis point.
    assert bps <= fee_bps(one, sold, got) <= bps + 1 + 20_000 // max(free, 1)


def pair_out(one: Pair, sold: int) -> int:
    """A sale without a fee, by moving along the curve."""
    x, y = one.wads
    bought = sold * WAD // one.units[0]
    _, left = moved(x, y, Fraction(x + bought, x), stable=one.stable)
    return (y - left) * one.units[1] // WAD


@given(RESERVES, st.integers(40, 250), st.booleans())
def test_a_small_sale_loses_no_more_than_the_depth_says(x, percent, stable):
    one = pair(x, x * percent // 100, stable=stable)
    sold = one.reserves[0] // 200
    top, bottom = one.price
    ideal = sold * top // bottom
    lost = ideal - pair_out(one, sold)

    # Near par a stable pair loses next to nothing, and not in proportion: a basis point is let pass.
    assert lost <= ideal * sold // (depth(one) + sold) + ideal // 10_000 + 2


@given(RESERVES, st.integers(80, 125), st.integers(70, 143))
def test_a_deposit_in_a_ratio_that_is_off_by_30_percent_loses_next_to_nothing_near_par(x, percent, off):
    """Why the floors of a stable pair's deposit may be wide: what is put in keeps its fair worth."""
    one = pair(x, x * percent // 100, stable=True)
    top, bottom = one.price
    prices = (WAD * top // bottom, WAD)
    # Somebody trades until the ratio is another one, a deposit is made, and the pair comes back.
    low, high = Fraction(1, 2), Fraction(2)
    for _ in range(40):
        middle = (low + high) / 2
        first, second = moved(x, one.wads[1], middle, stable=True)
        low, high = (middle, high) if Fraction(first, second) * percent < off else (low, middle)
    first, second = moved(x, one.wads[1], low, stable=True)
    pushed = (first * prices[0] + second * prices[1]) // WAD
    fair = fair_value(pair(first, second, stable=True), prices)

    assert (pushed - fair) * 500 <= pushed


@given(st.integers(0, 10**60))
def test_cube_root_is_whole_and_rounded_down(value):
    root = cube_root(value)

    assert root**3 <= value < (root + 1) ** 3
