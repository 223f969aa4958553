"""Uniswap V3 at the fair: an NFT in the farmer's wallet, and one that is staked for an incentive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES
from keeper.devnet.uniswap_v3 import V3, Pool, deploy_v3, mint, open_pool, stir, trade_to_price
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["build", "route", "stalls"]

_PROVEN: Final = "@uniswap/v3-periphery@1.4.4"

#: The farmer mints first, then everybody else.
_LOOSE_ID: Final = 1

#: Half the width of the range, in tick spacings of 60: about 12 % either way.
_WIDTH: Final = 20
_STAKE_USD: Final = 50_000
_WHALE_USD: Final = 1_500_000
#: Over all prices, so that no trade leaves the pool empty.
_DEEP_USD: Final = 10_000_000


def build(yard: Yard) -> Mapping[str, Address]:
    """Open WETH/USDC and UNI/WETH pools, put both parties into the same range, and let it be traded in."""
    v3 = deploy_v3(yard.deployer, yard.world["weth"], yard.world["factory"])
    pool = _pool(yard, v3, "WETH", "USDC")
    ticks = pool.ticks(_WIDTH)
    token_id = mint(v3, yard, pool, yard.farmer, ticks, _STAKE_USD)
    assert token_id == _LOOSE_ID, "the stall names another NFT"
    mint(v3, yard, pool, yard.whale, ticks, _WHALE_USD)
    mint(v3, yard, pool, yard.whale, pool.ticks(0), _DEEP_USD)
    other = _pool(yard, v3, "UNI", "WETH")
    mint(v3, yard, other, yard.whale, other.ticks(0), _DEEP_USD)
    stir(v3, yard, pool, yard.whale, 100_000, 12)
    trade_to_price(v3, yard, pool, yard.whale, pool.sqrt_price, _STAKE_USD)
    return {
        **v3.addresses,
        "v3_pool_weth_usdc": pool.contract.address,
        "v3_pool_uni_weth": other.contract.address,
    }


def route(ground: Ground) -> RouteSpec:
    """Name the family's own exchange, over WETH."""
    return RouteSpec("uniswap-v3", ground["v3_router"], (ground["weth"],), quoter=ground["v3_quoter"])


def stalls(ground: Ground) -> Sequence[Stall]:
    """Name the farmer's positions."""
    manager = ground["v3_npm"]
    loose = ground.position("v3-weth-usdc", "uniswap-v3", manager, {"token_id": _LOOSE_ID}, route(ground), ground.v2)
    return [Stall(loose, _PROVEN, place=Place("uniswap-v3", "Uniswap V3", manager))]


def _pool(yard: Yard, v3: V3, *symbols: str) -> Pool:
    return open_pool(v3, yard, {yard.world[symbol.lower()]: PRICES[symbol] for symbol in symbols})
