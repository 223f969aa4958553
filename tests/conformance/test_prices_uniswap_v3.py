"""The time-weighted price of a real Uniswap V3 pool: right on average, slow to be pushed, honest about its history."""

from __future__ import annotations

import pytest
from adapter_kit import STRANGER
from ranges_stage import hands, stage_of

from keeper.devnet.uniswap_v3 import mint, open_pool, stir, trade_to_price, v3_at
from keeper.domain.money import WAD, Token, UsdWad
from keeper.domain.spec import PriceSpec
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import PriceSource
from keeper.prices.uniswap_v3_range import UniswapV3Range
from keeper.prices.uniswap_v3_twap import UniswapV3Twap

pytestmark = pytest.mark.devnet


class Scene:
    """A pool that keeps a history, with half an hour of it."""

    def __init__(self, stage, fair) -> None:
        self.stage, self.ground = stage, fair.grounds["uniswap_v3"]
        self.yard = hands(fair, "uniswap_v3")
        self.v3 = v3_at(self.yard, self.ground.addresses)
        self.pool = open_pool(self.v3, self.yard, {self.ground["weth"]: 3_000, self.ground["usdc"]: 1})
        name = stage.chain.facts.name
        self.weth = Token(name, self.ground["weth"], "WETH", 18)
        self.usdc = Token(name, self.ground["usdc"], "USDC", 6)

    def keep_history(self, count: int = 60) -> None:
        self.pool.contract.send("increaseObservationCardinalityNext", count)
        stir(self.v3, self.yard, self.pool, self.yard.whale, 1_000, 1)
        self.wait(2_000)
        stir(self.v3, self.yard, self.pool, self.yard.whale, 1_000, 1)

    def wait(self, seconds: int) -> None:
        self.stage.warp_to(self.stage.head().timestamp + seconds)

    def move(self, per_cent: int) -> None:
        target = self.pool.contract.call("slot0")[0] * (1_000 + 5 * per_cent) // 1_000
        trade_to_price(self.v3, self.yard, self.pool, self.yard.whale, target, 50_000_000)

    def quote(self, token: Token, **settings) -> Quote:
        spec, source = PriceSpec("uniswap-v3-twap", {"pool": self.pool.contract.address, **settings}), UniswapV3Twap()
        facts = self.stage.talk(source.resolve(spec, token))
        (other,) = source.needs(spec, token, facts)
        known = {self.usdc.address: price(self.usdc, 1), self.weth.address: price(self.weth, 3_000)}
        reads = source.reads(spec, token, facts)
        assert list(reads) == list(source.reads(spec, token, facts))
        answers = self.stage.read(reads)
        for read, answer in zip(reads, answers, strict=True):
            assert len(answer.data) <= read.result_bytes or not answer.success
        return source.quote(spec, token, facts, answers, self.stage.head(), {other: known[other]})


def price(token: Token, dollars: int) -> TokenPrice:
    wad = UsdWad(dollars * WAD)
    return TokenPrice(token, wad, wad, (Quote(token, wad, "test", 0),))


@pytest.fixture
def scene(fair):
    with stage_of(fair) as stage:
        yield Scene(stage, fair)


def test_quiet_pool_is_priced_from_either_side(scene):
    scene.keep_history()
    scene.wait(2_000)

    for token, dollars in ((scene.weth, 3_000), (scene.usdc, 1)):
        quote = scene.quote(token)
        assert abs(quote.usd - dollars * WAD) < dollars * WAD // 1_000  # a tick and a half is 0.02 %
        assert (quote.source, quote.as_of) == ("uniswap-v3-twap", scene.stage.head().timestamp)
    assert isinstance(UniswapV3Twap(), PriceSource)


def test_push_of_one_block_hardly_moves_it_and_one_that_lasts_does(scene):
    scene.keep_history()
    scene.wait(2_000)
    before = scene.quote(scene.weth).usd

    scene.move(8)
    pushed = scene.quote(scene.weth).usd
    scene.wait(900)
    half = scene.quote(scene.weth).usd
    scene.wait(900)
    whole = scene.quote(scene.weth).usd

    up = whole - before
    assert abs(up) > before * 7 // 100
    assert abs(pushed - before) < abs(up) // 50
    assert abs(up) * 45 // 100 < abs(half - before) < abs(up) * 55 // 100


def test_history_that_is_too_short_is_a_clear_error(scene):
    with pytest.raises(ConfigError, match=r"keeps no history \(its cardinality is 1\)"):
        scene.quote(scene.weth)
    scene.keep_history(3)
    with pytest.raises(PriceUnavailable, match="keeps 3 observations, which do not reach back 86400 s"):
        scene.quote(scene.weth, seconds=86_400)
    assert scene.quote(scene.weth, seconds=60).usd > 0


def test_thin_pool_does_not_count(scene):
    scene.keep_history()
    scene.wait(2_000)
    with pytest.raises(PriceUnavailable, match="below min_liquidity_usd = 9,000,000,000"):
        scene.quote(scene.weth, min_liquidity_usd=9_000_000_000)

    thin = open_pool(scene.v3, scene.yard, {scene.ground["weth"]: 3_000, scene.ground["dai"]: 1})
    mint(scene.v3, scene.yard, thin, scene.yard.whale, thin.ticks(0), 20_000)
    thin.contract.send("increaseObservationCardinalityNext", 9)
    stir(scene.v3, scene.yard, thin, scene.yard.whale, 10, 1)
    scene.wait(2_000)
    scene.pool = thin
    scene.usdc = Token(scene.weth.chain, scene.ground["dai"], "DAI", 18)
    with pytest.raises(PriceUnavailable, match=r"trades as if it held \$(19|20),\d{3}, below"):
        scene.quote(scene.weth)
    assert scene.quote(scene.weth, min_liquidity_usd=15_000).usd > 0


def test_wrong_pool_or_settings_are_refused(scene):
    for pool in (scene.ground["weth"], STRANGER, scene.ground["pair_weth_usdc"]):
        with pytest.raises(ReadFailed, match="check pool"):
            scene.quote(scene.weth, pool=pool)
    with pytest.raises(ConfigError, match="does not hold"):
        scene.quote(Token(scene.weth.chain, STRANGER, "NONE", 18))
    for settings in ({"seconds": 0}, {"seconds": 10**6}, {"pool": "x"}, {"min_liquidity_usd": -1}):
        with pytest.raises(ConfigError):
            scene.quote(scene.weth, **settings)


def test_settings_of_a_range_are_checked():
    token = Token("local", STRANGER, "UNI-V3 #1", 18)
    good = {"token0": STRANGER, "token1": STRANGER, "tick_lower": -60, "tick_upper": 60}
    for change in ({"token0": "x"}, {"tick_lower": 60}, {"tick_upper": 10**6}, {"tick_lower": "a"}):
        with pytest.raises(ConfigError):
            next(UniswapV3Range().resolve(PriceSpec("uniswap-v3-range", {**good, **change}), token))
    spec, source = PriceSpec("uniswap-v3-range", good), UniswapV3Range()
    with pytest.raises(PriceUnavailable, match="builds on"):
        source.quote(spec, token, {}, [], None, {})
