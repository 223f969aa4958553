"""Gauges of Solidly's family beyond what the local chain shows: long registries, forks without boosts."""

from __future__ import annotations

from dataclasses import dataclass, field

import eth_abi
import pytest
from adapter_kit import BLOCK, OWNER, World, addr, token

from keeper.abi import Fn
from keeper.domain.facts import Place
from keeper.domain.money import Token
from keeper.domain.position import Position
from keeper.domain.reads import Read, ReadResult
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.aerodrome import Aerodrome
from keeper.protocols.gauges import GAUGES_LOOKED_AT
from keeper.protocols.slipstream import Slipstream
from keeper.protocols.solidly import Solidly

STAKE, REWARD = token(1, "vAMM-A/B"), token(2, "SOLID")
GAUGE, VOTER = addr(3), addr(4)
PLACE = Place("aerodrome", "voter", VOTER)


@dataclass
class Registry:
    """A voter of many pools; pool n has gauge n + 100,000, and the account a stake in some of them."""

    size: int
    staked: dict[int, int]
    batches: list[int] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)

    def answer(self, reads: list[Read]) -> list[ReadResult]:
        self.batches.append(len(reads))
        return [self.one(read) for read in reads]

    def one(self, read: Read) -> ReadResult:
        name = {Fn(s).selector: s for s in ("length()", "pools(uint256)", "gauges(address)", "balanceOf(address)",
                                            "stakingToken()", "symbol()", "decimals()")}.get(read.data[:4])  # fmt: skip
        match name:
            case "length()" if read.target == VOTER:
                return word(self.size)
            case "pools(uint256)":
                self.indices.append(int.from_bytes(read.data[4:], "big"))
                return word(self.indices[-1])
            case "gauges(address)":
                pool = int.from_bytes(read.data[4:], "big")
                return word(0 if pool % 10 == 9 else int(addr(100_000 + pool), 16))
            case "balanceOf(address)":
                pool = int(read.target, 16) - int(addr(100_000), 16)
                return word(self.staked.get(pool, 0))
            case "stakingToken()":
                return word(int(STAKE.address, 16))
            case "symbol()":
                return ReadResult(True, eth_abi.encode(["string"], [STAKE.symbol]))
            case "decimals()":
                return word(18)
            case _:
                return ReadResult(False, b"")


def word(value: int) -> ReadResult:
    return ReadResult(True, value.to_bytes(32, "big"))


def talk(questions, answer):
    reads = next(questions)
    while True:
        try:
            reads = questions.send(answer(list(reads)))
        except StopIteration as stop:
            return stop.value


def test_long_registries_are_asked_for_their_newest_in_batches():
    registry = Registry(5_000, {4_990: 7, 3_001: 8, 2_000: 9})

    found = talk(Aerodrome().discover("test", PLACE, OWNER), registry.answer)

    assert {(each.target, each.staked.raw) for each in found} == {(addr(104_990), 7), (addr(103_001), 8)}
    assert registry.indices == list(range(4_999, 4_999 - GAUGES_LOOKED_AT, -1))
    assert max(registry.batches) <= 500
    assert sum(registry.batches) < 3 * GAUGES_LOOKED_AT + 10


def test_an_empty_registry_is_no_error():
    assert talk(Aerodrome().discover("test", PLACE, OWNER), Registry(0, {}).answer) == ()
    assert talk(Slipstream().discover("test", PLACE, OWNER), Registry(0, {}).answer) == ()


def position(**params) -> Position:
    return Position("one", "test", "solidly", OWNER, "key", GAUGE, params)


def solidly_world(rewards: tuple[Token, ...] = (REWARD,)) -> World:
    world = World()
    for each in (STAKE, *rewards):
        world.put_token(each)
    world.put(GAUGE, "stake()", (), "address", STAKE.address)
    world.put(GAUGE, "balanceOf(address)", (OWNER,), "uint256", 10**18)
    world.put(GAUGE, "totalSupply()", (), "uint256", 4 * 10**18)
    for index, each in enumerate(rewards):
        world.put(GAUGE, "rewards(uint256)", (index,), "address", each.address)
        world.put(GAUGE, "earned(address,address)", (each.address, OWNER), "uint256", 5 + index)
        world.put(GAUGE, "rewardRate(address)", (each.address,), "uint256", 1_000)
        world.put(GAUGE, "periodFinish(address)", (each.address,), "uint256", BLOCK.timestamp + 100)
        world.put(each.address, "balanceOf(address)", (GAUGE,), "uint256", 10**20)
    return world


def look(world: World, **params):
    adapter, where = Solidly(), position(**params)
    market = world.talk(adapter.resolve(where))
    return adapter.observe(where, market, world.answer(adapter.reads(where, market)), BLOCK)


def test_forks_without_boosts_count_every_stake_in_full():
    """Velodrome's first gauges have no derived balances: there the share is of what is staked."""
    assert look(solidly_world()).accruals[0].own_share_ppm == 250_000


def test_boosted_stakes_count_what_the_gauge_says():
    world = solidly_world()
    world.put(GAUGE, "derivedBalances(address)", (OWNER,), "uint256", 10**18)
    world.put(GAUGE, "derivedSupply()", (), "uint256", 2 * 10**18)

    assert look(world).accruals[0].own_share_ppm == 500_000


def test_several_reward_tokens_are_claimed_together_and_each_has_its_own_end():
    other = token(5, "OP")
    world = solidly_world((REWARD, other))
    world.put(GAUGE, "periodFinish(address)", (other.address,), "uint256", BLOCK.timestamp)
    seen = look(world, rewards=2)
    adapter, where = Solidly(), position(rewards=2)
    (leg,) = adapter.harvest(where, world.talk(adapter.resolve(where)), seen)

    assert [amount.raw for amount in seen.pending] == [5, 6]
    assert [accrual.per_year.raw > 0 for accrual in seen.accruals] == [True, False]
    assert leg.template[-64:] == bytes.fromhex("00" * 12 + REWARD.address[2:] + "00" * 12 + other.address[2:])


def test_own_stake_is_not_counted_as_reward():
    """Where the reward is what is staked, everybody's stake lies in the same balance."""
    world = solidly_world((STAKE,))
    world.put(STAKE.address, "balanceOf(address)", (GAUGE,), "uint256", 4 * 10**18 + 4)

    assert look(world).underfunded == (STAKE.symbol,)


def test_wrong_params_and_contracts_are_named():
    with pytest.raises(ConfigError, match="position one: rewards must be 1 or 2"):
        look(solidly_world(), rewards=3)
    adapter, world, where = Solidly(), solidly_world(), position(ve_token_id="all")
    market = world.talk(adapter.resolve(where))
    with pytest.raises(ConfigError, match="position one: ve_token_id must be a whole number"):
        adapter.permissions(where, market)
    with pytest.raises(ReadFailed, match="position one: "):
        look(World())
