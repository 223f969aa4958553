"""Uniswap V4 at the fair: an NFT in the farmer's wallet, its fees paid by trade to and fro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.accounts import WHALE
from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES, STAKE_USD, WHALE_STAKE_USD
from keeper.devnet.uniswap_v4 import PoolV4, deploy_v4, give_and_allow, mint, open_pool, waves
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: The farmer's NFT is the first that is minted.
_TOKEN_ID: Final = 1

#: Half the width of the range, in tick spacings of 60: about 12 % either way.
_WIDTH: Final = 20

#: Over all prices, so that no trade leaves the pool empty.
_DEEP_USD: Final = 10_000_000

#: What the whale may trade with, and how far it pushes.
_TRADE_USD: Final = 500_000_000
_PUSH_BPS: Final = 100
_TIMES: Final = 4


def build(yard: Yard) -> Mapping[str, Address]:
    """Open a WETH/USDC pool, put both parties into the same range, and let it be traded in."""
    v4 = deploy_v4(yard.deployer, yard.world["weth"])
    pool = open_pool(v4, yard, {yard.world[symbol.lower()]: PRICES[symbol] for symbol in ("WETH", "USDC")})
    tick: int = v4.view.call("getSlot0", pool.id)[1]
    token_id = mint(v4, yard, pool, yard.farmer, pool.ticks(tick, _WIDTH), STAKE_USD)
    assert token_id == _TOKEN_ID, "the stall names another NFT"
    mint(v4, yard, pool, yard.whale, pool.ticks(tick, _WIDTH), WHALE_STAKE_USD)
    mint(v4, yard, pool, yard.whale, pool.ticks(tick, 0), _DEEP_USD)
    for token, usd, unit in zip(pool.tokens, pool.usd, pool.units, strict=True):
        give_and_allow(yard, token, yard.whale, v4.trader.address, _TRADE_USD * unit // usd)
    for sender, to, data in waves(v4.trader.address, pool, yard.whale, _PUSH_BPS, _TIMES):
        yard.deployer.send({"to": to, "data": "0x" + data.hex()}, sender)
    return v4.addresses


def stalls(ground: Ground) -> Sequence[Stall]:
    """Name the farmer's position."""
    manager, params = ground["v4_position_manager"], {"state_view": ground["v4_state_view"]}
    position = ground.position("v4-weth-usdc", "uniswap-v4", manager, {"token_id": _TOKEN_ID, **params}, ground.v2)
    place = Place("uniswap-v4", "Uniswap V4", manager, params)
    tokens = sorted((ground["weth"], ground["usdc"]))
    worth = {ground["weth"]: (PRICES["WETH"], 10**18), ground["usdc"]: (PRICES["USDC"], 10**6)}
    pool = PoolV4(
        (tokens[0], tokens[1]),
        (worth[tokens[0]][0], worth[tokens[1]][0]),
        (worth[tokens[0]][1], worth[tokens[1]][1]),
    )
    trades = waves(ground["v4_trader"], pool, WHALE.address, _PUSH_BPS, _TIMES)
    return [Stall(position, "@uniswap/v4-periphery@1.0.3", place=place, stir=trades)]
