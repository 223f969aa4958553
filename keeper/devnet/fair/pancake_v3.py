"""PancakeSwap V3 at the fair: an NFT that is staked in MasterChefV3, for CAKE and the pool's fees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.accounts import WHALE
from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES
from keeper.devnet.uniswap_v3 import V3, Pool, deploy_v3, let_trade, mint, open_pool, stir, waves
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["CAKE_USD", "build", "stalls"]

#: Whole US dollars for a CAKE.
CAKE_USD: Final = 2

_FEE_PPM: Final = 2_500
_SPACING: Final = 50

#: The farmer mints first.
_TOKEN_ID: Final = 1

#: Half the width of the range, in tick spacings: about 12 % either way.
_WIDTH: Final = 24
_STAKE_USD: Final = 50_000
_WHALE_USD: Final = 1_500_000
_DEEP_USD: Final = 10_000_000

#: What traders have for as long as the fair is open.
_TRADERS_USD: Final = 500_000_000

#: For everybody who is staked; the original's periods are a week, and at most this.
_CAKE_USD_PER_DAY: Final = 2_500
_PERIOD_DAYS: Final = 30

_TRANSFER: Final = "safeTransferFrom(address,address,uint256)"


def build(yard: Yard) -> Mapping[str, Address]:
    """Open WETH/USDC and CAKE/WETH pools, stake both parties' NFTs, open a period, and let it be traded."""
    v3 = deploy_v3(yard.deployer, yard.world["weth"], yard.world["factory"])
    v3.factory.send("enableFeeAmount", _FEE_PPM, _SPACING)
    cake = yard.new_token("CAKE")
    pool = _pool(yard, v3, {yard.world[symbol.lower()]: PRICES[symbol] for symbol in ("WETH", "USDC")})
    ticks = pool.ticks(_WIDTH)
    mine = mint(v3, yard, pool, yard.farmer, ticks, _STAKE_USD)
    assert mine == _TOKEN_ID, "the stall names another NFT"
    theirs = mint(v3, yard, pool, yard.whale, ticks, _WHALE_USD)
    mint(v3, yard, pool, yard.whale, pool.ticks(0), _DEEP_USD)
    sold = _pool(yard, v3, {cake.address: CAKE_USD, yard.world["weth"]: PRICES["WETH"]})
    mint(v3, yard, sold, yard.whale, sold.ticks(0), _DEEP_USD)
    chef = yard.fake("DevMasterChefV3", cake, v3.npm)
    chef.send("add", 300, pool.contract)
    chef.send("add", 100, sold.contract)
    _name_lm_pool(yard, chef, pool)
    for who, token_id in ((yard.farmer, mine), (yard.whale, theirs)):
        v3.npm.send(_TRANSFER, who, chef, token_id, sender=who)
    amount = _CAKE_USD_PER_DAY * _PERIOD_DAYS * 10**18 // CAKE_USD * 4 // 3  # a quarter is for the other pool
    cake.send("mint", yard.account, amount)
    cake.send("approve", chef, amount)
    chef.send("upkeep", amount, _PERIOD_DAYS * 86_400, True)
    stir(v3, yard, pool, yard.whale, 100_000, 12)
    let_trade(v3, yard, pool, yard.whale, _TRADERS_USD)
    return {**v3.addresses, "cake": cake.address, "chef_v3": chef.address, "v3_pool": pool.contract.address}


def stalls(ground: Ground) -> Sequence[Stall]:
    """Name the farmer's position."""
    chef = ground["chef_v3"]
    route = RouteSpec("uniswap-v3", ground["v3_router02"], (ground["weth"],), quoter=ground["v3_quoter"])
    position = ground.position("pancake-v3", "pancake-v3", chef, {"token_id": _TOKEN_ID}, route)
    place = Place("pancake-v3", "PancakeSwap MasterChefV3", chef)
    worth = ((ground["weth"], PRICES["WETH"], 10**18), (ground["usdc"], PRICES["USDC"], 10**6))
    trades = waves(ground["v3_router"], WHALE.address, worth, _FEE_PPM, 2)
    return [Stall(position, FAKE, prices={ground["cake"]: str(CAKE_USD)}, place=place, stir=trades)]


def _pool(yard: Yard, v3: V3, worth: Mapping[Address, int]) -> Pool:
    return open_pool(v3, yard, worth, _FEE_PPM)


def _name_lm_pool(yard: Yard, chef: Contract, pool: Pool) -> None:
    """Let a pool of Uniswap's name its LM pool as Pancake's do: its code moves, and a shim takes its place."""
    lm = chef.call("lmPools", chef.call("v3PoolAddressPid", pool.contract))
    node, at = yard.node, pool.contract.address
    moved = Address("0x" + "c0de" + at[6:])
    node.rpc("anvil_setCode", moved, node.rpc("eth_getCode", at, "latest"))
    shim = yard.fake("DevLmShim", moved, lm)
    node.rpc("anvil_setCode", at, node.rpc("eth_getCode", shim.address, "latest"))
