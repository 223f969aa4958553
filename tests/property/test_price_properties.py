"""Prices under manipulation and for any numbers: the LP price does not follow a push, agreement is symmetric."""

from __future__ import annotations

from adapter_kit import token
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import BPS, WAD, UsdWad
from keeper.domain.valuation import Quote, TokenPrice
from keeper.prices.uniswap_v2_lp import fair_price
from keeper.strategy.prices import agree
from keeper.swaps.uniswap_v2 import amount_out

#: Reserves in whole tokens of 18 decimals, from a thousand up: pools that keeper would price at all.
RESERVE = st.integers(10**21, 2**111)
PRICE = st.integers(10**14, 10**23)
UNIT = 10**18


def worth(reserves: tuple[int, int], prices: tuple[int, int], supply: int) -> int:
    return fair_price((reserves[0] * prices[0] // UNIT, reserves[1] * prices[1] // UNIT), supply, UNIT)


@given(RESERVE, RESERVE, PRICE, PRICE, st.integers(1, 2**111))
def test_swap_of_any_size_moves_the_lp_price_by_no_more_than_the_fee_it_pays(first, second, p0, p1, sold):
    supply = 10**21
    bought = amount_out(sold, first, second, 30)
    before = worth((first, second), (p0, p1), supply)

    after = worth((first + sold, second - bought), (p0, p1), supply)

    # The fee stays in the pool: the product of the reserves grows by at most (x + sold) / (x + 0.997 sold).
    growth_num, growth_den = (first + sold) * 1000, first * 1000 + sold * 997
    assert after**2 * growth_den <= (before + 2) ** 2 * growth_num + growth_num * supply**2
    rounding = before // 10**9 + 2
    assert after >= before - rounding


@given(RESERVE, RESERVE, PRICE, PRICE, st.integers(1, 2**111))
def test_naive_value_of_the_reserves_is_never_below_the_fair_one(first, second, p0, p1, supply):
    naive = (first * p0 // UNIT + second * p1 // UNIT) * UNIT // supply

    assert worth((first, second), (p0, p1), supply) <= naive


@given(st.integers(10**21, 10**30), PRICE)
def test_balanced_pool_is_worth_exactly_both_sides(first, p0):
    assert fair_price((first * p0 // UNIT,) * 2, UNIT, UNIT) == 2 * (first * p0 // UNIT)


UNI = token(1, "UNI")
QUOTES = st.lists(st.integers(1, 10**30).map(lambda n: Quote(UNI, UsdWad(n), "s", 1)), min_size=1, max_size=5)


@given(QUOTES, st.integers(0, 5_000), st.randoms())
def test_agreement_does_not_depend_on_the_order_and_bounds_every_quote(quotes, deviation, random):
    shuffled = random.sample(quotes, len(quotes))

    one = agree(UNI, quotes, [], min_sources=1, max_deviation_bps=deviation)
    other = agree(UNI, shuffled, [], min_sources=1, max_deviation_bps=deviation)

    assert type(one) is type(other)
    if isinstance(one, TokenPrice):
        assert (one.low, one.high) == (other.low, other.high)
        assert all(one.low <= q.usd <= one.high for q in quotes)
        assert (one.high - one.low) * BPS <= deviation * one.low


@given(st.integers(1, 10**30), st.integers(0, 20_000))
def test_two_quotes_agree_exactly_when_within_the_bound(low, bps):
    high = low + low * bps // BPS
    quotes = [Quote(UNI, UsdWad(n), "s", 1) for n in (low, high)]

    assert isinstance(agree(UNI, quotes, [], min_sources=2, max_deviation_bps=bps), TokenPrice)
    far = [quotes[0], Quote(UNI, UsdWad(high + low // BPS + 1 + WAD * 0), "s", 1)]
    assert not isinstance(agree(UNI, far, [], min_sources=2, max_deviation_bps=bps), TokenPrice)
