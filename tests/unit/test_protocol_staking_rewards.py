"""StakingRewards by hand-encoded answers: decode, quirks, wrong contracts, legs and permissions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, fill, mutations, permitted, token

from keeper.abi import keccak
from keeper.domain.facts import Place
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Position
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.staking_rewards import StakingRewards

FARM, UNI, LP = addr(1), token(2, "UNI"), token(3, "UNI-V2")
ADAPTER = StakingRewards()
POSITION = Position("farm", "test", ADAPTER.name, OWNER, None, FARM)
YEAR = 365 * 86_400


def a_farm(*, stake=10**18, earned=5, total=4 * 10**18, rate=100, finish=BLOCK.timestamp + 9, held=10**20) -> World:
    world = World()
    world.put(FARM, "stakingToken()", (), "address", LP.address)
    world.put(FARM, "rewardsToken()", (), "address", UNI.address)
    world.put_token(UNI)
    world.put_token(LP)
    world.put(FARM, "balanceOf(address)", (OWNER,), "uint256", stake)
    world.put(FARM, "earned(address)", (OWNER,), "uint256", earned)
    world.put(FARM, "totalSupply()", (), "uint256", total)
    world.put(FARM, "rewardRate()", (), "uint256", rate)
    world.put(FARM, "periodFinish()", (), "uint256", finish)
    world.put(UNI.address, "balanceOf(address)", (FARM,), "uint256", held)
    return world


def look(world: World):
    market = world.talk(ADAPTER.resolve(POSITION))
    return ADAPTER.observe(POSITION, market, world.answer(ADAPTER.reads(POSITION, market)), BLOCK)


def test_farm_resolves_to_what_is_staked_and_what_is_paid():
    market = a_farm().talk(ADAPTER.resolve(POSITION))

    assert (market.stake_token, market.reward_tokens, market.stake_parts) == (LP, (UNI,), ())


def test_accrual_is_the_owners_part_of_a_years_emission():
    seen = look(a_farm(stake=10**18, total=4 * 10**18, rate=100))

    assert seen.accruals[0].per_year.raw == 100 * YEAR // 4
    assert seen.accruals[0].own_share_ppm == 250_000
    assert seen.accruals[0].ends_at == BLOCK.timestamp + 9
    assert (seen.principal.raw, seen.pending[0].raw) == (10**18, 5)
    assert not seen.deposits_paused
    assert not seen.underfunded


@pytest.mark.parametrize("finish", [0, BLOCK.timestamp - 1, BLOCK.timestamp])
def test_accrual_is_zero_once_the_period_has_ended_whatever_the_rate_says(finish):
    assert look(a_farm(finish=finish)).accruals[0].per_year.raw == 0


def test_empty_farm_accrues_nothing():
    assert look(a_farm(stake=0, total=0)).accruals[0].per_year.raw == 0


def test_farm_without_paused_view_counts_as_open_and_paused_farm_refuses_deposits_only():
    world = a_farm()
    world.put(FARM, "paused()", (), "bool", True)

    assert look(world).deposits_paused
    assert not look(world).harvest_paused


def test_farm_that_holds_less_than_is_earned_is_underfunded():
    assert look(a_farm(earned=10, held=9)).underfunded == ("UNI",)
    assert look(a_farm(earned=10, held=10)).underfunded == ()


def test_stakes_in_the_reward_token_are_not_counted_as_funds():
    world = a_farm(earned=10, total=100, stake=100, held=109)
    world.put(FARM, "stakingToken()", (), "address", UNI.address)

    assert look(world).underfunded == ("UNI",)


def test_wrong_contract_is_named_with_position_target_and_remedy():
    world = a_farm()
    world.remove(FARM, "stakingToken()")

    with pytest.raises(ReadFailed, match=r"position farm: 0x0040.*does not answer like Synthetix.*check target"):
        world.talk(ADAPTER.resolve(POSITION))


def test_address_without_code_is_refused():
    world = a_farm()
    world.codeless.add(FARM)

    with pytest.raises(ReadFailed, match="answered 0 bytes"):
        world.talk(ADAPTER.resolve(POSITION))


def test_reverting_view_is_a_read_failure():
    world = a_farm()
    world.remove(FARM, "earned(address)")

    with pytest.raises(ReadFailed, match=r"earned\(address\) reverted"):
        look(world)


def test_legs_claim_then_approve_exactly_then_stake():
    world = a_farm()
    market = world.talk(ADAPTER.resolve(POSITION))
    legs = [*ADAPTER.harvest(POSITION, market, look(world)), *ADAPTER.deposit(POSITION, market, Share(LP))]

    calls = [fill(leg, {LP.address: 77}, BLOCK.timestamp) for leg in legs]

    assert [leg.kind for leg in legs] == [LegKind.CLAIM, LegKind.APPROVE, LegKind.DEPOSIT]
    assert calls[0].data.hex() == "3d18b912"
    assert calls[1].to == LP.address
    assert calls[1].data.hex() == "095ea7b3" + FARM[2:].zfill(64) + f"{77:064x}"
    assert calls[2].data.hex() == "a694fc3a" + f"{77:064x}"
    assert legs[0].brings == (UNI,)
    assert legs[2].spends == (LP,)


def test_permissions_cover_the_legs_and_nothing_a_thief_would_want():
    world = a_farm()
    market = world.talk(ADAPTER.resolve(POSITION))
    allowed = ADAPTER.permissions(POSITION, market)
    amount = 10**20
    for leg in [*ADAPTER.harvest(POSITION, market, look(world)), *ADAPTER.deposit(POSITION, market, Share(LP))]:
        call = fill(leg, {LP.address: amount}, BLOCK.timestamp)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"


def referred(referral) -> Position:
    return replace(POSITION, params={"referral": referral})


def test_stake_with_a_referral_code_is_sky_s_and_no_other_code_is_permitted():
    market = a_farm().talk(ADAPTER.resolve(referred(7)))
    _, stake = ADAPTER.deposit(referred(7), market, Share(LP))
    call = fill(stake, {LP.address: 77}, BLOCK.timestamp)

    allowed = ADAPTER.permissions(referred(7), market)

    assert call.data.hex() == keccak(b"stake(uint256,uint16)")[:4].hex() + f"{77:064x}" + f"{7:064x}"
    assert permitted(allowed, call.to, call.data)
    assert not permitted(allowed, call.to, call.data[:-1] + b"\x08")
    assert not permitted(allowed, call.to, keccak(b"stake(uint256)")[:4] + call.data[4:36])


@pytest.mark.parametrize("referral", [-1, 2**16, "7"])
def test_impossible_referral_codes_are_named(referral):
    with pytest.raises(ConfigError, match="position farm: referral"):
        a_farm().talk(ADAPTER.resolve(referred(referral)))


def test_stake_in_a_known_farm_is_found_and_none_is_nothing():
    place = Place(ADAPTER.name, "the farm", FARM)

    (found,) = a_farm(stake=9).talk(ADAPTER.discover("test", place, OWNER))

    assert (found.target, found.staked.raw, found.staked.token, dict(found.params)) == (FARM, 9, LP, {})
    assert a_farm(stake=0).talk(ADAPTER.discover("test", place, OWNER)) == []
    assert World().talk(ADAPTER.discover("test", place, OWNER)) == []


def test_registry_leads_to_all_of_its_farms():
    world, registry, other = a_farm(stake=9), addr(50), token(8, "OTHER")
    world.put_token(other)
    for number, staked in enumerate((other, LP)):
        world.put(registry, "stakingTokens(uint256)", (number,), "address", staked.address)
        farm = FARM if staked is LP else addr(51)
        signature = "stakingRewardsInfoByStakingToken(address)"
        world.put(registry, signature, (staked.address,), "address,uint256", farm, 5)

    found = world.talk(ADAPTER.discover("test", Place(ADAPTER.name, "farms", registry), OWNER))

    assert [(one.target, one.staked.raw) for one in found] == [(FARM, 9)]
