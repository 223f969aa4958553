"""Attacks and accidents of ranges on the real contracts: dust of the other side, a price that moved while we were away."""

from __future__ import annotations

import pytest
from adapter_kit import OWNER
from attack_kit import Killed
from fair_kit import open_at_the_fair
from ranges_stage import Act, hands, stage_of

from keeper.devnet.uniswap_v3 import open_pool, trade_to_price, v3_at
from keeper.domain.harvest import HarvestState
from keeper.domain.observation import with_amounts
from keeper.domain.plan import Plan, Share
from keeper.engine.execute import refloor
from keeper.engine.lap import resume
from keeper.protocols.uniswap_v3 import UniswapV3

pytestmark = pytest.mark.devnet


@pytest.fixture
def stage(fair):
    with stage_of(fair) as one:
        yield one


@pytest.fixture
def act(stage, fair) -> Act:
    return Act.of(stage, fair, UniswapV3(), "v3-weth-usdc")


@pytest.fixture
def move(stage, fair):
    ground, yard = fair.grounds["uniswap_v3"], hands(fair, "uniswap_v3")
    v3 = v3_at(yard, ground.addresses)
    pool = open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1})

    def by(bps: int) -> None:
        target = int(pool.contract.call("slot0")[0] * (1 + bps / 10_000) ** 0.5)
        trade_to_price(v3, yard, pool, yard.whale, target, 50_000_000)

    return by


def dealt(act: Act, amounts: dict[int, int]) -> dict[str, int]:
    have = {act.market.stake_parts[side].address: raw for side, raw in amounts.items()}
    for side, raw in amounts.items():
        act.stage.deal(act.market.stake_parts[side], act.position.owner, raw)
    return have


@pytest.mark.parametrize(("bps", "side"), [(2_500, 1), (-2_500, 0)])
def test_dust_of_the_side_that_a_range_does_not_take_stops_no_deposit(act, move, bps, side):
    move(bps)
    before = act.look().principal.raw

    receipts = act.run(act.deposit(), dealt(act, {side: 10**9, 1 - side: 1_000}))

    assert receipts[-1].status == 1
    assert act.look().principal.raw > before


@pytest.mark.parametrize("bps", [600, -600, 2_500, -2_500])
def test_a_compound_that_goes_on_later_takes_the_price_as_it_is_then(act, move, bps):
    stale, have = act.deposit(), dealt(act, in_the_mix(act))
    plan = Plan("", "p", "local", OWNER, stale, act.tokens, act.market.stake_token)
    move(bps)
    seen = with_amounts(act.look(), [have[part.address] for part in act.market.stake_parts])
    again = act.adapter.deposit(act.position, act.market, Share(act.market.stake_token), seen)

    assert not act.simulate(stale, have).success
    assert act.simulate(refloor(plan, again).legs, have).success
    move(-2 * bps)  # by the time that it is mined, somebody has pushed the pool
    assert not act.simulate(refloor(plan, again).legs, have).success


def in_the_mix(act: Act) -> dict[int, int]:
    """Amounts of both sides as the pool takes them at its own price."""
    price, mix = act.look().note("sqrt_price_x96"), act.look().mix_ppm
    return {0: 10**9 * mix[0] * 2**192 // (price * price) // 10**6, 1: 10**9 * mix[1] // 10**6}


@pytest.mark.parametrize("bps", [0, 390, -370])
def test_an_nft_that_was_out_when_keeper_was_killed_is_put_back_by_the_next_start(
    fair_stage, tmp_path, monkeypatch, bps
):
    """Also when the price has moved beyond the floors of the deposit that it was taken out for."""
    stall = fair_stage.stall("slipstream-weth-usdc")
    ground, yard = fair_stage.fair.grounds["slipstream"], hands(fair_stage.fair, "slipstream")
    gauge, owner = yard.fake_at(ground["cl_gauge"], "DevCLGauge"), stall.position.owner
    token_id = stall.position.params["token_id"]

    def reach(name: str) -> None:
        if name == "confirmed" and not gauge.call("stakedContains", owner, token_id):
            raise Killed

    fair_stage.ripen(stall)
    with monkeypatch.context() as patch:
        patch.setattr("keeper.wiring._kill_point", lambda _: reach)
        with open_at_the_fair(fair_stage, tmp_path, [stall]) as app, pytest.raises(Killed):
            app.compound(stall.position.id, forced=True)
    assert not gauge.call("stakedContains", owner, token_id)
    if bps:
        v3 = v3_at(yard, {f"v3_{n.removeprefix('cl_')}": a for n, a in ground.addresses.items()})
        pool = open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1})
        target = int(pool.contract.call("slot0")[0] * (1 + bps / 10_000) ** 0.5)
        trade_to_price(v3, yard, pool, yard.whale, target, 50_000_000)

    with open_at_the_fair(fair_stage, tmp_path, [stall]) as app:
        (ended,) = resume(app.contexts["local"], app.book("local"), owner)

    assert ended.state is HarvestState.DONE, str(ended)
    assert gauge.call("stakedContains", owner, token_id)
