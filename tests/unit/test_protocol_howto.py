"""The adapter printed in docs/how-to/add-a-protocol.md is a real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, fill, mutations, permitted, token

from keeper.domain.plan import Share
from keeper.domain.position import Position
from keeper.errors import ConfigError
from keeper.ports import ProtocolAdapter

PAGE = Path(__file__).parents[2] / "docs/how-to/add-a-protocol.md"
POOL, CAKE, DOGE = addr(1), token(2, "CAKE"), token(3, "DOGE", 8)
POSITION = Position("syrup", "test", "smart-chef", OWNER, None, POOL, params={"block_time_ms": 3_000})


@pytest.fixture(scope="module")
def adapter():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict = {}
    exec(compile(code, str(PAGE), "exec"), namespace)
    return namespace["SmartChef"]()


def a_pool(*, last_block=BLOCK.number + 10, held=10**9) -> World:
    world = World()
    world.put(POOL, "stakedToken()", (), "address", CAKE.address)
    world.put(POOL, "rewardToken()", (), "address", DOGE.address)
    world.put_token(CAKE)
    world.put_token(DOGE)
    world.put(POOL, "userInfo(address)", (OWNER,), "uint256,uint256", 10**18, 1)
    world.put(POOL, "pendingReward(address)", (OWNER,), "uint256", 50)
    world.put(POOL, "rewardPerBlock()", (), "uint256", 700)
    world.put(POOL, "bonusEndBlock()", (), "uint256", last_block)
    world.put(CAKE.address, "balanceOf(address)", (POOL,), "uint256", 10**19)
    world.put(DOGE.address, "balanceOf(address)", (POOL,), "uint256", held)
    return world


def look(adapter, world: World):
    market = world.talk(adapter.resolve(POSITION))
    return adapter.observe(POSITION, market, world.answer(adapter.reads(POSITION, market)), BLOCK)


def test_example_meets_the_port(adapter):
    assert isinstance(adapter, ProtocolAdapter)
    assert f'smart-chef = "keeper.protocols.smart_chef:{type(adapter).__name__}"' in PAGE.read_text()


def test_example_observes(adapter):
    seen = look(adapter, a_pool())

    assert seen.accruals[0].per_year.raw == 70 * 365 * 86_400 // 3
    assert seen.accruals[0].ends_at == BLOCK.timestamp + 30
    assert look(adapter, a_pool(last_block=BLOCK.number)).accruals[0].per_year.raw == 0
    assert look(adapter, a_pool(held=49)).underfunded == ("DOGE",)


def test_example_refuses_a_position_without_block_time(adapter):
    bare = Position("syrup", "test", "smart-chef", OWNER, None, POOL)

    with pytest.raises(ConfigError, match="block_time_ms"):
        a_pool().talk(adapter.resolve(bare))


def test_examples_permissions_hold(adapter):
    world, amount = a_pool(), 10**20
    market = world.talk(adapter.resolve(POSITION))
    allowed = adapter.permissions(POSITION, market)
    legs = [*adapter.harvest(POSITION, market, look(adapter, world)), *adapter.deposit(POSITION, market, Share(CAKE))]
    for leg in legs:
        call = fill(leg, {CAKE.address: amount}, 0)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"
