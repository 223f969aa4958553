"""Builds of chefs that the fair does not have: syrup pools by the second, hidden allocation points, patient rewarders."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, token

from keeper.domain.observation import RateSource
from keeper.domain.position import Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.cake_vault import CakeVault
from keeper.protocols.smart_chef import SmartChef
from keeper.protocols.sushi_masterchef_v2 import MiniChefV2

YEAR = 365 * 86_400
FARM, REWARDER, CHEF = addr(1), addr(2), addr(3)
STAKE, SUSHI, EXTRA = token(10, "SLP"), token(11, "SUSHI"), token(12, "XTRA")


def position(adapter, **params) -> Position:
    return Position("one", "test", adapter.name, OWNER, None, FARM, params=params)


def look(world: World, adapter, one: Position):
    market = world.talk(adapter.resolve(one))
    return market, adapter.observe(one, market, world.answer(adapter.reads(one, market)), BLOCK)


def a_world() -> World:
    world = World()
    for each in (STAKE, SUSHI, EXTRA):
        world.put_token(each)
        world.put(each.address, "balanceOf(address)", (FARM,), "uint256", 10**20)
    return world


# ------------------------------------------------------------------------------------------------ syrup pools


def a_syrup_pool(*, start=BLOCK.timestamp - 9, end=BLOCK.timestamp + 99) -> World:
    world = a_world()
    world.put(FARM, "stakedToken()", (), "address", STAKE.address)
    world.put(FARM, "rewardToken()", (), "address", SUSHI.address)
    world.put(FARM, "userInfo(address)", (OWNER,), "uint256,uint256", 10**19, 0)
    world.put(FARM, "pendingReward(address)", (OWNER,), "uint256", 7)
    world.put(FARM, "rewardPerSecond()", (), "uint256", 1_000)
    world.put(FARM, "startTimestamp()", (), "uint256", start)
    world.put(FARM, "endTimestamp()", (), "uint256", end)
    return world


def test_syrup_pool_by_the_second_needs_no_block_time_and_ends_by_the_clock():
    market, seen = look(a_syrup_pool(), SmartChef(), position(SmartChef))

    assert SideEffect.PER_BLOCK not in market.side_effects
    assert seen.accruals[0].per_year.raw == 1_000 * YEAR // 10
    assert seen.accruals[0].ends_at == BLOCK.timestamp + 99


@pytest.mark.parametrize(
    "times", [{"start": BLOCK.timestamp + 1}, {"end": BLOCK.timestamp}, {"end": BLOCK.timestamp - 50}]
)
def test_syrup_pool_accrues_nothing_before_its_start_and_after_its_end(times):
    assert look(a_syrup_pool(**times), SmartChef(), position(SmartChef))[1].accruals[0].per_year.raw == 0


def test_syrup_pool_that_names_no_token_is_refused():
    world = a_syrup_pool()
    world.remove(FARM, "stakedToken()")

    with pytest.raises(ReadFailed, match=r"position one: .* names no token to stake"):
        world.talk(SmartChef().resolve(position(SmartChef)))


def test_syrup_pool_by_the_block_asks_for_the_block_time():
    world = a_syrup_pool()
    world.remove(FARM, "rewardPerSecond()")
    world.put(FARM, "rewardPerBlock()", (), "uint256", 1_000)

    with pytest.raises(ConfigError, match="block_time_ms"):
        world.talk(SmartChef().resolve(position(SmartChef)))


# ------------------------------------------------------------------------------------------------ MiniChefV2


def a_minichef(*, pending=50, extra=9, funds=10**18, user=("uint256,uint256", 1, 2)) -> World:
    world = a_world()
    world.put(FARM, "lpToken(uint256)", (4,), "address", STAKE.address)
    world.put(FARM, "SUSHI()", (), "address", SUSHI.address)
    world.put(FARM, "sushiPerSecond()", (), "uint256", 1_000)
    world.put(FARM, "poolInfo(uint256)", (4,), "uint128,uint64,uint64", 5, BLOCK.timestamp, 30)
    world.put(FARM, "totalAllocPoint()", (), "uint256", 60)
    world.put(FARM, "userInfo(uint256,address)", (4, OWNER), "uint256,int256", 10**19, -3)
    world.put(FARM, "pendingSushi(uint256,address)", (4, OWNER), "uint256", pending)
    world.put(FARM, "rewarder(uint256)", (4,), "address", REWARDER)
    signature, types = "pendingTokens(uint256,address,uint256)", "address[],uint256[]"
    world.put(REWARDER, signature, (4, OWNER, 0), types, [EXTRA.address], [extra])
    types, *values = user
    world.put(REWARDER, "userInfo(uint256,address)", (4, OWNER), types, *values)
    world.put(EXTRA.address, "balanceOf(address)", (REWARDER,), "uint256", funds)
    return world


def test_rate_of_a_build_that_hides_its_allocation_points_is_learnt():
    one, hidden = position(MiniChefV2, pid=4), a_minichef()
    hidden.remove(FARM, "totalAllocPoint()")

    known, open_ = (look(world, MiniChefV2(), one)[1].accruals[0] for world in (a_minichef(), hidden))

    assert (known.source, known.per_year.raw) == (RateSource.CHAIN, 500 * YEAR // 10)
    assert (open_.source, open_.per_year.raw) == (RateSource.OBSERVED, 0)


def test_rewarder_that_remembers_what_it_owes_stops_no_harvest():
    one = position(MiniChefV2, pid=4)
    patient, strict = a_minichef(funds=8, user=("uint256,uint256,uint256", 1, 2, 3)), a_minichef(funds=8)

    assert look(patient, MiniChefV2(), one)[1].underfunded == ("XTRA",)
    assert look(strict, MiniChefV2(), one)[1].underfunded == ("SUSHI", "XTRA")
    assert look(a_minichef(funds=9), MiniChefV2(), one)[1].underfunded == ()


def test_rewarder_that_answers_nothing_is_named_as_what_stands_in_the_way():
    world = a_minichef()
    world.remove(REWARDER, "pendingTokens(uint256,address,uint256)")

    with pytest.raises(ConfigError, match=r"position one: the rewarder 0x0040.* no harvest can do without it"):
        world.talk(MiniChefV2().resolve(position(MiniChefV2, pid=4)))


def test_pool_without_a_rewarder_has_one_reward_and_pays_nothing_with_deposits():
    world = a_minichef()
    world.put(FARM, "rewarder(uint256)", (4,), "address", "0x" + "0" * 40)

    market, seen = look(world, MiniChefV2(), position(MiniChefV2, pid=4))

    assert market.reward_tokens == (SUSHI,)
    assert SideEffect.DEPOSIT_PAYS not in market.side_effects
    assert len(seen.pending) == 1


def test_pangolins_names_are_params():
    world = a_minichef()
    for ours, theirs, args, types, value in (
        ("SUSHI()", "REWARD()", (), "address", SUSHI.address),
        ("sushiPerSecond()", "rewardPerSecond()", (), "uint256", 1_000),
        ("pendingSushi(uint256,address)", "pendingReward(uint256,address)", (4, OWNER), "uint256", 50),
    ):
        world.remove(FARM, ours)
        world.put(FARM, theirs, args, types, value)
    names = {"reward": "REWARD()", "per_second": "rewardPerSecond()", "pending": "pendingReward(uint256,address)"}

    assert look(world, MiniChefV2(), position(MiniChefV2, pid=4, **names))[1].pending[0].raw == 50


# ------------------------------------------------------------------------------------------------ CakeVault


def test_vault_over_another_pool_of_its_chef_is_told_which_param_is_wrong():
    world = a_world()
    world.put(FARM, "token()", (), "address", STAKE.address)
    world.put(FARM, "masterchef()", (), "address", CHEF)
    world.put(FARM, "totalShares()", (), "uint256", 1)
    world.put(FARM, "calculateTotalPendingCakeRewards()", (), "uint256", 1)
    words = "address,uint256,uint256,uint256"
    world.put(CHEF, "poolInfo(uint256)", (0,), words, SUSHI.address, 1, 1, 0)
    world.put(CHEF, "poolInfo(uint256)", (5,), words, STAKE.address, 1, 1, 0)

    with pytest.raises(ConfigError, match="check param pid"):
        world.talk(CakeVault().resolve(position(CakeVault, block_time_ms=3_000)))
    assert world.talk(CakeVault().resolve(position(CakeVault, block_time_ms=3_000, pid=5))).stake_token == STAKE
