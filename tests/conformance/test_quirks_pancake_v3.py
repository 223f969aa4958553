"""NFTs staked in MasterChefV3: a view that is behind, periods that end, a chef that is short, and calls of others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, mutations, permitted
from ranges_stage import Act, hands, stage_of

from keeper.abi import Fn
from keeper.devnet.uniswap_v3 import open_pool, stir, trade_to_price, v3_at
from keeper.domain.observation import RateSource
from keeper.domain.plan import LegKind
from keeper.domain.position import RouteSpec
from keeper.erc20 import ask_tokens
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.nft_range import POSITIONS
from keeper.protocols.pancake_v3 import PENDING, USER_INFO, PancakeV3
from keeper.protocols.uniswap_v3 import UniswapV3
from keeper.swaps.uniswap_v3 import UniswapV3Swap
from keeper.swaps.uniswap_v3_calls import fees_of, is_second_kind

pytestmark = pytest.mark.devnet

YEAR = 365 * 86_400
SET_BOOST = Fn("setBoost(uint256,uint256)")
UPKEEP = Fn("upkeep(uint256,uint256,bool)")
APPROVE = Fn("approve(address,uint256)")
WITHDRAW = Fn("withdraw(uint256,address)")
INCREASE_ON_MANAGER = Fn("increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256))")


@pytest.fixture
def stage(fair):
    with stage_of(fair) as one:
        yield one


@pytest.fixture
def act(stage, fair) -> Act:
    return Act.of(stage, fair, PancakeV3(), "pancake-v3")


class Others:
    def __init__(self, fair) -> None:
        self.ground = fair.grounds["pancake_v3"]
        self.yard = hands(fair, "pancake_v3")
        self.v3 = v3_at(self.yard, self.ground.addresses)
        worth = {self.ground["weth"]: 3_000, self.ground["usdc"]: 1}
        self.pool = open_pool(self.v3, self.yard, worth, 2_500)

    def stir(self) -> None:
        stir(self.v3, self.yard, self.pool, self.yard.whale, 10_000, 1)

    def move(self, per_cent: int) -> None:
        target = self.pool.contract.call("slot0")[0] * (1_000 + 5 * per_cent) // 1_000
        trade_to_price(self.v3, self.yard, self.pool, self.yard.whale, target, 50_000_000)


@pytest.fixture
def others(stage, fair) -> Others:
    return Others(fair)


def pass_time(act: Act, seconds: int = 3_600) -> None:
    act.stage.node.rpc("anvil_mine", hex(4), hex(seconds // 4))


def viewed(act: Act) -> int:
    (answer,) = act.stage.read([PENDING.read(act.position.target, act.position.params["token_id"])])
    return PENDING.value(answer)


def user_info(act: Act) -> tuple:
    (answer,) = act.stage.read([USER_INFO.read(act.position.target, act.position.params["token_id"])])
    return USER_INFO.values(answer)


def cake_of(act: Act) -> str:
    return act.market.reward_tokens[0].address


def test_sees_stake_rate_and_three_rewards(act):
    seen = act.look()

    assert [t.symbol for t in act.market.reward_tokens] == ["CAKE", *(t.symbol for t in act.market.stake_parts)]
    assert seen.principal.raw == user_info(act)[0] > 0
    cake, *fees = seen.accruals
    assert (cake.source, [fee.source for fee in fees]) == (RateSource.CHAIN, [RateSource.OBSERVED] * 2)
    assert cake.per_year.raw > 0
    assert 30_000 < cake.own_share_ppm < 33_000  # 50,000 of 1,550,000 dollars
    assert cake.ends_at > seen.block.timestamp
    assert all(amount.raw > 0 for amount in seen.pending)
    reads = act.adapter.reads(act.position, act.market)
    assert list(reads) == list(act.adapter.reads(act.position, act.market))
    assert len(reads) <= 12
    for read, answer in zip(reads, act.stage.read(reads), strict=True):
        assert len(answer.data) <= read.result_bytes


def test_view_says_nothing_while_a_harvest_pays_and_what_is_seen_is_what_it_pays(act):
    act.run(act.claim())
    pass_time(act)
    assert viewed(act) == 0

    seen = act.look().pending[0].raw

    block = act.stage.head()
    paid = act.simulate(act.claim()).delta(cake_of(act))
    a_block = act.look().accruals[0].per_year.raw * 24 // YEAR
    assert seen > 0
    assert seen <= paid <= seen + a_block
    assert act.stage.head() == block


def test_pending_cake_grows_as_the_accrual_says(act):
    before = act.look()
    pass_time(act)
    after = act.look()

    seconds = after.block.timestamp - before.block.timestamp
    expected = before.accruals[0].per_year.raw * seconds // YEAR
    grown = after.pending[0].raw - before.pending[0].raw
    assert abs(grown - expected) <= expected // 1000 + 1


def test_a_swap_brings_the_view_up_to_date_and_changes_nothing_of_what_is_seen(act, others):
    act.run(act.claim())
    pass_time(act)
    before = act.look()

    others.stir()

    after, rate = act.look(), before.accruals[0].per_year.raw
    seconds = after.block.timestamp - before.block.timestamp
    assert viewed(act) > 0
    assert abs(after.pending[0].raw - before.pending[0].raw - rate * seconds // YEAR) <= before.pending[0].raw // 100
    assert after.pending[1].raw > 0  # and the fees are seen as well


def test_harvest_and_collect_bring_everything_to_the_owner(act):
    before, seen = act.held(), act.look()
    legs = act.claim()
    assert [leg.kind for leg in legs] == [LegKind.CLAIM, LegKind.CLAIM]

    act.run(legs)

    after = act.held()
    for amount in seen.pending[1:]:
        assert after[amount.token.address] - before[amount.token.address] == amount.raw
    assert after[cake_of(act)] - before[cake_of(act)] >= seen.pending[0].raw
    assert act.look().principal == seen.principal


def test_only_what_there_is_is_claimed(act):
    act.run(act.claim())
    pass_time(act, 120)  # CAKE came, nobody traded
    (leg,) = act.claim()
    assert leg.brings == act.market.reward_tokens[:1]


def test_others_are_refused_by_a_custom_error(act):
    stranger = act.as_(STRANGER)
    seen = stranger.look()
    assert seen.principal.raw == 0
    assert all(a.raw == 0 for a in seen.pending)
    assert all(a.per_year.raw == 0 for a in seen.accruals)
    for leg in act.claim():
        simulated = stranger.simulate([leg])
        assert not simulated.success
        assert "0x30cd7471" in simulated.calls[0].error


def test_added_through_the_chef_it_counts_at_once_and_the_rest_comes_back(act):
    worth = {"WETH": 3_000, "USDC": 1}
    have = {
        part.address: 1_000 * ppm * part.unit // 10**6 // worth[part.symbol]
        for part, ppm in zip(act.market.stake_parts, act.look().mix_ppm, strict=True)
    }
    first = act.market.stake_parts[0].address
    have[first] = have[first] * 101 // 100  # one per cent too much of one side
    for part in act.market.stake_parts:
        act.stage.deal(part, act.position.owner, have[part.address])
    before, shared = act.look(), user_info(act)[1]

    legs = act.deposit()
    act.run(legs, have)

    after = act.look()
    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.APPROVE, LegKind.DEPOSIT]
    assert {leg.to for leg in legs if leg.kind is LegKind.DEPOSIT} == {act.position.target}
    grown = after.principal.raw - before.principal.raw
    assert grown > 0
    assert user_info(act)[1] - shared == grown
    assert after.accruals[0].per_year.raw > before.accruals[0].per_year.raw
    left = act.held()
    assert have[first] // 200 < left[first] < have[first] // 50
    assert after.pending[0].raw >= before.pending[0].raw  # a deposit pays nothing out, and loses nothing


def test_added_on_the_manager_it_would_not_count(act, others):
    """Why the chef is used: the manager takes it, and the chef does not know."""
    who, manager = others.yard.whale, act.market.contracts["manager"]
    shared = user_info(act)[1]
    for part in act.market.stake_parts:
        act.stage.deal(part, who, 10**20)
        assert act.stage.send(who, part.address, APPROVE.encode(manager, 10**20)).status == 1
    data = INCREASE_ON_MANAGER.encode((1, 10**18, 10**10, 0, 0, 2**63))
    assert act.stage.send(who, manager, data).status == 1
    assert user_info(act)[1] == shared < act.look().principal.raw


def test_period_ends_and_upkeep_opens_another(act, others):
    end = act.look().accruals[0].ends_at
    act.stage.warp_to(end + 1)
    at_end = act.look()
    pass_time(act)
    later = act.look()

    assert at_end.accruals[0].per_year.raw == 0
    assert at_end.accruals[0].ends_at == end
    assert later.pending[0] == at_end.pending[0]
    assert 0 <= act.simulate(act.claim()).delta(cake_of(act)) - later.pending[0].raw <= 1  # rounded once, not twice
    cake, keeper = cake_of(act), others.yard.account
    act.stage.deal(act.market.reward_tokens[0], keeper, 10**22)
    assert act.stage.send(keeper, cake, APPROVE.encode(act.position.target, 10**22)).status == 1
    assert act.stage.send(keeper, act.position.target, UPKEEP.encode(10**22, 7 * 86_400, True)).status == 1
    again = act.look()
    assert again.accruals[0].per_year.raw > 0
    assert 0 <= again.block.timestamp + 7 * 86_400 - again.accruals[0].ends_at <= 24


def test_short_chef_pays_less_without_a_word_and_is_told(act):
    seen = act.look()
    act.stage.deal(act.market.reward_tokens[0], act.position.target, seen.pending[0].raw // 2)

    short = act.look()

    assert (seen.underfunded, short.underfunded) == ((), ("CAKE",))
    simulated = act.simulate(act.claim()[:1])
    assert simulated.success
    assert simulated.delta(cake_of(act)) == seen.pending[0].raw // 2


def test_out_of_range_gets_no_cake_and_no_fees(act, others):
    others.move(30)
    seen = act.look()

    assert [(a.per_year.raw, a.source) for a in seen.accruals] == [(0, RateSource.CHAIN)] * 3
    pass_time(act)
    assert act.look().pending == seen.pending
    paid = act.simulate(act.claim())
    assert [paid.delta(a.token.address) for a in seen.pending] == [a.raw for a in seen.pending]
    others.move(-25)
    assert act.look().accruals[0].per_year.raw > 0


def test_boost_counts(act, others):
    before = act.look().accruals[0]
    data = SET_BOOST.encode(1, 2 * 10**12)
    assert act.stage.send(others.yard.account, act.position.target, data).status == 1

    after = act.look()

    assert user_info(act)[1] == 2 * after.principal.raw
    assert before.per_year.raw * 190 // 100 < after.accruals[0].per_year.raw < before.per_year.raw * 2
    pass_time(act)
    seen = act.look().pending[0].raw
    assert seen <= act.simulate(act.claim()).delta(cake_of(act)) <= seen * 11 // 10


def test_wrong_contract_unstaked_nft_or_pool_without_cake_is_refused(act, others):
    manager = act.market.contracts["manager"]
    for target in (act.market.stake_token.address, STRANGER, manager):
        with pytest.raises((ReadFailed, ConfigError), match="position pancake-v3: "):
            act.stage.talk(act.adapter.resolve(replace(act.position, target=target)))
    with pytest.raises(ConfigError, match="position pancake-v3: NFT 3 is not staked"):
        act.stage.talk(act.adapter.resolve(replace(act.position, params={"token_id": 3})))
    whale, chef = others.yard.whale, act.position.target
    others.v3.npm.send("safeTransferFrom(address,address,uint256)", whale, chef, 4, sender=whale)
    with pytest.raises(ConfigError, match="shares out no CAKE"):
        act.stage.talk(act.adapter.resolve(replace(act.position, params={"token_id": 4})))


def test_nft_that_was_taken_out_is_nothing_here_and_found_by_the_other_protocol(act):
    principal = act.look().principal
    data = WITHDRAW.encode(1, act.position.owner)
    assert act.stage.send(act.position.owner, act.position.target, data).status == 1

    assert act.look().principal.raw == 0
    loose = replace(act.position, protocol="uniswap-v3", target=act.market.contracts["manager"])
    other = Act(act.stage, UniswapV3(), loose, act.stage.talk(UniswapV3().resolve(loose)))
    assert other.look().principal == principal  # the same token stands for it


def test_permissions_cover_every_call_and_nothing_a_thief_would_want(act):
    allowed = act.adapter.permissions(act.position, act.market)
    amount = 10**21 + 7
    have = {part.address: amount for part in act.market.stake_parts}
    for call in act.stage.calls([*act.claim(), *act.deposit()], have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, act.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
        other_nft = call.data[:4] + (2).to_bytes(32, "big") + call.data[36:]
        assert call.kind is LegKind.APPROVE or not permitted(allowed, call.to, other_nft), call.label


def test_discover_finds_what_is_staked(act, fair):
    place = next(stall.place for stall in fair.stalls if stall.position.id == "pancake-v3")

    (found,) = act.stage.talk(act.adapter.discover(act.position.chain, place, act.position.owner))

    assert found.params == dict(act.position.params)
    assert found.staked == act.look().principal
    assert found.label in ("WETH/USDC 0.25 %", "USDC/WETH 0.25 %")
    assert act.stage.talk(act.adapter.discover(act.position.chain, place, STRANGER)) == ()


def test_its_rewards_are_sold_at_pancakes_own_tiers(act):
    spec: RouteSpec = act.position.route
    cake, (first, second) = act.market.reward_tokens[0], act.market.stake_parts
    (answer,) = act.stage.read([POSITIONS.read(act.market.contracts["manager"], 1, gas=40_000)])
    assert POSITIONS.values(answer)[4] == 2_500
    asked = act.stage.talk(ask_tokens(act.position.chain, [first.address, second.address]))
    for buy in asked:
        route = act.stage.talk(UniswapV3Swap().resolve(spec, cake, buy))[0]
        assert is_second_kind(route)
        assert set(fees_of(route)) == {2_500}
