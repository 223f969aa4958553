"""The Uniswap V2 exchange and pool by hand-encoded answers: choice of path, quotes, legs, permissions."""

from __future__ import annotations

import pytest
from adapter_kit import BLOCK, OWNER, World, addr, fill, mutations, permitted, token

from keeper.domain.money import Address, Token
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.spec import PriceSpec
from keeper.errors import ConfigError, ReadFailed
from keeper.swaps.uniswap_v2 import UniswapV2, amount_out
from keeper.swaps.uniswap_v2_pool import UniswapV2Pool

ROUTER, FACTORY, ZERO = addr(100), addr(1), addr(0)
RED, BLUE, WETH = token(20, "RED"), token(10, "BLUE", 6), token(30, "WETH")
DIRECT, FIRST, SECOND = addr(40), addr(41), addr(42)
SPEC = RouteSpec("uniswap-v2", ROUTER, via=(WETH.address,))
ADAPTER, POOL = UniswapV2(), UniswapV2Pool()
DEEP = 10**24


def an_exchange(*, direct=(DEEP, DEEP), first=(DEEP, DEEP), second=(DEEP, DEEP)) -> World:
    """RED/BLUE direct, RED/WETH first, WETH/BLUE second; reserves as (sold side, bought side); None: no pair."""
    world = World()
    world.put(ROUTER, "factory()", (), "address", FACTORY)
    world.put_token(WETH)
    hops = ((RED, BLUE, DIRECT, direct), (RED, WETH, FIRST, first), (WETH, BLUE, SECOND, second))
    for sell, buy, pair, reserves in hops:
        world.put(
            FACTORY, "getPair(address,address)", (sell.address, buy.address), "address", pair if reserves else ZERO
        )
        if reserves:
            ordered = reserves if sell.address < buy.address else reserves[::-1]
            world.put(pair, "getReserves()", (), "uint112,uint112,uint32", *ordered, 1)
    return world


def routed(world: World, spec: RouteSpec = SPEC):
    return ways(world, spec)[0]


def ways(world: World, spec: RouteSpec = SPEC):
    return world.talk(ADAPTER.resolve(spec, RED, BLUE))


def basket(pair: Token, second: Token = BLUE) -> Basket:
    return Basket("uniswap-v2", pair, (RED, second), ROUTER, PriceSpec("uniswap-v2-lp", {}), 30)


def test_every_way_is_offered_the_best_first():
    assert [way.pools for way in ways(an_exchange())] == [(DIRECT,), (FIRST, SECOND)]
    assert [way.pools for way in ways(an_exchange(direct=(10**12, 10**13)))] == [(FIRST, SECOND), (DIRECT,)]
    assert [way.pools for way in ways(an_exchange(direct=(0, 0)))] == [(FIRST, SECOND)]


def test_direct_pair_wins_over_two_hops_of_the_same_depth():
    route = routed(an_exchange())

    assert (route.pools, route.fee_bps) == ((DIRECT,), 30)
    assert route.path == (RED, BLUE)


def test_two_hops_when_there_is_no_direct_pair():
    route = routed(an_exchange(direct=None))

    assert (route.path, route.pools, route.fee_bps) == ((RED, WETH, BLUE), (FIRST, SECOND), 60)


def test_two_hops_when_the_direct_pair_is_dust_or_empty():
    assert routed(an_exchange(direct=(10**6, 10**6))).pools == (FIRST, SECOND)
    assert routed(an_exchange(direct=(0, 0))).pools == (FIRST, SECOND)


def test_generous_looking_dust_pair_does_not_lure():
    # Priced ten times better, but with next to nothing in it.
    assert routed(an_exchange(direct=(10**12, 10**13))).pools == (FIRST, SECOND)


def test_no_path_names_the_tokens_and_the_remedy():
    with pytest.raises(ConfigError, match=r"no pool for RED to BLUE.*add a token to via"):
        routed(an_exchange(direct=None, second=None))


def test_all_empty_pools_are_refused():
    with pytest.raises(ReadFailed, match="empty"):
        routed(an_exchange(direct=(0, 0), first=(0, 0)))


def test_wrong_router_is_named():
    with pytest.raises(ReadFailed, match="does not answer like a Uniswap V2 router"):
        World().talk(ADAPTER.resolve(SPEC, RED, BLUE))


def test_same_token_needs_no_swap():
    with pytest.raises(ConfigError, match="needs no swap"):
        World().talk(ADAPTER.resolve(SPEC, RED, RED))


def test_via_that_is_an_end_of_the_path_is_ignored():
    spec = RouteSpec("uniswap-v2", ROUTER, via=(RED.address, BLUE.address))

    assert routed(an_exchange(), spec).pools == (DIRECT,)


def test_quote_reads_reserves_by_address_order():
    # BLUE has the lower address, so it is token0: reserves are (BLUE, RED).
    world = an_exchange(direct=(4_000_000, 1_000))
    route = routed(world, RouteSpec("uniswap-v2", ROUTER))

    assert ADAPTER.quote(route, world.answer(ADAPTER.reads(route)), 1_000_000) == 1_000_000 * 997 * 1_000 // (
        4_000_000 * 1_000 + 1_000_000 * 997
    )


def test_documented_example_of_the_library():
    # Worked by hand: 1000 in, reserves 10 000 / 20 000, fee 0.3 %: 997 000 * 20 000 / (10 000 000 + 997 000).
    assert amount_out(1_000, 10_000, 20_000, 30) == 1813


def test_depth_is_the_shallowest_pools_side_in_sold_tokens():
    # Second pool: 50 WETH deep; a WETH costs 2 RED in the first one, so 100 RED.
    world = an_exchange(direct=None, first=(1_000, 500), second=(50, 7))
    route = routed(world)

    assert ADAPTER.depth(route, world.answer(ADAPTER.reads(route))) == 100


def test_swap_legs_carry_floor_path_owner_and_deadline():
    route = routed(an_exchange(direct=None))
    approve, swap = ADAPTER.swap(route, OWNER, Share(RED, 5_000), (3, 2), 100)

    calls = [fill(leg, {RED.address: 2_000}, 1_000) for leg in (approve, swap)]

    assert [approve.kind, swap.kind] == [LegKind.APPROVE, LegKind.SWAP]
    assert calls[0].data.hex() == "095ea7b3" + ROUTER[2:].zfill(64) + f"{1_000:064x}"
    words = [int(calls[1].data[4 + i : 36 + i].hex(), 16) for i in range(0, 288, 32)]
    assert calls[1].data[:4].hex() == "5c11d795"
    assert words == [
        1_000,
        1_485,  # 1000 * 3/2 less 1 %
        160,
        int(OWNER, 16),
        1_600,
        3,
        int(RED.address, 16),
        int(WETH.address, 16),
        int(BLUE.address, 16),
    ]
    assert (swap.spends, swap.brings) == ((RED,), (BLUE,))


def test_swap_permissions_cover_the_legs_and_nothing_a_thief_would_want():
    route = routed(an_exchange(direct=None))
    allowed = ADAPTER.permissions(route, OWNER)
    amount = 10**20
    legs = ADAPTER.swap(route, OWNER, Share(RED), (1, 1), 100)
    for leg in legs:
        call = fill(leg, {RED.address: amount}, BLOCK.timestamp)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"


def test_swap_without_floor_is_never_permitted():
    route = routed(an_exchange())
    call = fill(ADAPTER.swap(route, OWNER, Share(RED), (1, 1), 100)[1], {RED.address: 10**20}, 0)
    bare = call.data[:36] + bytes(32) + call.data[68:]

    assert not permitted(ADAPTER.permissions(route, OWNER), call.to, bare)


@pytest.mark.parametrize("word", [2, 5])
def test_swap_whose_path_lies_elsewhere_or_is_cut_is_not_permitted(word):
    route = routed(an_exchange(direct=None))
    data = fill(ADAPTER.swap(route, OWNER, Share(RED), (1, 1), 100)[1], {RED.address: 10**20}, 0).data
    start = 4 + 32 * word
    value = int.from_bytes(data[start : start + 32], "big")

    for other in (value - 1, value + 32, 0):
        changed = data[:start] + other.to_bytes(32, "big") + data[start + 32 :]
        assert not permitted(ADAPTER.permissions(route, OWNER), ROUTER, changed)


def test_pool_legs_approve_both_sides_and_bound_each_from_below():
    pair = token(50, "LP")
    legs = POOL.join(basket(pair), OWNER, [], 200)

    calls = [fill(leg, {RED.address: 1_000, BLUE.address: 500}, 1_000) for leg in legs]

    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.APPROVE, LegKind.ADD_LIQUIDITY]
    assert calls[2].data[:4].hex() == "e8e33700"
    words = [int(calls[2].data[4 + i : 36 + i].hex(), 16) for i in range(0, 256, 32)]
    assert words == [int(RED.address, 16), int(BLUE.address, 16), 1_000, 500, 980, 490, int(OWNER, 16), 1_600]
    assert legs[2].brings == (pair,)


def test_pool_permissions_cover_the_legs_and_nothing_a_thief_would_want():
    pair = token(50, "LP")
    allowed = POOL.permissions(basket(pair), OWNER)
    have = {RED.address: 10**20, BLUE.address: 10**21}
    for leg in POOL.join(basket(pair), OWNER, [], 100):
        call = fill(leg, have, BLOCK.timestamp)
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, OWNER, tuple(have.values())):
            assert not permitted(allowed, to, data), f"{leg.label}: {what}"
    bare = call.data[: 4 + 32 * 4] + bytes(64) + call.data[4 + 32 * 6 :]
    assert not permitted(allowed, call.to, bare)


def test_token_that_refuses_to_change_an_approval_is_reset_first():
    usdt = Token("test", Address("0xdac17f958d2ee523a2206206994597c13d831ec7"), "USDT", 6)
    pair = token(50, "LP")
    legs = POOL.join(basket(pair, usdt), OWNER, [], 100)
    allowed = POOL.permissions(basket(pair, usdt), OWNER)

    calls = [fill(leg, {RED.address: 10**20, usdt.address: 500}, 0) for leg in legs]

    assert [leg.label for leg in legs[:3]] == ["approve RED", "reset approval of USDT", "approve USDT"]
    assert [int(call.data[36:].hex(), 16) for call in calls[:3]] == [10**20, 0, 500]
    assert all(permitted(allowed, call.to, call.data) for call in calls)


def a_pair(world: World, factory: Address = FACTORY) -> Token:
    pair = token(50, "UNI-V2")
    world.put_pair(pair, RED, BLUE)
    world.put(pair.address, "factory()", (), "address", factory)
    return pair


def test_a_pair_is_recognised_with_the_router_of_its_own_factory():
    world = an_exchange()
    pair = a_pair(world)
    other = RouteSpec("uniswap-v2", addr(101))
    world.put(other.router, "factory()", (), "address", addr(2))

    found = world.talk(POOL.recognise(pair, [other, RouteSpec("curve", addr(7)), SPEC]))

    assert (found.parts, found.entry, found.fee_bps) == ((RED, BLUE), ROUTER, 30)
    assert POOL.mix(found, ()) == (500_000, 500_000)


def test_a_pair_of_another_factory_says_which_router_is_missing():
    world = an_exchange()

    with pytest.raises(ConfigError, match=r"RED/BLUE pair of factory.*add route"):
        world.talk(POOL.recognise(a_pair(world, addr(2)), [SPEC]))


def test_a_plain_token_is_no_pair():
    world = an_exchange()
    world.put_token(RED)

    assert world.talk(POOL.recognise(RED, [SPEC])) is None
