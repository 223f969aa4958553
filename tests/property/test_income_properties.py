"""Compounding as Maker's Pot does it: the power, and what carrying it on in two steps may differ by."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.protocols.income import RAY, compounded_ray, income_ppm

#: From nothing to 100 % a year.
RATES = st.integers(RAY, RAY + 22 * 10**18)
SECONDS = st.integers(0, 400 * 86_400)


@given(rate=RATES, seconds=st.integers(0, 40))
def test_power_is_the_exact_power_but_for_its_rounding(rate, seconds):
    exact = Fraction(rate, RAY) ** seconds

    assert abs(compounded_ray(rate, seconds) - exact * RAY) <= seconds + 1


@given(rate=RATES, first=SECONDS, second=SECONDS)
def test_two_steps_are_one_but_for_their_rounding(rate, first, second):
    both = compounded_ray(rate, first) * compounded_ray(rate, second) // RAY
    whole = compounded_ray(rate, first + second)

    assert whole == pytest.approx(both, rel=1e-15)
    assert whole >= compounded_ray(rate, first) - 1


@given(ppm=st.integers(0, 10**6), seconds=st.integers(1, 86_400))
def test_income_is_the_rate_on_to_a_year(ppm, seconds):
    year = 365 * 86_400
    rate = ppm * RAY * seconds // (10**6 * year)

    ((name, noted),) = income_ppm(rate, RAY, seconds)

    assert name == "income_ppm"
    assert ppm - 1 <= noted <= ppm
