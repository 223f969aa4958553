"""Curve LP prices of pools that the local chain does not show: metapools, lending pools, rates, the chain's own coin."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, World, addr, token

from keeper.domain.money import WAD, UsdWad
from keeper.domain.valuation import TokenPrice
from keeper.errors import ConfigError, PriceUnavailable
from keeper.ports import PriceSpec
from keeper.prices.curve_lp import NATIVE, CurveLp

POOL, BASE = addr(1), addr(2)
LP, FRAX, THREE, WETH, STETH = token(3, "LP"), token(4, "FRAX"), token(5, "3CRV"), token(6, "WETH"), token(7, "wstETH")
SOURCE = CurveLp()


def a_pool(*coins, vp: int = WAD, **views) -> World:
    world = World()
    for coin in (LP, FRAX, THREE, WETH, STETH):
        world.put_token(coin)
    for index, coin in enumerate(coins):
        world.put(POOL, "coins(uint256)", (index,), "address", coin)
    world.put(POOL, "get_virtual_price()", (), "uint256", vp)
    for name, value in views.items():
        world.put(POOL, f"{name}()", (), "address" if name == "base_pool" else "uint256", value)
    return world


def value(world: World, prices: dict, **settings) -> int:
    spec = PriceSpec("curve-lp", {"pool": POOL, **settings})
    facts = world.talk(SOURCE.resolve(spec, LP))
    known = {t.address: TokenPrice(t, UsdWad(p), UsdWad(p), ()) for t, p in prices.items()}
    answers = world.answer(SOURCE.reads(spec, LP, facts))
    return SOURCE.quote(spec, LP, facts, answers, BLOCK, known).usd


def test_metapool_counts_its_last_coin_in_units_of_the_base_pool():
    world = a_pool(FRAX.address, THREE.address, vp=WAD * 101 // 100, base_pool=BASE)
    world.put(BASE, "get_virtual_price()", (), "uint256", WAD * 103 // 100)

    whole = value(world, {FRAX: WAD, THREE: WAD * 103 // 100})
    failing = value(world, {FRAX: WAD, THREE: WAD})  # 3CRV at 1.00 means that what it holds is at 0.97

    assert whole == WAD * 101 // 100
    assert failing == pytest.approx(WAD * 101 // 103, rel=1e-9)


@pytest.mark.parametrize("listed", [True, False])
def test_coins_with_rates_are_valued_by_what_they_count_for(listed):
    world = a_pool(WETH.address, STETH.address)
    rates = (WAD, WAD * 12 // 10)
    if listed:
        world.put(POOL, "stored_rates()", (), "uint256[]", list(rates))
    else:
        world.put(POOL, "stored_rates()", (), "uint256,uint256", *rates)

    assert value(world, {WETH: 3_000 * WAD, STETH: 3_600 * WAD}) == 3_000 * WAD


def test_lending_pool_is_valued_by_what_its_coins_stand_for():
    world = a_pool(STETH.address, THREE.address)
    for index, coin in enumerate((FRAX, WETH)):
        world.put(POOL, "underlying_coins(uint256)", (index,), "address", coin.address)

    assert value(world, {FRAX: WAD, WETH: 2 * WAD}) == WAD


def test_native_coin_is_priced_as_its_wrapper_where_one_is_named():
    world = a_pool(NATIVE, STETH.address)

    with pytest.raises(ConfigError, match="wrapped_native"):
        value(world, {WETH: WAD, STETH: WAD})
    assert value(world, {WETH: 2 * WAD, STETH: 3 * WAD}, wrapped_native=WETH.address) == 2 * WAD


def test_crypto_pool_of_three_takes_the_third_root():
    world = a_pool(FRAX.address, WETH.address, STETH.address, gamma=10**13)

    assert value(world, {FRAX: WAD, WETH: 1_000 * WAD, STETH: 1_000_000 * WAD}) == 3 * 1_000 * WAD


def test_nothing_is_a_price_when_the_pool_or_a_coin_has_none():
    empty = a_pool(FRAX.address, WETH.address, vp=0)
    with pytest.raises(PriceUnavailable, match="empty"):
        value(empty, {FRAX: WAD, WETH: WAD})
    with pytest.raises(PriceUnavailable, match="builds on"):
        value(a_pool(FRAX.address, WETH.address), {FRAX: WAD})
    broken = a_pool(FRAX.address, WETH.address)
    broken.put(POOL, "stored_rates()", (), "uint256[]", [WAD, 0])
    with pytest.raises(PriceUnavailable, match="stored_rates"):
        value(broken, {FRAX: WAD, WETH: WAD})
