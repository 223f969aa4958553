"""Bids: they cover the next block, replace what they must replace, and pass no cap, for any fees, 1 wei or 10^30."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tx_kit import GWEI

from keeper.domain.transaction import Attempt, AttemptState, FeeQuote
from keeper.errors import Refused
from keeper.tx.fees import (
    MARKET_MULTIPLE,
    affordable,
    first_bid,
    floor_in,
    gas_limit,
    replacement,
    still_minable,
)

#: From nothing to beyond all money, the small ones as often as the usual and the absurd.
wei = st.one_of(st.integers(0, 9), st.integers(0, 10**12), st.integers(0, 10**30))
caps = st.none() | wei
fees = st.one_of(st.builds(FeeQuote, wei, wei), st.builds(FeeQuote, st.just(0), wei, st.just(False)))


def top(fee: int, tip: int) -> Attempt:
    return Attempt("i", "0x", b"", 1, 21_000, fee, min(tip, fee), AttemptState.BROADCAST, 1)


tops = st.builds(top, wei, wei)


def least(value: int) -> int:
    """The smallest that every pool takes in place of this: an eighth more, rounded up, and more at all."""
    return max((value * 9 + 7) // 8, value + 1)


# ------------------------------------------------------------------------------------------------------- first bids


@given(quote=fees, budget=caps, ceiling=caps)
def test_a_first_bid_covers_the_next_block_and_passes_no_cap(quote, budget, ceiling):
    try:
        bid = first_bid(quote, budget_wei=budget, ceiling_wei=ceiling)
    except Refused:
        assert min(cap for cap in (budget, ceiling) if cap is not None) < quote.price_wei
        return
    assert quote.price_wei <= bid.max_fee_wei <= 2 * quote.base_fee_wei + quote.tip_wei
    assert bid.max_tip_wei == min(quote.tip_wei, bid.max_fee_wei)
    assert ceiling is None or bid.max_fee_wei <= ceiling
    assert budget is None or bid.max_fee_wei <= max(budget, quote.price_wei * 127 // 100), "two dearer blocks at most"
    assert bid.max_fee_wei <= MARKET_MULTIPLE * quote.price_wei


@given(price=wei, ceiling=caps)
def test_a_legacy_bid_is_the_gas_price(price, ceiling):
    if ceiling is not None and ceiling < price:
        with pytest.raises(Refused, match="waiting"):
            first_bid(FeeQuote(0, price, eip1559=False), budget_wei=None, ceiling_wei=ceiling)
        return
    bid = first_bid(FeeQuote(0, price, eip1559=False), budget_wei=None, ceiling_wei=ceiling)
    assert (bid.max_fee_wei, bid.max_tip_wei) == (price, price)


@given(quote=fees, budget=wei, more=wei)
def test_a_larger_budget_never_bids_less(quote, budget, more):
    def bid(wei):
        try:
            return first_bid(quote, budget_wei=wei, ceiling_wei=None).max_fee_wei
        except Refused:
            return -1

    assert bid(budget) <= bid(budget + more)


# ----------------------------------------------------------------------------------------------------- replacements


@given(old=tops, quote=fees, limits=st.lists(caps, max_size=3), tip_cap=caps, floor=st.just(0) | wei)
@example(old=top(1, 1), quote=FeeQuote(1, 1), limits=[], tip_cap=None, floor=0)
@example(old=top(100, 0), quote=FeeQuote(200, 0), limits=[], tip_cap=None, floor=0)
@example(old=top(0, 0), quote=FeeQuote(0, 0), limits=[], tip_cap=None, floor=0)
@example(old=top(10**30, 10**30), quote=FeeQuote(1, 1), limits=[None], tip_cap=None, floor=0)
def test_a_replacement_raises_both_fields_by_an_eighth_within_every_cap(old, quote, limits, tip_cap, floor):
    bid = replacement(old, quote, limits, tip_cap_wei=tip_cap, floor_wei=floor)
    if bid is None:
        return
    assert bid.max_fee_wei >= least(old.max_fee_wei)
    if tip_cap != 0 or old.max_tip_wei != 0:
        assert bid.max_tip_wei >= least(old.max_tip_wei)
    assert bid.max_tip_wei >= quote.tip_wei
    assert quote.price_wei <= bid.max_fee_wei
    assert bid.max_tip_wei <= bid.max_fee_wei
    assert all(cap is None or bid.max_fee_wei <= cap for cap in limits)
    assert tip_cap is None or bid.max_tip_wei <= max(tip_cap, quote.tip_wei)


@given(old=tops, quote=fees, limits=st.lists(caps, max_size=3), tip_cap=caps)
def test_a_replacement_is_held_only_at_a_ceiling(old, quote, limits, tip_cap):
    bid = replacement(old, quote, limits, tip_cap_wei=tip_cap)
    if bid is None:
        tip = max(quote.tip_wei, least(old.max_tip_wei))
        needed = max(least(old.max_fee_wei), quote.price_wei, tip)
        at_a_cap = any(cap is not None and cap < needed for cap in limits)
        assert at_a_cap or (tip_cap is not None and tip > max(tip_cap, quote.tip_wei))


@given(old=tops, quote=fees, tip_cap=caps, floor=st.just(0) | wei)
def test_a_replacement_passes_the_markets_multiple_only_by_the_smallest_step(old, quote, tip_cap, floor):
    bid = replacement(old, quote, [], tip_cap_wei=tip_cap, floor_wei=floor)
    if bid is not None:
        tip = max(least(old.max_tip_wei), quote.tip_wei, floor if tip_cap is not None else 0)
        smallest = max(least(old.max_fee_wei), quote.base_fee_wei + tip)
        assert bid.max_fee_wei <= max(MARKET_MULTIPLE * max(quote.price_wei, 1) + quote.base_fee_wei, smallest)


@given(old=tops, quote=fees)
def test_what_gas_has_left_behind_is_minable_after_one_replacement(old, quote):
    bid = replacement(old, quote, [])
    assert bid is not None
    assert still_minable(top(bid.max_fee_wei, bid.max_tip_wei), quote)


def test_bytes_of_dear_days_are_replaced_on_cheap_ones():
    """Signed at 1000 gwei, never seen in a pool since; the market's multiple alone would keep it there for ever."""
    bid = replacement(top(1_000 * GWEI, GWEI), FeeQuote(10 * GWEI, GWEI), [], tip_cap_wei=3 * GWEI)
    assert bid is not None
    assert bid.max_fee_wei == 1_125 * GWEI


def test_a_tip_of_nothing_rises_all_the_same():
    """A pool takes no replacement with the same tip, be it 0."""
    bid = replacement(top(100, 0), FeeQuote(200, 0), [], tip_cap_wei=10)
    assert bid is not None
    assert bid.max_tip_wei == 1


def test_where_no_tip_is_ever_paid_none_is_bid():
    """Arbitrum takes transactions as they come and has no use for tips: the chain's cap is 0."""
    bid = replacement(top(100, 0), FeeQuote(200, 0), [], tip_cap_wei=0)
    assert bid is not None
    assert bid.max_tip_wei == 0


def test_the_floor_that_a_node_names_is_bid_though_the_market_is_far_below():
    words = "transaction gas price below minimum: gas tip cap 1500000000, minimum needed 25000000000"
    bid = replacement(top(4 * GWEI, GWEI), FeeQuote(GWEI, GWEI), [], tip_cap_wei=500 * GWEI, floor_wei=floor_in(words))
    assert bid is not None
    assert bid.max_tip_wei == 25 * GWEI
    assert bid.max_fee_wei >= 26 * GWEI


@given(old=tops, quote=fees, floor=wei)
def test_the_word_of_a_node_raises_no_tip_beyond_the_chains_cap_or_the_markets_multiple(old, quote, floor):
    capped = replacement(old, quote, [], tip_cap_wei=3 * GWEI, floor_wei=floor)
    assert capped is None or capped.max_tip_wei <= max(3 * GWEI, quote.tip_wei)
    free = replacement(old, quote, [], floor_wei=floor)
    assert free is not None
    assert free.max_tip_wei <= max(MARKET_MULTIPLE * max(quote.price_wei, 1), least(old.max_tip_wei))


@given(old=tops, price=wei)
def test_a_legacy_replacement_is_one_price(old, price):
    bid = replacement(old, FeeQuote(0, price, eip1559=False), [])
    assert bid is not None
    assert bid.max_fee_wei >= max(price, least(old.max_fee_wei))
    assert bid.max_fee_wei <= max(price, least(old.max_fee_wei), least(old.max_tip_wei))


@given(old=tops, quote=fees, cap=wei)
def test_a_ladder_of_replacements_ends_below_its_cap(old, quote, cap):
    rungs = 0
    while (bid := replacement(old, quote, [cap])) is not None:
        assert bid.max_fee_wei <= cap
        old, rungs = top(bid.max_fee_wei, bid.max_tip_wei), rungs + 1
    assert rungs <= 8 * max(cap, 1).bit_length() + 8


# ------------------------------------------------------------------------------------------------- caps, gas, words


@given(cap=st.integers(0, 10**24), native=st.integers(-1, 10**24), gas=st.integers(-1, 30_000_000))
def test_what_is_affordable_never_costs_more_than_its_cap(cap, native, gas):
    price = affordable(cap, native, gas)
    if native <= 0 or gas <= 0:
        assert price is None
        return
    assert price is not None
    assert price * gas * native <= cap * 10**18 < (price + 1) * gas * native


@given(gas=st.integers(1, 30_000_000))
def test_the_gas_limit_has_its_margin(gas):
    assert gas * 130 <= gas_limit(gas) * 100 < gas * 130 + 100


@given(old=tops, quote=fees)
def test_what_covers_the_base_fee_is_minable(old, quote):
    asked = quote.base_fee_wei if quote.eip1559 else quote.tip_wei
    assert still_minable(old, quote) is (old.max_fee_wei >= asked)


@given(floor=st.integers(0, 10**24 - 1), before=st.text(max_size=20), after=st.text(max_size=5))
def test_a_named_floor_is_read_out_of_any_words(floor, before, after):
    words = f"{before} MINIMUM NEEDED {floor} {after}"
    assert floor_in(words) == floor


@given(words=st.text(max_size=60))
def test_words_without_a_floor_name_none(words):
    if "minimum needed" not in words.lower():
        assert floor_in(words) == 0
