"""The reporting currency: read from its feed, refused when it is none, carried over gaps, and never guessed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from adapter_kit import BLOCK, World, addr
from past_kit import BNB, CAKE, DAY, HOUR, Farm, always

from keeper.domain.money import WAD
from keeper.domain.observation import USD_ONE
from keeper.domain.reads import ReadResult
from keeper.engine.base_currency import BaseCurrency, BaseFeed
from keeper.errors import PriceUnavailable
from keeper.strategy.performance.points import rated, sides_of

FEED = addr(3)
NOW = BLOCK.timestamp
ROUND = "uint80,int256,uint256,uint256,uint80"
EUR = BaseFeed("EUR", "ethereum", FEED, 3 * DAY)


def a_feed(*, answer=108_500_000, updated=NOW - 10, decimals=8, text="EUR / USD") -> World:
    world = World()
    world.put(FEED, "decimals()", (), "uint8", decimals)
    world.put(FEED, "description()", (), "string", text)
    world.put(FEED, "latestRoundData()", (), ROUND, 9, answer, updated, updated, 9)
    return world


def taken(**changes) -> BaseCurrency:
    currency = BaseCurrency(EUR)
    currency.take(a_feed(**changes).answer(currency.reads("ethereum")), BLOCK)
    return currency


@pytest.mark.parametrize(("answer", "decimals"), [(108_500_000, 8), (1_085 * 10**15, 18), (1_085 * 10**17, 20)])
def test_the_rate_is_the_feeds_whatever_its_decimals(answer, decimals):
    assert taken(answer=answer, decimals=decimals).rate(NOW) == 1_085 * 10**15


def test_only_the_chain_with_the_feed_reads_it_and_dollars_need_none():
    assert BaseCurrency(EUR).reads("bnb") == ()
    assert len(BaseCurrency(EUR).reads("ethereum")) == 3
    dollars = BaseCurrency()
    assert dollars.reads("ethereum") == ()
    dollars.take([], BLOCK)
    assert dollars.rate(NOW) == USD_ONE


def test_a_rate_that_was_never_read_or_is_too_old_is_none():
    assert BaseCurrency(EUR).rate(NOW) == USD_ONE
    currency = taken()
    assert currency.rate(NOW + 2 * DAY) != USD_ONE
    assert currency.rate(NOW + 4 * DAY) == USD_ONE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": "GBP / USD"}, "quotes 'GBP / USD'; report.currency_feed must be EUR / USD"),
        ({"text": "EUR / ETH"}, "must be EUR / USD"),
        ({"text": "USD / EUR"}, "must be EUR / USD"),
        ({"answer": 0}, "answers 0"),
        ({"answer": -5}, "answers -5"),
        ({"updated": 0}, "answers"),
        ({"updated": NOW - 4 * DAY}, "more than report.currency_max_age = 259200"),
        ({"answer": 1, "decimals": 30}, "rounds to zero"),
    ],
)
def test_what_is_no_rate_is_refused_and_the_last_one_stands(changes, said):
    currency = taken()
    with pytest.raises(PriceUnavailable, match=said):
        currency.take(a_feed(**changes).answer(currency.reads("ethereum")), BLOCK)
    assert currency.rate(NOW) == 1_085 * 10**15


def test_a_feed_that_does_not_answer_is_told():
    with pytest.raises(PriceUnavailable, match="does not answer"):
        BaseCurrency(EUR).take([ReadResult(success=False, data=b"")] * 3, BLOCK)


# ---------------------------------------------------------------------------- in the history


def test_rates_are_carried_over_gaps_of_days_both_ways_and_no_further():
    farm = Farm(base=always("1.1"))
    farm.run(10, every=DAY)
    missing = [
        replace(sample, base_usd=USD_ONE) if place in {0, 1, 5} else sample for place, sample in enumerate(farm.samples)
    ]
    assert {sample.base_usd for sample in rated(missing)} == {11 * WAD // 10}
    assert rated([replace(sample, base_usd=USD_ONE) for sample in farm.samples]) is None
    gap = [replace(s, base_usd=USD_ONE) if 1 < place < 9 else s for place, s in enumerate(farm.samples)]
    assert rated(gap) is None


def test_the_nearest_earlier_rate_is_taken():
    farm = Farm(base=lambda at: Fraction(11, 10) if at < DAY else Fraction(12, 10))
    farm.run(2, every=HOUR)
    holed = [replace(s, base_usd=USD_ONE) if place == 23 else s for place, s in enumerate(farm.samples)]
    assert rated(holed)[23].base_usd == 11 * WAD // 10


def test_the_sides_of_a_pool_are_told_from_what_was_priced():
    farm = Farm()
    alone = farm.look()
    assert sides_of(alone) is None
    stake, (reward, price), *rest = alone.prices
    pool = replace(alone, prices=(stake, (reward, price), (BNB.address, price), *rest))
    assert sides_of(pool) == (CAKE.address, BNB.address)
    two = replace(pool, observation=replace(pool.observation, pending=(*pool.observation.pending, *_of(BNB, pool))))
    assert sides_of(two) is None  # a stake of its own with two rewards looks the same


def _of(token, sample):
    return (replace(sample.observation.pending[0], token=token),)
