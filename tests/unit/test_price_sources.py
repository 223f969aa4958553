"""Price sources by hand-encoded answers: scale, age, sign, currency, liquidity."""

from __future__ import annotations

from decimal import Decimal

import pytest
from adapter_kit import BLOCK, World, addr, token

from keeper.domain.money import usd
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import PriceSpec
from keeper.prices.chainlink import Chainlink
from keeper.prices.fixed import Fixed
from keeper.prices.uniswap_v2 import UniswapV2Reserves
from keeper.prices.uniswap_v2_lp import UniswapV2Lp

UNI, USDC, FEED, PAIR, SEQUENCER = token(1, "UNI"), token(2, "USDC", 6), addr(3), addr(4), addr(5)
NOW = BLOCK.timestamp


def price_of(t, dollars) -> TokenPrice:
    wad = usd(dollars)
    return TokenPrice(t, wad, wad, (Quote(t, wad, "test", NOW),))


def quoted(source, spec, t, world, known=None) -> Quote:
    facts = world.talk(source.resolve(spec, t))
    return source.quote(spec, t, facts, world.answer(source.reads(spec, t, facts)), BLOCK, known or {})


# ------------------------------------------------------------------------------------------------ fixed


@pytest.mark.parametrize("value", ["1.25", 1])
def test_fixed_is_what_was_written(value):
    quote = quoted(Fixed(), PriceSpec("fixed", {"usd": value}), UNI, World())

    assert (quote.usd, quote.as_of, quote.source) == (usd(str(value)), NOW, "fixed")


@pytest.mark.parametrize("value", ["0", "-1", "much", "NaN", "Infinity", ""])
def test_fixed_refuses_what_is_no_price(value):
    with pytest.raises(ConfigError, match="fixed price of UNI: usd"):
        quoted(Fixed(), PriceSpec("fixed", {"usd": value}), UNI, World())


# ------------------------------------------------------------------------------------------------ chainlink

CHAINLINK = PriceSpec("chainlink", {"feed": FEED, "max_age_seconds": 3600})
ROUND = "uint80,int256,uint256,uint256,uint80"


def a_feed(*, answer=725_000_000, updated=NOW - 10, round_id=9, answered_in=9, decimals=8, text="UNI / USD") -> World:
    world = World()
    world.put(FEED, "decimals()", (), "uint8", decimals)
    world.put(FEED, "description()", (), "string", text)
    world.put(FEED, "latestRoundData()", (), ROUND, round_id, answer, updated, updated, answered_in)
    return world


@pytest.mark.parametrize(
    ("decimals", "answer"), [(8, 725_000_000), (18, 7_250_000_000_000_000_000), (20, 725 * 10**18)]
)
def test_feed_is_scaled_to_wad_whatever_its_decimals(decimals, answer):
    quote = quoted(Chainlink(), CHAINLINK, UNI, a_feed(decimals=decimals, answer=answer))

    assert quote.usd == usd("7.25")
    assert quote.as_of == NOW - 10


def test_feed_is_fresh_up_to_its_limit_and_stale_a_second_later():
    assert quoted(Chainlink(), CHAINLINK, UNI, a_feed(updated=NOW - 3600))

    with pytest.raises(PriceUnavailable, match="3601 s old") as caught:
        quoted(Chainlink(), CHAINLINK, UNI, a_feed(updated=NOW - 3601))
    assert caught.value.kind == "stale"


@pytest.mark.parametrize("answer", [0, -1])
def test_feed_without_a_positive_answer_has_no_price(answer):
    with pytest.raises(PriceUnavailable, match="answers") as caught:
        quoted(Chainlink(), CHAINLINK, UNI, a_feed(answer=answer))
    assert caught.value.kind == "missing"


@pytest.mark.parametrize("broken", [{"answered_in": 8}, {"updated": 0}])
def test_incomplete_round_is_stale(broken):
    with pytest.raises(PriceUnavailable, match="old answer") as caught:
        quoted(Chainlink(), CHAINLINK, UNI, a_feed(**broken))
    assert caught.value.kind == "stale"


@pytest.mark.parametrize("text", ["UNI / ETH", "UNI/ETH", "USD / EUR"])
def test_feed_in_another_currency_is_refused(text):
    with pytest.raises(ConfigError, match="use a feed in USD"):
        quoted(Chainlink(), CHAINLINK, UNI, a_feed(text=text))


def test_feed_with_another_kind_of_description_is_taken():
    assert quoted(Chainlink(), CHAINLINK, UNI, a_feed(text="test feed")).usd == usd("7.25")


def test_feed_without_code_is_refused_at_the_start_and_missing_later():
    with pytest.raises(ReadFailed, match="does not answer like a Chainlink feed"):
        quoted(Chainlink(), CHAINLINK, UNI, World())
    gone = a_feed()
    gone.remove(FEED, "latestRoundData()")
    with pytest.raises(PriceUnavailable, match="does not answer"):
        quoted(Chainlink(), CHAINLINK, UNI, gone)


@pytest.mark.parametrize("age", [0, -5, "3600", True])
def test_feed_needs_an_age_limit(age):
    with pytest.raises(ConfigError, match="max_age_seconds"):
        quoted(Chainlink(), PriceSpec("chainlink", {"feed": FEED, "max_age_seconds": age}), UNI, a_feed())


@pytest.mark.parametrize(
    ("status", "started", "usable"),
    [(0, NOW - 3600, True), (0, NOW - 3599, False), (1, NOW - 9999, False), (0, 0, False)],
)
def test_l2_feed_counts_only_while_the_sequencer_has_been_up_for_an_hour(status, started, usable):
    spec = PriceSpec("chainlink", {**CHAINLINK.settings, "sequencer_feed": SEQUENCER})
    world = a_feed()
    world.put(SEQUENCER, "latestRoundData()", (), ROUND, 1, status, started, started, 1)

    if usable:
        assert quoted(Chainlink(), spec, UNI, world).usd == usd("7.25")
    else:
        with pytest.raises(PriceUnavailable, match="sequencer"):
            quoted(Chainlink(), spec, UNI, world)


# ------------------------------------------------------------------------------------------------ pair

RESERVES = PriceSpec("uniswap-v2", {"pair": PAIR})
KNOWN = {USDC.address: price_of(USDC, 1)}


def a_pair(uni: int, usdc: int, *, uni_first=True) -> World:
    world = World()
    sides = ((UNI, uni), (USDC, usdc)) if uni_first else ((USDC, usdc), (UNI, uni))
    world.put_pair(token(4, "LP"), sides[0][0], sides[1][0], (sides[0][1], sides[1][1]))
    return world


@pytest.mark.parametrize("uni_first", [True, False])
def test_pair_prices_by_its_ratio_on_either_side(uni_first):
    world = a_pair(10_000 * 10**18, 72_500 * 10**6, uni_first=uni_first)

    assert quoted(UniswapV2Reserves(), RESERVES, UNI, world, KNOWN).usd == usd("7.25")


def test_thin_pair_has_no_price():
    # Both sides together: 2 * 24 999 < 50 000 <= 2 * 25 000.
    assert quoted(UniswapV2Reserves(), RESERVES, UNI, a_pair(10**22, 25_000 * 10**6), KNOWN)
    with pytest.raises(PriceUnavailable, match="min_liquidity_usd"):
        quoted(UniswapV2Reserves(), RESERVES, UNI, a_pair(10**22, 24_999 * 10**6), KNOWN)


def test_least_liquidity_is_a_setting():
    spec = PriceSpec("uniswap-v2", {"pair": PAIR, "min_liquidity_usd": 2})

    assert quoted(UniswapV2Reserves(), spec, UNI, a_pair(10**18, 10**6), KNOWN).usd == usd(1)


def test_empty_pair_has_no_price_even_without_a_limit():
    spec = PriceSpec("uniswap-v2", {"pair": PAIR, "min_liquidity_usd": 0})

    with pytest.raises(PriceUnavailable):
        quoted(UniswapV2Reserves(), spec, UNI, a_pair(0, 0), KNOWN)


def test_pair_waits_for_the_other_sides_price():
    world = a_pair(10**22, 10**12)
    facts = world.talk(UniswapV2Reserves().resolve(RESERVES, UNI))

    assert UniswapV2Reserves().needs(RESERVES, UNI, facts) == (USDC.address,)
    with pytest.raises(PriceUnavailable, match="builds on"):
        quoted(UniswapV2Reserves(), RESERVES, UNI, world, {})


def test_pair_of_other_tokens_is_refused():
    with pytest.raises(ConfigError, match="does not hold XYZ"):
        quoted(UniswapV2Reserves(), RESERVES, token(99, "XYZ"), a_pair(10**22, 10**12), KNOWN)


def test_address_that_is_no_pair_is_refused():
    with pytest.raises(ReadFailed, match="does not answer like a Uniswap V2 pair"):
        quoted(UniswapV2Reserves(), RESERVES, UNI, World(), KNOWN)


# ------------------------------------------------------------------------------------------------ LP

LP = token(4, "UNI-V2")
LP_SPEC = PriceSpec("uniswap-v2-lp", {})
BOTH = {UNI.address: price_of(UNI, 4), USDC.address: price_of(USDC, 1)}


def test_lp_of_a_balanced_pool_is_worth_its_part_of_both_sides():
    # 100 UNI at $4 and 400 USDC: $800 over 200 LP tokens.
    world = World()
    world.put_pair(LP, UNI, USDC, (100 * 10**18, 400 * 10**6), 200 * 10**18)

    quote = quoted(UniswapV2Lp(), LP_SPEC, LP, world, BOTH)

    assert (quote.usd, quote.source) == (usd(4), "uniswap-v2-lp")


def test_lp_is_priced_by_the_invariant_when_the_pool_is_pushed():
    # The same product of reserves, pushed to 400 UNI and 100 USDC: naively $1700, fairly still $800.
    world = World()
    world.put_pair(LP, UNI, USDC, (400 * 10**18, 100 * 10**6), 200 * 10**18)

    assert quoted(UniswapV2Lp(), LP_SPEC, LP, world, BOTH).usd == usd(4)


def test_lp_needs_both_sides_and_some_supply():
    world = World()
    world.put_pair(LP, UNI, USDC, (10**18, 10**6), 0)
    facts = world.talk(UniswapV2Lp().resolve(LP_SPEC, LP))

    assert set(UniswapV2Lp().needs(LP_SPEC, LP, facts)) == {UNI.address, USDC.address}
    with pytest.raises(PriceUnavailable, match="builds on"):
        quoted(UniswapV2Lp(), LP_SPEC, LP, world, KNOWN)
    with pytest.raises(PriceUnavailable, match="empty"):
        quoted(UniswapV2Lp(), LP_SPEC, LP, world, BOTH)


def test_token_that_is_no_pair_is_refused():
    world = World()
    world.put_token(UNI)

    with pytest.raises(ReadFailed, match="does not answer like a Uniswap V2 pair"):
        quoted(UniswapV2Lp(), LP_SPEC, UNI, world, BOTH)


def test_cents_survive_the_way():
    assert Decimal(quoted(Fixed(), PriceSpec("fixed", {"usd": "0.1"}), UNI, World()).usd) == Decimal(10) ** 17
