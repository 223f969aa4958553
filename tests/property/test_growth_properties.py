"""Exponential change against Decimal's own exponential."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import WAD
from keeper.strategy.growth import exp_wad, mean_wad


@given(st.integers(-12 * WAD, 12 * WAD))
def test_the_exponential_is_decimals(x):
    with localcontext(prec=60):
        exact = (Decimal(x) / WAD).exp() * WAD
    assert abs(exp_wad(x) - exact) <= 2 + exact / 10**15


@given(st.integers(-6 * WAD, 6 * WAD))
def test_the_mean_lies_between_the_ends(x):
    low, high = sorted((WAD, exp_wad(x)))
    assert low - 1 <= mean_wad(x) <= high + 1


@given(st.integers(1, 3 * WAD))
def test_falling_and_rising_mirror_each_other(x):
    assert abs(mean_wad(-x) * exp_wad(x) // WAD - mean_wad(x)) <= mean_wad(x) // 10**9 + 10**7


def test_nothing_changes_without_drift():
    assert (exp_wad(0), mean_wad(0)) == (WAD, WAD)
