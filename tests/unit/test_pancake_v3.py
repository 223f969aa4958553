"""What the local chain has no pool for: CAKE is itself a side of the pool that is farmed."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, token

from keeper.domain.observation import RateSource
from keeper.domain.position import Position
from keeper.protocols.pancake_v3 import PancakeV3
from keeper.ranges import Q96, Q128

CHEF, MANAGER, FACTORY, POOL, LM = (addr(n) for n in range(1, 6))
CAKE, WBNB = token(6, "CAKE"), token(7, "WBNB")
TICKS = (-600, 600)
LIQUIDITY = 10**21
NOW = BLOCK.timestamp

#: positions(), userPositionInfos() and ticks() of the contracts.
POSITION = "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128"
USER = "uint128,uint128,int24,int24,uint256,uint256,address,uint256,uint256"
TICK = "uint128,int128,uint256,uint256,int56,uint160,uint32,bool"


@pytest.fixture
def world() -> World:
    made = World()
    for each in (CAKE, WBNB):
        made.put_token(each)
    made.put(CHEF, "CAKE()", (), "address", CAKE.address)
    made.put(CHEF, "nonfungiblePositionManager()", (), "address", MANAGER)
    made.put(CHEF, "userPositionInfos(uint256)", (9,), USER, LIQUIDITY, LIQUIDITY, *TICKS, 0, 0, OWNER, 1, 10**12)
    made.put(CHEF, "pendingCake(uint256)", (9,), "uint256", 5 * 10**17)
    made.put(CHEF, "getLatestPeriodInfo(address)", (POOL,), "uint256,uint256", 10**12 * 10**15, NOW + 1_000)
    made.put(MANAGER, "symbol()", (), "string", "PCS-V3-POS")
    made.put(MANAGER, "factory()", (), "address", FACTORY)
    sides = (CAKE.address, WBNB.address)
    # 100 base units of CAKE are owed from before; the growth of token0 has just passed 2**256.
    last = Q128 * Q128 - 3 * Q128 // LIQUIDITY - 1
    position = (0, addr(0), *sides, 2_500, *TICKS, LIQUIDITY, last, 0, 100, 0)
    made.put(MANAGER, "positions(uint256)", (9,), POSITION, *position)
    made.put(FACTORY, "getPool(address,address,uint24)", (*sides, 2_500), "address", POOL)
    made.put(POOL, "lmPool()", (), "address", LM)
    made.put(POOL, "slot0()", (), "uint160,int24,uint16,uint16,uint16,uint32,bool", Q96, 0, 0, 1, 1, 0, True)
    made.put(POOL, "feeGrowthGlobal0X128()", (), "uint256", 4 * Q128 // LIQUIDITY + 1)
    made.put(POOL, "feeGrowthGlobal1X128()", (), "uint256", 7 * Q128 // LIQUIDITY + 1)
    for tick in TICKS:
        made.put(POOL, "ticks(int24)", (tick,), TICK, 1, 1, 0, 0, 0, 0, 0, True)
    made.put(LM, "lmLiquidity()", (), "uint128", 4 * LIQUIDITY)
    made.put(LM, "lastRewardTimestamp()", (), "uint32", NOW - 100)
    made.put(CAKE.address, "balanceOf(address)", (CHEF,), "uint256", 10**24)
    return made


def observed(world: World):
    position = Position("cake", "test", "pancake-v3", OWNER, None, CHEF, MappingProxyType({"token_id": 9}))
    adapter = PancakeV3()
    market = world.talk(adapter.resolve(position))
    results = world.answer(adapter.reads(position, market))
    seen = adapter.observe(position, market, results, BLOCK)
    return market, seen, adapter.harvest(position, market, seen)


def test_cake_of_both_kinds_is_one_reward(world):
    market, seen, legs = observed(world)

    assert [t.symbol for t in market.reward_tokens] == ["CAKE", "WBNB"]
    assert market.stake_token.symbol == "PCS-V3 #9"
    # Viewed 0.5, a quarter of 100 s at 0.001 a second since, 100 owed, and 7 base units across the overflow.
    assert [a.raw for a in seen.pending] == [5 * 10**17 + 25 * 10**15 + 107, 7]
    cake, bnb = seen.accruals
    assert (cake.source, cake.per_year.raw, cake.own_share_ppm) == (
        RateSource.CHAIN,
        365 * 86_400 * 10**15 // 4,
        250_000,
    )
    assert (bnb.source, bnb.per_year.raw) == (RateSource.OBSERVED, 0)
    assert [[t.symbol for t in leg.brings] for leg in legs] == [["CAKE"], ["CAKE", "WBNB"]]


def test_nobody_shares_where_nobody_is_in_range(world):
    world.put(LM, "lmLiquidity()", (), "uint128", 0)

    _, seen, _ = observed(world)

    assert seen.pending[0].raw == 5 * 10**17 + 107
    assert seen.accruals[0].per_year.raw == 0
