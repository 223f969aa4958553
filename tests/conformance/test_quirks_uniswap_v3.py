"""Uniswap V3 ranges on the real contracts: stale views, mixes, floors and ends of the range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, mutations, permitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ranges_stage import SLOT0, Act, hands, stage_of

from keeper.abi import Fn
from keeper.devnet.uniswap_v3 import open_pool, stir, trade, trade_to_price, v3_at
from keeper.domain.facts import Place
from keeper.domain.money import WAD, Token, UsdWad
from keeper.domain.plan import LegKind
from keeper.domain.reads import ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError, ReadFailed
from keeper.prices.uniswap_v3_range import UniswapV3Range
from keeper.protocols.nft_range import POSITIONS
from keeper.protocols.uniswap_v3 import UniswapV3
from keeper.ranges import MAX_TICK, MIN_TICK, amounts_for_liquidity, liquidity_for_amounts, sqrt_ratio_at_tick

pytestmark = pytest.mark.devnet

DECREASE = Fn("decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))")
TRANSFER_NFT = Fn("transferFrom(address,address,uint256)")


@pytest.fixture
def stage(fair):
    with stage_of(fair) as one:
        yield one


@pytest.fixture
def act(stage, fair) -> Act:
    return Act.of(stage, fair, UniswapV3(), "v3-weth-usdc")


class Market:
    """The pool's other users."""

    def __init__(self, fair) -> None:
        ground = fair.grounds["uniswap_v3"]
        self.yard = hands(fair, "uniswap_v3")
        self.v3 = v3_at(self.yard, ground.addresses)
        self.pool = open_pool(self.v3, self.yard, {ground["weth"]: 3_000, ground["usdc"]: 1})

    def stir(self, usd: int = 100_000, times: int = 1) -> None:
        stir(self.v3, self.yard, self.pool, self.yard.whale, usd, times)

    def move(self, bps: int) -> None:
        """Trade until the price of token0 in token1 is so much higher or lower."""
        now = self.pool.contract.call("slot0")[0]
        target = int(now * (1 + bps / 10_000) ** 0.5)
        trade_to_price(self.v3, self.yard, self.pool, self.yard.whale, target, 50_000_000)


@pytest.fixture
def market(stage, fair) -> Market:
    return Market(fair)


def test_sees_liquidity_price_and_range(act):
    seen = act.look()

    assert seen.principal.raw > 0
    assert act.market.virtual
    assert act.market.stake_parts == act.market.reward_tokens
    assert act.market.stake_token.symbol == "UNI-V3 #1"
    assert sum(seen.mix_ppm) == 10**6
    assert 400_000 < seen.mix_ppm[0] < 600_000
    assert seen.accruals == ()  # nothing names a rate: the engine learns it
    reads = act.adapter.reads(act.position, act.market)
    assert list(reads) == list(act.adapter.reads(act.position, act.market))
    for read, answer in zip(reads, act.stage.read(reads), strict=True):
        assert len(answer.data) <= read.result_bytes


def test_uncollected_fees_are_exact_though_the_managers_view_is_stale(act, market):
    for _ in range(3):
        market.stir()
        seen = act.look()
        (answer,) = act.stage.read([POSITIONS.read(act.position.target, 1)])
        assert POSITIONS.values(answer)[-2:] == (0, 0)

        simulated = act.simulate(act.claim())

        assert all(amount.raw > 0 for amount in seen.pending)
        for amount in seen.pending:
            assert simulated.delta(amount.token.address) == amount.raw


def test_collect_pays_what_was_seen_and_leaves_the_liquidity_alone(act):
    before, seen = act.held(), act.look()

    (receipt,) = act.run(act.claim())

    for amount in seen.pending:
        assert act.held()[amount.token.address] - before[amount.token.address] == amount.raw
        assert receipt.delta(amount.token, act.position.owner).raw == amount.raw
    assert act.look().principal == seen.principal
    assert [a.raw for a in act.look().pending] == [0, 0]


def test_what_a_decrease_left_behind_is_collected_too(act):
    seen = act.look()
    part = seen.principal.raw // 10
    params = (1, part, 0, 0, act.stage.head().timestamp + 600)
    assert act.stage.send(act.position.owner, act.position.target, DECREASE.encode(params)).status == 1

    after = act.look()

    simulated = act.simulate(act.claim())
    assert after.principal.raw == seen.principal.raw - part
    for amount, fee in zip(after.pending, seen.pending, strict=True):
        assert amount.raw > fee.raw
        assert simulated.delta(amount.token.address) == amount.raw


def test_deposit_in_the_mix_that_is_asked_for_takes_nearly_all(act):
    worth = {"WETH": 3_000, "USDC": 1}
    mix = act.look().mix_ppm
    have = {
        part.address: 1_000 * ppm * part.unit // 10**6 // worth[part.symbol]
        for part, ppm in zip(act.market.stake_parts, mix, strict=True)
    }
    for part in act.market.stake_parts:
        act.stage.deal(part, act.position.owner, have[part.address])
    before = act.look().principal.raw

    legs = act.deposit()
    receipts = act.run(legs, have)

    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.APPROVE, LegKind.DEPOSIT]
    assert legs[-1].spends == act.market.stake_parts
    left = act.held()
    for part in act.market.stake_parts:
        assert left[part.address] <= have[part.address] // 5_000
    ends = [sqrt_ratio_at_tick(t) for t in ticks(act)]
    price = act.look().note("sqrt_price_x96")
    grown = act.look().principal.raw - before
    amounts = tuple(have[part.address] for part in act.market.stake_parts)
    assert grown == liquidity_for_amounts(price, *ends, amounts)
    taken = tuple(have[part.address] - left[part.address] for part in act.market.stake_parts)
    assert taken == amounts_for_liquidity(price, *ends, grown, up=True)
    assert receipts[-1].status == 1


def ticks(act: Act) -> tuple[int, int]:
    settings = act.market.prices[act.market.stake_token.address].settings
    return settings["tick_lower"], settings["tick_upper"]


@pytest.mark.parametrize(("bps", "passes"), [(100, True), (-100, True), (600, False), (-600, False)])
def test_deposit_is_refused_where_the_price_has_moved_beyond_the_floors(act, market, bps, passes):
    first, second = act.market.stake_parts
    amounts = amounts_for_liquidity(
        act.look().note("sqrt_price_x96"), *(sqrt_ratio_at_tick(t) for t in ticks(act)), act.look().principal.raw // 50
    )
    have = {first.address: amounts[0], second.address: amounts[1]}
    legs = act.deposit()
    market.move(bps)
    for part in act.market.stake_parts:
        act.stage.deal(part, act.position.owner, have[part.address])

    simulated = act.simulate(legs, have)

    assert simulated.success is passes
    if not passes:
        assert "Price slippage check" in simulated.calls[-1].error


@pytest.mark.parametrize(("bps", "side"), [(2_500, 1), (-2_500, 0)])
def test_out_of_range_earns_nothing_and_takes_one_token_only(act, market, bps, side):
    market.move(bps)
    seen = act.look()

    assert [a.per_year.raw for a in seen.accruals] == [0, 0]
    assert seen.mix_ppm[side] == 10**6
    market.stir(10_000)
    assert act.look().pending == seen.pending
    part = act.market.stake_parts[side]
    act.stage.deal(part, act.position.owner, 10**9)
    other = act.market.stake_parts[1 - side].address

    act.run(act.deposit(), {part.address: 10**9, other: 0})

    assert act.look().principal.raw > seen.principal.raw
    market.move(-bps)  # coming back earns again
    assert act.look().accruals == ()


def test_nft_of_somebody_else_is_nothing_and_its_fees_cannot_be_taken(act):
    stranger = act.as_(STRANGER)

    seen = stranger.look()

    assert seen.principal.raw == 0
    assert all(a.raw == 0 for a in seen.pending)
    assert all(a.per_year.raw == 0 for a in seen.accruals)
    assert not stranger.simulate(stranger.claim()).success
    assert "Not approved" in stranger.simulate(stranger.claim()).calls[-1].error
    data = TRANSFER_NFT.encode(act.position.owner, STRANGER, 1)
    assert act.stage.send(act.position.owner, act.position.target, data).status == 1
    assert act.look().principal.raw == 0


def test_wrong_contract_or_nft_is_refused_with_the_positions_name(act):
    for target in (act.market.stake_token.address, STRANGER, act.market.contracts["pool"]):
        with pytest.raises((ReadFailed, ConfigError), match="position v3-weth-usdc: "):
            act.stage.talk(act.adapter.resolve(replace(act.position, target=target)))
    for params in ({"token_id": 99_999}, {}, {"token_id": "1"}):
        with pytest.raises((ReadFailed, ConfigError), match="position v3-weth-usdc: "):
            act.stage.talk(act.adapter.resolve(replace(act.position, params=params)))


def test_permissions_cover_every_call_and_nothing_a_thief_would_want(act):
    allowed = act.adapter.permissions(act.position, act.market)
    amount = 10**21 + 7
    have = {part.address: amount for part in act.market.stake_parts}
    legs = [*act.claim(), *act.deposit()]
    for call in act.stage.calls(legs, have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, act.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
        other_nft = call.data[:4] + (2).to_bytes(32, "big") + call.data[36:]
        assert call.kind is LegKind.APPROVE or not permitted(allowed, call.to, other_nft), call.label


def test_discover_finds_the_nfts_that_hold_liquidity(act):
    place = Place("uniswap-v3", "Uniswap V3", act.position.target)

    found = act.stage.talk(act.adapter.discover(act.position.chain, place, act.position.owner))

    assert {1} <= {one.params["token_id"] for one in found}
    one = next(one for one in found if one.params["token_id"] == 1)
    assert one.staked == act.look().principal
    assert one.target == act.position.target
    assert one.label in ("WETH/USDC 0.3 %", "USDC/WETH 0.3 %")
    assert act.stage.talk(act.adapter.discover(act.position.chain, place, STRANGER)) == ()


def test_price_of_liquidity_is_that_of_its_amounts_and_does_not_move_with_the_pool(act, market):
    stake = act.market.stake_token
    spec, source = act.market.prices[stake.address], UniswapV3Range()
    known = {t.address: price(t, {"WETH": 3_000, "USDC": 1}[t.symbol]) for t in act.market.stake_parts}

    def quoted() -> int:
        facts = act.stage.talk(source.resolve(spec, stake))
        return source.quote(spec, stake, facts, [], act.stage.head(), known).usd

    before = quoted()
    worth = before * act.look().principal.raw // WAD
    assert 49_900 * WAD < worth < 50_100 * WAD
    market.move(800)
    assert quoted() == before


def price(token: Token, dollars: int) -> TokenPrice:
    wad = UsdWad(dollars * WAD)
    return TokenPrice(token, wad, wad, (Quote(token, wad, "test", 0),))


def test_stir_and_trade_are_what_makes_fees(act, market):
    before = act.look()
    got = trade(market.v3, market.yard, market.pool, market.yard.whale, 0, 10**15)
    assert got > 0
    after = act.look()
    assert after.pending[0].raw > before.pending[0].raw
    assert after.pending[1].raw == before.pending[1].raw


# ------------------------------------------------------------------------------------------------ the shared maths


INITIALIZE = Fn("initialize(uint160)")


@pytest.fixture
def new_pool(market, fair) -> str:
    """A pool without a price."""
    ground = fair.grounds["uniswap_v3"]
    asked = (ground["dai"], ground["aave"], 3_000)
    market.v3.factory.send("createPool", *asked)
    return market.v3.factory.call("getPool", *asked)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tick=st.integers(MIN_TICK + 1, MAX_TICK - 1))
def test_root_of_every_tick_is_the_pools_own(new_pool, stage, tick):
    """The pool names the highest tick whose root is not above its price: a root and one below it pin the value."""

    def named(sqrt_price: int) -> int:
        calls = [
            {"to": new_pool, "from": STRANGER, "data": "0x" + data.hex()}
            for data in (INITIALIZE.encode(sqrt_price), SLOT0.encode())
        ]
        (block,) = stage.node.rpc("eth_simulateV1", {"blockStateCalls": [{"calls": calls}]}, "latest")
        assert block["calls"][0]["status"] == "0x1"
        data = bytes.fromhex(block["calls"][1]["returnData"][2:])
        return SLOT0.values(ReadResult(success=True, data=data))[1]

    root = sqrt_ratio_at_tick(tick)
    assert named(root) == tick
    assert named(root - 1) == tick - 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lower=st.integers(-150, 149), width=st.integers(1, 200), first=st.integers(10**3, 10**20), second=st.integers(0, 9)
)
def test_liquidity_and_amounts_of_a_deposit_are_the_contracts_own(stage, market, lower, width, first, second):
    """Mint at random ranges about the price, and compare with what the manager made of it."""
    snapshot = stage.node.rpc("evm_snapshot")
    pool, who = market.pool, market.yard.whale
    price, tick = pool.contract.call("slot0")[:2]
    middle = tick // 60 + lower
    ticks_ = (middle * 60, (middle + width) * 60)
    ends = [sqrt_ratio_at_tick(each) for each in ticks_]
    desired = (first, first * 10**second // 10**10 + 10**3)
    expected = liquidity_for_amounts(price, *ends, desired)
    erc20s = [market.yard.at(each, "@uniswap/v2-core/build/ERC20.json") for each in pool.tokens]
    for erc20 in erc20s:
        market.yard.deal(erc20, who, 10**30)
        erc20.send("approve", market.v3.npm, 10**30, sender=who)
    try:
        if expected == 0:
            return
        market.v3.npm.send("mint", (*pool.tokens, 3_000, *ticks_, *desired, 0, 0, who, 2**63), sender=who)
        count = market.v3.npm.call("balanceOf", who)
        token_id = market.v3.npm.call("tokenOfOwnerByIndex", who, count - 1)
        taken = tuple(10**30 - erc20.call("balanceOf", who) for erc20 in erc20s)
        assert market.v3.npm.call("positions", token_id)[7] == expected
        assert taken == amounts_for_liquidity(price, *ends, expected, up=True)
    finally:
        stage.node.rpc("evm_revert", snapshot)


def test_waves_of_the_fair_make_fees_and_leave_the_price_where_it_was(act, fair, market):
    stall = next(s for s in fair.stalls if s.position.id == "v3-weth-usdc")
    before = act.look()
    for _ in range(2):
        for sender, to, data in stall.stir:
            assert act.stage.send(sender, to, data).status == 1
    after = act.look()
    assert all(new.raw > old.raw for new, old in zip(after.pending, before.pending, strict=True))
    assert after.note("sqrt_price_x96") == market.pool.sqrt_price
