"""Builds of lending markets that the fair does not show: older words, missing views, a market of the gas token."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, token

from keeper.domain.facts import Place
from keeper.domain.position import Position
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.compound_v2 import CompoundV2, Venus
from keeper.protocols.compound_v3 import CompoundV3
from keeper.protocols.erc4626 import Erc4626, MakerDsr
from keeper.protocols.sky_lockstake import SkyLockstake

YEAR = 365 * 86_400
USDC, COMP, SKY, MKR = token(6, "USDC", 6), token(7, "COMP"), token(8, "SKY"), token(9, "MKR")
C_TOKEN, COMPTROLLER, COMET, REWARDS = addr(1), addr(2), addr(3), addr(4)


# ------------------------------------------------------------------------------------------------------- Compound v2


def a_c_token(prefix="comp", getter="getCompAddress()", *, index=10**36, own=10**36, block=990) -> World:
    world = World()
    for each in (USDC, COMP):
        world.put_token(each)
    world.put(C_TOKEN, "comptroller()", (), "address", COMPTROLLER)
    world.put(C_TOKEN, "underlying()", (), "address", USDC.address)
    world.put(C_TOKEN, "exchangeRateStored()", (), "uint256", 2 * 10**14)
    world.put(C_TOKEN, "balanceOf(address)", (OWNER,), "uint256", 10**12)
    world.put(C_TOKEN, "totalSupply()", (), "uint256", 4 * 10**12)
    world.put(C_TOKEN, "supplyRatePerBlock()", (), "uint256", 10**10)
    world.put(COMPTROLLER, getter, (), "address", COMP.address)
    world.put(COMPTROLLER, f"{prefix}Accrued(address)", (OWNER,), "uint256", 7)
    world.put(COMPTROLLER, f"{prefix}SupplyState(address)", (C_TOKEN,), "uint224,uint32", index, block)
    world.put(COMPTROLLER, f"{prefix}SupplierIndex(address,address)", (C_TOKEN, OWNER), "uint256", own)
    world.put(COMPTROLLER, f"{prefix}SupplySpeeds(address)", (C_TOKEN,), "uint256", 4_000)
    world.put(COMP.address, "balanceOf(address)", (COMPTROLLER,), "uint256", 10**24)
    world.put(COMPTROLLER, "mintGuardianPaused(address)", (C_TOKEN,), "bool", False)
    world.put(COMPTROLLER, "markets(address)", (C_TOKEN,), "bool,uint256", True, 10**18)
    return world


def look(adapter, position: Position, world: World):
    market = world.talk(adapter.resolve(position))
    return adapter.observe(position, market, world.answer(adapter.reads(position, market)), BLOCK)


def supplied(adapter=None, **params) -> Position:
    name = (adapter or CompoundV2()).name
    return Position("lent", "test", name, OWNER, None, C_TOKEN, params={"block_time_ms": 12_000, **params})


def test_pending_is_accrued_and_the_index_carried_on_to_this_block():
    seen = look(CompoundV2(), supplied(), a_c_token())

    # Ten blocks of 4,000 for everybody, a quarter of which is ours, and 7 from before.
    assert seen.pending[0].raw == 7 + 10_000
    assert seen.principal.raw == 2 * 10**8
    assert seen.accruals[0].per_year.raw == 4_000 * YEAR // 12 // 4
    assert seen.accruals[0].own_share_ppm == 250_000
    assert seen.note("income_ppm") == 10**10 * (YEAR // 12) // 10**12


def test_who_supplied_before_there_were_rewards_earns_from_the_first_index():
    assert look(CompoundV2(), supplied(), a_c_token(own=0)).pending[0].raw == 7 + 10_000


def test_market_that_was_never_rewarded_owes_nothing_but_what_was_accrued():
    world = a_c_token(index=0, own=0, block=0)
    world.put(COMPTROLLER, "compSupplySpeeds(address)", (C_TOKEN,), "uint256", 0)

    seen = look(CompoundV2(), supplied(), world)

    assert seen.pending[0].raw == 7
    assert seen.accruals[0].per_year.raw == 0


def test_empty_market_divides_by_nothing():
    world = a_c_token()
    world.put(C_TOKEN, "totalSupply()", (), "uint256", 0)
    world.put(C_TOKEN, "balanceOf(address)", (OWNER,), "uint256", 0)

    assert look(CompoundV2(), supplied(), world).accruals[0].per_year.raw == 0


def test_fork_with_names_of_its_own_needs_no_code():
    world = a_c_token("bread", "bread()")

    assert look(CompoundV2(), supplied(names="bread", reward="bread()"), world).pending[0].raw == 10_007


def test_older_builds_without_switches_and_rates_are_served():
    world = a_c_token()
    world.remove(COMPTROLLER, "mintGuardianPaused(address)")
    world.remove(COMPTROLLER, "markets(address)")
    world.remove(C_TOKEN, "supplyRatePerBlock()")

    seen = look(CompoundV2(), supplied(), world)

    assert (seen.deposits_paused, seen.harvest_paused, seen.note("income_ppm")) == (False, False, 0)


def test_venus_with_a_cap_of_nothing_takes_no_deposits():
    world = a_c_token("venus", "getXVSAddress()")
    position = supplied(Venus())
    world.put(COMPTROLLER, "supplyCaps(address)", (C_TOKEN,), "uint256", 0)
    none = look(Venus(), position, world).deposits_paused
    world.put(COMPTROLLER, "supplyCaps(address)", (C_TOKEN,), "uint256", 2**256 - 1)

    assert none
    assert not look(Venus(), position, world).deposits_paused


def test_market_of_the_gas_token_is_refused_with_a_way_out():
    world = a_c_token()
    world.remove(C_TOKEN, "underlying()")

    with pytest.raises(ConfigError, match="position lent: this market holds the gas token itself"):
        world.talk(CompoundV2().resolve(supplied()))


def test_discovery_passes_over_the_market_of_the_gas_token_and_what_is_empty():
    world = a_c_token()
    ether, empty = addr(21), addr(22)
    world.put(COMPTROLLER, "getAllMarkets()", (), "address[]", [ether, empty, C_TOKEN])
    world.put(ether, "balanceOf(address)", (OWNER,), "uint256", 5)
    world.put(ether, "exchangeRateStored()", (), "uint256", 10**18)
    world.put(empty, "balanceOf(address)", (OWNER,), "uint256", 0)

    found = world.talk(CompoundV2().discover("test", Place("compound-v2", "x", COMPTROLLER), OWNER))

    assert [(f.target, f.staked.raw) for f in found] == [(C_TOKEN, 2 * 10**8)]


# ------------------------------------------------------------------------------------------------------ Compound III


def a_comet(types, values, *, speed=10**9, scale=10**15, principal=10**9, total=4 * 10**9) -> World:
    world = World()
    for each in (USDC, COMP):
        world.put_token(each)
    world.put(COMET, "baseToken()", (), "address", USDC.address)
    world.put(COMET, "balanceOf(address)", (OWNER,), "uint256", max(0, principal))
    totals = "uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8"
    world.put(COMET, "totalsBasic()", (), totals, 1, 1, 1, 1, total, 0, 1, 0)
    world.put(COMET, "userBasic(address)", (OWNER,), "int104,uint64,uint64,uint16,uint8", principal, 0, 0, 0, 0)
    world.put(COMET, "baseTrackingSupplySpeed()", (), "uint256", speed)
    world.put(COMET, "trackingIndexScale()", (), "uint256", scale)
    world.put(COMET, "baseMinForRewards()", (), "uint256", 10)
    world.put(COMET, "isSupplyPaused()", (), "bool", False)
    world.put(REWARDS, "rewardConfig(address)", (COMET,), types, *values)
    world.put(REWARDS, "getRewardOwed(address,address)", (COMET, OWNER), "address,uint256", values[0], 5)
    world.put(COMP.address, "balanceOf(address)", (REWARDS,), "uint256", 10**24)
    return world


BASE = Position("base", "test", "compound-v3", OWNER, None, COMET, params={"rewards": REWARDS})


@pytest.mark.parametrize(
    ("types", "values", "pool_per_second"),
    [
        ("address,uint64,bool", (COMP.address, 10**12, True), 10**12),
        ("address,uint64,bool,uint256", (COMP.address, 10**12, True, 3 * 10**18), 3 * 10**12),
        ("address,uint64,bool,uint256", (COMP.address, 10**12, True, 5 * 10**17), 5 * 10**11),
        ("address,uint64,bool", (COMP.address, 1, False), 1),
    ],
    ids=["first build", "multiplied", "halved", "reward of six decimals"],
)
def test_rate_is_in_the_rewards_own_units_in_every_build(types, values, pool_per_second):
    seen = look(CompoundV3(), BASE, a_comet(types, values))

    assert seen.accruals[0].per_year.raw == pool_per_second * YEAR // 4


def test_borrower_of_a_comet_has_no_share():
    seen = look(CompoundV3(), BASE, a_comet("address,uint64,bool", (COMP.address, 10**12, True), principal=-5))

    assert (seen.principal.raw, seen.accruals[0].per_year.raw, seen.accruals[0].own_share_ppm) == (0, 0, 0)


def test_reward_that_was_changed_since_is_not_misread():
    world = a_comet("address,uint64,bool", (COMP.address, 10**12, True))
    market = world.talk(CompoundV3().resolve(BASE))
    world.put(REWARDS, "rewardConfig(address)", (COMET,), "address,uint64,bool", SKY.address, 10**12, True)

    with pytest.raises(ReadFailed, match="restart keeper"):
        CompoundV3().observe(BASE, market, world.answer(CompoundV3().reads(BASE, market)), BLOCK)


def test_comet_that_nobody_rewards_has_nothing_to_harvest():
    world = a_comet("address,uint64,bool", ("0x" + "00" * 20, 0, False))

    with pytest.raises(ConfigError, match="nothing to harvest"):
        world.talk(CompoundV3().resolve(BASE))


# ----------------------------------------------------------------------------------------------- savings and Lockstake


def test_susds_names_its_own_rate():
    vault, asset = token(31, "sUSDS"), token(32, "USDS")
    world = World()
    for each in (vault, asset):
        world.put_token(each)
    world.put(vault.address, "asset()", (), "address", asset.address)
    world.put(vault.address, "ssr()", (), "uint256", 10**27 + 1_547_125_957_863_212_448)
    world.put(vault.address, "convertToAssets(uint256)", (1,), "uint256", 1)
    world.put(vault.address, "convertToAssets(uint256)", (10**18,), "uint256", 105 * 10**16)
    world.put(vault.address, "balanceOf(address)", (OWNER,), "uint256", 10**18)
    position = Position("saved", "test", "erc4626", OWNER, None, vault.address)

    seen = look(Erc4626(), position, world)

    assert (seen.note("income_ppm"), seen.note("assets_per_share")) == (49_999, 105 * 10**16)
    assert not seen.deposits_paused, "a vault without maxDeposit says nothing against it"


def test_pot_needs_to_be_told_its_token():
    with pytest.raises(ConfigError, match="dai"):
        World().talk(MakerDsr().resolve(Position("saved", "test", "maker-dsr", OWNER, None, addr(1))))


@pytest.mark.parametrize("mkr", [True, False], ids=["engine of 2024", "engine of 2025"])
def test_lockstake_locks_what_its_engine_locks(mkr):
    engine, urn, farm = addr(41), addr(42), addr(43)
    world = World()
    for each in (SKY, MKR, USDC):
        world.put_token(each)
    world.put(engine, "ownerUrns(address,uint256)", (OWNER, 3), "address", urn)
    world.put(engine, "ownerUrnsCount(address)", (OWNER,), "uint256", 4)
    world.put(engine, "sky()", (), "address", SKY.address)
    if mkr:
        world.put(engine, "mkr()", (), "address", MKR.address)
    world.put(engine, "urnFarms(address)", (urn,), "address", farm)
    world.put(farm, "rewardsToken()", (), "address", USDC.address)
    world.put(farm, "earned(address)", (urn,), "uint256", 0)
    position = Position("urn", "test", "sky-lockstake", OWNER, None, engine, params={"index": 3, "referral": 65_535})

    market = world.talk(SkyLockstake().resolve(position))

    assert market.stake_token == (MKR if mkr else SKY)
    (lock,) = [p for p in SkyLockstake().permissions(position, market) if p.label.startswith("lock")]
    assert [rule.allowed for rule in lock.args if rule.word == 3] == [(65_535,)]


def test_referral_that_is_none_is_refused():
    position = Position("urn", "test", "sky-lockstake", OWNER, None, addr(1), params={"index": 0, "referral": 1 << 16})

    with pytest.raises(ConfigError, match="referral must be below 65536"):
        World().talk(SkyLockstake().resolve(position))
