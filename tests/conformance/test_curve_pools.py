"""Curve pools of every shape as exchange, as maker of LP tokens and as price: what they do that others do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

import pytest
from adapter_kit import STRANGER
from gauge_stage import ask, put_back
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.abi import Fn
from keeper.domain.money import WAD, Token, UsdWad
from keeper.domain.plan import Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import TOTAL_SUPPLY, ask_tokens
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import PriceSpec
from keeper.prices.curve_lp import CurveLp
from keeper.swaps.curve import Curve
from keeper.swaps.curve_pool import CurvePool

pytestmark = pytest.mark.devnet

#: LP token and pool of each shape.
SHAPES = {
    "new": ("curve_pool", "curve_pool"),
    "ng": ("curve_ng_pool", "curve_ng_pool"),
    "old": ("curve_old_lp", "curve_old_pool"),
    "crypto": ("curve_crypto_lp", "curve_crypto_pool"),
}
EXCHANGE = {True: "exchange(uint256,uint256,uint256,uint256)", False: "exchange(int128,int128,uint256,uint256)"}
USD = {"USDC": WAD, "DAI": WAD, "WETH": 3_000 * WAD, "CRV.e": WAD}


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


@dataclass
class Shape:
    stage: object
    name: str
    lp: Token
    pool: str
    coins: tuple[Token, Token]

    @property
    def route_spec(self) -> RouteSpec:
        return RouteSpec("curve", self.pool, pools=(self.pool,))

    def price(self) -> int:
        source, spec = CurveLp(), PriceSpec("curve-lp", {"pool": self.pool})
        facts = self.stage.talk(source.resolve(spec, self.lp))
        answers = self.stage.read(source.reads(spec, self.lp, facts))
        known = {c.address: price(c, USD[c.symbol]) for c in self.coins}
        assert set(source.needs(spec, self.lp, facts)) == set(known)
        return source.quote(spec, self.lp, facts, answers, self.stage.head(), known).usd

    def push(self, sold_index: int, part_bps: int) -> None:
        """Sell so much of the pool's own balance into it."""
        sold = self.coins[sold_index]
        raw = self.stage.balance(sold, self.pool) * part_bps // 10_000
        self.stage.deal(sold, STRANGER, raw)
        self.stage.send(STRANGER, sold.address, Fn("approve(address,uint256)").encode(self.pool, raw))
        data = Fn(EXCHANGE[self.name == "crypto"]).encode(sold_index, 1 - sold_index, raw, 1)
        assert self.stage.send(STRANGER, self.pool, data).status == 1

    def basket(self, *routes: RouteSpec) -> Basket:
        found = self.stage.talk(CurvePool().recognise(self.lp, routes))
        assert found is not None
        return found


def price(token: Token, wad: int) -> TokenPrice:
    return TokenPrice(token, UsdWad(wad), UsdWad(wad), (Quote(token, UsdWad(wad), "test", 0),))


def shape(stage, name: str) -> Shape:
    ground = stage.fair.grounds["curve"]
    lp, pool = (ground[key] for key in SHAPES[name])
    sides = ("weth", "child_crv") if name == "crypto" else ("usdc", "dai")
    token, first, second = stage.talk(ask_tokens("local", [lp, *(ground[side] for side in sides)]))
    return Shape(stage, name, token, pool, (first, second))


# ------------------------------------------------------------------ price


@pytest.mark.parametrize("name", SHAPES)
def test_price_is_what_a_share_redeems_for_in_a_balanced_pool(stage, name):
    one = shape(stage, name)
    both = sum(stage.balance(c, one.pool) * USD[c.symbol] // c.unit for c in one.coins)
    (supply,) = stage.read([TOTAL_SUPPLY.read(one.lp.address)])

    assert one.price() == pytest.approx(both * WAD // TOTAL_SUPPLY.value(supply), rel=1e-6)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_swap_inside_the_pool_moves_the_price_but_by_its_fee(stage, data):
    one = shape(stage, data.draw(st.sampled_from(sorted(SHAPES))))
    snapshot = stage.node.rpc("evm_snapshot")
    before = one.price()
    for _ in range(data.draw(st.integers(1, 3))):
        one.push(data.draw(st.integers(0, 1)), data.draw(st.integers(10, 9_000)))

    after = one.price()
    stage.node.rpc("evm_revert", snapshot)

    assert before <= after <= before + before * 6 // 1_000


def test_naive_price_of_the_same_push_is_far_off(stage):
    """What valuing the pool's balances would say: the reason for the fair price."""
    one = shape(stage, "crypto")
    held = lambda: sum(stage.balance(c, one.pool) * USD[c.symbol] // c.unit for c in one.coins)  # noqa: E731
    naive, fair = held(), one.price()

    one.push(1, 20_000)

    assert held() > naive * 115 // 100
    assert one.price() <= fair * 1_004 // 1_000


def test_cheapest_coin_of_a_stable_pool_is_what_counts(stage):
    one = shape(stage, "new")
    source, spec = CurveLp(), PriceSpec("curve-lp", {"pool": one.pool})
    facts = stage.talk(source.resolve(spec, one.lp))
    answers = stage.read(source.reads(spec, one.lp, facts))
    known = {one.coins[0].address: price(one.coins[0], WAD), one.coins[1].address: price(one.coins[1], WAD * 9 // 10)}

    quote = source.quote(spec, one.lp, facts, answers, stage.head(), known)

    assert quote.usd == pytest.approx(WAD * 9 // 10, rel=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_pool_is_found_from_its_lp_token_alone(stage, name):
    one = shape(stage, name)
    if name == "crypto" or name == "old":
        assert ask(stage, one.lp.address, "minter()", "address") == one.pool

    facts = stage.talk(CurveLp().resolve(PriceSpec("curve-lp", {}), one.lp))

    assert (facts["pool"], facts["crypto"]) == (one.pool, "1" if name == "crypto" else "")
    assert facts["rated"] == ("1" if name == "ng" else "")


def test_tokens_that_are_no_pool_have_no_price_here(stage):
    one = shape(stage, "new")
    for token in one.coins:
        with pytest.raises(ReadFailed, match="not answer like the Curve pool"):
            stage.talk(CurveLp().resolve(PriceSpec("curve-lp", {}), token))


# ------------------------------------------------------------------ making LP tokens


@pytest.mark.parametrize("name", SHAPES)
def test_one_coin_becomes_lp_tokens_worth_almost_as_much(stage, name):
    one = shape(stage, name)
    basket = one.basket()
    (part,) = basket.parts
    raw = 10_000 * part.unit * WAD // USD[part.symbol]
    stage.deal(part, STRANGER, raw)
    rate = (10**18 * USD[part.symbol], one.price() * part.unit)

    stage.run(STRANGER, CurvePool().join(basket, STRANGER, [rate], 30 + basket.fee_bps), {part.address: raw})

    worth = stage.balance(one.lp, STRANGER) * one.price() // WAD
    assert basket.numbers["listed"] == int(name == "ng")
    assert 9_950 * WAD <= worth <= 10_000 * WAD
    assert stage.balance(part, STRANGER) == 0


def test_coin_that_a_route_passes_through_goes_in(stage):
    one = shape(stage, "new")

    assert one.basket(RouteSpec("uniswap-v2", STRANGER, (STRANGER, one.coins[1].address))).parts == (one.coins[1],)
    assert one.basket().parts == (one.coins[0],)


def test_calc_token_amount_promises_more_than_is_minted(stage):
    one = shape(stage, "new")
    basket, raw = one.basket(), 500_000 * 10**6
    (part,) = basket.parts
    # Fixed arrays are plain words in calldata.
    calc = Fn("calc_token_amount(uint256[2],bool)").selector + b"".join(n.to_bytes(32, "big") for n in (raw, 0, 1))
    promised = int(stage.node.rpc("eth_call", {"to": one.pool, "data": "0x" + calc.hex()}, "latest"), 16)
    stage.deal(part, STRANGER, raw)

    stage.run(STRANGER, CurvePool().join(basket, STRANGER, [(1, 10**12)], 9_999), {part.address: raw})

    assert stage.balance(one.lp, STRANGER) < promised


def test_pool_that_was_pushed_mints_too_little_and_is_refused(stage):
    one = shape(stage, "crypto")
    basket = one.basket()
    (part,) = basket.parts
    raw = 10 * part.unit
    rate = (10**18 * USD[part.symbol], one.price() * part.unit)
    one.push(0, 3_000)
    stage.deal(part, STRANGER, raw)
    calls = stage.calls(CurvePool().join(basket, STRANGER, [rate], 100), {part.address: raw})

    simulated = stage.chain.simulate(STRANGER, calls, [one.lp.address])

    assert [call.success for call in simulated.calls] == [True, False]


# ------------------------------------------------------------------ exchange


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("sold", [0, 1])
def test_swap_pays_the_quote_in_both_directions(stage, name, sold):
    one = shape(stage, name)
    sell, buy = one.coins[sold], one.coins[1 - sold]
    (route,) = stage.talk(Curve().resolve(one.route_spec, sell, buy))
    raw = 5_000 * sell.unit * WAD // USD[sell.symbol]
    quoted = Curve().quote(route, stage.read(Curve().quote_reads(route, raw)), raw)
    stage.deal(sell, STRANGER, raw)
    before = stage.balance(buy, STRANGER)

    stage.run(STRANGER, Curve().swap(route, STRANGER, Share(sell), (quoted, raw), 0), {sell.address: raw})

    assert stage.balance(buy, STRANGER) - before == quoted
    assert quoted * USD[buy.symbol] // buy.unit == pytest.approx(5_000 * WAD, rel=0.006)
    assert route.fee_bps == (30 if name == "crypto" else 4)
    assert (route.hops[0] & 1) == int(name == "crypto")


def test_depth_of_a_constant_product_pool_is_its_balance(stage):
    one = shape(stage, "crypto")
    for sell, buy in (one.coins, one.coins[::-1]):
        (route,) = stage.talk(Curve().resolve(one.route_spec, sell, buy))
        depth = Curve().depth(route, stage.read(Curve().reads(route)))
        assert depth == pytest.approx(stage.balance(sell, one.pool), rel=1e-6)


def test_depth_of_a_stable_pool_is_many_times_its_balance_and_tells_small_losses(stage):
    one = shape(stage, "new")
    sell, buy = one.coins
    (route,) = stage.talk(Curve().resolve(one.route_spec, sell, buy))
    depth = Curve().depth(route, stage.read(Curve().reads(route)))
    sold = stage.balance(sell, one.pool) // 50
    paid = Curve().quote(route, stage.read(Curve().quote_reads(route, sold)), sold)
    lost_ppm = 10**6 - paid * 10**6 // (sold * 10**12 * 9_996 // 10_000)

    assert depth > 20 * stage.balance(sell, one.pool)
    assert lost_ppm == pytest.approx(sold * 10**6 // depth, rel=0.2, abs=2)


def test_best_of_several_pools_comes_first_and_those_without_the_coins_or_any_are_left_out(stage):
    new, old, crypto = shape(stage, "new"), shape(stage, "old"), shape(stage, "crypto")
    new.push(0, 8_000)
    spec = replace(new.route_spec, pools=(STRANGER, crypto.pool, new.pool, old.pool))

    routes = stage.talk(Curve().resolve(spec, *new.coins))

    assert [route.pools for route in routes] == [(old.pool,), (new.pool,)]


def test_pools_that_do_not_trade_the_pair_are_named(stage):
    new, crypto = shape(stage, "new"), shape(stage, "crypto")

    with pytest.raises(ConfigError, match=r"none of the Curve pools .* trades USDC for WETH"):
        stage.talk(Curve().resolve(new.route_spec, new.coins[0], crypto.coins[0]))


def test_root_of_both_prices_is_what_a_crypto_share_is_worth(stage):
    one = shape(stage, "crypto")
    assert one.price() == pytest.approx(2 * isqrt(3_000 * WAD * WAD), rel=1e-9)
