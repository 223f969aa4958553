"""Constant-product maths for any reserves: exact against the library's own formula, never better than the mid price."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.swaps.uniswap_v2 import amount_out

RESERVE = st.integers(1, 2**112 - 1)
SOLD = st.integers(0, 2**112 - 1)
FEE = st.sampled_from([5, 20, 25, 30, 100])


@given(SOLD, RESERVE, RESERVE)
def test_equals_the_formula_of_the_solidity_library(sold, reserve_in, reserve_out):
    with_fee = sold * 997

    assert amount_out(sold, reserve_in, reserve_out, 30) == with_fee * reserve_out // (reserve_in * 1000 + with_fee)


@given(SOLD, RESERVE, RESERVE, FEE)
def test_never_drains_the_pool_and_never_lowers_the_invariant(sold, reserve_in, reserve_out, fee):
    bought = amount_out(sold, reserve_in, reserve_out, fee)

    assert bought < reserve_out
    assert (reserve_in + sold) * (reserve_out - bought) >= reserve_in * reserve_out


@given(SOLD, RESERVE, RESERVE, FEE)
def test_never_better_than_the_mid_price_less_the_fee(sold, reserve_in, reserve_out, fee):
    bought = amount_out(sold, reserve_in, reserve_out, fee)

    assert bought * reserve_in * 10_000 <= sold * (10_000 - fee) * reserve_out


@given(SOLD, SOLD, RESERVE, RESERVE, FEE)
def test_more_sold_never_buys_less_and_a_higher_fee_never_buys_more(one, more, reserve_in, reserve_out, fee):
    bought = amount_out(one, reserve_in, reserve_out, fee)

    assert amount_out(one + more, reserve_in, reserve_out, fee) >= bought
    assert amount_out(one, reserve_in, reserve_out, fee + 1) <= bought


@given(SOLD, RESERVE, RESERVE, FEE)
def test_there_and_back_never_gains(sold, reserve_in, reserve_out, fee):
    bought = amount_out(sold, reserve_in, reserve_out, fee)

    assert amount_out(bought, reserve_out - bought, reserve_in + sold, fee) <= sold
