"""Gauges that the local chain does not show, by hand-encoded answers: V2, V6, gauges without an emission."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, token

from keeper.domain.facts import Place
from keeper.domain.observation import RateSource
from keeper.domain.position import Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.balancer_gauge import BalancerGauge
from keeper.protocols.curve_gauge import MAINNET_MINTER, CurveGauge

GAUGE, CONTROLLER, FACTORY = addr(1), addr(2), addr(3)
LP, CRV, SNX, LDO = token(4, "LP"), token(5, "CRV"), token(6, "SNX", 8), token(7, "LDO")
POSITION = Position("gauge", "test", "curve-gauge", OWNER, None, GAUGE)
YEAR = 365 * 86_400
NONE = "0x" + "00" * 20


def a_gauge(*, minter: str = MAINNET_MINTER, tells: bool = True, working=(40, 400)) -> World:
    world = World()
    for known in (LP, CRV, SNX, LDO):
        world.put_token(known)
    world.put(GAUGE, "lp_token()", (), "address", LP.address)
    world.put(GAUGE, "claimable_tokens(address)", (OWNER,), "uint256", 77)
    world.put(GAUGE, "balanceOf(address)", (OWNER,), "uint256", 100)
    world.put(GAUGE, "totalSupply()", (), "uint256", 1_000)
    world.put(GAUGE, "working_balances(address)", (OWNER,), "uint256", working[0])
    world.put(GAUGE, "working_supply()", (), "uint256", working[1])
    world.put(GAUGE, "inflation_rate()", (), "uint256", 10**18)
    if tells:
        world.put(GAUGE, "minter()", (), "address", minter)
    world.put(minter, "minted(address,address)", (OWNER, GAUGE), "uint256", 0)
    world.put(minter, "token()", (), "address", CRV.address)
    world.put(minter, "controller()", (), "address", CONTROLLER)
    world.put(CONTROLLER, "gauge_relative_weight(address)", (GAUGE,), "uint256", 10**17)
    return world


def add_extras(world: World, *extras, view: str = "claimable_reward(address,address)", owed: int = 9) -> None:
    for index in range(8):
        at = extras[index].address if index < len(extras) else NONE
        world.put(GAUGE, "reward_tokens(uint256)", (index,), "address", at)
    for extra in extras:
        world.put(extra.address, "balanceOf(address)", (GAUGE,), "uint256", 0)
        world.put(GAUGE, view, (OWNER, extra.address), "uint256", owed)


def look(world: World, adapter=None, position: Position = POSITION):
    adapter = adapter or CurveGauge()
    market = world.talk(adapter.resolve(position))
    return market, adapter.observe(position, market, world.answer(adapter.reads(position, market)), BLOCK)


def test_rate_is_inflation_times_weight_times_the_boosted_share():
    market, seen = look(a_gauge(working=(40, 400)))

    assert market.reward_tokens == (CRV,)
    assert seen.accruals[0].per_year.raw == 10**17 * YEAR // 10
    assert seen.accruals[0].own_share_ppm == 100_000
    assert not seen.deposits_paused  # V1 of the first weeks has no is_killed


def test_checkpoint_is_asked_first_so_that_the_weight_behind_it_is_fresh():
    market, _ = look(a_gauge())
    reads = CurveGauge().reads(POSITION, market)

    order = [read.data[:4].hex() for read in reads]
    assert order[0] == "33134583"  # claimable_tokens(address)
    assert reads[0].gas >= 500_000


def test_gauge_that_tells_no_minter_is_taken_for_one_of_ethereums():
    market, _ = look(a_gauge(tells=False))

    assert market.contracts["minter"] == MAINNET_MINTER


def test_v2_pays_other_rewards_on_deposits_and_its_rate_is_learnt():
    world = a_gauge()
    add_extras(world, SNX, LDO)
    market, seen = look(world)

    assert market.reward_tokens == (CRV, SNX, LDO)
    assert SideEffect.DEPOSIT_PAYS in market.side_effects
    assert "v2" in market.contracts
    assert [a.source for a in seen.accruals] == [RateSource.CHAIN, RateSource.OBSERVED, RateSource.OBSERVED]
    assert seen.underfunded == ()  # it takes in what it pays with
    assert [a.raw for a in seen.pending] == [77, 9, 9]


def test_v3_is_asked_by_the_call_that_is_exact():
    world = a_gauge()
    add_extras(world, SNX, view="claimable_reward_write(address,address)", owed=12)
    world.put(GAUGE, "claimable_reward(address,address)", (OWNER, SNX.address), "uint256", 3)
    market, seen = look(world)

    assert "v3" in market.contracts
    assert SideEffect.DEPOSIT_PAYS not in market.side_effects
    assert seen.pending[1].raw == 12


@pytest.mark.parametrize("six", [True, False])
def test_streams_are_read_in_both_layouts(six):
    world = a_gauge()
    add_extras(world, SNX)
    world.put(GAUGE, "reward_count()", (), "uint256", 1)
    world.put(SNX.address, "balanceOf(address)", (GAUGE,), "uint256", 100)
    words = (BLOCK.timestamp + 50, 7, 1, 2)
    head, types = ((SNX.address, OWNER), "address,address") if six else ((OWNER,), "address")
    world.put(GAUGE, "reward_data(address)", (SNX.address,), types + ",uint256" * 4, *head, *words)

    _, seen = look(world)

    assert seen.accruals[1].ends_at == BLOCK.timestamp + 50
    assert seen.accruals[1].per_year.raw == 7 * YEAR // 10
    assert seen.accruals[1].own_share_ppm == 100_000


def test_gauge_without_an_emission_claims_what_is_streamed_alone():
    world = a_gauge()
    for gone in ("claimable_tokens(address)", "minter()", "working_supply()"):
        world.remove(GAUGE, gone)
    add_extras(world, CRV, view="claimable_reward_write(address,address)", owed=5)
    market, seen = look(world)

    legs = CurveGauge().harvest(POSITION, market, seen)
    assert market.reward_tokens == (CRV,)
    assert [(leg.to, leg.template.hex()) for leg in legs] == [(GAUGE, "e6f1daf2")]  # claim_rewards()
    assert len(CurveGauge().permissions(POSITION, market)) == 3


def test_contract_with_neither_is_refused():
    world = a_gauge()
    world.remove(GAUGE, "claimable_tokens(address)")

    with pytest.raises(ReadFailed, match=r"position gauge: .* neither claimable_tokens nor reward_tokens"):
        look(world)


def test_pool_factory_of_a_new_gauge_is_not_taken_for_its_minter():
    world = a_gauge(tells=False)
    world.put(GAUGE, "factory()", (), "address", FACTORY)

    assert look(world)[0].contracts["minter"] == MAINNET_MINTER


def test_child_gauge_whose_factory_does_not_tell_its_token_needs_the_param():
    world = a_gauge(minter=FACTORY, tells=False)
    world.put(GAUGE, "factory()", (), "address", FACTORY)
    world.put(FACTORY, "is_valid_gauge(address)", (GAUGE,), "bool", True)
    for gone in ("token()", "controller()"):
        world.remove(FACTORY, gone)
    for holder in (FACTORY, GAUGE):
        world.put(CRV.address, "balanceOf(address)", (holder,), "uint256", 50)

    with pytest.raises(ConfigError, match="set params minter and reward"):
        look(world)
    named = Position("gauge", "test", "curve-gauge", OWNER, None, GAUGE, {"reward": CRV.address})
    market, seen = look(world, position=named)

    assert market.contracts["bank"] == FACTORY
    assert seen.underfunded == ()  # what lies in the gauge is handed in with the mint
    assert seen.accruals[0].source is RateSource.OBSERVED


def test_balancers_gauge_of_another_chain_names_its_pseudo_minter():
    world = a_gauge(tells=False)
    world.put(GAUGE, "bal_pseudo_minter()", (), "address", FACTORY)
    world.put(FACTORY, "minted(address,address)", (OWNER, GAUGE), "uint256", 0)
    world.put(FACTORY, "getBalancerToken()", (), "address", CRV.address)
    for holder in (FACTORY, GAUGE):
        world.put(CRV.address, "balanceOf(address)", (holder,), "uint256", 30)
    position = Position("gauge", "test", "balancer-gauge", OWNER, None, GAUGE)

    market, seen = look(world, BalancerGauge(), position)

    assert (market.contracts["minter"], market.contracts["bank"]) == (FACTORY, FACTORY)
    assert seen.underfunded == ("CRV",)


def test_discovery_asks_thousands_of_gauges_in_batches():
    world, count = World(), 700
    world.put(CONTROLLER, "n_gauges()", (), "int128", count)
    for index in range(count):
        world.put(CONTROLLER, "gauges(uint256)", (index,), "address", addr(1_000 + index))
        if index % 7:  # a root gauge has no stakes
            raw = 5 if index == 2 else 0
            world.put(addr(1_000 + index), "balanceOf(address)", (OWNER,), "uint256", raw)
    world.put(addr(1_002), "lp_token()", (), "address", LP.address)
    world.put_token(LP)
    batches = []
    talk = CurveGauge().discover("test", Place("curve-gauge", "all", CONTROLLER), OWNER)
    answers = None
    try:
        while True:
            reads = talk.send(answers)
            batches.append(len(reads))
            answers = world.answer(reads)
    except StopIteration as done:
        found = done.value

    assert [(f.target, f.staked.raw, f.staked.token) for f in found] == [(addr(1_002), 5, LP)]
    assert len(batches) <= 9
    assert max(batches) <= 300
