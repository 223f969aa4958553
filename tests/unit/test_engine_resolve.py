"""Sources of a price: repetitions count once, and tokens come after those they are priced by."""

from __future__ import annotations

from adapter_kit import addr

from keeper.engine.resolve import _distinct, _ordered
from keeper.ports import PriceSpec


def test_the_same_pool_twice_is_one_opinion():
    pool = addr(5)
    specs = [
        PriceSpec("uniswap-v2", {"pair": pool}),
        PriceSpec("uniswap-v2", {"pair": pool.upper().replace("0X", "0x")}),
        PriceSpec("chainlink", {"feed": addr(6), "max_age_seconds": 60}),
    ]
    assert [spec.kind for spec in _distinct(specs)] == ["uniswap-v2", "chainlink"]


def test_tokens_come_after_those_they_need():
    a, b, c = addr(1), addr(2), addr(3)
    assert _ordered({a: [b], b: [c], c: []}) == [c, b, a]


def test_prices_in_a_circle_come_last_and_harm_no_other_token():
    a, b, c = addr(1), addr(2), addr(3)
    assert _ordered({a: [b], b: [a], c: []})[0] == c


def test_one_feed_with_two_age_limits_is_one_opinion():
    specs = [PriceSpec("chainlink", {"feed": addr(6), "max_age_seconds": age}) for age in (60, 120)]
    assert len(_distinct(specs)) == 1
