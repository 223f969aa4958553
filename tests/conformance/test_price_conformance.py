"""Every registered price source against real pairs and a feed: usable prices when all is well, none when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

import pytest
from chain_stage import Stage
from fair_kit import known_stalls, open_at_the_fair

from keeper.abi import Fn
from keeper.domain.money import WAD, Token, UsdWad
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import GET_RESERVES, TOTAL_SUPPLY, ask_parts, ask_tokens
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import PriceSource, PriceSpec

pytestmark = pytest.mark.devnet

SOURCES = {point.name: point for point in entry_points(group="keeper.prices")}
#: Sources that only a config names; their own tests stand in test_quirks_uniswap_v3.py.
EXPLICIT = {"uniswap-v3-twap", "ctoken"}
OWNER = Fn("owner()", "address")
SET_ANSWER = Fn("setAnswer(int256)")
SET_UPDATED_AT = Fn("setUpdatedAt(uint256)")
SWAP = Fn("swap(uint256,uint256,address,bytes)")


def price(token: Token, wad: int) -> TokenPrice:
    return TokenPrice(token, UsdWad(wad), UsdWad(wad), (Quote(token, UsdWad(wad), "test", 0),))


@dataclass
class Pool:
    """A pair on the local chain, with prices of its sides at which it is in balance."""

    stage: Stage
    lp: Token
    parts: tuple[Token, Token]
    known: Mapping[str, TokenPrice]

    @property
    def reserves(self) -> tuple[int, int]:
        (result,) = self.stage.read([GET_RESERVES.read(self.lp.address)])
        return GET_RESERVES.values(result)[:2]

    def push(self, bps: int) -> None:
        """Sell ``bps`` of the first side into the pair, as its callback-free ``swap`` allows anybody."""
        first, second = self.reserves
        sold = first * bps // 10_000
        bought = sold * 997 * second // (first * 1000 + sold * 997)
        self.stage.deal(self.parts[0], self.lp.address, first + sold)
        data = SWAP.encode(0, bought, "0x" + "77" * 20, b"")
        assert self.stage.send("0x" + "77" * 20, self.lp.address, data).status == 1


@pytest.fixture
def pool(stage, fresh_world) -> Pool:
    lp = fresh_world.lp("sushi_weth")
    first, second = stage.talk(ask_parts(lp))
    (result,) = stage.read([GET_RESERVES.read(lp.address)])
    r0, r1, _ = GET_RESERVES.values(result)
    ratio = r1 * first.unit * WAD // (r0 * second.unit)
    return Pool(stage, lp, (first, second), {first.address: price(first, ratio), second.address: price(second, WAD)})


@pytest.fixture
def feed(stage) -> tuple[PriceSpec, Token]:
    feeds = stage.chain.facts.feeds
    assert feeds, "the local chain's facts name no feed"
    token, fact = next(iter(feeds.items()))
    spec = PriceSpec("chainlink", {"feed": fact.feed, "max_age_seconds": fact.max_age_seconds})
    return spec, stage.talk(ask_tokens(stage.chain.facts.name, [token]))[0]


@pytest.fixture
def cases(pool, feed) -> dict[str, tuple[PriceSpec, Token]]:
    return {
        "fixed": (PriceSpec("fixed", {"usd": "2.5"}), pool.parts[0]),
        "chainlink": feed,
        "uniswap-v2": (PriceSpec("uniswap-v2", {"pair": pool.lp.address, "min_liquidity_usd": 1}), pool.parts[0]),
        "uniswap-v2-lp": (PriceSpec("uniswap-v2-lp", {}), pool.lp),
    }


def quoted(stage: Stage, spec: PriceSpec, token: Token, known: Mapping) -> Quote:
    source = SOURCES[spec.kind].load()()
    facts = stage.talk(source.resolve(spec, token))
    block = stage.head()
    reads = source.reads(spec, token, facts)
    assert list(reads) == list(source.reads(spec, token, facts))
    return source.quote(spec, token, facts, stage.chain.read(reads, block) if reads else [], block, known)


#: Sources that value what positions hold: these are proven at the fair, by what the stakes are worth there.
DERIVED = sorted(set(SOURCES) - {"fixed", "chainlink", "uniswap-v2", "uniswap-v2-lp"})


@pytest.mark.parametrize("kind", DERIVED)
def test_source_values_what_the_fair_holds(fair_stage, tmp_path, kind):
    """Each farmer's stake is worth about 50,000 dollars there, by prices that its source was not told."""
    stalls = [fair_stage.stall(name) for name in known_stalls()]
    with open_at_the_fair(fair_stage, tmp_path, stalls) as app:
        priced = {p.token.address: p for p in app.book("local").prices if any(s.kind == kind for s, _ in p.sources)}
        seen = [a for a in app.survey() if a.holding and a.holding.market.stake_token.address in priced]
        assert seen or kind in EXPLICIT, f"no stall is valued by {kind}"
        for each in seen:
            assert each.case is not None, each.decision.reasons[0].text
            worth = each.case.valuation.value_mid(each.observation.principal)
            share = each.observation.vault_share_ppm
            own = worth if share is None else worth * share // 10**6
            assert 40_000 * WAD <= own <= 62_500 * WAD, (each.position.id, own // WAD)


@pytest.mark.parametrize("kind", sorted(set(SOURCES) - set(DERIVED)))
def test_source_prices_a_real_token(stage, pool, cases, kind):
    assert kind in cases, f"add a case of {kind} to this suite"
    spec, token = cases[kind]
    source = SOURCES[kind].load()()

    quote = quoted(stage, spec, token, pool.known)

    facts = stage.talk(source.resolve(spec, token))
    assert isinstance(source, PriceSource)
    assert (quote.source, quote.token) == (kind, token)
    assert quote.usd > 0
    assert quote.as_of <= stage.head().timestamp
    assert set(source.needs(spec, token, facts)) <= set(pool.known)
    assert set(spec.settings) <= set(source.params)
    assert {key for key, param in source.params.items() if param.required} <= set(spec.settings)


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_source_without_its_contract_or_settings_is_refused_at_the_start(stage, pool, kind):
    nowhere = "0x" + "77" * 20
    spec = PriceSpec(kind, {"feed": nowhere, "pair": nowhere, "max_age_seconds": 1, "usd": "x"})
    token = Token(pool.lp.chain, nowhere, "NONE", 18)

    with pytest.raises((ReadFailed, ConfigError)):
        stage.talk(SOURCES[kind].load()().resolve(spec, token))


def test_feed_goes_stale_and_answers_nothing_below_zero(stage, feed):
    spec, token = feed
    address = spec.settings["feed"]
    (result,) = stage.read([OWNER.read(address)])
    owner, limit = OWNER.value(result), spec.settings["max_age_seconds"]
    good = quoted(stage, spec, token, {})

    stage.send(owner, address, SET_UPDATED_AT.encode(stage.head().timestamp - limit - 60))
    with pytest.raises(PriceUnavailable) as stale:
        quoted(stage, spec, token, {})
    stage.send(owner, address, SET_ANSWER.encode(-1))
    with pytest.raises(PriceUnavailable) as negative:
        quoted(stage, spec, token, {})

    assert good.usd > 0
    assert (stale.value.kind, negative.value.kind) == ("stale", "missing")


def test_pair_price_is_what_a_small_sale_brings(stage, pool, cases):
    spec, token = cases["uniswap-v2"]
    first, second = pool.reserves

    quote = quoted(stage, spec, token, pool.known)

    sold = first // 10**6
    brings = sold * second // first * 10**18 // pool.parts[1].unit
    assert abs(quote.usd * sold // token.unit - brings) <= brings // 10_000 + 1


def test_push_moves_the_pair_price_and_hardly_the_lp_price(stage, pool, cases):
    pair_spec, token = cases["uniswap-v2"]
    lp_spec, lp = cases["uniswap-v2-lp"]
    before = quoted(stage, pair_spec, token, pool.known).usd, quoted(stage, lp_spec, lp, pool.known).usd

    pool.push(5_000)

    after = quoted(stage, pair_spec, token, pool.known).usd, quoted(stage, lp_spec, lp, pool.known).usd
    assert after[0] < before[0] * 6 // 10
    assert before[1] <= after[1] <= before[1] * 10_015 // 10_000


def test_lp_price_is_the_redeemable_value_of_a_balanced_pool(stage, pool, cases):
    spec, lp = cases["uniswap-v2-lp"]
    (result,) = stage.read([TOTAL_SUPPLY.read(lp.address)])
    both = sum(
        raw * pool.known[part.address].mid // part.unit for raw, part in zip(pool.reserves, pool.parts, strict=True)
    )

    fair = quoted(stage, spec, lp, pool.known).usd

    per_lp = both * lp.unit // TOTAL_SUPPLY.value(result)
    assert fair <= per_lp
    assert per_lp - fair <= per_lp // 10**6 + 2
