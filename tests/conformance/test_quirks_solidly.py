"""Aerodrome, Solidly V1 and Thena at the fair: weekly epochs, killed gauges, boosts, both routers, both kinds of pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, converse, mutations, permitted
from fair_kit import put_back
from ranges_stage import Act, hands

from keeper.abi import Fn
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Token, UsdWad
from keeper.domain.plan import Share
from keeper.domain.position import RouteSpec
from keeper.domain.spec import PriceSpec
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import ask_tokens
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.prices.solidly_lp import SolidlyLp
from keeper.prices.uniswap_v2_lp import UniswapV2Lp
from keeper.protocols.aerodrome import WEEK
from keeper.protocols.aerodrome import Aerodrome as AerodromeGauge
from keeper.protocols.solidly import Solidly as SolidlyGauge
from keeper.protocols.solidly import Thena
from keeper.solidly import Pair, metadata_read
from keeper.swaps.solidly import Aerodrome, Solidly
from keeper.swaps.solidly_pool import SolidlyPool
from keeper.swaps.uniswap_v2_pool import UniswapV2Pool

pytestmark = pytest.mark.devnet

DEPOSIT = Fn("deposit(uint256)")


@pytest.fixture
def stage(fair):
    with put_back(fair) as one:
        yield one


@pytest.fixture
def ground(fair):
    return fair.grounds["solidly"]


@pytest.fixture
def yard(fair, stage):
    return hands(fair, "solidly")


@pytest.fixture
def aero(stage, fair):
    return Act.of(stage, fair, AerodromeGauge(), "aerodrome-uni-weth")


@pytest.fixture
def v1(stage, fair):
    return Act.of(stage, fair, SolidlyGauge(), "solidly-weth-usdc")


@pytest.fixture
def thena(stage, fair):
    return Act.of(stage, fair, Thena(), "thena-weth-usdc")


def tokens_of(stage, ground, *symbols: str) -> list[Token]:
    return list(stage.talk(ask_tokens("local", [ground[symbol] for symbol in symbols])))


def routes_of(stage, ground, exchange, sell: str, buy: str, via=("weth", "usdc")):
    router = ground["aero_router" if exchange.name == "aerodrome" else "v1_router"]
    spec = RouteSpec(exchange.name, router, tuple(ground[each] for each in via))
    return stage.talk(exchange.resolve(spec, *tokens_of(stage, ground, sell, buy)))


# ---------------------------------------------------------------------------- gauges


def test_accrual_stops_at_the_end_of_the_epoch_and_goes_on_with_the_next(aero, stage, yard, ground):
    """The rate keeps its value after ``periodFinish``: taken at its word it would promise rewards that never come."""
    end = aero.look().accruals[0].ends_at
    stage.warp_to(end + 1)
    at_end = aero.look()
    stage.warp_to(end + 86_400)
    later = aero.look()

    assert at_end.accruals[0].per_year.raw == 0
    assert later.pending == at_end.pending
    sushi, gauge = yard.token("SUSHI"), yard.fake_at(ground["aero_gauge"], "DevAeroGauge")
    yard.deal(sushi, yard.account, 10**23)
    sushi.send("approve", gauge, 10**23)
    gauge.send("notifyRewardAmount", 10**23)
    again = aero.look()
    assert again.accruals[0].per_year.raw > 0
    assert again.accruals[0].ends_at % WEEK == 0, "epochs end on Thursdays"
    assert 0 < again.accruals[0].ends_at - again.block.timestamp <= WEEK
    assert again.epoch_seconds == WEEK


def test_killed_gauge_takes_no_deposits_and_still_pays(aero, stage, yard, ground):
    yard.fake_at(ground["aero_voter"], "DevVoter").send("killGauge", ground["aero_gauge"])
    seen = aero.look()

    assert seen.deposits_paused
    assert "killed" in seen.paused_because
    assert not seen.harvest_paused
    stake = aero.market.stake_token
    stage.deal(stake, aero.position.owner, 10**18)
    assert not aero.simulate(aero.deposit(), {stake.address: 10**18}).success
    assert aero.simulate(aero.claim()).success


def test_only_the_account_itself_may_claim(aero, stage):
    call = stage.calls(aero.claim(), {})[0]

    assert stage.send(STRANGER, call.to, call.data).status == 0


def test_deposit_never_pays_and_one_of_nothing_reverts(aero, stage, yard):
    yard.pass_blocks(100)
    stake, reward = aero.market.stake_token, aero.market.reward_tokens[0]
    owner = aero.position.owner
    stage.deal(stake, owner, 10**18)
    before = stage.balance(reward, owner)

    aero.run(aero.deposit(), {stake.address: 10**18})

    assert stage.balance(reward, owner) == before
    assert stage.send(owner, aero.position.target, DEPOSIT.encode(0)).status == 0


def test_gauge_that_holds_too_little_is_told(aero, v1, thena, stage):
    stage.pass_time(9_000)
    for act in (aero, v1, thena):
        stage.deal(act.market.reward_tokens[0], act.position.target, 10**6)

        assert act.look().underfunded == ("SUSHI",)
        assert not act.simulate(act.claim()).success


def test_boosts_decide_the_share(v1, stage, yard, ground):
    """Rewards follow what stakes count: by balances alone the rate would be told too high once others are boosted."""
    before = v1.look().accruals[0]
    gauge = yard.fake_at(ground["v1_gauge"], "DevSolidlyGauge")
    gauge.send("giveVe", yard.whale, 7)
    pair = yard.fake_at(ground["v1_weth_usdc"], "DevSolidlyPair")
    pair.send("transfer", yard.whale, 10**12)
    pair.send("approve", gauge, 10**12, sender=yard.whale)
    gauge.send("deposit", 10**12, 7, sender=yard.whale)

    after = v1.look()
    stage.pass_time(9_000)
    later = v1.look()

    assert after.accruals[0].own_share_ppm < before.own_share_ppm * 50 // 100
    seconds = later.block.timestamp - after.block.timestamp
    expected = after.accruals[0].per_year.raw * seconds // (365 * 86_400)
    assert abs(later.pending[0].raw - after.pending[0].raw - expected) <= expected // 10**6 + 1


def test_ve_nft_goes_along_with_deposits_and_no_other_is_permitted(v1, yard, ground):
    gauge = yard.fake_at(ground["v1_gauge"], "DevSolidlyGauge")
    gauge.send("giveVe", v1.position.owner, 7)
    boosted = replace(v1, position=replace(v1.position, params={"ve_token_id": 7}))
    stake = v1.market.stake_token
    before = v1.look().accruals[0].own_share_ppm
    v1.stage.deal(stake, v1.position.owner, 10**9)

    boosted.run(boosted.deposit(), {stake.address: 10**9})

    assert boosted.look().accruals[0].own_share_ppm > 2 * before
    calls = v1.stage.calls(v1.deposit(), {stake.address: 10**9})
    assert not permitted(boosted.adapter.permissions(boosted.position, v1.market), calls[-1].to, calls[-1].data)


def test_rewards_that_are_not_there_are_refused(v1, stage):
    for count, kind in ((0, ConfigError), (3, ConfigError)):
        wrong = replace(v1.position, params={"rewards": count})
        with pytest.raises(kind, match=r"rewards must be 1 or 2"):
            stage.talk(v1.adapter.resolve(wrong))


def test_emergency_stops_deposits(thena, stage, yard, ground):
    yard.fake_at(ground["thena_gauge"], "DevThenaGauge").send("activateEmergencyMode")

    assert thena.look().deposits_paused
    assert thena.simulate(thena.claim()).success


def test_gauges_of_another_form_are_refused(aero, v1, thena, stage):
    for act in (aero, v1, thena):
        for other in (aero, v1, thena):
            if other is act:
                continue
            wrong = replace(act.position, target=other.position.target)
            with pytest.raises(ReadFailed, match=f"position {act.position.id}: "):
                stage.talk(act.adapter.resolve(wrong))


def test_voter_lists_every_gauge_and_a_gauge_is_found_by_itself(aero, stage, ground, fair):
    place = next(s.place for s in fair.stalls if s.position.id == "aerodrome-uni-weth")
    found = stage.talk(aero.adapter.discover("local", place, aero.position.owner))

    assert {each.target for each in found} == {ground["aero_gauge"], ground["aero_stable_gauge"]}
    own = stage.talk(aero.adapter.discover("local", replace(place, target=ground["aero_gauge"]), aero.position.owner))
    assert [(each.target, each.staked) for each in own] == [(ground["aero_gauge"], aero.look().principal)]
    assert stage.talk(aero.adapter.discover("local", place, STRANGER)) == ()
    with pytest.raises(ReadFailed, match="neither a voter nor a gauge"):
        stage.talk(aero.adapter.discover("local", Place("aerodrome", "x", ground["feed_weth"]), STRANGER))


# ---------------------------------------------------------------------------- exchanges


@pytest.mark.parametrize("exchange", [Aerodrome(), Solidly()], ids=lambda each: each.name)
def test_swap_pays_exactly_what_was_quoted(exchange, stage, ground):
    (route, *_), owner = routes_of(stage, ground, exchange, "sushi", "usdc"), STRANGER
    sold = 5_000 * 10**18
    quoted = exchange.quote(route, stage.read(exchange.quote_reads(route, sold)), sold)
    stage.deal(route.path[0], owner, sold)
    before = stage.balance(route.path[-1], owner)

    legs = exchange.swap(route, owner, Share(route.path[0]), (1, 10**12), 100)
    receipts = stage.run(owner, legs, {route.path[0].address: sold})

    assert stage.balance(route.path[-1], owner) - before == quoted
    assert receipts[-1].gas_used <= route.gas * 13 // 10
    assert route.fee_bps in (60, 61, 62)


def test_each_hop_takes_the_better_kind_of_pair(stage, ground, yard):
    """USDC for DAI goes through the stable pair, not through a dust pool of the volatile kind."""
    usdc, dai = tokens_of(stage, ground, "usdc", "dai")
    factory = yard.fake_at(ground["aero_factory"], "DevSolidlyFactory")
    factory.send("createPool", usdc.address, dai.address, False)
    pool = yard.fake_at(factory.call("getPool", usdc.address, dai.address, False), "DevSolidlyPair")
    for token, amount in ((usdc, 10**6), (dai, 10**18)):
        yard.deal(token.address, pool, amount)
    pool.send("mint", yard.account)

    routes = routes_of(stage, ground, Aerodrome(), "usdc", "dai", via=("weth",))

    assert routes[0].hops == (1,)
    assert routes[0].fee_bps in (5, 6)
    assert len(routes) == 3, "the stable pair, over WETH, and the dust pool"
    assert routes[-1].hops == (0,)


def test_depth_tells_the_loss_of_a_small_sale(stage, ground):
    for exchange, sell, buy in (
        (Aerodrome(), "sushi", "usdc"),
        (Aerodrome(), "usdc", "dai"),
        (Solidly(), "sushi", "weth"),
    ):
        route = routes_of(stage, ground, exchange, sell, buy)[0]
        depth = exchange.depth(route, stage.read(exchange.reads(route)))
        tiny = 10 ** (route.path[0].decimals - 2) * 100
        large = depth // 200 if sell != "usdc" else 50_000 * 10**6
        paid = [exchange.quote(route, stage.read(exchange.quote_reads(route, s)), s) for s in (tiny, large)]
        loss_ppm = 10**6 - 10**6 * paid[1] * tiny // (paid[0] * large)

        assert loss_ppm <= 10**6 * large // (depth + large) * 2 + 200, (sell, buy)
        if sell != "usdc":
            assert loss_ppm >= 10**6 * large // (depth + large) // 2


@pytest.mark.parametrize("exchange", [Aerodrome(), Solidly()], ids=lambda each: each.name)
def test_swap_permissions_cover_every_way_and_nothing_else(exchange, stage, ground):
    routes = routes_of(stage, ground, exchange, "sushi", "usdc")
    allowed = exchange.permissions(routes[0], STRANGER)
    owner = "0x" + "ab" * 20
    allowed = exchange.permissions(routes[0], owner)
    for route in routes:
        legs = exchange.swap(route, owner, Share(route.path[0]), (1, 10**12), 100)
        for call in stage.calls(legs, {route.path[0].address: 10**20}):
            assert permitted(allowed, call.to, call.data)
            for what, to, data in mutations(call, owner, (10**20,)):
                assert not permitted(allowed, to, data), what
        swap = stage.calls(legs, {route.path[0].address: 10**20})[-1].data
        for word in (2, 5, 8, *([9] if exchange.hop_words == 4 else [])):
            at = 4 + 32 * word
            assert not permitted(allowed, route.spec.router, swap[:at] + (7).to_bytes(32, "big") + swap[at + 32 :]), (
                word
            )


def test_missing_pools_and_wrong_routers_are_told(stage, ground):
    sushi, dai, link = tokens_of(stage, ground, "sushi", "dai", "aave")
    spec = RouteSpec("aerodrome", ground["aero_router"])
    with pytest.raises(ConfigError, match="no pool for SUSHI to AAVE"):
        stage.talk(Aerodrome().resolve(spec, sushi, link))
    with pytest.raises(ReadFailed, match="does not answer like a router of kind aerodrome"):
        stage.talk(Aerodrome().resolve(replace(spec, router=ground["v1_router"]), sushi, dai))
    with pytest.raises(ConfigError, match="needs no swap"):
        stage.talk(Aerodrome().resolve(spec, sushi, sushi))


# ---------------------------------------------------------------------------- pools and prices


def basket_of(stage, ground, pair: str):
    kind, router = ("solidly", "v1_router") if pair.startswith("v1") else ("aerodrome", "aero_router")
    (token,) = tokens_of(stage, ground, pair)
    other = RouteSpec("uniswap-v2", ground["router"])
    return stage.talk(SolidlyPool().recognise(token, (other, RouteSpec(kind, ground[router]))))


@pytest.mark.parametrize("pair", ["aero_uni_weth", "aero_usdc_dai", "v1_weth_usdc"])
def test_joining_in_the_mix_leaves_hardly_anything(stage, ground, pair, fair):
    basket, owner = basket_of(stage, ground, pair), STRANGER
    reads = SolidlyPool().reads(basket)
    mix = SolidlyPool().mix(basket, stage.read(reads))
    prices = {token: int(usd) for token, usd in fair.ground.prices.items()}
    have = {
        part.address: 1_000 * ppm * part.unit // prices[part.address] // 10**6
        for part, ppm in zip(basket.parts, mix, strict=True)
    }
    for part in basket.parts:
        stage.deal(part, owner, have[part.address])

    legs = SolidlyPool().join(basket, owner, ((1, 1), (1, 1)), 100)
    stage.run(owner, legs, have)

    assert stage.balance(basket.token, owner) > 0
    for part in basket.parts:
        assert stage.balance(part, owner) * 500 <= have[part.address]


def test_mix_of_a_stable_pair_follows_its_reserves(stage, ground, yard):
    """Half and half would leave a fifth of one side behind once the pair is off balance, at hardly another price."""
    basket = basket_of(stage, ground, "aero_usdc_dai")
    assert sum(SolidlyPool().mix(basket, stage.read(SolidlyPool().reads(basket)))) == 10**6
    _sell(yard, stage, ground, "usdc", "dai", 500_000)
    pair = Pair.of(stage.read([metadata_read(basket.token.address)])[0])
    mix = SolidlyPool().mix(basket, stage.read(SolidlyPool().reads(basket)))

    larger = pair.wads[0] > pair.wads[1]
    assert (mix[0] > 545_000) if larger else (mix[1] > 545_000)
    have = {p.address: 1_000 * ppm * p.unit // 10**6 for p, ppm in zip(basket.parts, mix, strict=True)}
    for part in basket.parts:
        stage.deal(part, STRANGER, have[part.address])
    stage.run(STRANGER, SolidlyPool().join(basket, STRANGER, ((1, 1), (1, 1)), 100), have)
    for part in basket.parts:
        assert stage.balance(part, STRANGER) * 200 <= have[part.address]


def test_pushed_volatile_pair_refuses_the_deposit(stage, ground, yard):
    basket = basket_of(stage, ground, "aero_uni_weth")
    have = {ground["uni"]: 125 * 10**18, ground["weth"]: 10**18 // 3}
    for part in basket.parts:
        stage.deal(part, STRANGER, have[part.address])
    _sell(yard, stage, ground, "uni", "weth", 400_000)

    *approvals, add = SolidlyPool().join(basket, STRANGER, ((1, 1), (1, 1)), 100)
    stage.run(STRANGER, approvals, have)
    call = stage.calls((add,), have)[0]

    assert stage.send(STRANGER, call.to, call.data).status == 0


def test_join_permissions_are_for_this_kind_of_pair_only(stage, ground):
    basket, owner = basket_of(stage, ground, "aero_usdc_dai"), "0x" + "ab" * 20
    allowed = SolidlyPool().permissions(basket, owner)
    legs = SolidlyPool().join(basket, owner, ((1, 1), (1, 1)), 100)
    for call in stage.calls(legs, {part.address: 10**7 for part in basket.parts}):
        assert permitted(allowed, call.to, call.data)
        for what, to, data in mutations(call, owner, (10**7,)):
            assert not permitted(allowed, to, data), what
    add = stage.calls(legs, {part.address: 10**7 for part in basket.parts})[-1].data
    assert not permitted(allowed, basket.entry, add[:68] + bytes(32) + add[100:]), "the volatile pair"


def test_lp_tokens_without_their_router_are_told_and_others_are_not_ours(stage, ground):
    (pair, sushi) = tokens_of(stage, ground, "aero_usdc_dai", "sushi")
    with pytest.raises(ConfigError, match=r"stable pair of .*USDC.* and no route has its router"):
        stage.talk(SolidlyPool().recognise(pair, (RouteSpec("solidly", ground["v1_router"]),)))
    assert stage.talk(SolidlyPool().recognise(sushi, ())) is None


@pytest.mark.parametrize("pair", ["aero_uni_weth", "aero_usdc_dai", "v1_weth_usdc"])
def test_uniswap_v2_does_not_take_such_pairs_for_its_own(stage, ground, pair):
    """They answer all that its pairs do; a stable one priced by x*y would be worth a wrong sum."""
    (token,) = tokens_of(stage, ground, pair)
    assert stage.talk(UniswapV2Pool().recognise(token, (RouteSpec("uniswap-v2", ground["router"]),))) is None
    with pytest.raises(ReadFailed, match="does not answer like a Uniswap V2 pair"):
        stage.talk(UniswapV2Lp().resolve(PriceSpec("uniswap-v2-lp", {}), token))


@pytest.mark.parametrize(("pair", "usd"), [("aero_uni_weth", 8_000_000), ("aero_usdc_dai", 10_000_000)])
def test_price_is_a_share_of_the_pool_and_a_push_does_not_move_it(stage, ground, yard, fair, pair, usd):
    (token,) = tokens_of(stage, ground, pair)
    before = _price(stage, fair, token)
    supply = yard.fake_at(token.address, "DevSolidlyPair").call("totalSupply")
    first, second = ("uni", "weth") if "uni" in pair else ("usdc", "dai")

    _sell(yard, stage, ground, first, second, usd // 8)
    after = _price(stage, fair, token)

    assert abs(before * supply // 10**18 - usd * 10**18) * 10**6 <= usd * 10**18
    assert abs(after - before) * 2_000 <= before
    reserves = Pair.of(stage.read([metadata_read(token.address)])[0])
    naive = sum(wads * int(fair.ground.prices[side]) for wads, side in zip(reserves.wads, reserves.tokens, strict=True))
    assert naive * 10**18 // supply >= after


def test_a_pair_without_prices_of_its_sides_has_none(stage, ground, fair):
    (token,) = tokens_of(stage, ground, "aero_uni_weth")
    spec, source = PriceSpec("solidly-lp", {}), SolidlyLp()
    facts = stage.talk(source.resolve(spec, token))
    answers = stage.read(source.reads(spec, token, facts))
    with pytest.raises(PriceUnavailable):
        source.quote(spec, token, facts, answers, stage.head(), {})
    (sushi,) = tokens_of(stage, ground, "sushi")
    with pytest.raises(ReadFailed, match="does not answer like a Solidly pair"):
        converse(source.resolve(spec, sushi), stage.read)


def _price(stage, fair, token) -> int:
    spec, source = PriceSpec("solidly-lp", {}), SolidlyLp()
    facts = stage.talk(source.resolve(spec, token))
    needed = source.needs(spec, token, facts)
    known = {}
    for side in stage.talk(ask_tokens("local", needed)):
        usd = UsdWad(int(fair.ground.prices[side.address]) * 10**18)
        known[side.address] = TokenPrice(side, usd, usd, (Quote(side, usd, "fixed", 0),))
    return source.quote(spec, token, facts, stage.read(source.reads(spec, token, facts)), stage.head(), known).usd


def _sell(yard, stage, ground, first: str, second: str, usd: int) -> None:
    """Somebody sells a lot."""
    exchange = Aerodrome()
    route = next(r for r in routes_of(stage, ground, exchange, first, second, via=()) if len(r.pools) == 1)
    price = 8 if first == "uni" else 1
    sold = usd * route.path[0].unit // price
    yard.deal(route.path[0].address, yard.whale, sold)
    legs = exchange.swap(route, yard.whale, Share(route.path[0]), (1, BPS * 10**14), 100)
    stage.run(yard.whale, legs, {route.path[0].address: sold})
