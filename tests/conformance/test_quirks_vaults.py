"""What vaults that are harvested for everybody do on a chain, and that the adapters saw it before a transaction did."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, converse, mutations, permitted
from vault_stage import put_back

from keeper.domain.facts import Place
from keeper.errors import ConfigError, ReadFailed

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


# ------------------------------------------------------------------ Beefy


def test_beefy_pending_is_what_the_harvest_adds_to_the_vault(stage):
    scene = stage.scene("beefy-lp")
    stage.pass_time(DAY)
    seen = scene.look()
    want_usd = 8_000_000 * 10**18 // stage.ask(seen.principal.token.address, "totalSupply()", "uint256")

    scene.run(scene.claim())
    stage.pass_time(DAY)  # the profit of a harvest enters the share price over a day

    added = (scene.look().principal.raw - seen.principal.raw) * want_usd // 10**18
    expected = seen.pending[0].raw // 10**18
    assert 2_000 < expected < 2_600
    assert abs(added - expected) <= expected // 50
    assert seen.vault_share_ppm == pytest.approx(1_000_000 * 50_000 // 1_550_000, abs=5)
    assert scene.look().note("profit_locked_until") <= stage.head().timestamp


def test_beefy_locked_profit_is_not_in_the_principal_yet(stage):
    scene = stage.scene("beefy-lp")
    stage.pass_time(DAY)
    before = scene.look().principal.raw

    scene.run(scene.claim())

    just_after = scene.look()
    assert just_after.principal.raw - before < before // 100_000
    assert just_after.note("profit_locked_until") - just_after.note("last_harvest") == DAY
    assert 0 <= stage.head().timestamp - just_after.note("last_harvest") < 60


def test_beefy_harvest_below_the_minimum_succeeds_and_does_nothing(stage):
    scene = stage.scene("beefy-lp")
    stage.pass_time(DAY)
    stage.do(stage.address("beefy", "owner"), stage.address("beefy", "strategy"), "setMinAmount(uint256)", 10**21)
    legs = scene.claim()
    (leg,) = legs

    assert scene.simulate(legs).success, "a silent nothing reverts nothing"
    ((*events,),) = scene.run(legs)
    assert (leg.proves[0].address, leg.proves[0].topic) not in events
    assert not scene.changed(legs)


def test_beefy_harvest_is_proven_and_its_fee_goes_to_the_owner(stage):
    scene = stage.scene("beefy-lp")
    scene.run(scene.claim())
    stage.pass_time(DAY)
    seen, legs = scene.look(), scene.claim()
    (leg,) = legs
    (weth,) = scene.market.fee_tokens
    before = stage.balance(weth, scene.position.owner)
    simulated = scene.simulate(legs)

    ((*events,),) = scene.run(legs)

    paid = stage.balance(weth, scene.position.owner) - before
    assert (leg.proves[0].address, leg.proves[0].topic) in events
    assert leg.brings == (weth,)
    assert seen.call_fee[0].token == weth
    assert 0 < seen.call_fee[0].raw <= paid <= seen.call_fee[0].raw * 101 // 100
    assert simulated.success
    assert simulated.delta(weth.address) == pytest.approx(paid, rel=1e-3)
    assert paid == pytest.approx(2_548 / 3_000 * 10**18 * 0.095 * 0.01, rel=0.05)


def test_beefy_without_a_call_fee_expects_none(stage):
    stage.do(
        stage.address("beefy", "owner"),
        stage.address("beefy", "strategy"),
        "setFees(uint256,uint256)",
        95 * 10**15,
        0,
    )
    scene = stage.scene("beefy-lp")
    stage.pass_time(DAY)

    assert scene.claim()[0].brings == ()
    assert scene.look().call_fee == ()
    assert scene.changed(scene.claim())


def test_beefy_strategy_that_says_nothing_is_asked_through_its_farm(stage):
    stage.do(
        stage.address("beefy", "owner"),
        stage.address("beefy", "strategy"),
        "setPendingRewardsFunctionName(string)",
        "",
    )
    stage.pass_time(DAY)
    blind, by_farm = stage.scene("beefy-lp"), stage.scene("beefy-lp-by-farm")

    assert blind.look().pending[0].raw == 0
    assert by_farm.look().pending[0].raw > 2_000 * 10**18


def test_beefy_paused_strategy_is_seen(stage):
    scene = stage.scene("beefy-lp")
    stage.do(stage.address("beefy", "owner"), stage.address("beefy", "strategy"), "setPaused(bool)", True)
    stage.pass_time(10)

    assert scene.look().harvest_paused
    assert not scene.simulate(scene.claim()).success


def test_beefy_vault_with_another_strategy_is_not_harvested_by_the_old_one(stage):
    scene = stage.scene("beefy-lp")
    stage.do(stage.address("beefy", "owner"), scene.position.target, "setStrategy(address)", STRANGER)
    with pytest.raises(ReadFailed, match=r"changed its strategy|does not answer"):
        scene.look()


def test_beefy_may_call_nothing_but_the_harvest_for_the_owner(stage):
    scene = stage.scene("beefy-lp")
    allowed = scene.adapter.permissions(scene.position, scene.market)
    for call in stage.calls(scene.claim(), {}):
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, scene.position.owner):
            assert not permitted(allowed, to, data), what
    assert scene.deposit() == []


def test_beefy_stranger_has_no_share_and_is_not_found(stage):
    assert stage.scene("beefy-lp", owner=STRANGER).look().vault_share_ppm == 0
    place = next(s.place for s in stage.fair.stalls if s.position.id == "beefy-lp")
    scene = stage.scene("beefy-lp")

    assert isinstance(place, Place)
    (found,) = stage.talk(scene.adapter.discover("local", place, scene.position.owner))
    assert (found.target, dict(found.params)) == (scene.position.target, {})
    assert found.staked.raw == pytest.approx(scene.look().principal.raw * 50 / 1_550, rel=1e-6)
    assert stage.talk(scene.adapter.discover("local", place, STRANGER)) == ()
    nowhere = replace(place, target=STRANGER)
    assert stage.talk(scene.adapter.discover("local", nowhere, scene.position.owner)) == ()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"farm": "0x" + "11" * 20}, "belong together"),
        ({"farm": "0x" + "11" * 20, "pending": "pending(uint256)"}, "pending: .*argument"),
        ({"farm": "0x" + "11" * 20, "pending": "pending(address:owner)"}, "placeholders: strategy"),
    ],
)
def test_beefy_wrong_params_are_named(stage, params, words):
    position = replace(stage.position("beefy-lp"), params=params)
    with pytest.raises(ConfigError, match=f"position beefy-lp: .*{words}"):
        converse(stage.scene("beefy-lp").adapter.resolve(position), stage.read)


# ------------------------------------------------------------------ Yearn


YEARN = ("yearn-v2", "yearn-v3", "yearn-v3-via", "yearn-v3-allocator")


@pytest.mark.parametrize("name", YEARN)
def test_yearn_pending_is_what_the_report_books_for_the_depositors(stage, name):
    scene = stage.scene(name)
    stage.pass_time(2 * DAY)
    before = scene.look()

    legs = scene.claim()
    assert scene.simulate(legs).success
    (events,) = scene.run(legs)

    assert (legs[-1].proves[0].address, legs[-1].proves[0].topic) in events
    stage.pass_time(11 * DAY)  # until everything has unlocked
    after = scene.look()
    own = [seen.principal.raw * seen.vault_share_ppm // 10**6 for seen in (before, after)]
    expected = before.pending[0].raw * before.vault_share_ppm // 10**6
    assert expected > 80 * 10**6
    if name != "yearn-v3-allocator":  # whose strategy goes on unlocking without a report of the vault
        assert own[1] - own[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", YEARN)
def test_yearn_report_changes_what_tells_of_a_silent_nothing(stage, name):
    scene = stage.scene(name)
    stage.pass_time(DAY)
    assert scene.changed(scene.claim())


@pytest.mark.parametrize("name", YEARN)
def test_yearn_pending_is_gone_after_the_report(stage, name):
    scene = stage.scene(name)
    stage.pass_time(DAY)
    before = scene.look().pending[0].raw

    scene.run(scene.claim())

    assert scene.look().pending[0].raw < before // 1_000


@pytest.mark.parametrize(
    ("name", "contract", "signature"),
    [
        ("yearn-v2", "v2_strategy", "setKeeper(address)"),
        ("yearn-v3", "v3", "setKeeper(address)"),
        ("yearn-v3-via", "v3_open", "setKeeper(address)"),
    ],
)
def test_yearn_owner_who_lost_the_role_waits_and_is_told_who_has_it(stage, name, contract, signature):
    scene = stage.scene(name)
    stage.do(stage.address("yearn", "owner"), stage.address("yearn", contract), signature, STRANGER)
    stage.pass_time(DAY)
    seen = scene.look()

    assert seen.harvest_paused
    assert STRANGER in seen.paused_because.lower()
    assert "keeper" in seen.paused_because
    assert not scene.simulate(scene.claim()).success


def test_yearn_vault_without_the_reporting_role_waits(stage):
    scene = stage.scene("yearn-v3-allocator")
    owner, vault = stage.address("yearn", "owner"), scene.position.target
    stage.do(owner, vault, "set_role(address,uint256)", scene.position.owner, 64)
    stage.pass_time(DAY)

    assert scene.look().harvest_paused
    assert "REPORTING_MANAGER" in scene.look().paused_because
    assert not scene.simulate(scene.claim()).success


def test_yearn_v2_finds_the_role_that_the_owner_has(stage):
    vault, strategy = stage.address("yearn", "v2"), stage.address("yearn", "v2_strategy")
    stage.do(stage.address("yearn", "owner"), strategy, "setKeeper(address)", STRANGER)
    stage.do(stage.address("yearn", "owner"), vault, "setManagement(address)", stage.position("yearn-v2").owner)
    scene = stage.scene("yearn-v2")
    stage.pass_time(DAY)

    assert not scene.look().harvest_paused
    assert scene.simulate(scene.claim()).success


def test_yearn_v2_waits_for_its_trigger_where_told_to(stage):
    scene = stage.scene("yearn-v2", params={"wait_for_trigger": True})
    stage.pass_time(DAY)
    assert scene.look().pending[0].raw == 0

    strategy = stage.address("yearn", "v2_strategy")
    stage.do(stage.address("yearn", "owner"), strategy, "setForceHarvestTriggerOnce(bool)", True)

    assert scene.look().note("harvest_trigger") == 1
    assert scene.look().pending[0].raw > 1_000 * 10**6


@pytest.mark.parametrize(
    ("name", "contract"), [("yearn-v2", "v2_strategy"), ("yearn-v3", "v3"), ("yearn-v3-via", "v3_open")]
)
def test_yearn_tends_first_when_asked_to(stage, name, contract):
    params = {**stage.position(name).params, "tend": True}
    scene, plain = stage.scene(name, params=params), stage.scene(name)
    assert len(scene.claim()) == 1

    stage.do(stage.address("yearn", "owner"), stage.address("yearn", contract), "setTends(bool)", True)
    stage.pass_time(DAY)

    legs = scene.claim()
    assert [len(legs), len(plain.claim())] == [2, 1]
    assert scene.simulate(legs).success
    allowed = scene.adapter.permissions(scene.position, scene.market)
    assert all(permitted(allowed, call.to, call.data) for call in stage.calls(legs, {}))
    strict = plain.adapter.permissions(plain.position, plain.market)
    assert not permitted(strict, legs[0].to, legs[0].template)


def test_yearn_v3_locked_profit_belongs_to_nobody_yet(stage):
    scene = stage.scene("yearn-v3")
    before = scene.look().vault_share_ppm
    stage.pass_time(2 * DAY)
    scene.run(scene.claim())

    own = stage.ask(scene.position.target, "balanceOf(address)", "uint256", scene.position.owner)
    supply = stage.ask(scene.position.target, "totalSupply()", "uint256")
    assert own * 10**6 // supply < before, "counting the locked shares would make the owner poorer"
    assert scene.look().vault_share_ppm == pytest.approx(before, rel=0.001)


@pytest.mark.parametrize("name", YEARN)
def test_yearn_may_call_nothing_but_the_report(stage, name):
    scene = stage.scene(name)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    for call in stage.calls(scene.claim(), {}):
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, scene.position.owner):
            assert not permitted(allowed, to, data), what
    assert scene.deposit() == []


@pytest.mark.parametrize("name", YEARN)
def test_yearn_wrong_contract_is_refused(stage, name):
    for target in (stage.fair.ground["usdc"], STRANGER):
        with pytest.raises((ReadFailed, ConfigError), match=f"position {name}: "):
            stage.scene(name, target=target)


@pytest.mark.parametrize("name", ["yearn-v2", "yearn-v3"])
def test_yearn_shares_are_found(stage, name):
    scene = stage.scene(name)
    place = next(s.place for s in stage.fair.stalls if s.position.id == name)

    (found,) = stage.talk(scene.adapter.discover("local", place, scene.position.owner))

    assert found.target == scene.position.target
    assert found.staked.raw == pytest.approx(50_000 * 10**6, rel=0.01)
    assert stage.talk(scene.adapter.discover("local", place, STRANGER)) == ()
    assert stage.talk(scene.adapter.discover("local", replace(place, target=STRANGER), STRANGER)) == ()


def test_views_asked_as_somebody_come_in_their_place_and_change_nothing(stage):
    scene = stage.scene("yearn-v3")
    stage.pass_time(DAY)
    reads = list(scene.adapter.reads(scene.position, scene.market))
    last = next(leg.changes for leg in scene.claim())

    one, two = stage.read([*reads, last, *reads, last]), stage.read([last, *reads, last])

    assert one[: len(reads)] == two[1:-1] == one[len(reads) + 1 : -1]
    assert one[len(reads)] == one[-1] == two[0] == two[-1]
