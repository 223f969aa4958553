"""What lending markets and savings do when something is wrong or unusual, and that the adapters saw it before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER
from fair_kit import put_back
from lending_stage import Scene, ask, do, let_pass

from keeper.abi import EventSig
from keeper.devnet.accounts import WHALE
from keeper.domain.plan import LegKind
from keeper.domain.position import SideEffect
from keeper.domain.reads import ReadResult
from keeper.errors import ConfigError, ReadFailed

pytestmark = pytest.mark.devnet

YEAR = 365 * 86_400
FAILURE = EventSig("Failure(uint256,uint256,uint256)").topic
LENS = "getCompBalanceMetadataExt(address,address,address)"


@pytest.fixture
def stage(fair):
    with put_back(fair) as own:
        yield own


# ------------------------------------------------------------------------------------------------------------ Aave


def test_one_reward_that_cannot_be_paid_does_not_hold_the_others_back(stage):
    scene = Scene.of(stage, "aave-usdc")
    let_pass(stage, 86_400)
    everything = scene.claim()
    uni = next(token for token in scene.market.reward_tokens if token.symbol == "UNI")
    stage.deal(uni, scene.at("second_vault"), 0)

    legs = scene.claim()

    assert scene.look().underfunded == ("UNI",)
    assert not scene.simulate(everything).success
    assert [leg.label for leg in legs] == ["claim AAVE"]
    simulated = scene.simulate(legs)
    assert simulated.success
    assert simulated.delta(scene.at("aave")) > 0
    assert simulated.delta(uni.address) == 0


def test_what_a_supply_earns_by_itself_is_what_is_noted(stage):
    scene = Scene.of(stage, "aave-usdc")
    before = scene.look()

    let_pass(stage, 30 * 86_400)

    after = scene.look()
    seconds = after.block.timestamp - before.block.timestamp
    expected = before.principal.raw * before.note("income_ppm") * seconds // (10**6 * YEAR)
    assert expected > 0
    assert abs(after.principal.raw - before.principal.raw - expected) <= expected // 500 + 1


def test_reserve_without_rewards_is_only_watched(stage):
    weth = Scene.of(stage, "aave-usdc").at("weth")
    scene = Scene.of(stage, "aave-usdc", owner=WHALE.address, params={"asset": weth})

    assert SideEffect.GROWS_BY_ITSELF in scene.market.side_effects
    assert scene.look().principal.raw > 0
    assert scene.claim() == scene.deposit() == []


# ------------------------------------------------------------------------------------------------------- Compound v2


def lens_reads(scene: Scene):
    from keeper.abi import Fn

    fn = Fn(LENS, "uint256,uint256,address,uint256")
    return fn, fn.read(
        scene.at("compound_lens"),
        scene.reward.address,
        scene.at("comptroller"),
        scene.position.owner,
        result_bytes=128,
        gas=400_000,
    )


def test_pending_is_what_the_lens_finds_while_the_view_knows_nothing(stage):
    scene = Scene.of(stage, "compound-usdc")
    let_pass(stage, 86_400)
    fn, read = lens_reads(scene)
    (answer,) = stage.read([read])

    assert ask(stage, scene.at("comptroller"), "compAccrued(address)", "uint256", scene.position.owner) == 0
    assert scene.look().pending[0].raw == fn.values(answer)[3] > 0


def test_two_positions_of_an_account_do_not_take_each_others_pending_away(stage):
    scene = Scene.of(stage, "compound-usdc")
    let_pass(stage, 86_400)
    fn, read = lens_reads(scene)
    reads = list(scene.adapter.reads(scene.position, scene.market))

    first, second = (fn.values(answer)[3] for answer in stage.read([read, read]))
    answers = stage.read([*reads, *reads])

    seen = [
        scene.adapter.observe(scene.position, scene.market, part, stage.head()).pending[0].raw
        for part in (answers[: len(reads)], answers[len(reads) :])
    ]
    assert first > second == 0, "the lens claims in earnest, and a batch is one call"
    assert seen[0] == seen[1] > 0


def test_rewards_are_reckoned_through_deposits_claims_and_the_deposits_of_others(stage):
    scene = Scene.of(stage, "compound-usdc")
    fn, read = lens_reads(scene)
    owner, market = scene.position.owner, scene.position.target
    acts = (
        lambda: stage.run(owner, scene.deposit(), scene.give(10**9)),
        lambda: stage.run(owner, scene.claim(), {}),
        lambda: do(stage, WHALE.address, market, "redeem(uint256)", 10**12),
    )
    for act in acts:
        let_pass(stage, 9_000)
        act()
        let_pass(stage, 9_000)
        assert scene.look().pending[0].raw == fn.values(stage.read([read])[0])[3] > 0


@pytest.mark.parametrize("name", ["compound-usdc", "venus-usdc"])
def test_empty_reservoir_pays_nothing_in_silence_and_is_seen(stage, name):
    scene = Scene.of(stage, name)
    comptroller = scene.market.contracts["comptroller"]
    let_pass(stage, 86_400)
    stage.deal(scene.reward, comptroller, scene.look().pending[0].raw - 1)
    assert scene.look().underfunded == (scene.reward.symbol,)

    legs = scene.claim()
    simulated = scene.simulate(legs)
    (receipt,) = stage.run(scene.position.owner, legs, {})

    assert simulated.success
    assert simulated.delta(scene.reward.address) == 0
    assert legs[0].brings == (scene.reward,), "nothing but this tells"
    assert receipt.delta(scene.reward, scene.position.owner).raw == 0
    assert scene.look().pending[0].raw > 0, "it stays owed"


def test_old_market_refuses_by_a_code_and_only_the_missing_event_tells(stage):
    scene = Scene.of(stage, "compound-usdc")
    do(stage, scene.at("compound_admin"), scene.at("comptroller"), "unlist(address)", scene.position.target)
    held = stage.read([scene.deposit()[-1].changes])

    legs = scene.deposit()
    receipts = stage.run(scene.position.owner, legs, scene.give(10**9))

    events = dict(receipts[-1].events)
    assert events[scene.position.target] == FAILURE
    assert legs[-1].kind is LegKind.DEPOSIT
    assert not {(proof.address, proof.topic) for proof in legs[-1].proves} & set(receipts[-1].events)
    assert stage.read([legs[-1].changes]) == held
    assert stage.balance(scene.market.stake_token, scene.position.owner) == 10**9
    seen = scene.look()
    assert (seen.deposits_paused, seen.harvest_paused) == (True, True)


def test_deposit_without_its_approval_is_a_code_too_and_a_good_one_shows_its_proof(stage):
    scene = Scene.of(stage, "compound-usdc")
    have, (approve, mint) = scene.give(10**9), scene.deposit()

    (refused,) = stage.run(scene.position.owner, [mint], have)
    _, done = stage.run(scene.position.owner, [approve, mint], have)

    wanted = {(proof.address, proof.topic) for proof in mint.proves}
    assert wanted
    assert not wanted & set(refused.events)
    assert wanted <= set(done.events)


@pytest.mark.parametrize(
    ("name", "comptroller", "reason"),
    [("compound-usdc", "comptroller", "mint is paused"), ("venus-usdc", "venus_comptroller", "action is paused")],
)
def test_paused_market_is_seen_and_its_deposit_would_revert(stage, name, comptroller, reason):
    scene = Scene.of(stage, name)
    assert not scene.look().deposits_paused

    do(stage, scene.at("compound_admin"), scene.at(comptroller), "pauseMint(address,bool)", scene.position.target, True)

    assert scene.look().deposits_paused
    assert scene.simulate(scene.deposit(), scene.give(10**6)).calls[-1].error == reason
    assert scene.simulate(scene.claim()).success


def test_supply_cap_of_venus_is_seen_and_its_deposit_would_revert(stage):
    scene = Scene.of(stage, "venus-usdc")
    cap = 1_550_000 * 10**6
    do(
        stage,
        scene.at("compound_admin"),
        scene.at("venus_comptroller"),
        "setSupplyCap(address,uint256)",
        scene.position.target,
        cap,
    )

    assert scene.look().deposits_paused
    assert scene.simulate(scene.deposit(), scene.give(10**6)).calls[-1].error == "market supply cap reached"


def test_stored_exchange_rate_is_stale_and_never_ahead(stage):
    scene = Scene.of(stage, "compound-usdc")
    per_block = 5 * 10**16 * stage.interval // YEAR
    do(stage, scene.at("compound_admin"), scene.position.target, "lend(uint256,uint256)", 775_000 * 10**6, per_block)
    before = scene.look()
    stage.pass_blocks(200)
    stale = scene.look()

    do(stage, STRANGER, scene.position.target, "accrueInterest()")

    after = scene.look()
    blocks = after.block.number - before.block.number
    income = before.principal.raw * before.note("income_ppm") * blocks * stage.interval // (10**6 * YEAR)
    assert stale.principal == before.principal
    assert before.note("income_ppm") == pytest.approx(25_000, rel=0.01)
    assert after.principal.raw - before.principal.raw == pytest.approx(income, rel=0.01)


@pytest.mark.parametrize("name", ["compound-usdc", "venus-usdc", "comet-usdc"])
def test_anybody_may_claim_and_the_owner_is_paid(stage, name):
    scene = Scene.of(stage, name)
    let_pass(stage, 86_400)
    before = stage.balance(scene.reward, scene.position.owner)

    stage.run(STRANGER, scene.claim(), {})

    assert SideEffect.ANYONE_MAY_HARVEST in scene.market.side_effects
    assert stage.balance(scene.reward, scene.position.owner) > before
    assert stage.balance(scene.reward, STRANGER) == 0


# ------------------------------------------------------------------------------------------------------ Compound III


def test_comet_owes_what_its_rewards_say_and_not_what_it_tracks(stage):
    scene = Scene.of(stage, "comet-usdc")
    let_pass(stage, 86_400)
    comet, owner = scene.position.target, scene.position.owner
    assert ask(stage, comet, "baseTrackingAccrued(address)", "uint64", owner) == 0

    do(stage, STRANGER, comet, "accrueAccount(address)", owner)

    tracked = ask(stage, comet, "baseTrackingAccrued(address)", "uint64", owner)
    assert tracked > 0
    assert scene.look().pending[0].raw >= tracked * 10**12 // 2 > 10**6 * tracked


def test_comet_rewards_that_ran_dry_revert_and_are_seen(stage):
    scene = Scene.of(stage, "comet-usdc")
    let_pass(stage, 86_400)
    stage.deal(scene.reward, scene.at("comet_rewards"), scene.look().pending[0].raw - 1)

    assert scene.look().underfunded == (scene.reward.symbol,)
    assert not scene.simulate(scene.claim()).success


def test_paused_comet_is_seen_and_its_deposit_would_revert(stage):
    scene = Scene.of(stage, "comet-usdc")
    flags = (True, False, False, False, False)
    do(stage, scene.at("comet_admin"), scene.position.target, "pause(bool,bool,bool,bool,bool)", *flags)

    assert scene.look().deposits_paused
    assert not scene.simulate(scene.deposit(), scene.give(10**6)).success
    assert scene.simulate(scene.claim()).success


def test_comet_below_its_minimum_pays_nothing_and_says_so(stage):
    scene = Scene.of(stage, "comet-usdc")
    do(stage, WHALE.address, scene.position.target, "withdraw(address,uint256)", scene.at("usdc"), 2**256 - 1)

    before = scene.look()
    let_pass(stage, 86_400)

    assert before.accruals[0].per_year.raw == 0
    assert scene.look().pending == before.pending


def test_comet_without_rewards_is_refused_with_a_way_out(stage):
    position = Scene.of(stage, "comet-usdc").position
    rewards = Scene.of(stage, "compound-usdc").at("comptroller")
    with pytest.raises(ReadFailed, match=f"position {position.id}: "):
        Scene.of(stage, "comet-usdc", params={"rewards": rewards})
    with pytest.raises(ConfigError, match="rewards"):
        Scene.of(stage, "comet-usdc", params={})


# ----------------------------------------------------------------------------------------------------------- savings


def test_pot_is_reckoned_to_this_second_while_chi_is_stale(stage):
    scene = Scene.of(stage, "dai-pot")
    pot, owner = scene.position.target, scene.position.owner
    before = scene.look()
    let_pass(stage, 45 * 86_400)
    stale, now = (ask(stage, pot, view, "uint256") for view in ("chi()", "current()"))
    seen = scene.look()

    pie = ask(stage, pot, "pie(address)", "uint256", owner)
    assert seen.principal.raw == pie * now // 10**27 > pie * stale // 10**27
    income = before.principal.raw * 45 * before.note("income_ppm") // (365 * 10**6)
    assert seen.principal.raw - before.principal.raw == pytest.approx(income, rel=0.03)


def test_caged_pot_is_seen_and_earns_nothing(stage):
    scene = Scene.of(stage, "dai-pot")
    do(stage, scene.at("savings_admin"), scene.position.target, "cage()")

    seen = scene.look()
    assert seen.deposits_paused
    assert seen.note("income_ppm") == 0


def test_share_of_sdai_is_worth_more_without_anybody_dripping(stage):
    scene = Scene.of(stage, "sdai")
    before = scene.look()
    let_pass(stage, 45 * 86_400)
    after = scene.look()

    assert after.principal == before.principal
    grown = after.note("assets_per_share") / before.note("assets_per_share") - 1
    assert grown == pytest.approx(45 / 365 * before.note("income_ppm") / 10**6, rel=0.03)


def test_vault_at_its_limit_is_seen(stage):
    scene = Scene.of(stage, "yvusdc")
    assert not scene.look().deposits_paused
    do(stage, scene.at("savings_admin"), scene.position.target, "setLimit(uint256)", 1)

    assert scene.look().deposits_paused


# --------------------------------------------------------------------------------------------------------- Lockstake


def test_only_the_owner_claims_from_an_urn_and_only_to_where_he_says(stage):
    scene = Scene.of(stage, "sky-urn")
    let_pass(stage, 86_400)
    (leg,) = scene.claim()
    owner, engine = scene.position.owner, scene.position.target
    before = stage.balance(scene.reward, owner)

    refused = stage.send(STRANGER, leg.to, leg.template)
    do(stage, owner, engine, "hope(address,uint256,address)", owner, 1, STRANGER)
    stage.run(STRANGER, [leg], {})

    assert refused.status == 0
    assert SideEffect.OWNER_ONLY in scene.market.side_effects
    assert stage.balance(scene.reward, owner) > before


@pytest.mark.parametrize(
    ("target", "call", "reason"),
    [
        ("lockstake", ("delFarm(address)", "farm"), "LockstakeEngine/farm-deleted"),
        ("lockstake_farm", ("setPaused(bool)", True), "Pausable: paused"),
    ],
    ids=["deleted", "paused"],
)
def test_farm_that_takes_no_more_is_seen_and_still_pays(stage, target, call, reason):
    scene = Scene.of(stage, "sky-urn")
    let_pass(stage, 86_400)
    signature, argument = call
    given = scene.market.contracts["farm"] if argument == "farm" else argument
    do(stage, scene.at("lockstake_admin"), scene.at(target), signature, given)

    assert scene.look().deposits_paused
    assert scene.simulate(scene.deposit(), scene.give(10**18)).calls[-1].error == reason
    simulated = scene.simulate(scene.claim())
    assert simulated.success
    assert simulated.delta(scene.reward.address) > 0


def test_urn_without_a_farm_and_urn_that_is_not_there_are_refused(stage):
    with pytest.raises(ConfigError, match="no farm selected"):
        Scene.of(stage, "sky-urn", params={"index": 0})
    with pytest.raises(ConfigError, match="has 2 urns and none with index 7"):
        Scene.of(stage, "sky-urn", params={"index": 7})


def test_urn_that_was_moved_to_another_farm_or_owner_is_not_misread(stage):
    scene = Scene.of(stage, "sky-urn")
    answers = list(stage.read(scene.adapter.reads(scene.position, scene.market)))
    for index, says in ((6, "farm is now"), (8, "another owner")):
        changed = [*answers[:index], ReadResult(True, bytes(31) + b"\1"), *answers[index + 1 :]]
        with pytest.raises(ReadFailed, match=says):
            scene.adapter.observe(scene.position, scene.market, changed, stage.head())


def test_emission_of_an_urns_farm_ends_when_it_says(stage):
    scene = Scene.of(stage, "sky-urn")
    stage.warp_to(scene.look().accruals[0].ends_at + 1)
    ended = scene.look()
    let_pass(stage, 86_400)

    assert ended.accruals[0].per_year.raw == 0
    assert scene.look().pending == ended.pending


def test_exit_fee_is_noted(stage):
    assert Scene.of(stage, "sky-urn").look().note("exit_fee_ppm") == 50_000


def test_stranger_has_no_urn(stage):
    with pytest.raises(ConfigError, match="none with index 1"):
        Scene.of(stage, "sky-urn", owner=STRANGER)


def test_dry_farm_of_an_urn_is_seen(stage):
    scene = Scene.of(stage, "sky-urn")
    let_pass(stage, 86_400)
    stage.deal(scene.reward, scene.market.contracts["farm"], scene.look().pending[0].raw - 1)

    assert scene.look().underfunded == (scene.reward.symbol,)
    assert not scene.simulate(scene.claim()).success


def test_params_that_name_no_comptrollers_functions_are_refused(stage):
    scene = Scene.of(stage, "compound-usdc")
    with pytest.raises(ConfigError, match="names"):
        Scene.of(stage, "compound-usdc", params={**scene.position.params, "names": "Not a name"})
    with pytest.raises(ConfigError, match="reward"):
        Scene.of(stage, "compound-usdc", params={**scene.position.params, "reward": "comp"})
    with pytest.raises(ReadFailed, match="params names and reward"):
        Scene.of(stage, "venus-usdc", protocol="compound-v2")
    wrong = replace(scene.position, params={**scene.position.params, "block_time_ms": 0})
    with pytest.raises(ConfigError, match="block_time_ms"):
        stage.talk(scene.adapter.resolve(wrong))
