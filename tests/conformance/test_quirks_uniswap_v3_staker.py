"""NFTs staked in the real UniswapV3Staker: out, paid and in again; what is added counts from the next time on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, fill, mutations, permitted
from ranges_stage import Act, hands, stage_of

from keeper.devnet.uniswap_v3 import open_pool, trade_to_price, v3_at
from keeper.domain.facts import Place
from keeper.domain.observation import RateSource
from keeper.domain.plan import LegKind
from keeper.domain.position import SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.nft_range import collect_leg
from keeper.protocols.uniswap_v3_staker import STAKES, UniswapV3Staker, _incentive_id

pytestmark = pytest.mark.devnet


@pytest.fixture
def stage(fair):
    with stage_of(fair) as one:
        one.node.rpc("anvil_mine", hex(5), hex(120))
        yield one


@pytest.fixture
def act(stage, fair) -> Act:
    return Act.of(stage, fair, UniswapV3Staker(), "v3-staker")


def staked_liquidity(act: Act) -> int:
    (answer,) = act.stage.read(
        [STAKES.read(act.position.target, act.position.params["token_id"], _incentive_id(act.position))]
    )
    return STAKES.values(answer)[1]


def test_sees_the_stake_and_names_only_the_end(act):
    seen = act.look()

    assert seen.principal.raw == staked_liquidity(act) > 0
    assert seen.pending[0].raw > 0
    (accrual,) = seen.accruals
    assert (accrual.source, accrual.ends_at) == (RateSource.OBSERVED, act.position.params["end"])
    assert SideEffect.COUNTS_NEXT_TIME in act.market.side_effects
    reads = act.adapter.reads(act.position, act.market)
    assert list(reads) == list(act.adapter.reads(act.position, act.market))
    assert len(reads) <= 12
    for read, answer in zip(reads, act.stage.read(reads), strict=True):
        assert len(answer.data) <= read.result_bytes


def test_claim_alone_brings_nothing_but_out_claim_in_brings_what_is_pending(act):
    seen, legs = act.look(), act.claim()
    reward = act.market.reward_tokens[0].address

    assert [leg.kind for leg in legs] == [LegKind.STAKE, LegKind.CLAIM, LegKind.STAKE]
    assert act.simulate(legs[1:2]).delta(reward) == 0
    paid = act.simulate(legs).delta(reward)
    assert seen.pending[0].raw <= paid <= seen.pending[0].raw * 1_02 // 100
    before = act.held()[reward]
    act.run(legs)
    assert act.held()[reward] - before >= seen.pending[0].raw
    after = act.look()
    assert after.principal == seen.principal
    assert staked_liquidity(act) == seen.principal.raw  # it is back
    assert after.pending[0].raw < seen.pending[0].raw // 10
    act.stage.pass_blocks(5)
    assert act.look().pending[0].raw > after.pending[0].raw


def test_what_is_added_counts_from_the_next_harvest_on(act):
    before = act.look().principal.raw
    worth = {"WETH": 3_000, "USDC": 1}
    have = {
        part.address: 1_000 * ppm * part.unit // 10**6 // worth[part.symbol]
        for part, ppm in zip(act.market.stake_parts, act.look().mix_ppm, strict=True)
    }
    for part in act.market.stake_parts:
        act.stage.deal(part, act.position.owner, have[part.address])

    act.run(act.claim())
    act.run(act.deposit(), have)

    grown = act.look().principal.raw
    assert grown > before
    assert staked_liquidity(act) == before
    act.stage.pass_blocks(5)
    act.run(act.claim())
    assert staked_liquidity(act) == grown


def test_fees_cannot_be_collected_while_staked(act):
    collect = collect_leg(
        act.market.contracts["manager"],
        act.position.params["token_id"],
        act.position.owner,
        act.market.stake_parts,
    )
    simulated = act.simulate([collect])
    assert not simulated.success
    assert "Not approved" in simulated.calls[0].error


def test_after_the_end_it_is_taken_out_and_not_put_back(act):
    back_in = act.claim()[-1]
    act.stage.warp_to(act.position.params["end"] + 10)
    seen = act.look()

    assert [(a.per_year.raw, a.source) for a in seen.accruals] == [(0, RateSource.CHAIN)]
    legs = act.claim()
    assert [leg.kind for leg in legs] == [LegKind.STAKE, LegKind.CLAIM]
    act.run(legs)
    assert staked_liquidity(act) == 0
    again = fill(back_in, {}, act.stage.head().timestamp)
    assert act.stage.send(act.position.owner, again.to, again.data).status == 0
    assert act.look().pending[0].raw == 0
    assert [leg.kind for leg in act.claim()] == [LegKind.CLAIM]


def test_just_before_the_end_it_is_not_put_back_either(act):
    act.stage.warp_to(act.position.params["end"] - 100)
    assert [leg.kind for leg in act.claim()] == [LegKind.STAKE, LegKind.CLAIM]


def test_out_of_range_earns_nothing(act, fair):
    yard, ground = hands(fair, "uniswap_v3"), fair.grounds["uniswap_v3"]
    v3 = v3_at(yard, ground.addresses)
    pool = open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1})
    now = pool.contract.call("slot0")[0]
    trade_to_price(v3, yard, pool, yard.whale, now * 112 // 100, 50_000_000)
    seen = act.look()

    assert [(a.per_year.raw, a.source) for a in seen.accruals] == [(0, RateSource.CHAIN)]
    act.stage.pass_blocks(10)
    assert act.look().pending[0].raw <= seen.pending[0].raw


def test_stranger_has_nothing_and_may_not_take_it(act):
    stranger = act.as_(STRANGER)
    seen = stranger.look()

    assert (seen.principal.raw, seen.pending[0].raw) == (0, 0)
    assert [(a.per_year.raw, a.source) for a in seen.accruals] == [(0, RateSource.CHAIN)]
    legs = act.claim()
    assert not stranger.simulate(legs[:1]).success


def test_wrong_contract_or_incentive_is_refused_with_the_positions_name(act):
    for target in (act.market.stake_token.address, STRANGER, act.market.contracts["manager"]):
        with pytest.raises((ReadFailed, ConfigError), match="position v3-staker: "):
            act.stage.talk(act.adapter.resolve(replace(act.position, target=target)))
    for change in ({"start": 1}, {"reward": STRANGER}, {"token_id": 99_999}, {"pool": STRANGER}, {"end": -1}):
        params = {**act.position.params, **change}
        with pytest.raises((ReadFailed, ConfigError), match="position v3-staker: "):
            act.stage.talk(act.adapter.resolve(replace(act.position, params=params)))


def test_permissions_cover_every_call_and_nothing_a_thief_would_want(act):
    allowed = act.adapter.permissions(act.position, act.market)
    amount = 10**21 + 7
    have = {part.address: amount for part in act.market.stake_parts}
    for call in act.stage.calls([*act.claim(), *act.deposit()], have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, act.position.owner, (amount, *range(1, 10))):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_discover_looks_at_the_ids_it_is_told_and_says_so_without(act, fair):
    place = next(stall.place for stall in fair.stalls if stall.position.id == "v3-staker")

    (found,) = act.stage.talk(act.adapter.discover(act.position.chain, place, act.position.owner))

    assert found.params == dict(act.position.params)
    assert found.staked == act.look().principal
    assert act.stage.talk(act.adapter.discover(act.position.chain, place, STRANGER)) == ()
    bare = Place(place.protocol, place.name, place.target)
    with pytest.raises(ConfigError, match="keeps no list"):
        act.stage.talk(act.adapter.discover(act.position.chain, bare, act.position.owner))
