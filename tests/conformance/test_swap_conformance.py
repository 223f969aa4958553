"""Every registered exchange and pool maker against real routers and pairs: quotes to the wei, floors that hold."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points

import pytest
from adapter_kit import STRANGER, mutations, permitted
from chain_stage import Stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.abi import Fn
from keeper.domain.money import Token
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Market, Position, RouteSpec
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import PoolMaker, SwapAdapter, SwapRoute

pytestmark = pytest.mark.devnet

AMOUNTS_OUT = Fn("getAmountsOut(uint256,address[])", "uint256[]")
SWAPS = {point.name: point for point in entry_points(group="keeper.swaps")}
POOLS = {point.name: point for point in entry_points(group="keeper.pools")}
PROTOCOLS = {point.name: point for point in entry_points(group="keeper.protocols")}


@dataclass
class Trade:
    stage: Stage
    adapter: SwapAdapter
    position: Position
    route: SwapRoute

    @property
    def sell(self) -> Token:
        return self.route.path[0]

    @property
    def buy(self) -> Token:
        return self.route.path[-1]

    def state(self):
        return self.stage.read(self.adapter.reads(self.route))

    def quote(self, sold: int) -> int:
        return self.adapter.quote(self.route, self.state(), sold)

    def legs(self, floor: tuple[int, int], slippage_bps: int = 0):
        return self.adapter.swap(self.route, self.position.owner, Share(self.sell), floor, slippage_bps)


def market_of(stage: Stage, position: Position) -> Market:
    return stage.talk(PROTOCOLS[position.protocol].load()().resolve(position))


def sales(stage: Stage, positions, kind: str):
    """Everything that the positions of the local chain sell, by this kind of exchange."""
    for position in positions:
        if position.route is None or position.route.kind != kind:
            continue
        market = market_of(stage, position)
        for sell in market.reward_tokens:
            for buy in market.stake_parts or (market.stake_token,):
                if sell.address != buy.address:
                    yield position, sell, buy


@pytest.fixture(params=sorted(SWAPS))
def trades(request, stage, positions) -> list[Trade]:
    adapter = SWAPS[request.param].load()()
    found = [
        Trade(stage, adapter, position, stage.talk(adapter.resolve(position.route, sell, buy)))
        for position, sell, buy in sales(stage, positions, request.param)
    ]
    assert found, f"the local chain sells nothing by {request.param}: add a position with such a route"
    return found


def test_port_is_met_and_the_chain_has_direct_and_two_hop_routes(trades):
    assert isinstance(trades[0].adapter, SwapAdapter)
    assert {len(trade.route.pools) for trade in trades} >= {1, 2}
    for trade in trades:
        assert len(trade.route.path) == len(trade.route.pools) + 1
        assert trade.route.fee_bps == trade.route.spec.fee_bps * len(trade.route.pools)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_quotes_equal_the_routers_to_the_wei(trades, data):
    trade = data.draw(st.sampled_from(trades))
    state = trade.state()
    sold = data.draw(st.integers(1, 3 * trade.adapter.depth(trade.route, state)))
    path = [token.address for token in trade.route.path]

    (answer,) = trade.stage.read([AMOUNTS_OUT.read(trade.route.spec.router, sold, path, result_bytes=160, gas=90_000)])

    quoted = trade.adapter.quote(trade.route, state, sold)
    if answer.success:
        assert quoted == AMOUNTS_OUT.value(answer)[-1]
    else:
        assert quoted == 0  # a middle amount of nothing, which the router refuses


def test_swap_brings_exactly_the_quote_to_the_owner_and_uses_the_approval_up(trades):
    for trade in trades:
        owner, sold = trade.position.owner, trade.adapter.depth(trade.route, trade.state()) // 1000
        trade.stage.deal(trade.sell, owner, sold)
        quoted, before = trade.quote(sold), trade.stage.balance(trade.buy, owner)

        legs = trade.legs((quoted, sold))
        trade.stage.run(owner, legs, {trade.sell.address: sold})

        assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.SWAP]
        assert trade.stage.balance(trade.buy, owner) - before == quoted
        assert trade.stage.balance(trade.sell, owner) == 0


def test_floor_above_the_pools_price_stops_the_swap(trades):
    for trade in trades:
        owner, sold = trade.position.owner, trade.adapter.depth(trade.route, trade.state()) // 1000
        trade.stage.deal(trade.sell, owner, sold)

        calls = trade.stage.calls(trade.legs((trade.quote(sold) + 1, sold)), {trade.sell.address: sold})
        simulated = trade.stage.chain.simulate(owner, calls, [trade.sell.address])

        assert not simulated.success
        assert "INSUFFICIENT_OUTPUT" in simulated.calls[-1].error


def test_depth_bounds_what_the_pools_hold(trades):
    for trade in trades:
        depth = trade.adapter.depth(trade.route, trade.state())
        # Selling the depth itself takes the price down to about half on each such hop: never more than the mid price.
        small, whole = trade.quote(depth // 10_000), trade.quote(depth)
        assert 0 < whole < small * 10_000 * 6 // 10


def test_swap_permissions_cover_every_call_and_nothing_a_thief_would_want(trades):
    for trade in trades:
        allowed = trade.adapter.permissions(trade.route, trade.position.owner)
        amount = 10**21 + 7
        for call in trade.stage.calls(trade.legs((1, 1), 50), {trade.sell.address: amount}):
            assert permitted(allowed, call.to, call.data), call.label
            for what, to, data in mutations(call, trade.position.owner, (amount,)):
                assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_wrong_router_is_refused(trades):
    trade = trades[0]
    for router in (trade.sell.address, STRANGER):
        spec = RouteSpec(trade.route.spec.kind, router)
        with pytest.raises((ReadFailed, ConfigError)):
            trade.stage.talk(trade.adapter.resolve(spec, trade.sell, trade.buy))


# ------------------------------------------------------------------------------------------------ pools


@dataclass
class Joining:
    stage: Stage
    maker: PoolMaker
    position: Position
    market: Market

    @property
    def parts(self) -> tuple[Token, Token]:
        first, second = self.market.stake_parts
        return first, second

    @property
    def pool(self) -> Token:
        return self.market.stake_token

    def legs(self, slippage_bps: int):
        return self.maker.join(self.position.route, self.position.owner, self.parts, self.pool, slippage_bps)

    def fair_amounts(self) -> dict[str, int]:
        """A thousandth of each side of the pool."""
        return {part.address: self.stage.balance(part, self.pool.address) // 1000 for part in self.parts}

    def deal(self, have: dict[str, int]) -> None:
        for part in self.parts:
            self.stage.deal(part, self.position.owner, have[part.address])


@pytest.fixture(params=sorted(POOLS))
def joining(request, stage, positions) -> Joining:
    maker = POOLS[request.param].load()()
    for position in positions:
        if position.route is not None and position.route.kind == request.param:
            market = market_of(stage, position)
            if market.stake_parts:
                return Joining(stage, maker, position, market)
    pytest.fail(f"the local chain has no LP position for {request.param}: add one to keeper/devnet")


def test_joining_brings_the_owner_a_fair_part_of_the_pool(joining):
    assert isinstance(joining.maker, PoolMaker)
    owner, have = joining.position.owner, joining.fair_amounts()
    joining.deal(have)
    before = joining.stage.balance(joining.pool, owner)

    receipts = joining.stage.run(owner, joining.legs(100), have)

    for part in joining.parts:
        assert joining.stage.balance(part, owner) <= have[part.address] // 1000 + 1
    gained = joining.stage.balance(joining.pool, owner) - before
    assert gained > 0
    assert gained == receipts[-1].delta(joining.pool, owner).raw


def test_lopsided_amounts_beyond_the_slippage_are_refused(joining):
    owner, have = joining.position.owner, joining.fair_amounts()
    have[joining.parts[0].address] = have[joining.parts[0].address] * 102 // 100
    joining.deal(have)

    tight, wide = (
        joining.stage.chain.simulate(owner, joining.stage.calls(joining.legs(bps), have), [joining.pool.address])
        for bps in (100, 300)
    )

    assert not tight.success
    assert "INSUFFICIENT" in tight.calls[-1].error
    assert wide.success


def test_pool_permissions_cover_every_call_and_nothing_a_thief_would_want(joining):
    owner, have = joining.position.owner, joining.fair_amounts()
    allowed = joining.maker.permissions(joining.position.route, owner, joining.parts, joining.pool)
    for call in joining.stage.calls(joining.legs(100), have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, owner, tuple(have.values())):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
