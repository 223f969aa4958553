"""Slipstream at the fair: the penalty's clock, the way out of the gauge and back, staked liquidity in range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, mutations, permitted
from fair_kit import put_back
from ranges_stage import Act, hands

from keeper.abi import Fn
from keeper.devnet.fair.slipstream import MIN_STAKE_SECONDS, PENALTY_BPS
from keeper.devnet.uniswap_v3 import mint, open_pool, trade_to_price, v3_at
from keeper.domain.money import BPS
from keeper.domain.plan import LegKind, Nft
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.slipstream import EARNED, Slipstream
from keeper.ranges import sqrt_ratio_at_tick

pytestmark = pytest.mark.devnet

WITHDRAW = Fn("withdraw(uint256)")


@pytest.fixture
def stage(fair):
    with put_back(fair) as one:
        yield one


@pytest.fixture
def ground(fair):
    return fair.grounds["slipstream"]


@pytest.fixture
def act(stage, fair):
    return Act.of(stage, fair, Slipstream(), "slipstream-weth-usdc")


@pytest.fixture
def yard(fair, stage):
    return hands(fair, "slipstream")


@pytest.fixture
def gauge(yard, ground):
    return yard.fake_at(ground["cl_gauge"], "DevCLGauge")


@pytest.fixture
def market(yard, ground):
    names = {f"v3_{name.removeprefix('cl_')}": address for name, address in ground.addresses.items()}
    v3 = v3_at(yard, names)
    return v3, open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1})


def put_back_anew(act, gauge, yard, ground) -> None:
    """Take the NFT out and put it back: the clock starts again."""
    owner, token_id = act.position.owner, act.position.params["token_id"]
    gauge.send("withdraw", token_id, sender=owner)
    v3_at(yard, {f"v3_{n.removeprefix('cl_')}": a for n, a in ground.addresses.items()}).npm.send(
        "approve", gauge, token_id, sender=owner
    )
    gauge.send("deposit", token_id, sender=owner)


def in_the_mix(act, yard) -> dict[str, int]:
    """Put 500 dollars of both sides into the wallet."""
    have = {}
    for part, ppm in zip(act.market.stake_parts, act.look().mix_ppm, strict=True):
        price = 3_000 if part.symbol == "WETH" else 1
        have[part.address] = 500 * ppm * part.unit // price // 10**6
        yard.deal(part.address, act.position.owner, have[part.address])
    return have


def test_a_claim_before_the_clock_has_run_down_waits_and_would_lose(act, stage, gauge, yard, ground):
    assert act.look().harvest_opens_at is None
    put_back_anew(act, gauge, yard, ground)
    stage.pass_blocks(10)

    seen = act.look()
    deposited = gauge.call("depositTimestamp", act.position.params["token_id"])

    assert seen.harvest_opens_at == deposited + MIN_STAKE_SECONDS
    # What is told is net of the penalty, and so is what a claim brings now.
    (paid,) = [act.simulate(act.claim()).delta(token.address) for token in act.market.reward_tokens]
    seconds = stage.head().timestamp + 12 - deposited
    whole = seen.accruals[0].per_year.raw * seconds // (365 * 86_400)
    assert paid < whole * (BPS - PENALTY_BPS + 1_000) // BPS
    stage.warp_to(seen.harvest_opens_at)
    assert act.look().harvest_opens_at is None
    assert act.look().pending[0].raw > 2 * seen.pending[0].raw


def test_without_a_penalty_nothing_waits(act, gauge, yard, ground):
    factory = yard.fake_at(ground["cl_gauge_factory"], "DevCLGaugeFactory")
    factory.send("setPenaltyRate", 0)
    put_back_anew(act, gauge, yard, ground)

    assert act.look().harvest_opens_at is None


def test_gauge_of_the_first_kind_knows_no_penalty(act, stage):
    """It has no factory to ask: the reads stay as many, and simply do not answer."""
    contracts = {**act.market.contracts, "factory": act.position.target}
    old = replace(act, market=replace(act.market, contracts=contracts))

    assert old.look().harvest_opens_at is None
    assert old.look().principal == act.look().principal


def test_deposit_takes_the_nft_out_adds_and_puts_it_back(act, stage, gauge, yard):
    stage.pass_blocks(50)
    owner, before = act.position.owner, act.look()
    have = in_the_mix(act, yard)

    legs = act.deposit()
    act.run(legs, have)

    after = act.look()
    assert [leg.kind for leg in legs] == [
        LegKind.APPROVE,
        LegKind.APPROVE,
        LegKind.STAKE,
        LegKind.DEPOSIT,
        LegKind.STAKE,
        LegKind.STAKE,
    ]
    grown = (after.principal.raw - before.principal.raw) * 50_000 // before.principal.raw
    assert 480 <= grown <= 505
    assert gauge.call("stakedContains", owner, act.position.params["token_id"])
    deposited = gauge.call("depositTimestamp", act.position.params["token_id"])
    assert deposited > before.block.timestamp
    assert after.harvest_opens_at == deposited + MIN_STAKE_SECONDS, "a deposit starts the clock anew"
    assert legs[-1].nfts == (Nft(act.market.contracts["manager"], act.position.params["token_id"]),)
    assert all(not leg.nfts for leg in legs[:-1])


def test_added_while_staked_would_not_count(act, stage, yard, gauge):
    """What the manager adds to a staked NFT is not in the gauge's count: that is why it is taken out."""
    before = gauge.call("inRange")
    have = in_the_mix(act, yard)
    legs = [leg for leg in act.deposit() if leg.kind in (LegKind.APPROVE, LegKind.DEPOSIT)]

    liquidity = act.look().principal.raw
    stage.run(act.position.owner, legs, have)

    assert act.look().principal.raw > liquidity
    assert gauge.call("inRange") == before


def test_nft_in_the_wallet_is_told_and_nothing_is_harvested(act, gauge):
    gauge.send("withdraw", act.position.params["token_id"], sender=act.position.owner)
    seen = act.look()

    assert seen.principal.raw > 0
    assert (seen.harvest_paused, seen.deposits_paused) == (True, True)
    assert "lies in the wallet" in seen.paused_because
    assert seen.pending[0].raw == 0
    assert seen.accruals[0].per_year.raw == 0


def test_killed_gauge_would_not_take_the_nft_back(act, yard, ground):
    yard.fake_at(ground["cl_voter"], "DevVoter").send("killGauge", ground["cl_gauge"])
    seen = act.look()

    assert seen.deposits_paused
    assert "killed" in seen.paused_because
    assert not seen.harvest_paused


def test_out_of_range_nothing_accrues(act, stage, yard, market, gauge):
    """Others still earn: by the share of what is staked alone a rate would be told."""
    v3, pool = market
    everywhere = v3.npm.call("tokenOfOwnerByIndex", yard.whale, 0)
    v3.npm.send("approve", gauge, everywhere, sender=yard.whale)
    gauge.send("deposit", everywhere, sender=yard.whale)
    upper = act.market.prices[act.market.stake_token.address].settings["tick_upper"]
    trade_to_price(v3, yard, pool, yard.whale, sqrt_ratio_at_tick(upper + 60), 50_000_000)
    stage.pass_blocks(1)
    first = act.look()
    stage.pass_blocks(20)
    second = act.look()

    assert gauge.call("inRange") > 0
    assert first.accruals[0].per_year.raw == 0
    assert second.pending == first.pending
    assert sorted(second.mix_ppm) == [0, 10**6]


def test_share_is_of_the_staked_liquidity_only(act, yard, market):
    """The pool's own liquidity is many times as much: by it the rate would be told far too low."""
    _, pool = market
    seen = act.look()

    assert abs(seen.accruals[0].own_share_ppm - 10**6 * 50_000 // 1_550_000) < 500
    assert pool.contract.call("liquidity") * 10 > 11 * seen.principal.raw


def test_epoch_end_and_underfunding(act, stage):
    end = act.look().accruals[0].ends_at
    stage.deal(act.market.reward_tokens[0], act.position.target, 10)
    assert act.look().underfunded == ("UNI",)
    stage.warp_to(end + 1)
    at_end = act.look()
    stage.warp_to(end + 86_400)

    assert at_end.accruals[0].per_year.raw == 0
    assert act.look().pending == at_end.pending


def test_only_who_staked_it_may_claim_or_take_it_out(act, stage):
    (claim,) = stage.calls(act.claim(), {})
    assert stage.send(STRANGER, claim.to, claim.data).status == 0
    assert stage.send(STRANGER, claim.to, WITHDRAW.encode(act.position.params["token_id"])).status == 0
    (answer,) = stage.read([EARNED.read(act.position.target, STRANGER, act.position.params["token_id"])])
    assert not answer.success, "the view reverts for others; that is no error of theirs"
    assert act.as_(STRANGER).look().principal.raw == 0


def test_permissions_are_for_this_nft_only(act, stage):
    allowed = act.adapter.permissions(act.position, act.market)
    have = {part.address: 10**7 + 7 for part in act.market.stake_parts}
    for call in stage.calls([*act.claim(), *act.deposit()], have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, act.position.owner, (10**7 + 7,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
        if call.label.startswith(("claim", "take", "put")):
            assert not permitted(allowed, call.to, call.data[:-1] + bytes([call.data[-1] + 1])), "another NFT"
    other = stage.calls(act.deposit(), have)[-2]
    assert not permitted(allowed, other.to, other.data[:-1] + bytes([other.data[-1] + 1])), "another NFT's approval"


def test_found_by_the_voter_and_by_the_gauge(act, stage, ground, fair):
    (stall,) = [stall for stall in fair.stalls if stall.position.id == act.position.id]
    for place in (stall.place, replace(stall.place, target=ground["cl_gauge"])):
        (found,) = stage.talk(act.adapter.discover("local", place, act.position.owner))
        assert (found.target, dict(found.params)) == (act.position.target, dict(act.position.params))
        assert found.staked == act.look().principal
        assert found.label.endswith("spacing 3000")
        assert stage.talk(act.adapter.discover("local", place, STRANGER)) == ()
    with pytest.raises(ReadFailed, match="neither a voter nor"):
        stage.talk(act.adapter.discover("local", replace(stall.place, target=ground["uni"]), STRANGER))


def test_nft_of_another_pool_is_refused(act, stage, yard, market, ground):
    v3, _ = market
    other = open_pool(v3, yard, {ground["uni"]: 8, ground["weth"]: 3_000})
    token_id = mint(v3, yard, other, yard.whale, other.ticks(0), 1_000)
    wrong = replace(act.position, params={"token_id": token_id})

    with pytest.raises(ConfigError, match="of another pool than the gauge"):
        stage.talk(act.adapter.resolve(wrong))
