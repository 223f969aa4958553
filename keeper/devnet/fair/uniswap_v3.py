"""Uniswap V3 at the fair: an NFT in the farmer's wallet, and one that is staked for an incentive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.abi import encode
from keeper.devnet.accounts import WHALE
from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES
from keeper.devnet.uniswap_v3 import FEE_PPM, V3, Pool, deploy_v3, let_trade, mint, open_pool, stir, waves
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["build", "route", "stalls"]

_PROVEN: Final = "@uniswap/v3-periphery@1.4.4"

#: Who mints when decides the NFTs' numbers: the farmer, three times the whale, the farmer.
_LOOSE_ID: Final = 1
_STAKED_ID: Final = 5

_STAKER: Final = "@uniswap/v3-staker/artifacts/contracts/UniswapV3Staker.sol/UniswapV3Staker.json"

#: For all of the pool's liquidity, of which the farmer has about a fortieth.
_REWARD_USD_PER_DAY: Final = 3_500
_REWARDED_DAYS: Final = 250

#: Half the width of the range, in tick spacings of 60: about 12 % either way.
_WIDTH: Final = 20
_STAKE_USD: Final = 50_000
_WHALE_USD: Final = 1_500_000
#: What traders have for as long as the fair is open.
_TRADERS_USD: Final = 500_000_000
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
    staker, times = _open_incentive(yard, v3, pool)
    staked_id = mint(v3, yard, pool, yard.farmer, ticks, _STAKE_USD)
    assert staked_id == _STAKED_ID, "the stall names another NFT"
    key = (yard.world["uni"], pool.contract.address, *times, yard.whale)
    data = encode(("address", "address", "uint256", "uint256", "address"), key)
    v3.npm.send(
        "safeTransferFrom(address,address,uint256,bytes)", yard.farmer, staker, staked_id, data, sender=yard.farmer
    )
    stir(v3, yard, pool, yard.whale, 100_000, 12)
    let_trade(v3, yard, pool, yard.whale, _TRADERS_USD)
    return {
        **v3.addresses,
        "v3_staker": staker.address,
        "v3_staker_start": _as_address(times[0]),
        "v3_staker_end": _as_address(times[1]),
        "v3_staker_refundee": yard.whale,
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
    incentive: dict[str, str | int | bool] = {
        "reward": ground["uni"],
        "pool": ground["v3_pool_weth_usdc"],
        "start": int(ground["v3_staker_start"], 16),
        "end": int(ground["v3_staker_end"], 16),
        "refundee": ground["v3_staker_refundee"],
    }
    staker = ground["v3_staker"]
    params = {"token_id": _STAKED_ID, **incentive}
    staked = ground.position("v3-staker", "uniswap-v3-staker", staker, params, route(ground), ground.v2)
    known = Place("uniswap-v3-staker", "UniswapV3Staker", staker, {**incentive, "ids": "1-9"})
    worth = ((ground["weth"], PRICES["WETH"], 10**18), (ground["usdc"], PRICES["USDC"], 10**6))
    trades = waves(ground["v3_router"], WHALE.address, worth, FEE_PPM)
    return [
        Stall(loose, _PROVEN, place=Place("uniswap-v3", "Uniswap V3", manager), stir=trades),
        Stall(staked, "@uniswap/v3-staker@1.0.2", place=known),
    ]


def _open_incentive(yard: Yard, v3: V3, pool: Pool) -> tuple[Contract, tuple[int, int]]:
    """Deploy the staker and reward the pool's liquidity; returns it with start and end, the start just passed."""
    staker = yard.deploy(_STAKER, v3.factory, v3.npm, 30 * 86_400, 2 * 365 * 86_400)
    start = yard.now + 600
    end, amount = start + _REWARDED_DAYS * 86_400, _REWARDED_DAYS * _REWARD_USD_PER_DAY * 10**18 // PRICES["UNI"]
    uni = yard.token("UNI")
    yard.deal(uni, yard.whale, uni.call("balanceOf", yard.whale) + amount)
    uni.send("approve", staker, amount, sender=yard.whale)
    key = (uni, pool.contract, start, end, yard.whale)
    staker.send("createIncentive", key, amount, sender=yard.whale)
    yard.pass_blocks(60)
    return staker, (start, end)


def _as_address(number: int) -> Address:
    """Keep a number among the addresses."""
    return Address(f"0x{number:040x}")


def _pool(yard: Yard, v3: V3, *symbols: str) -> Pool:
    return open_pool(v3, yard, {yard.world[symbol.lower()]: PRICES[symbol] for symbol in symbols})
