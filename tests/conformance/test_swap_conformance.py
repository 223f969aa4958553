"""Every registered exchange and pool maker at the fair: quotes to the wei, floors that hold, nothing a thief would want."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import entry_points

import pytest
from adapter_kit import STRANGER, mutations, permitted
from fair_kit import FairStage, known_stalls, open_at_the_fair

from keeper.domain.money import BPS, WAD, Amount, Token
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Basket
from keeper.domain.valuation import Valuation
from keeper.engine.book import Holding
from keeper.engine.value import oracle_rate
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import PoolMaker, SwapAdapter, SwapRoute

pytestmark = pytest.mark.devnet

SWAPS = {point.name: point for point in entry_points(group="keeper.swaps")}
POOLS = {point.name: point for point in entry_points(group="keeper.pools")}

#: More than four ways of one exchange tell nothing new.
MOST = 4


@dataclass
class Trade:
    stage: FairStage
    adapter: SwapAdapter
    owner: str
    route: SwapRoute

    @property
    def sell(self) -> Token:
        return self.route.path[0]

    @property
    def buy(self) -> Token:
        return self.route.path[-1]

    @property
    def depth(self) -> int:
        return self.adapter.depth(self.route, self.stage.read(self.adapter.reads(self.route)))

    def quote(self, sold: int) -> int:
        return self.adapter.quote(self.route, self.stage.read(self.adapter.quote_reads(self.route, sold)), sold)

    def legs(self, floor: tuple[int, int], slippage_bps: int = 0):
        return self.adapter.swap(self.route, self.owner, Share(self.sell), floor, slippage_bps)


@pytest.fixture(params=sorted(SWAPS))
def trades(request, fair_stage, tmp_path) -> list[Trade]:
    """Different ways by this exchange, of whatever the stalls sell on it."""
    adapter = SWAPS[request.param].load()()
    found: dict[tuple, Trade] = {}
    for holding in holdings(fair_stage, tmp_path, request.param):
        for way in (way for sale in holding.sales for way in sale.ways if way.spec.kind == request.param):
            key = (way.path, way.pools)
            found.setdefault(key, Trade(fair_stage, adapter, holding.position.owner, way))
    assert found, f"nothing at the fair is sold by {request.param}: give a stall such a route"
    by_hops = sorted(found.values(), key=lambda trade: -len(trade.route.pools))
    return by_hops[: MOST // 2] + by_hops[MOST // 2 :][-(MOST - MOST // 2) :]


def holdings(stage: FairStage, folder, kind: str) -> list[Holding]:
    chosen = [s.position.id for s in known_stalls().values() if any(r.kind == kind for r in s.position.routes)]
    if not chosen:
        return []
    with open_at_the_fair(stage, folder, [stage.stall(name) for name in chosen]) as app:
        return list(app.book("local").holdings)


def test_ways_are_whole_and_say_what_they_cost(trades):
    assert isinstance(trades[0].adapter, SwapAdapter)
    for trade in trades:
        route = trade.route
        assert len(route.path) == len(route.pools) + 1
        assert 0 <= route.fee_bps < 500
        assert 50_000 <= route.gas <= 1_000_000
        reads = trade.adapter.reads(route)
        assert list(reads) == list(trade.adapter.reads(route))
        for read, answer in zip(reads, trade.stage.read(reads), strict=True):
            assert len(answer.data) <= read.result_bytes, read


def test_swap_brings_the_quote_to_the_owner_and_uses_the_approval_up(trades):
    for trade in trades:
        sold = trade.depth // 1000
        trade.stage.deal(trade.sell, trade.owner, sold)
        quoted, before = trade.quote(sold), trade.stage.balance(trade.buy, trade.owner)

        legs = trade.legs((quoted, sold))
        receipts = trade.stage.run(trade.owner, legs, {trade.sell.address: sold})

        assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.SWAP]
        got = trade.stage.balance(trade.buy, trade.owner) - before
        assert quoted <= got <= quoted + quoted // 10**6 + 2
        assert trade.stage.balance(trade.sell, trade.owner) == 0
        used = receipts[-1].gas_used
        assert trade.route.gas // 4 <= used <= trade.route.gas * 2, (used, trade.route)


def test_floor_above_the_pools_price_stops_the_swap(trades):
    for trade in trades:
        sold = trade.depth // 1000
        trade.stage.deal(trade.sell, trade.owner, sold)

        too_much = trade.quote(sold) * 1001 // 1000 + 3
        calls = trade.stage.calls(trade.legs((too_much, sold)), {trade.sell.address: sold})
        simulated = trade.stage.chain.simulate(trade.owner, calls, [trade.sell.address])

        assert not simulated.success
        assert [call.success for call in simulated.calls[:-1]] == [True] * (len(simulated.calls) - 1)


def test_depth_tells_the_impact_of_a_harvest(trades):
    """Selling a hundredth of the depth loses about a hundredth beyond the fees: at most three times what is reckoned."""
    for trade in trades:
        small, large = trade.depth // 100_000, trade.depth // 100
        price_small, price_large = trade.quote(small) * WAD // small, trade.quote(large) * WAD // large
        lost_bps = BPS - price_large * BPS // price_small
        assert -1 <= lost_bps <= 300, (lost_bps, trade.route)


def test_swap_permissions_cover_every_call_and_nothing_a_thief_would_want(trades):
    for trade in trades:
        allowed = trade.adapter.permissions(trade.route, trade.owner)
        amount = 10**21 + 7
        for call in trade.stage.calls(trade.legs((1, 1), 50), {trade.sell.address: amount}):
            assert permitted(allowed, call.to, call.data), call.label
            for what, to, data in mutations(call, trade.owner, (amount,)):
                assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_no_floor_is_never_permitted(trades):
    for trade in trades:
        allowed = trade.adapter.permissions(trade.route, trade.owner)
        *_, leg = trade.legs((1, 1), 0)
        (floor,) = (patch.word for patch in leg.patches if type(patch.rule).__name__ == "MinOut")
        data = trade.stage.calls([leg], {trade.sell.address: 10**21})[0].data
        bare = data[: 4 + 32 * floor] + bytes(32) + data[36 + 32 * floor :]
        assert not permitted(allowed, leg.to, bare)


def test_wrong_router_is_refused(trades):
    trade = trades[0]
    for router in (trade.sell.address, STRANGER):
        wrong = replace(trade.route.spec, router=router, quoter=None, pools=(router,) if trade.route.spec.pools else ())
        with pytest.raises((ReadFailed, ConfigError)):
            trade.stage.talk(trade.adapter.resolve(wrong, trade.sell, trade.buy))


# ------------------------------------------------------------------------------------------------ pools


@dataclass
class Joining:
    stage: FairStage
    maker: PoolMaker
    owner: str
    basket: Basket
    worth: Valuation

    @property
    def mix(self) -> tuple[int, ...]:
        return self.maker.mix(self.basket, self.stage.read(self.maker.reads(self.basket)))

    def legs(self, slippage_bps: int, better: int = 100):
        """``better``: percent of the agreed worth that is asked for."""
        rates = [oracle_rate(self.worth, part, self.basket.token) for part in self.basket.parts]
        asked = [(top * better // 100, bottom) for top, bottom in rates]
        return self.maker.join(self.basket, self.owner, asked, slippage_bps)

    def amounts(self, usd: int) -> dict[str, int]:
        """So many dollars in the mix that is wanted."""
        return {
            part.address: usd * WAD * share // 10**6 * part.unit // self.worth.price(part).mid
            for part, share in zip(self.basket.parts, self.mix, strict=True)
        }

    def deal(self, have: dict[str, int]) -> None:
        for part in self.basket.parts:
            self.stage.deal(part, self.owner, have[part.address])


@pytest.fixture(params=sorted(POOLS))
def joinings(request, fair_stage, tmp_path) -> list[Joining]:
    """Different stakes that this maker makes."""
    maker = POOLS[request.param].load()()
    found: dict[str, Joining] = {}
    names = [name for name, stall in known_stalls().items() if not stall.grows and not stall.for_everybody]
    with open_at_the_fair(fair_stage, tmp_path, [fair_stage.stall(name) for name in names]) as app:
        for seen in app.survey():
            basket = seen.holding.market.basket if seen.holding else None
            if seen.case is not None and basket is not None and basket.kind == request.param:
                joining = Joining(fair_stage, maker, seen.position.owner, basket, seen.case.valuation)
                found.setdefault(basket.token.address, joining)
    assert found, f"no stake at the fair is made by {request.param}: add a stall with such a stake"
    return list(found.values())[:MOST]


def test_joining_brings_what_was_put_in(joinings):
    for joining in joinings:
        assert isinstance(joining.maker, PoolMaker)
        assert sum(joining.mix) == 10**6
        have = joining.amounts(1_000)
        joining.deal(have)
        before = joining.stage.balance(joining.basket.token, joining.owner)

        receipts = joining.stage.run(joining.owner, joining.legs(200 + joining.basket.fee_bps), have)

        for part in joining.basket.parts:
            assert joining.stage.balance(part, joining.owner) <= have[part.address] // 50 + 1, "much was left"
        gained = joining.stage.balance(joining.basket.token, joining.owner) - before
        assert gained == receipts[-1].delta(joining.basket.token, joining.owner).raw
        assert joining.worth.value_mid(Amount(joining.basket.token, gained)) >= 970 * WAD


def test_joining_at_a_price_that_is_off_is_refused(joinings):
    """Thrice as much of one side, or 5 % more asked for than agreed: neither goes through with 1 % allowed."""
    for joining in joinings:
        have = joining.amounts(1_000)
        have[joining.basket.parts[0].address] = have[joining.basket.parts[0].address] * 3
        joining.deal(have)
        tokens = [joining.basket.token.address]
        better = 100 if len(joining.basket.parts) > 1 else 105
        calls = joining.stage.calls(joining.legs(100, better), have)
        assert (
            not joining.stage.chain.simulate(joining.owner, calls, tokens).success or joining.basket.kind == "erc4626"
        )


def test_pool_permissions_cover_every_call_and_nothing_a_thief_would_want(joinings):
    for joining in joinings:
        have = joining.amounts(1_000)
        allowed = joining.maker.permissions(joining.basket, joining.owner)
        for call in joining.stage.calls(joining.legs(100), have):
            assert permitted(allowed, call.to, call.data), call.label
            for what, to, data in mutations(call, joining.owner, tuple(have.values())):
                assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_plain_tokens_are_recognised_by_nobody(fair_stage):
    for name, point in POOLS.items():
        for symbol, decimals in (("weth", 18), ("usdc", 6)):
            token = Token("local", fair_stage.fair.ground[symbol], symbol.upper(), decimals)
            assert fair_stage.talk(point.load()().recognise(token, [fair_stage.fair.ground.v2])) is None, name
