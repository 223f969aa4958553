"""A farm that only the config describes, on a chain: it compounds like any other, and its mistakes are named."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from adapter_kit import STRANGER, mutations, permitted
from vault_stage import put_back

from keeper.devnet.fair.generic import PARAMS
from keeper.domain.position import SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.generic import Generic
from keeper.signers.never import forbidden
from keeper.signers.policy import matches

pytestmark = pytest.mark.devnet

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-farm-without-code.md"
DAY = 86_400


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


def with_params(stage, **changes):
    params = {**PARAMS, **changes}
    return stage.scene("generic-farm", params={key: value for key, value in params.items() if value is not None})


def written() -> dict:
    """The position of the page's example."""
    text = PAGE.read_text().split("```toml")[1].split("```")[0]
    (position,) = tomllib.loads(text)["positions"]
    return position


def test_the_pages_example_compounds(stage):
    position = written()
    params = {key: value for key, value in position.items() if key in Generic.params}
    assert set(position) == {"id", "chain", "protocol", "target", "signer", "route"} | set(params)
    scene = stage.scene("generic-farm", params=params)
    scene.run(scene.claim())
    stage.pass_time(DAY)
    seen = scene.look()
    aave, uni = scene.market.stake_token, scene.market.reward_tokens[0]
    before = stage.balance(uni, scene.position.owner)

    scene.run(scene.claim())
    paid = stage.balance(uni, scene.position.owner) - before
    amount = 10**18
    stage.deal(aave, scene.position.owner, amount)
    scene.run(scene.deposit(), {aave.address: amount})

    assert paid == pytest.approx(seen.pending[0].raw, rel=0.001)
    assert paid == pytest.approx(82 / 8 * 10**18, rel=0.01)
    assert scene.look().principal.raw - seen.principal.raw == amount
    assert stage.balance(aave, scene.position.owner) == 0


def test_rate_and_end_come_from_the_views(stage):
    scene = stage.scene("generic-farm")
    start = scene.look()
    (accrual,) = start.accruals
    stage.pass_time(DAY)
    grown = scene.look().pending[0].raw - start.pending[0].raw

    assert grown == pytest.approx(accrual.per_year.raw / 365, rel=0.001)
    assert accrual.own_share_ppm == pytest.approx(1_000_000 * 50 / 1_550, abs=5)
    stage.warp_to(accrual.ends_at + 1)
    assert scene.look().accruals[0].per_year.raw == 0


def test_without_a_rate_it_is_learnt(stage):
    scene = with_params(stage, rate_per_second=None, total=None, ends_at=None)
    assert scene.look().accruals == ()
    assert scene.look().principal.raw > 0


def test_a_masterchef_in_words(stage):
    """The world's own chef, whose adapter says the same."""
    farmer, chef = stage.position("generic-farm").owner, stage.fair.ground["chef"]
    params = {
        "stake_token": "poolInfo(uint256=1)[0]",
        "reward_tokens": "sushi()",
        "principal": "userInfo(uint256=1,address:owner)",
        "pending": "pendingSushi(uint256=1,address:owner)",
        "claim": "deposit(uint256=1,uint256=0)",
        "deposit": "deposit(uint256=1,uint256:amount)",
        "deposit_pays": True,
    }
    scene = stage.scene("generic-farm", params=params, target=chef)
    stage.pass_time(60)
    seen, sushi = scene.look(), scene.market.reward_tokens[0]
    before = stage.balance(sushi, farmer)

    scene.run(scene.claim())

    assert seen.principal.raw > 0
    assert stage.balance(sushi, farmer) - before >= seen.pending[0].raw > 0
    assert SideEffect.DEPOSIT_PAYS in scene.market.side_effects
    assert scene.look().principal == seen.principal


def test_public_call_comes_before_the_claim(stage):
    scene = with_params(stage, before="totalSupply()")
    stage.pass_time(DAY)
    legs = scene.claim()

    assert [leg.brings for leg in legs] == [(), scene.market.reward_tokens]
    assert scene.simulate(legs).success
    assert SideEffect.TWO_STEPS in scene.market.side_effects


def test_paused_views_are_heard(stage):
    assert with_params(stage, harvest_paused="totalSupply()").look().harvest_paused
    assert with_params(stage, deposits_paused="totalSupply()").look().deposits_paused
    assert (
        not with_params(stage, deposits_paused="earned(address:owner)@" + stage.address("generic", "farm"))
        .look()
        .harvest_paused
    )


def test_permissions_are_what_is_written_and_no_more(stage):
    scene = stage.scene("generic-farm")
    stage.pass_time(DAY)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    amount = 10**18 + 7
    legs = [*scene.claim(), *scene.deposit()]

    for call in stage.calls(legs, {scene.market.stake_token.address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, scene.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


@pytest.mark.parametrize(
    "claim",
    [
        f"withdrawTo(address={STRANGER},uint256=1)",
        f"redeem(uint256=1,address={STRANGER},address:owner)",
        f"enableModule(address={STRANGER})",
    ],
)
def test_list_of_never_holds_whatever_the_config_says(stage, claim):
    scene = with_params(stage, claim=claim)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    for call in stage.calls(scene.claim(), {}):
        assert forbidden(call.data)
        assert (matches(allowed, call.to, call.data, 0) or "").startswith("never: ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"claim": "getReward"}, "claim: 'getReward' is not a call"),
        ({"claim": None}, "claim is missing"),
        ({"claim": "getReward(uint256:amount)"}, "claim: .*placeholders: owner"),
        ({"deposit": "stake(uint256=5)"}, "deposit: must say once where the amount goes"),
        ({"deposit": "stake(uint256:amount,uint256:amount)"}, "deposit: must say once"),
        ({"deposit": "stake(uint256:amount); stake(uint256:amount)"}, "deposit: takes one call only"),
        ({"pending": "earned(address:owner); earned(address:owner)"}, "names 1 and pending 2"),
        ({"pending": "earned(address:owner);"}, "pending: nothing stands"),
        ({"total": None}, "total and a rate belong together"),
        ({"rate_per_block": "rewardRate()"}, "one too many"),
        ({"stake_token": "0x1234"}, "stake_token: .*is not an address"),
        ({"stake_token": "token"}, "stake_token: 'token' is not a call"),
        ({"principal": "stakedOf(address:owner)"}, "does not answer as the config says .*stakedOf"),
        ({"reward_tokens": "totalSupply()"}, "is not an ERC-20 token"),
        ({"deposit_pays": "yes"}, "deposit_pays must be true or false"),
        ({"spender": "0x12"}, "spender: "),
    ],
)
def test_mistakes_are_named_with_their_key(stage, changes, words):
    with pytest.raises((ConfigError, ReadFailed), match=words):
        with_params(stage, **changes)


def test_wrong_contract_and_stranger(stage):
    for target in (stage.fair.ground["aave"], STRANGER):
        with pytest.raises(ReadFailed, match="position generic-farm: "):
            stage.scene("generic-farm", target=target)
    stranger = stage.scene("generic-farm", owner=STRANGER).look()
    assert (stranger.principal.raw, stranger.pending[0].raw, stranger.accruals[0].per_year.raw) == (0, 0, 0)


def test_spender_may_be_another_contract(stage):
    scene = with_params(stage, spender=STRANGER)
    approve = scene.deposit()[0]
    assert approve.template[4:36] == bytes(12) + bytes.fromhex(STRANGER[2:])
    assert replace(approve, label="").to == scene.market.stake_token.address
