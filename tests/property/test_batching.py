"""Rounds of positions that share a cost: the exact optimum of identical ones, and what adding one may change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import UsdWad, usd
from keeper.strategy.batching import Item, round_of
from keeper.strategy.threshold import Economics, Rule, budget, threshold

money = st.integers(min_value=0, max_value=10**24)
items = st.lists(st.tuples(money, money), max_size=8).map(
    lambda pairs: [Item(f"p{i}", UsdWad(b), UsdWad(c)) for i, (b, c) in enumerate(pairs)]
)


@given(batch=items, shared=money)
def test_the_included_are_the_best_subset_there_is(batch, shared):
    found = round_of(batch, UsdWad(shared))
    best = max(
        (sum(i.budget - i.marginal for n, i in enumerate(batch) if mask >> n & 1) for mask in range(1 << len(batch))),
        default=0,
    )
    assert found.surplus == max(best, 0)
    assert found.due == (bool(found.included) and best >= shared)


@given(batch=items, shared=money, more=st.tuples(money, money))
def test_one_more_position_never_stops_a_round(batch, shared, more):
    before = round_of(batch, UsdWad(shared))
    after = round_of([*batch, Item("more", UsdWad(more[0]), UsdWad(more[1]))], UsdWad(shared))
    if before.due:
        assert after.due
        assert set(before.included) <= set(after.included)


@given(
    count=st.integers(1, 50),
    principal=st.integers(10**20, 10**24),
    apr=st.integers(10**16, 10**18),
    shared=st.integers(10**16, 10**19),
)
def test_identical_positions_fire_where_one_of_their_size_together_would(count, principal, apr, shared):
    # with no cost of their own, N positions of R are one position of N*R for the whole shared cost (square-root term)
    forward = principal * apr // 10**18
    one = Economics(UsdWad(principal), UsdWad(0), UsdWad(shared), UsdWad(forward * count), apr)
    wanted = threshold(one, Rule(payback_seconds=10**40))
    assert wanted is not None
    root = (wanted - (-(-4 * shared // 3))) // count
    for reward, due in ((root * 101 // 100 + 1, True), (root * 99 // 100, False)):
        each = Economics(UsdWad(principal), UsdWad(reward), UsdWad(0), UsdWad(forward), apr)
        batch = [Item(f"p{i}", budget(each), UsdWad(0)) for i in range(count)]
        assert round_of(batch, UsdWad(shared)).due is due


def test_worked_example_of_the_docs():
    # three positions worth $1.20, $0.90 and $0.10 now, costing $0.30 each: the third stays, the two are worth $1.50 more
    batch = [Item("a", usd("1.2"), usd("0.3")), Item("b", usd("0.9"), usd("0.3")), Item("c", usd("0.1"), usd("0.3"))]
    found = round_of(batch, usd("1.4"))
    assert (found.included, found.surplus, found.due) == (("a", "b"), usd("1.5"), True)
    assert round_of(batch, usd(2)).missing == usd("0.5")
