"""What chefs, syrup pools, vaults over them and StakingRewards do out of the ordinary, and that the adapters know it."""

from __future__ import annotations

import pytest
from adapter_kit import STRANGER, converse, permitted
from vault_stage import put_back

from keeper.abi import Fn
from keeper.domain.position import SideEffect
from keeper.domain.reads import ReadResult
from keeper.errors import ReadFailed
from keeper.protocols.trader_joe import IS_NATIVE, TraderJoe

pytestmark = pytest.mark.devnet

YEAR = 365 * 86_400


@pytest.fixture
def stage(fair):
    with put_back(fair) as stage:
        yield stage


def mine(stage, blocks: int) -> None:
    stage.node.rpc("anvil_mine", hex(blocks))


def warp(stage, seconds: int) -> None:
    stage.warp_to(stage.head().timestamp + seconds)


def claimed(scene) -> dict[str, int]:
    """What a simulated claim brings, by ticker."""
    simulated = scene.simulate(scene.claim())
    assert simulated.success, [call.error for call in simulated.calls]
    return {token.symbol: simulated.delta(token.address) for token in scene.market.reward_tokens}


def refusal(scene, legs=None, have=None) -> str:
    simulated = scene.simulate(scene.claim() if legs is None else legs, have)
    assert not simulated.success
    return simulated.calls[-1].error


def stake(scene, raw: int) -> None:
    token = scene.market.stake_token
    scene.stage.deal(token, scene.position.owner, scene.stage.balance(token, scene.position.owner) + raw)
    scene.run(scene.deposit(), {token.address: raw})


# --------------------------------------------------------------------------------------------- classic chefs and forks


def test_deposit_fee_is_declared_and_is_what_the_stake_lacks(stage):
    scene = stage.scene("goose-fee")
    before = scene.look()

    stake(scene, 10**8)

    assert before.deposit_fee_bps == 200
    assert scene.look().principal.raw - before.principal.raw == 98 * 10**6
    assert SideEffect.DEPOSIT_FEE in scene.market.side_effects
    assert stage.scene("goose-lock").look().deposit_fee_bps == 0


def test_harvest_before_its_time_would_be_locked_up_and_is_said_to_open_later(stage):
    scene = stage.scene("goose-lock")
    warp(stage, 3_600)
    mine(stage, 10)
    open_, pays = scene.look(), claimed(scene)["EGG"]
    scene.run(scene.claim())
    mine(stage, 10)

    shut = scene.look()

    assert (open_.harvest_opens_at, pays > 0) == (None, True)
    assert stage.head().timestamp < shut.harvest_opens_at <= stage.head().timestamp + 600
    assert shut.pending[0].raw > 0
    assert claimed(scene) == {"EGG": 0}
    warp(stage, 600)
    assert scene.look().harvest_opens_at is None
    assert claimed(scene)["EGG"] >= shut.pending[0].raw


def test_what_a_deposit_locked_up_is_still_pending(stage):
    scene = stage.scene("goose-lock")
    warp(stage, 3_600)
    scene.run(scene.claim())
    mine(stage, 10)
    pending = scene.look().pending[0].raw

    stake(scene, 10**18)

    assert scene.look().pending[0].raw >= pending > 0


def test_stake_of_the_reward_itself_is_not_taken_for_reward(stage):
    scene = stage.scene("bread-bread")
    mine(stage, 20)
    before = scene.look()

    scene.run(scene.claim())

    after = scene.look()
    assert after.principal == before.principal
    assert stage.balance(scene.market.stake_token, scene.position.owner) < before.principal.raw // 100
    assert before.pending[0].token == before.principal.token


def test_chef_counts_its_unpaid_rewards_as_stakes_and_so_does_the_rate(stage):
    scene = stage.scene("bread-bread")
    mine(stage, 300)
    stage.do(STRANGER, scene.position.target, "updatePool(uint256)", 0)

    seen = scene.look()
    mine(stage, 10)
    grown = scene.look().pending[0].raw - seen.pending[0].raw

    assert seen.accruals[0].own_share_ppm < stage.scene("bread-uni").look().accruals[0].own_share_ppm
    assert abs(grown - seen.accruals[0].per_year.raw * 120 // YEAR) <= grown // 100


def test_withdrawal_of_nothing_pays_and_no_other_withdrawal_is_permitted(stage):
    scene = stage.scene("bread-uni")
    mine(stage, 20)
    (leg,) = scene.claim()
    allowed = scene.adapter.permissions(scene.position, scene.market)

    assert leg.template[:4] == Fn("withdraw(uint256,uint256)").selector
    assert claimed(scene)["SUSHI"] >= scene.look().pending[0].raw > 0
    assert permitted(allowed, leg.to, leg.template)
    assert not permitted(allowed, leg.to, Fn("withdraw(uint256,uint256)").encode(1, 1))


# --------------------------------------------------------------------------------------------- PancakeSwap


def test_pool_0_refuses_deposits_and_is_entered_by_its_own_call(stage):
    scene = stage.scene("cake-pool")
    mine(stage, 20)
    (leg,) = scene.claim()

    refused = stage.send(scene.position.owner, leg.to, Fn("deposit(uint256,uint256)").encode(0, 0))

    assert refused.status == 0
    assert leg.template == Fn("enterStaking(uint256)").encode(0)
    assert claimed(scene)["CAKE"] >= scene.look().pending[0].raw > 0


def test_syrup_grows_with_the_stake_and_is_never_touched(stage):
    scene, owner = stage.scene("cake-pool"), stage.scene("cake-pool").position.owner
    syrup = stage.address("pancake", "syrup")
    stake(scene, 10**20)
    mine(stage, 5)
    scene.run(scene.claim())

    assert stage.ask(syrup, "balanceOf(address)", "uint256", owner) == scene.look().principal.raw
    allowed = scene.adapter.permissions(scene.position, scene.market)
    assert {p.to for p in allowed} == {scene.position.target, scene.market.stake_token.address}
    assert not permitted(allowed, scene.position.target, Fn("leaveStaking(uint256)").encode(0))


@pytest.mark.parametrize("name", ["cake-pool", "pancake-uni"])
def test_pancake_pays_out_of_syrup_and_silently_less_when_that_is_short(stage, name):
    scene = stage.scene(name)
    mine(stage, 100)
    stage.do(STRANGER, scene.position.target, "updatePool(uint256)", scene.position.params["pid"])
    assert scene.look().underfunded == ()
    stage.deal(scene.market.reward_tokens[0], stage.address("pancake", "syrup"), 0)

    seen = scene.look()

    assert seen.underfunded == ("CAKE",)
    assert claimed(scene)["CAKE"] < seen.pending[0].raw


def test_boost_multiplies_what_a_stake_counts_for(stage):
    scene, plain = (
        stage.scene("pancake-v2-usdc"),
        stage.scene("pancake-v2-usdc", owner=stage.fair.grounds["pancake"]["pancake_owner"]),
    )
    mine(stage, 50)
    seen = scene.look()
    mine(stage, 50)

    grown = scene.look().pending[0].raw - seen.pending[0].raw

    assert seen.accruals[0].own_share_ppm == 1_000_000 * 75 // (1_500 + 75)
    assert abs(grown - seen.accruals[0].per_year.raw * 600 // YEAR) <= grown // 100
    assert plain.look().principal.raw == 0


def test_special_pool_takes_listed_accounts_only(stage):
    scene = stage.scene("pancake-v2-special")
    open_ = scene.look()
    owner = stage.address("pancake", "pancake_owner")

    stage.do(owner, scene.position.target, "updateWhiteList(address,bool)", scene.position.owner, False)

    shut = scene.look()
    assert (open_.deposits_paused, shut.deposits_paused) == (False, True)
    assert "white list" in shut.paused_because
    stage.deal(scene.market.stake_token, scene.position.owner, 10**18)
    legs = scene.deposit()
    assert "not available to deposit" in refusal(scene, legs, {scene.market.stake_token.address: 10**18})


def test_second_pancake_chef_fetches_by_itself_and_pays_less_when_that_brings_too_little(stage):
    scene = stage.scene("pancake-v2-usdc")
    cake, chef = scene.market.reward_tokens[0], scene.position.target
    mine(stage, 100)
    stage.deal(cake, chef, 0)
    seen = scene.look()
    assert seen.underfunded == ()
    assert claimed(scene)["CAKE"] >= seen.pending[0].raw > 0

    stage.do(STRANGER, chef, "harvestFromMasterChef()")
    stage.deal(cake, chef, 0)

    short = scene.look()
    assert short.underfunded == ("CAKE",)
    assert claimed(scene)["CAKE"] < short.pending[0].raw


def test_syrup_pool_pays_what_is_due_after_its_last_block_and_accrues_nothing_more(stage):
    scene, owner = stage.scene("syrup-aave"), stage.address("pancake", "pancake_owner")
    mine(stage, 20)
    stage.do(owner, scene.position.target, "stopReward()")

    ended = scene.look()
    mine(stage, 20)
    later = scene.look()

    assert (ended.accruals[0].per_year.raw, ended.accruals[0].ends_at) == (0, ended.block.timestamp)
    assert later.pending == ended.pending
    assert claimed(scene)["CAKE"] == later.pending[0].raw > 0


def test_full_position_of_a_limited_syrup_pool_waits(stage):
    scene = stage.scene("syrup-aave", target=stage.address("pancake", "limited_chef"))
    room = 100_000 // 150 * 10**18 - scene.look().principal.raw
    assert not scene.look().deposits_paused

    stake(scene, room)

    seen = scene.look()
    assert seen.deposits_paused
    assert "as large as the pool lets" in seen.paused_because
    stage.deal(scene.market.stake_token, scene.position.owner, 1)
    assert "above limit" in refusal(scene, scene.deposit(), {scene.market.stake_token.address: 1})


def test_syrup_pool_that_cannot_pay_is_seen(stage):
    scene = stage.scene("syrup-aave")
    mine(stage, 20)
    stage.deal(scene.market.reward_tokens[0], scene.position.target, scene.look().pending[0].raw - 1)

    assert scene.look().underfunded == ("CAKE",)
    assert refusal(scene)


def test_bounty_and_fees_of_the_cake_vault_are_taken_off_what_everybody_gets(stage):
    scene, vault = stage.scene("cake-vault"), stage.address("pancake", "cake_vault")
    mine(stage, 50)
    seen = scene.look()
    bounty = stage.ask(vault, "calculateHarvestCakeRewards()", "uint256")
    before = stage.ask(vault, "balanceOf()", "uint256")

    assert scene.changed(scene.claim())

    gained = stage.ask(vault, "balanceOf()", "uint256") - before
    assert seen.call_fee[0].raw == bounty
    assert seen.pending[0].raw <= gained <= seen.pending[0].raw * 104 // 100
    assert seen.vault_share_ppm == 1_000_000 * 50_000 // 1_550_000


def test_withdraw_fee_runs_out_and_a_harvest_does_not_start_it_anew(stage):
    scene = stage.scene("cake-vault")
    (running,) = scene.look().restarts
    scene.run(scene.claim())
    (still,) = scene.look().restarts
    stage.warp_to(running.runs_until)

    assert (running.seconds, running.penalty_bps) == (0, 10)
    assert still == running
    assert scene.look().restarts == ()


def test_cake_vault_refuses_accounts_with_code_and_says_so_when_paused(stage):
    scene, owner = stage.scene("cake-vault"), stage.address("pancake", "pancake_owner")
    mine(stage, 5)
    stage.node.rpc("anvil_setCode", scene.position.owner, "0x00")
    (leg,) = scene.claim()
    assert stage.send(scene.position.owner, leg.to, leg.template).status == 0
    stage.node.rpc("anvil_setCode", scene.position.owner, "0x")
    assert not scene.look().harvest_paused

    stage.do(owner, scene.position.target, "setPaused(bool)", True)

    assert scene.look().harvest_paused


# --------------------------------------------------------------------------------------------- SushiSwap's second chefs


@pytest.mark.parametrize("name", ["sushi-v2-usdc", "sushi-v2-uni"])
def test_harvest_of_an_empty_chef_reverts_until_it_has_fetched_and_that_comes_first(stage, name):
    scene = stage.scene(name)
    mine(stage, 50)

    fetch, claim = scene.claim()

    assert "BoringERC20: Transfer failed" in refusal(scene, [claim])
    assert fetch.template == Fn("harvestFromMasterChef()").selector
    assert not fetch.brings
    assert scene.look().underfunded == ()
    assert claimed(scene)["SUSHI"] >= scene.look().pending[0].raw


def test_chef_that_holds_enough_is_not_made_to_fetch(stage):
    scene = stage.scene("sushi-v2-uni")
    mine(stage, 50)
    stage.do(STRANGER, scene.position.target, "harvestFromMasterChef()")

    assert len(scene.claim()) == 1
    assert claimed(scene)["SUSHI"] > 0


def test_deposit_pays_no_sushi_and_the_pending_stays(stage):
    scene = stage.scene("sushi-v2-uni")
    mine(stage, 50)
    pending, sushi = scene.look().pending[0].raw, scene.market.reward_tokens[0]
    held = stage.balance(sushi, scene.position.owner)

    stake(scene, 10**18)

    assert stage.balance(sushi, scene.position.owner) == held
    assert scene.look().pending[0].raw >= pending > 0
    assert SideEffect.DEPOSIT_PAYS not in scene.market.side_effects


@pytest.mark.parametrize("name", ["sushi-v2-usdc", "minichef-usdc"])
def test_rewarder_pays_with_deposits_and_its_token_is_claimed_too(stage, name):
    scene = stage.scene(name)
    mine(stage, 50)
    seen, extra = scene.look(), scene.market.reward_tokens[1]
    held = stage.balance(extra, scene.position.owner)
    assert claimed(scene)["AAVE"] >= seen.pending[1].raw > 0

    stake(scene, 10**18)

    assert stage.balance(extra, scene.position.owner) - held >= seen.pending[1].raw
    assert SideEffect.DEPOSIT_PAYS in scene.market.side_effects


def test_underfunded_minichef_reverts_and_is_seen(stage):
    scene = stage.scene("minichef-usdc")
    mine(stage, 50)
    stage.deal(scene.market.reward_tokens[0], scene.position.target, scene.look().pending[0].raw - 1)

    assert scene.look().underfunded == ("UNI", "AAVE")
    assert "BoringERC20: Transfer failed" in refusal(scene)


def test_rewarder_that_cannot_pay_blocks_the_whole_harvest_and_is_seen(stage):
    scene = stage.scene("minichef-usdc")
    mine(stage, 50)
    stage.deal(scene.market.reward_tokens[1], stage.address("sushi_v2", "mini_rewarder"), 0)

    assert scene.look().underfunded == ("UNI", "AAVE")
    assert refusal(scene)


def test_minichef_counts_seconds_and_the_second_masterchef_blocks(stage):
    by_second, by_block = stage.scene("minichef-usdc"), stage.scene("sushi-v2-uni")
    before = by_second.look().pending[0].raw, by_block.look().pending[0].raw

    warp(stage, 86_400)

    grown = [scene.look().pending[0].raw - was for scene, was in zip((by_second, by_block), before, strict=True)]
    day = by_second.look().accruals[0].per_year.raw // 365
    assert abs(grown[0] - day) <= day // 100
    assert 0 < grown[1] <= by_block.look().accruals[0].per_year.raw * 13 // YEAR
    assert SideEffect.PER_BLOCK in by_block.market.side_effects


# --------------------------------------------------------------------------------------------- Trader Joe


@pytest.mark.parametrize("name", ["joe-v2", "joe-v3"])
def test_bonus_is_seen_claimed_and_missed_when_its_rewarder_is_empty(stage, name):
    scene = stage.scene(name)
    mine(stage, 50)
    seen, (_, bonus) = scene.look(), scene.market.reward_tokens
    assert claimed(scene)[bonus.symbol] >= seen.pending[1].raw > 0

    stage.deal(bonus, scene.market.contracts["rewarder"], 0)

    short = scene.look()
    assert short.underfunded == (bonus.symbol,)
    assert short.accruals[1].per_year.raw == 0
    assert claimed(scene)[bonus.symbol] == 0
    assert claimed(scene)["JOE"] > 0


def test_first_joe_chef_keeps_half_for_itself_and_the_rate_knows(stage):
    scene = stage.scene("joe-v2")
    seen = scene.look()
    mine(stage, 100)

    grown = scene.look().pending[0].raw - seen.pending[0].raw

    assert abs(grown - seen.accruals[0].per_year.raw * 1_200 // YEAR) <= grown // 100


def test_third_joe_chef_that_can_fetch_nothing_is_underfunded_as_a_whole(stage):
    scene = stage.scene("joe-v3")
    mine(stage, 100)
    assert scene.look().underfunded == ()
    stage.do(STRANGER, scene.position.target, "harvestFromMasterChef()")
    stage.deal(scene.market.reward_tokens[0], scene.position.target, 0)

    assert scene.look().underfunded == ("JOE", "SUSHI")
    assert refusal(scene)


def test_what_an_update_of_vejoe_set_aside_is_pending_and_paid(stage):
    scene, owner = stage.scene("joe-boosted"), stage.address("joe", "joe_owner")
    mine(stage, 50)
    before = scene.look()
    stage.do(owner, stage.address("joe", "ve_joe"), "mint(address,uint256)", scene.position.owner, 5_000 * 10**18)

    after = scene.look()

    aside = stage.ask(scene.position.target, "claimableJoe(uint256,address)", "uint256", 0, scene.position.owner)
    assert aside >= before.pending[0].raw
    assert after.pending[0].raw >= aside
    assert after.accruals[0].per_year.raw > before.accruals[0].per_year.raw
    assert claimed(scene)["JOE"] >= after.pending[0].raw


def test_fee_of_staked_joe_is_declared_and_several_rewards_are_told_from_the_stake(stage):
    scene, owner = stage.scene("stable-joe"), stage.address("joe", "joe_owner")
    before = scene.look()
    assert before.deposit_fee_bps == 100
    assert before.pending[0].raw == 0
    assert claimed(scene) == {"USDC": 0}

    stake(scene, 10**20)
    stage.do(owner, scene.position.target, "addRewardToken(address)", scene.market.stake_token.address)
    stage.do(owner, stage.fair.ground["usdc"], "transfer(address,uint256)", scene.position.target, 31 * 10**6)
    stage.deal(scene.market.stake_token, owner, 31 * 10**18)
    stage.do(owner, scene.market.stake_token.address, "transfer(address,uint256)", scene.position.target, 31 * 10**18)

    both = stage.scene("stable-joe")
    seen = both.look()
    assert seen.principal.raw - before.principal.raw == 99 * 10**18
    assert {a.token.symbol for a in seen.pending} == {"USDC", "JOE"}
    assert claimed(both) == {a.token.symbol: a.raw for a in seen.pending}
    assert all(a.raw > 10 ** (a.token.decimals - 1) for a in seen.pending)
    allowed = both.adapter.permissions(both.position, both.market)
    assert not permitted(allowed, both.position.target, Fn("withdraw(uint256)").encode(1))


def test_bonus_in_the_gas_token_itself_is_no_token_to_compound(stage):
    scene = stage.scene("joe-v2")

    def native(reads):
        answers = stage.read(reads)
        return [
            ReadResult(True, (1).to_bytes(32, "big")) if read.data == IS_NATIVE.selector else answer
            for read, answer in zip(reads, answers, strict=True)
        ]

    market = converse(TraderJoe().resolve(scene.position), native)

    assert [token.symbol for token in scene.market.reward_tokens] == ["JOE", "UNI"]
    assert [token.symbol for token in market.reward_tokens] == ["JOE"]
    answers = stage.read(TraderJoe().reads(scene.position, market))
    assert TraderJoe().observe(scene.position, market, answers, stage.head()).principal.raw > 0


# --------------------------------------------------------------------------------------------- StakingRewards


def test_paused_sky_farm_refuses_stakes_and_goes_on_paying(stage):
    scene = stage.scene("sky-farm")
    mine(stage, 20)

    stage.do(stage.address("staking", "sky_owner"), scene.position.target, "setPaused(bool)", True)

    seen = scene.look()
    assert (seen.deposits_paused, seen.harvest_paused) == (True, False)
    assert claimed(scene)["SUSHI"] >= seen.pending[0].raw > 0
    stage.deal(scene.market.stake_token, scene.position.owner, 10**18)
    assert "paused" in refusal(scene, scene.deposit(), {scene.market.stake_token.address: 10**18})


def test_referral_code_is_credited(stage):
    scene = stage.scene("sky-farm")
    stage.deal(scene.market.stake_token, scene.position.owner, 10**18)

    events = scene.run(scene.deposit(), {scene.market.stake_token.address: 10**18})

    referral = "0x" + Fn("Referral(uint16,address,uint256)").selector.hex()
    assert any(topic.startswith(referral) for _, topic in events[-1])


def test_farm_of_one_token_pays_no_stakes_out(stage):
    scene = stage.scene("uni-for-uni")
    mine(stage, 20)
    stakes = stage.ask(scene.position.target, "totalSupply()", "uint256")
    stage.deal(scene.market.stake_token, scene.position.target, stakes)

    assert scene.look().underfunded == ("UNI",)


# --------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize(
    ("name", "params"),
    [("pancake-v2-usdc", {"pid": 9}), ("sushi-v2-usdc", {"pid": 9}), ("joe-v2", {"pid": 9}), ("goose-fee", {"pid": 9})],
)
def test_pool_that_is_not_there_is_refused(stage, name, params):
    known = dict(stage.position(name).params)
    with pytest.raises(ReadFailed, match=f"position {name}: .* pool 9"):
        stage.scene(name, params={**known, **params})


def test_all_of_an_accounts_pools_are_found_in_one_chef(stage):
    scene = stage.scene("pancake-v2-usdc")
    place = next(s.place for s in stage.fair.stalls if s.position.id == "pancake-v2-usdc")

    found = stage.talk(scene.adapter.discover("local", place, scene.position.owner))

    assert [(one.params["pid"], one.staked.token.symbol) for one in found] == [(0, "USDC"), (1, "SUSHI")]
