"""Uniswap V3 as an exchange, on the real routers of both kinds: what is quoted is paid, and only to the owner."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from adapter_kit import STRANGER, fill, mutations, permitted
from chain_stage import Stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ranges_stage import hands, stage_of

from keeper.devnet.uniswap_v3 import mint, open_pool, trade_to_price, v3_at
from keeper.domain.money import Token
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import RouteSpec
from keeper.erc20 import ask_tokens
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import SwapAdapter, SwapRoute
from keeper.swaps.uniswap_v3 import UniswapV3Swap
from keeper.swaps.uniswap_v3_calls import fees_of, is_second_kind

pytestmark = pytest.mark.devnet

OWNER = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
SWAPS = UniswapV3Swap()


@pytest.fixture
def stage(fair):
    with stage_of(fair) as one:
        yield one


@dataclass
class Trade:
    stage: Stage
    route: SwapRoute

    @property
    def sell(self) -> Token:
        return self.route.path[0]

    @property
    def buy(self) -> Token:
        return self.route.path[-1]

    @property
    def depth(self) -> int:
        return SWAPS.depth(self.route, self.stage.read(SWAPS.reads(self.route)))

    def quote(self, sold: int) -> int:
        answers = self.stage.read(SWAPS.quote_reads(self.route, sold))
        return SWAPS.quote(self.route, answers, sold)

    def legs(self, floor: tuple[int, int], slippage_bps: int = 0):
        return SWAPS.swap(self.route, OWNER, Share(self.sell), floor, slippage_bps)


def find(stage: Stage, ground, sell: str, buy: str, **changes) -> list[SwapRoute]:
    spec = RouteSpec("uniswap-v3", ground["v3_router"], (ground["weth"],), quoter=ground["v3_quoter"])
    sold, bought = stage.talk(ask_tokens(stage.chain.facts.name, [ground[sell], ground[buy]]))
    return stage.talk(SWAPS.resolve(replace(spec, **changes), sold, bought))


@pytest.fixture(
    params=[
        (r, q, s, b)
        for r in ("v3_router", "v3_router02")
        for q in (True, False)
        for s, b in (("usdc", "weth"), ("uni", "usdc"))
    ],
    ids=lambda p: f"{p[0]}-{'quoter' if p[1] else 'maths'}-{p[2]}-{p[3]}",
)
def swap(request, stage, fair) -> Trade:
    router, quoter, sell, buy = request.param
    ground = fair.grounds["uniswap_v3"]
    changes = {"router": ground[router]} if quoter else {"router": ground[router], "quoter": None}
    route = find(stage, ground, sell, buy, **changes)[0]
    assert is_second_kind(route) is (router == "v3_router02")
    assert len(route.pools) == (2 if sell == "uni" else 1)
    return Trade(stage, route)


def test_route_names_fees_tiers_and_pools(swap):
    assert isinstance(SWAPS, SwapAdapter)
    assert fees_of(swap.route) == (3_000,) * len(swap.route.pools)
    assert swap.route.fee_bps == 30 * len(swap.route.pools)
    assert list(SWAPS.reads(swap.route)) == list(SWAPS.reads(swap.route))
    for reads in (SWAPS.reads(swap.route), SWAPS.quote_reads(swap.route, 10**9)):
        for read, answer in zip(reads, swap.stage.read(reads), strict=True):
            assert answer.success
            assert len(answer.data) <= read.result_bytes


def test_swap_brings_exactly_the_quote_to_the_owner_and_uses_the_approval_up(swap):
    sold = swap.depth // 10_000
    swap.stage.deal(swap.sell, OWNER, sold)
    quoted, before = swap.quote(sold), swap.stage.balance(swap.buy, OWNER)

    legs = swap.legs((quoted, sold))
    receipts = swap.stage.run(OWNER, legs, {swap.sell.address: sold})

    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.SWAP]
    assert swap.stage.balance(swap.buy, OWNER) - before == quoted
    assert swap.stage.balance(swap.sell, OWNER) == 0
    assert receipts[-1].gas_used < swap.route.gas * 12 // 10
    swap.stage.deal(swap.sell, OWNER, sold)
    again = fill(legs[-1], {swap.sell.address: sold}, swap.stage.head().timestamp)
    assert swap.stage.send(OWNER, again.to, again.data).status == 0


def test_floor_above_the_pools_price_stops_the_swap(swap):
    sold = swap.depth // 10_000
    swap.stage.deal(swap.sell, OWNER, sold)

    calls = swap.stage.calls(swap.legs((swap.quote(sold) + 1, sold)), {swap.sell.address: sold})
    simulated = swap.stage.chain.simulate(OWNER, calls, [swap.sell.address])

    assert not simulated.success
    assert "Too little received" in simulated.calls[-1].error


def test_a_small_sale_loses_by_impact_what_the_depth_says(swap):
    one, sold = swap.depth // 1_000_000, swap.depth // 500
    mid = swap.quote(one) * (sold // one)

    loss = mid - swap.quote(sold)

    # Two pools lose each for itself, so up to twice what the shallower one says.
    said = mid * sold // (swap.depth + sold)
    assert said * 95 // 100 <= loss <= said * (105 if len(swap.route.pools) == 1 else 205) // 100


def test_permissions_cover_every_call_and_nothing_a_thief_would_want(swap):
    allowed = SWAPS.permissions(swap.route, OWNER)
    amount = 10**21 + 7
    for call in swap.stage.calls(swap.legs((1, 1), 50), {swap.sell.address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
    call = swap.stage.calls(swap.legs((1, 1), 50), {swap.sell.address: amount})[-1]
    for at in range(4, len(call.data)):
        # Only amounts, floors, deadlines and the tier may be other than they are: not one bit of an address.
        changed = call.data[:at] + bytes([call.data[at] ^ 1]) + call.data[at + 1 :]
        word = (at - 4) // 32
        free = {"v3": {4, 5, 6}, "02": {4, 5}} if len(swap.route.pools) == 1 else {"v3": {3, 4, 5}, "02": {3, 4}}
        if word not in free["02" if is_second_kind(swap.route) else "v3"]:
            assert not permitted(allowed, call.to, changed), (word, at)


def test_no_deadline_is_sent_where_the_router_takes_none(swap):
    rules = {type(patch.rule).__name__ for patch in swap.legs((1, 1))[-1].patches}
    assert rules == ({"Share", "MinOut"} if is_second_kind(swap.route) else {"Share", "MinOut", "Deadline"})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.integers(1, 10**6), direction=st.booleans())
def test_maths_within_the_range_equal_the_quoter(stage, fair, part, direction):
    sell, buy = ("usdc", "weth") if direction else ("weth", "usdc")
    route = find(stage, fair.grounds["uniswap_v3"], sell, buy)[0]
    told, own = Trade(stage, route), Trade(stage, replace(route, spec=replace(route.spec, quoter=None)))
    sold = told.depth * part // 10**8 + 1  # up to a hundredth: the price moves by 2 %, the range ends at 12 %

    assert own.quote(sold) == told.quote(sold)


def test_dust_pool_of_a_lower_fee_and_a_better_price_loses(stage, fair):
    ground, yard = fair.grounds["uniswap_v3"], hands(fair, "uniswap_v3")
    v3 = v3_at(yard, ground.addresses)
    dust = open_pool(v3, yard, {ground["weth"]: 3_300, ground["usdc"]: 1}, fee=500)
    mint(v3, yard, dust, yard.whale, dust.ticks(0), 100)
    for changes in ({}, {"quoter": None}):
        routes = find(stage, ground, "weth", "usdc", **changes)
        assert [fees_of(route) for route in routes] == [(3_000,), (500,)]
    (only,) = find(stage, ground, "weth", "usdc", tiers=(500,))
    assert fees_of(only) == (500,)


def test_quoter_sees_the_end_of_the_liquidity_that_maths_do_not(stage, fair):
    ground, yard = fair.grounds["uniswap_v3"], hands(fair, "uniswap_v3")
    v3 = v3_at(yard, ground.addresses)
    narrow = open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1}, fee=100)
    mint(v3, yard, narrow, yard.whale, narrow.ticks(3), 5_000)
    mint(v3, yard, narrow, yard.whale, narrow.ticks(0), 100)

    by_maths, by_quoter = (find(stage, ground, "weth", "usdc", **c)[0] for c in ({"quoter": None}, {}))

    assert fees_of(by_maths) == (100,)  # looks deep at its price
    assert fees_of(by_quoter) == (3_000,)


def test_empty_pool_on_the_way_is_no_way(stage, fair):
    ground, yard = fair.grounds["uniswap_v3"], hands(fair, "uniswap_v3")
    v3 = v3_at(yard, ground.addresses)
    open_pool(v3, yard, {ground["weth"]: 3_000, ground["dai"]: 1})
    with pytest.raises(ReadFailed, match="empty"):
        find(stage, ground, "weth", "dai")
    with pytest.raises(ConfigError, match="no pool for"):
        find(stage, ground, "aave", "dai")
    with pytest.raises(ConfigError, match="needs no swap"):
        find(stage, ground, "weth", "weth")


def test_wrong_router_or_quoter_is_refused(stage, fair):
    ground = fair.grounds["uniswap_v3"]
    for router in (ground["weth"], STRANGER, ground["router"]):  # the last one is Uniswap V2's
        with pytest.raises((ReadFailed, ConfigError)):
            find(stage, ground, "weth", "usdc", router=router, quoter=None)
    for quoter in (ground["weth"], STRANGER, ground["router"]):
        with pytest.raises(ConfigError, match="check quoter"):
            find(stage, ground, "weth", "usdc", quoter=quoter)


def test_quotes_follow_the_price(stage, fair):
    ground, yard = fair.grounds["uniswap_v3"], hands(fair, "uniswap_v3")
    v3 = v3_at(yard, ground.addresses)
    pool = open_pool(v3, yard, {ground["weth"]: 3_000, ground["usdc"]: 1})
    route = find(stage, ground, "weth", "usdc")[0]
    before = Trade(stage, route).quote(10**18)
    now = pool.contract.call("slot0")[0]

    trade_to_price(v3, yard, pool, yard.whale, now * 99 // 100, 50_000_000)

    change = Trade(stage, route).quote(10**18) * 1_000 // before
    assert change in ((979, 980) if ground["weth"] < ground["usdc"] else (1_020, 1_021))
