"""Aave v3 by hand-encoded answers: layout, flags, several rewards, short vaults, legs and permissions."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, fill, mutations, permitted, token

from keeper.domain.plan import Share
from keeper.domain.position import Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.aave_v3 import AaveV3

POOL, A_TOKEN, CONTROLLER = addr(1), addr(2), addr(3)
STRATEGY, VAULT = addr(4), addr(5)
DAI, RED, BLUE = token(6, "DAI"), token(7, "RED"), token(8, "BLUE", 6)
ADAPTER = AaveV3()
POSITION = Position("aave", "test", ADAPTER.name, OWNER, None, POOL, params={"asset": DAI.address})
YEAR = 365 * 86_400
RESERVE = "uint256," * 7 + "uint16,address,address,address,address,uint128,uint128,uint128"
OPEN = 1 << 56


def a_market(*, flags=OPEN, pending=(11, 22), held=10**30, end=BLOCK.timestamp + 5, total=10**21) -> World:
    world = World()
    put_reserve(world, flags, A_TOKEN)
    world.put(A_TOKEN, "UNDERLYING_ASSET_ADDRESS()", (), "address", DAI.address)
    world.put(A_TOKEN, "POOL()", (), "address", POOL)
    world.put(A_TOKEN, "getIncentivesController()", (), "address", CONTROLLER)
    world.put(A_TOKEN, "balanceOf(address)", (OWNER,), "uint256", 10**20)
    world.put(A_TOKEN, "totalSupply()", (), "uint256", total)
    world.put(CONTROLLER, "getRewardsByAsset(address)", (A_TOKEN,), "address[]", [RED.address, BLUE.address])
    listed = [addr(77), BLUE.address, RED.address]  # the controller's own order, and a reward of other markets
    amounts = [99, pending[1], pending[0]]
    world.put(
        CONTROLLER, "getAllUserRewards(address[],address)", ([A_TOKEN], OWNER), "address[],uint256[]", listed, amounts
    )
    for reward, rate in ((RED, 7), (BLUE, 9)):
        world.put_token(reward)
        world.put(CONTROLLER, "getTransferStrategy(address)", (reward.address,), "address", STRATEGY)
        world.put(
            CONTROLLER,
            "getRewardsData(address,address)",
            (A_TOKEN, reward.address),
            "uint256,uint256,uint256,uint256",
            1,
            rate,
            1,
            end,
        )
        world.put(reward.address, "balanceOf(address)", (VAULT,), "uint256", held)
        world.put(reward.address, "allowance(address,address)", (VAULT, STRATEGY), "uint256", 2**256 - 1)
    world.put(STRATEGY, "getRewardsVault()", (), "address", VAULT)
    world.put_token(DAI)
    return world


def put_reserve(world: World, flags: int, a_token: str) -> None:
    rest = (0, 41_500 * 10**21, 0, 0, 0, 0, 0, a_token, addr(9), addr(9), addr(9), 0, 0, 0)
    world.put(POOL, "getReserveData(address)", (DAI.address,), RESERVE, flags, *rest)


def look(world: World):
    market = world.talk(ADAPTER.resolve(POSITION))
    return ADAPTER.observe(POSITION, market, world.answer(ADAPTER.reads(POSITION, market)), BLOCK)


def test_resolves_the_underlying_as_stake_and_finds_its_contracts():
    market = a_market().talk(ADAPTER.resolve(POSITION))

    assert market.stake_token == DAI
    assert market.reward_tokens == (RED, BLUE)
    assert market.contracts["a_token"] == A_TOKEN
    assert market.contracts["rewards_controller"] == CONTROLLER


def test_pending_is_taken_by_address_not_by_order():
    assert [a.raw for a in look(a_market(pending=(11, 22))).pending] == [11, 22]


def test_accrual_is_the_part_of_the_supply_and_ends_with_the_distribution():
    seen = look(a_market(total=10**21))

    assert [a.per_year.raw for a in seen.accruals] == [7 * YEAR // 10, 9 * YEAR // 10]
    assert seen.accruals[0].own_share_ppm == 100_000
    assert [a.per_year.raw for a in look(a_market(end=BLOCK.timestamp)).accruals] == [0, 0]


@pytest.mark.parametrize(
    ("flags", "refuses"),
    [
        (OPEN, False),
        (0, True),
        (OPEN | 1 << 57, True),
        (OPEN | 1 << 60, True),
        (OPEN | 1 << 58 | 1 << 59, False),
        (OPEN | 1001 << 116, False),
        (OPEN | 1000 << 116, True),
        (OPEN | 1 << 152, False),
    ],
    ids=["open", "inactive", "frozen", "paused", "borrowing", "below cap", "at cap", "bit above cap"],
)
def test_flags_of_the_reserve(flags, refuses):
    assert look(a_market(flags=flags, total=1000 * 10**18)).deposits_paused is refuses


def test_short_vault_is_underfunded_and_the_other_reward_is_claimed_alone():
    world = a_market(pending=(11, 22))
    world.put(RED.address, "balanceOf(address)", (VAULT,), "uint256", 10)
    market, seen = world.talk(ADAPTER.resolve(POSITION)), look(world)

    legs = ADAPTER.harvest(POSITION, market, seen)

    assert seen.underfunded == ("RED",)
    assert [leg.label for leg in legs] == ["claim BLUE"]
    allowed, data = ADAPTER.permissions(POSITION, market), legs[0].template
    assert permitted(allowed, legs[0].to, data)
    for word in (0, 2, 3, 4):  # offset, reward, length, aToken; the amount is "all"
        changed = data[: 4 + 32 * word] + (7).to_bytes(32, "big") + data[36 + 32 * word :]
        assert not permitted(allowed, legs[0].to, changed), word


def test_withdrawn_allowance_is_underfunded():
    world = a_market(pending=(11, 22))
    world.put(BLUE.address, "allowance(address,address)", (VAULT, STRATEGY), "uint256", 21)

    assert look(world).underfunded == ("BLUE",)


def test_strategy_without_vault_or_changed_since_is_left_to_the_simulation():
    world = a_market(held=0)
    market = world.talk(ADAPTER.resolve(POSITION))
    for reward in (RED, BLUE):
        world.put(CONTROLLER, "getTransferStrategy(address)", (reward.address,), "address", addr(5))
    changed = ADAPTER.observe(POSITION, market, world.answer(ADAPTER.reads(POSITION, market)), BLOCK)
    vaultless = a_market(held=0)
    vaultless.remove(STRATEGY, "getRewardsVault()")

    assert changed.underfunded == ()
    assert look(vaultless).underfunded == ()


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda w: w.remove(POOL, "getReserveData(address)"), ReadFailed, "does not answer like an Aave v3 Pool"),
        (lambda w: put_reserve(w, OPEN, addr(0)), ConfigError, "not listed"),
        (lambda w: w.put(A_TOKEN, "POOL()", (), "address", addr(5)), ReadFailed, "belongs to asset"),
    ],
)
def test_wrong_contracts_are_named(spoil, error, says):
    world = a_market()
    spoil(world)

    with pytest.raises(error, match=says):
        world.talk(ADAPTER.resolve(POSITION))


@pytest.mark.parametrize(
    "strip",
    [
        lambda w: w.put(A_TOKEN, "getIncentivesController()", (), "address", addr(0)),
        lambda w: w.put(CONTROLLER, "getRewardsByAsset(address)", (A_TOKEN,), "address[]", []),
    ],
    ids=["no controller", "no rewards"],
)
def test_reserve_without_rewards_is_watched_and_nothing_of_it_is_ever_signed(strip):
    world = a_market()
    strip(world)
    market, seen = world.talk(ADAPTER.resolve(POSITION)), look(world)

    assert SideEffect.GROWS_BY_ITSELF in market.side_effects
    assert (market.reward_tokens, seen.pending, seen.accruals) == ((), (), ())
    assert seen.principal.raw == 10**20
    assert [*ADAPTER.harvest(POSITION, market, seen), *ADAPTER.deposit(POSITION, market, Share(DAI))] == []
    assert ADAPTER.permissions(POSITION, market) == ()


def test_income_of_the_supply_itself_is_noted():
    assert look(a_market()).note("income_ppm") == 41_500


def test_asset_is_required():
    bare = Position("aave", "test", ADAPTER.name, OWNER, None, POOL)

    with pytest.raises(ConfigError, match="asset"):
        a_market().talk(ADAPTER.resolve(bare))


def test_permissions_cover_the_legs_and_nothing_a_thief_would_want():
    world = a_market()
    market = world.talk(ADAPTER.resolve(POSITION))
    allowed = ADAPTER.permissions(POSITION, market)
    amount = 10**20
    for leg in [*ADAPTER.harvest(POSITION, market, look(world)), *ADAPTER.deposit(POSITION, market, Share(DAI))]:
        call = fill(leg, {DAI.address: amount}, BLOCK.timestamp)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"
