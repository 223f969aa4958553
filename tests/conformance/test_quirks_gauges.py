"""What liquidity gauges and boosters do that surprises, and that their adapters knew it before a transaction did."""

from __future__ import annotations

import pytest
from adapter_kit import STRANGER, mutations, permitted
from gauge_stage import ask, do, found, later, put_back, scene

from keeper.abi import Fn
from keeper.domain.observation import RateSource
from keeper.domain.plan import LegKind, Share
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.aura import aura_minted
from keeper.protocols.convex import cvx_minted

pytestmark = pytest.mark.devnet

DAY = 86_400
WEEK = 7 * DAY
YEAR = 365 * DAY
GAUGES = ("curve-v1", "curve-v3", "curve-v5", "curve-child", "balancer-main", "balancer-child")
BOOSTED = ("convex-pool", "aura-pool")
MINT_FOR = Fn("mint_for(address,address)")


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


# ------------------------------------------------------------------ gauges


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_claim_brings_what_was_pending(stage, name):
    one = scene(stage, name)
    later(stage, DAY)
    seen = one.look()

    paid = one.paid(one.claim())

    assert all(a.raw > 0 for a in seen.pending)
    for amount, got in zip(seen.pending, paid, strict=True):
        assert amount.raw <= got <= amount.raw * 1_010 // 1_000


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_pending_grows_as_the_accruals_say(stage, name):
    one = scene(stage, name)
    before = one.look()
    later(stage, DAY)
    after = one.look()

    seconds = after.block.timestamp - before.block.timestamp
    for old, new, rate in zip(before.pending, after.pending, before.accruals, strict=True):
        if rate.source is RateSource.CHAIN:
            assert abs(new.raw - old.raw - rate.per_year.raw * seconds // YEAR) <= (new.raw - old.raw) // 1_000


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_permissions_cover_every_call_and_nothing_a_thief_would_want(stage, name):
    one = scene(stage, name)
    later(stage, 2 * WEEK)
    allowed = one.adapter.permissions(one.position, one.market)
    token, amount = one.market.stake_token, 10**21 + 7
    legs = [*one.claim(), *one.adapter.deposit(one.position, one.market, Share(token))]

    for call in stage.calls(legs, {token.address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, one.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_discover_finds_the_stake_and_nothing_of_a_stranger(stage, name):
    one = scene(stage, name)

    mine = [f for f in found(one) if f.target == one.position.target]

    assert [(f.staked, dict(f.params)) for f in mine] == [(one.look().principal, dict(one.position.params))]
    assert list(found(one, STRANGER)) == []


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_deposit_pays_nothing(stage, name):
    one = scene(stage, name)
    later(stage, DAY)

    assert not any(one.stake(10**18))


def test_mint_for_without_leave_succeeds_and_pays_nothing(stage):
    one = scene(stage, "curve-v1")
    later(stage, DAY)
    crv, owner = one.rewards[0], one.position.owner
    held, data = stage.balance(crv, owner), MINT_FOR.encode(one.position.target, owner)

    receipt = stage.send(STRANGER, one.market.contracts["minter"], data)

    assert receipt.status == 1
    assert stage.balance(crv, owner) == held
    assert not any(leg.template[:4] == MINT_FOR.selector for leg in one.claim())
    assert not permitted(one.adapter.permissions(one.position, one.market), one.market.contracts["minter"], data)


def test_minted_events_hold_the_running_total_and_transfers_what_came(stage):
    one = scene(stage, "curve-v1")
    later(stage, DAY)
    (leg,) = one.claim()
    one.paid([leg])
    later(stage, DAY)
    seen = one.look()

    (receipt,) = stage.run(one.position.owner, [leg], {})

    minted = ask(
        stage,
        one.market.contracts["minter"],
        "minted(address,address)",
        "uint256",
        one.position.owner,
        one.position.target,
    )
    came = receipt.delta(one.rewards[0], one.position.owner).raw
    assert seen.pending[0].raw <= came < seen.pending[0].raw * 101 // 100
    assert minted > came * 3 // 2


def test_votes_boost_and_the_rate_says_so(stage):
    one = scene(stage, "curve-v5")
    boosted = one.look().accruals[0]
    do(stage, STRANGER, stage.fair.grounds["curve"]["curve_escrow"], "set(address,uint256)", one.position.owner, 0)
    one.stake(10**18)  # a deposit checkpoints the boost

    plain = one.look().accruals[0]

    assert boosted.own_share_ppm > 70_000
    assert plain.own_share_ppm < 35_000
    assert plain.per_year.raw < boosted.per_year.raw // 2


def test_killed_gauge_takes_deposits_earns_nothing_and_counts_as_paused(stage):
    one = scene(stage, "curve-v5")
    later(stage, DAY)
    # What was not checkpointed before the kill is lost.
    do(stage, STRANGER, one.position.target, "claimable_tokens(address)", one.position.owner)
    one.admin("set_killed(bool)", True)
    killed = one.look()
    one.stake(10**18)
    later(stage, DAY)
    after = one.look()

    assert killed.deposits_paused
    assert "killed" in killed.paused_because
    assert killed.accruals[0].per_year.raw == 0
    assert after.pending[0].raw == killed.pending[0].raw > 0
    assert one.paid([one.claim()[0]])[0] > 0


def test_stale_view_of_old_extra_rewards_is_not_what_is_read(stage):
    one = scene(stage, "curve-v3")
    later(stage, DAY)
    aave, owner = one.rewards[1], one.position.owner
    shown = ask(stage, one.position.target, "claimable_reward(address,address)", "uint256", owner, aave.address)

    seen = one.look()

    assert shown < seen.pending[1].raw // 10
    assert seen.accruals[1].source is RateSource.OBSERVED
    assert one.paid(one.claim())[1] == pytest.approx(seen.pending[1].raw, rel=0.01)


def test_reward_the_gauge_cannot_pay_is_left_out_and_the_emission_is_claimed_alone(stage):
    one = scene(stage, "curve-v5")
    later(stage, DAY)
    everything = one.claim()
    stage.deal(one.rewards[1], one.position.target, 1)

    seen, legs = one.look(), one.claim()

    assert len(everything) == 2
    assert seen.underfunded == ("UNI",)
    assert [leg.brings for leg in legs] == [one.rewards[:1]]
    assert not one.simulate(everything).success
    assert one.paid(legs)[0] > 0


def test_stream_that_has_ended_accrues_nothing_more(stage):
    one = scene(stage, "curve-v5")
    end = one.look().accruals[1].ends_at
    stage.warp_to(end + 1)
    at_end = one.look()
    later(stage, DAY)

    assert at_end.accruals[1].per_year.raw == 0
    assert one.look().pending[1] == at_end.pending[1]


def test_rewards_sent_elsewhere_by_the_owners_own_wish_are_refused_at_the_start(stage):
    one = scene(stage, "curve-v5")
    do(stage, one.position.owner, one.position.target, "set_rewards_receiver(address)", STRANGER)

    with pytest.raises(ConfigError, match="rewards_receiver"):
        scene(stage, "curve-v5")


def test_gauge_that_does_not_tell_its_minter_needs_the_param(stage):
    with pytest.raises(ConfigError, match=r"position curve-v5: .*params minter and reward"):
        scene(stage, "curve-v5", params={})


def test_child_gauge_is_minted_by_its_factory_and_short_when_the_bridge_brought_too_little(stage):
    one = scene(stage, "curve-child")
    later(stage, DAY)
    legs, bank = one.claim(), one.market.contracts["bank"]
    stage.deal(one.rewards[0], bank, 1)

    assert legs[0].to == bank == stage.fair.grounds["curve"]["curve_factory"]
    assert one.look().underfunded == ("CRV.e",)
    assert not one.simulate(legs).success


def test_child_gauge_learns_its_rate_by_looking(stage):
    for name in ("curve-child", "balancer-child"):
        (rate,) = scene(stage, name).look().accruals
        assert (rate.source, rate.per_year.raw, rate.ends_at) == (RateSource.OBSERVED, 0, None)
        assert rate.own_share_ppm > 0


def test_what_the_bridge_brings_is_spread_over_the_rest_of_the_week(stage):
    one = scene(stage, "curve-child")
    stage.deal(one.rewards[0], one.position.target, 10**24)
    do(stage, STRANGER, one.position.target, "claimable_tokens(address)", STRANGER)  # a checkpoint takes it in
    quiet = one.look().pending[0].raw
    later(stage, DAY // 2)

    # A million came; the owner's three per cent of half a day's part of what is left of the week.
    assert one.look().pending[0].raw > quiet + 10**21


@pytest.mark.parametrize("name", GAUGES + BOOSTED)
def test_wrong_contracts_are_refused_with_the_positions_name(stage, name):
    one = scene(stage, name)
    for target in (one.market.stake_token.address, one.rewards[0].address, STRANGER):
        with pytest.raises((ReadFailed, ConfigError), match=f"position {name}: "):
            scene(stage, name, target=target)


# ------------------------------------------------------------------ boosters


@pytest.mark.parametrize("name", BOOSTED)
def test_dry_stream_is_restarted_first_and_the_caller_is_paid_for_it(stage, name):
    one = scene(stage, name)
    one.paid(one.claim())
    stage.warp_to(one.look().accruals[0].ends_at + 1)
    one.paid([one.claim()[-1]])
    later(stage, DAY)
    dry = one.look()
    fee = dry.pending[0].raw

    legs = one.claim()
    paid = one.paid(legs)
    streaming = one.look()

    assert ask(stage, one.position.target, "earned(address)", "uint256", one.position.owner) < fee
    assert [(leg.kind, bool(leg.brings)) for leg in legs] == [(LegKind.CLAIM, False), (LegKind.CLAIM, True)]
    assert dry.accruals[0].per_year.raw == 0
    assert 0 < fee <= paid[0] < 2 * fee
    assert streaming.accruals[0].per_year.raw > 0
    assert streaming.accruals[0].ends_at == pytest.approx(streaming.block.timestamp + WEEK, abs=60)
    assert len(one.claim()) == 1


@pytest.mark.parametrize("name", BOOSTED)
def test_stream_is_left_dry_where_the_owner_says_so_or_has_no_stake(stage, name):
    stage.warp_to(scene(stage, name).look().accruals[0].ends_at + DAY)

    for changes in ({"params": {"earmark": False}}, {"owner": STRANGER}):
        one = scene(stage, name, **changes)
        assert len(one.claim()) == 1
    assert all(amount.raw == 0 for amount in one.look().pending)


def test_rewards_that_wait_in_auras_queue_are_started_by_anybody(stage):
    one = scene(stage, "aura-pool")
    ends = one.look().accruals[0].ends_at
    booster = one.market.contracts["booster"]
    later(stage, DAY // 24)
    do(stage, STRANGER, booster, "earmarkRewards(uint256)", 0)  # too little beside a fresh stream: it is queued
    queued = ask(stage, one.position.target, "queuedRewards()", "uint256")
    one.admin("set_weight(address,uint256)", one.market.contracts["gauge"], 0, to=_controller(one))
    do(stage, STRANGER, booster, "earmarkRewards(uint256)", 0)
    stage.warp_to(ends + 1)

    legs = one.claim()
    one.paid(legs)

    assert queued > 0
    assert legs[0].label == "start idle rewards"
    assert one.look().accruals[0].per_year.raw > 0


def _controller(one):
    minter = ask(one.stage, one.market.contracts["staker"], "minter()", "address")
    return ask(one.stage, minter, "controller()", "address")


@pytest.mark.parametrize("name", BOOSTED)
def test_anybody_may_claim_and_the_owner_is_paid(stage, name):
    one = scene(stage, name)
    later(stage, DAY)
    held = [stage.balance(t, one.position.owner) for t in one.rewards]

    stage.run(STRANGER, one.claim(), {})

    assert all(stage.balance(t, one.position.owner) > h for t, h in zip(one.rewards, held, strict=True))
    assert all(stage.balance(t, STRANGER) == 0 for t in one.rewards)


@pytest.mark.parametrize("name", BOOSTED)
def test_booster_that_was_shut_down_takes_no_deposits(stage, name):
    one = scene(stage, name)
    one.admin("shutdownSystem()", to=one.market.contracts["booster"])

    seen = one.look()

    assert seen.deposits_paused
    assert "shut down" in seen.paused_because


def test_closed_pool_is_paused_and_pays_what_was_earned(stage):
    one = scene(stage, "convex-pool")
    later(stage, DAY)
    one.admin("shutdownPool(uint256)", 0, to=one.market.contracts["booster"])

    assert one.look().deposits_paused
    assert all(one.paid(one.claim()))


@pytest.mark.parametrize(
    ("supply", "share"), [(0, 1000), (50_000_000, 500), (99_900_000, 1), (100_000_000, 0), (10**9, 0)]
)
def test_cvx_comes_by_the_cliff_of_its_supply(supply, share):
    assert cvx_minted(10**18, supply * 10**18) == share * 10**15


def test_cvx_ends_at_its_maximum():
    assert cvx_minted(10**30, 99_950_000 * 10**18) == 50_000 * 10**18


@pytest.mark.parametrize(("supply", "per_mille"), [(50, 3_900), (60, 3_400), (99.95, 1_404), (100, 0), (1, 0)])
def test_aura_comes_by_the_cliff_of_what_was_emitted(supply, per_mille):
    assert aura_minted(10**18, int(supply * 10**6) * 10**18) == per_mille * 10**15


def test_aura_counts_the_part_of_a_claim_that_the_booster_says(stage):
    one = scene(stage, "aura-pool")
    later(stage, DAY)
    bal, aura, _ = one.paid(one.claim())

    assert aura == pytest.approx(bal * 0.9 * 3.4, rel=1e-6)
