"""MasterChef by hand-encoded answers: forks' names, multipliers, funding, fees, legs and permissions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, fill, mutations, permitted, token

from keeper.abi import keccak
from keeper.domain.facts import Place
from keeper.domain.plan import Share
from keeper.domain.position import Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.masterchef import MasterChef

CHEF, SUSHI, LP = addr(1), token(2, "SUSHI"), token(3, "SLP")
ADAPTER = MasterChef()
POSITION = Position(
    "chef",
    "test",
    ADAPTER.name,
    OWNER,
    None,
    CHEF,
    params={"pid": 7, "block_time_ms": 12_000, "pending": "pendingX(uint256,address)"},
)
YEAR = 365 * 86_400
FAR = 2**64


def a_chef(
    *, stake=10**18, pending=50, alloc=30, total_alloc=120, rate=1_000, supply=10**19, held=10**20, last=990
) -> World:
    world = World()
    world.put(CHEF, "poolInfo(uint256)", (7,), "address,uint256,uint256,uint256", LP.address, alloc, last, 0)
    world.put(CHEF, "userInfo(uint256,address)", (7, OWNER), "uint256,uint256", stake, 3)
    world.put(CHEF, "pendingX(uint256,address)", (7, OWNER), "uint256", pending)
    world.put(CHEF, "sushi()", (), "address", SUSHI.address)
    world.put(CHEF, "sushiPerBlock()", (), "uint256", rate)
    world.put(CHEF, "totalAllocPoint()", (), "uint256", total_alloc)
    world.put(CHEF, "getMultiplier(uint256,uint256)", (FAR, FAR + 1), "uint256", 1)
    world.put(LP.address, "balanceOf(address)", (CHEF,), "uint256", supply)
    world.put(SUSHI.address, "balanceOf(address)", (CHEF,), "uint256", held)
    world.put_token(SUSHI)
    world.put_token(LP)
    return world


def look(world: World, position: Position = POSITION):
    market = world.talk(ADAPTER.resolve(position))
    return ADAPTER.observe(position, market, world.answer(ADAPTER.reads(position, market)), BLOCK)


def with_params(**params) -> Position:
    return replace(POSITION, params={**POSITION.params, **params})


def test_accrual_is_the_owners_part_of_the_pools_part_of_the_emission():
    seen = look(a_chef(stake=10**18, supply=10**19, alloc=30, total_alloc=120, rate=1_000))

    blocks_a_year = YEAR * 1000 // 12_000
    assert seen.accruals[0].per_year.raw == 250 * blocks_a_year // 10
    assert seen.accruals[0].own_share_ppm == 100_000
    assert (seen.principal.raw, seen.pending[0].raw) == (10**18, 50)


def test_chef_per_second_needs_no_block_time():
    world = a_chef()
    world.put(CHEF, "joePerSec()", (), "uint256", 1_000)
    position = replace(POSITION, params={"pid": 7, "per_second": "joePerSec()", "pending": "pendingX(uint256,address)"})

    seen = look(world, position)

    assert seen.accruals[0].per_year.raw == 250 * YEAR // 10
    assert SideEffect.PER_BLOCK not in world.talk(ADAPTER.resolve(position)).side_effects


def test_missing_block_time_is_a_config_error():
    position = replace(POSITION, params={"pid": 7, "pending": "pendingX(uint256,address)"})

    with pytest.raises(ConfigError, match="block_time_ms"):
        a_chef().talk(ADAPTER.resolve(position))


def test_bonus_multiplier_counts_until_its_last_block():
    world = a_chef()
    world.put(CHEF, "BONUS_MULTIPLIER()", (), "uint256", 10)
    plain = look(world).accruals[0]
    world.put(CHEF, "bonusEndBlock()", (), "uint256", BLOCK.number + 1)
    bonus = look(world).accruals[0]
    world.put(CHEF, "bonusEndBlock()", (), "uint256", BLOCK.number)
    over = look(world).accruals[0]

    assert bonus.per_year.raw == 10 * plain.per_year.raw
    assert (over.per_year.raw, over.ends_at) == (plain.per_year.raw, None)


def test_multiplier_of_zero_after_the_last_block_means_the_emission_ends_there():
    world = a_chef()
    world.put(CHEF, "getMultiplier(uint256,uint256)", (FAR, FAR + 1), "uint256", 0)
    world.put(CHEF, "bonusEndBlock()", (), "uint256", BLOCK.number + 100)
    running = look(world).accruals[0]
    world.put(CHEF, "bonusEndBlock()", (), "uint256", BLOCK.number)
    ended = look(world).accruals[0]

    assert running.ends_at == BLOCK.timestamp + 1200
    assert running.per_year.raw > 0
    assert ended.per_year.raw == 0


def test_chef_without_multiplier_or_bonus_views_counts_once():
    world = a_chef()
    world.remove(CHEF, "getMultiplier(uint256,uint256)")

    assert look(world).accruals[0].per_year.raw == look(a_chef()).accruals[0].per_year.raw


def test_pool_without_allocation_accrues_nothing():
    assert look(a_chef(alloc=0)).accruals[0].per_year.raw == 0
    assert look(a_chef(alloc=0, total_alloc=0)).accruals[0].per_year.raw == 0


def test_what_the_chef_mints_before_paying_counts_as_held():
    # 10 blocks at 250 a block are unminted: 2500.
    assert look(a_chef(pending=2_500, held=0)).underfunded == ()
    assert look(a_chef(pending=2_501, held=0)).underfunded == ("SUSHI",)


def test_unknown_pool_is_refused():
    with pytest.raises(ReadFailed, match="a MasterChef with a pool 8"):
        a_chef().talk(ADAPTER.resolve(with_params(pid=8)))


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"pid": -1}, "pid"),
        ({"pid": "7"}, "pid"),
        ({"pid": True}, "pid"),
        ({"pending": "pendingX()"}, "pending must take"),
        ({"reward": "sushi(uint256)"}, "reward must be a getter"),
        ({"per_block": "drop table"}, "per_block must be a getter"),
        ({"block_time_ms": 0}, "block_time_ms"),
        ({"reward": 5}, "reward must be text"),
        ({"harvest": "claim"}, "harvest must be"),
        ({"pool": "token,last"}, "pool must name"),
        ({"pool": "token,alloc,colour"}, "pool must name"),
    ],
)
def test_wrong_params_are_named(params, says):
    with pytest.raises(ConfigError, match=says):
        a_chef().talk(ADAPTER.resolve(with_params(**params)))


def test_renamed_view_that_does_not_exist_is_refused_with_its_param():
    with pytest.raises(ReadFailed, match="param pending"):
        a_chef().talk(ADAPTER.resolve(with_params(pending="pendingCake(uint256,address)")))


def test_deposit_fee_in_the_fifth_word_is_declared():
    world = a_chef()
    world.put(CHEF, "poolInfo(uint256)", (7,), "address,uint256,uint256,uint256,uint16", LP.address, 1, 1, 0, 400)

    assert look(world).deposit_fee_bps == 400
    assert SideEffect.DEPOSIT_FEE in world.talk(ADAPTER.resolve(POSITION)).side_effects


def test_deposit_fee_that_is_configured_or_in_another_word_is_declared():
    world = a_chef()
    words = "address,uint256,uint256,uint256,uint256,uint16"
    world.put(CHEF, "poolInfo(uint256)", (7,), words, LP.address, 1, 1, 0, 7, 300)

    assert look(world, with_params(deposit_fee_bps=25)).deposit_fee_bps == 25
    assert look(world, with_params(pool="token,alloc,last,_,_,fee")).deposit_fee_bps == 300
    assert look(world, with_params(pool="token,alloc,last")).deposit_fee_bps == 0


def test_stakes_that_the_pool_counts_itself_are_what_the_rate_is_split_by():
    world = a_chef(stake=10**18, supply=10**19)
    words = "address,uint256,uint256,uint256,uint256"
    world.put(CHEF, "poolInfo(uint256)", (7,), words, LP.address, 30, 990, 0, 5 * 10**18)

    assert look(world, with_params(pool="token,alloc,last,_,supply")).accruals[0].own_share_ppm == 200_000
    assert look(world, with_params(deposit_fee_bps=0)).accruals[0].own_share_ppm == 100_000


def test_pools_that_are_listed_apart_from_their_tokens():
    world = a_chef()
    world.put(CHEF, "poolInfo(uint256)", (7,), "uint256,uint256,uint256,uint256,bool", 5, 990, 30, 4 * 10**18, True)
    world.put(CHEF, "lpToken(uint256)", (7,), "address", LP.address)
    world.put(CHEF, "totalRegularAllocPoint()", (), "uint256", 60)
    position = with_params(pool="_,last,alloc,supply", total_alloc="totalRegularAllocPoint()")

    seen = look(world, position)

    assert world.talk(ADAPTER.resolve(position)).stake_token == LP
    assert seen.accruals[0].own_share_ppm == 250_000
    assert seen.accruals[0].per_year.raw == 500 * (YEAR * 1000 // 12_000) // 4


def test_chef_whose_first_word_is_no_token_is_refused():
    world = a_chef()
    world.put(CHEF, "poolInfo(uint256)", (7,), "uint256,uint256,uint256", 0, 990, 30)

    with pytest.raises(ReadFailed, match=r"position chef: .* names no token"):
        world.talk(ADAPTER.resolve(POSITION))


def locked(world: World, until: int) -> World:
    """Make the chef one of Panther's kind."""
    may = until <= BLOCK.timestamp
    world.put(CHEF, "userInfo(uint256,address)", (7, OWNER), "uint256,uint256,uint256,uint256", 10**18, 3, 9, until)
    world.put(CHEF, "canHarvest(uint256,address)", (7, OWNER), "bool", may)
    return world


def test_harvest_lock_up_says_when_it_opens():
    shut, over = (look(locked(a_chef(), BLOCK.timestamp + more)) for more in (3_600, 0))

    assert (shut.harvest_opens_at, shut.harvest_paused) == (BLOCK.timestamp + 3_600, False)
    assert (over.harvest_opens_at, over.harvest_paused) == (None, False)
    assert shut.principal.raw == 10**18


def test_chef_that_would_lock_up_without_saying_until_when_counts_as_closed():
    world = a_chef()
    world.put(CHEF, "canHarvest(uint256,address)", (7, OWNER), "bool", False)

    assert look(world).harvest_paused


def test_fourth_word_of_the_user_means_nothing_in_a_chef_without_lock_ups():
    world = locked(a_chef(), BLOCK.timestamp + 3_600)
    world.remove(CHEF, "canHarvest(uint256,address)")

    assert look(world).harvest_opens_at is None


def test_stakes_of_the_reward_token_are_not_counted_as_funds_where_the_pool_counts_them():
    world = a_chef(pending=3_000, held=10**18 + 1)
    words = "address,uint256,uint256,uint256,uint256"
    world.put(CHEF, "poolInfo(uint256)", (7,), words, SUSHI.address, 30, 990, 0, 10**18)
    position = with_params(pool="token,alloc,last,_,supply")

    # 10 blocks at 250 a block are unminted: one base unit and 2,500 are there for 3,000.
    assert look(world, position).underfunded == ("SUSHI",)


def test_withdrawal_of_nothing_harvests_where_it_is_asked_for_and_no_other_amount_is_permitted():
    world, position = a_chef(), with_params(harvest="withdraw")
    market = world.talk(ADAPTER.resolve(position))
    (leg,) = ADAPTER.harvest(position, market, look(world, position))

    allowed = ADAPTER.permissions(position, market)

    assert leg.template[:4] == keccak(b"withdraw(uint256,uint256)")[:4]
    assert permitted(allowed, CHEF, leg.template)
    assert not permitted(allowed, CHEF, leg.template[:-1] + b"\x01")
    assert not permitted(ADAPTER.permissions(POSITION, market), CHEF, leg.template)


def test_stakes_are_found_in_all_pools_and_pools_with_broken_tokens_left_out():
    world, other = a_chef(stake=11), token(9, "OTHER")
    world.put(CHEF, "poolLength()", (), "uint256", 9)
    for pid in range(9):
        amount = 11 if pid in {3, 5, 7} else 0
        world.put(CHEF, "userInfo(uint256,address)", (pid, OWNER), "uint256,uint256", amount, 0)
    world.put_token(other)
    layout = "address,uint256,uint256,uint256"
    world.put(CHEF, "poolInfo(uint256)", (3,), layout, other.address, 1, 1, 0)
    world.put(CHEF, "poolInfo(uint256)", (5,), layout, addr(77), 1, 1, 0)
    place = Place(ADAPTER.name, "chef", CHEF, {"pending": "pendingX(uint256,address)"})

    found = world.talk(ADAPTER.discover("test", place, OWNER))

    assert [(one.params["pid"], one.staked.token, one.staked.raw) for one in found] == [(3, other, 11), (7, LP, 11)]
    assert found[0].params["pending"] == "pendingX(uint256,address)"
    assert World().talk(ADAPTER.discover("test", place, OWNER)) == ()


def test_pool_with_a_rewarder_in_the_fifth_word_is_no_fee():
    world = a_chef()
    world.put(
        CHEF, "poolInfo(uint256)", (7,), "address,uint256,uint256,uint256,address", LP.address, 1, 1, 0, addr(2**100)
    )

    assert world.talk(ADAPTER.resolve(POSITION)).stake_token == LP


def test_migrated_pool_is_noticed():
    world = a_chef()
    market = world.talk(ADAPTER.resolve(POSITION))
    world.put(CHEF, "poolInfo(uint256)", (7,), "address,uint256,uint256,uint256", addr(99), 1, 1, 0)

    with pytest.raises(ReadFailed, match="migrated"):
        ADAPTER.observe(POSITION, market, world.answer(ADAPTER.reads(POSITION, market)), BLOCK)


def test_permissions_cover_the_legs_and_nothing_a_thief_would_want():
    world = a_chef()
    market = world.talk(ADAPTER.resolve(POSITION))
    allowed = ADAPTER.permissions(POSITION, market)
    amount = 10**20
    legs = [*ADAPTER.harvest(POSITION, market, look(world)), *ADAPTER.deposit(POSITION, market, Share(LP))]
    assert legs[0].template.hex() == "e2bbb158" + f"{7:064x}" + "0" * 64
    for leg in legs:
        call = fill(leg, {LP.address: amount}, BLOCK.timestamp)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"
    deposit = fill(legs[2], {LP.address: amount}, 0).data
    other_pool = deposit[:4] + (8).to_bytes(32, "big") + deposit[36:]
    assert permitted(allowed, CHEF, deposit)
    assert not permitted(allowed, CHEF, other_pool)
