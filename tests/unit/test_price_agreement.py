"""Sources agree, or the position waits and is told who said what."""

from __future__ import annotations

import pytest
from adapter_kit import token

from keeper.domain.money import usd
from keeper.domain.valuation import PriceProblem, Quote, TokenPrice
from keeper.strategy.prices import agree

UNI = token(1, "UNI")
STALE = PriceProblem(UNI, "stale", "the feed is old")
MISSING = PriceProblem(UNI, "missing", "the pair is thin")


def say(*dollars):
    return [Quote(UNI, usd(d), f"source{i}", 5) for i, d in enumerate(dollars)]


def ask(quotes, problems=(), *, min_sources=2, max_deviation_bps=100, derived=False):
    return agree(UNI, quotes, problems, min_sources=min_sources, max_deviation_bps=max_deviation_bps, derived=derived)


def test_agreed_price_is_the_range_of_all_quotes():
    price = ask(say("100", "100.5", "101"))

    assert isinstance(price, TokenPrice)
    assert (price.low, price.high) == (usd(100), usd(101))
    assert len(price.quotes) == 3


def test_deviation_is_allowed_up_to_the_bound_and_no_further():
    assert isinstance(ask(say("100", "101")), TokenPrice)

    problem = ask(say("100", "101.01"))
    assert isinstance(problem, PriceProblem)
    assert problem.kind == "disagree"
    assert "source0 $100" in problem.text
    assert "101 basis points" in problem.text


def test_one_contradicting_source_of_three_is_enough_to_wait():
    assert ask(say("100", "100", "150")).kind == "disagree"


def test_too_few_sources_name_their_own_reasons_and_staleness_first():
    problem = ask(say("100"), [MISSING, STALE])

    assert problem.kind == "stale"
    assert "1 of 2" in problem.text
    assert "the pair is thin; the feed is old" in problem.text
    assert ask(say("100"), [MISSING]).kind == "missing"


def test_no_source_at_all_says_to_add_one():
    assert "add a source" in ask([]).text


@pytest.mark.parametrize("min_sources", [0, 1])
def test_one_source_is_enough_only_when_allowed_but_never_none(min_sources):
    assert isinstance(ask(say("100"), min_sources=min_sources), TokenPrice)
    assert isinstance(ask([], min_sources=min_sources), PriceProblem)


def test_derived_price_needs_no_second_source_but_may_not_be_contradicted():
    assert isinstance(ask(say("100"), derived=True), TokenPrice)
    assert ask(say("100", "120"), derived=True).kind == "disagree"
    assert isinstance(ask([], derived=True), PriceProblem)


def test_worthless_quote_is_a_problem():
    assert ask(say("0", "0")).kind == "missing"
