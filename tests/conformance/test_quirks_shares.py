"""Shares of vaults: made of their asset, priced by what they pay out, and what odd tokens do to both."""

from __future__ import annotations

import pytest
from adapter_kit import mutations, permitted
from fair_kit import put_back
from lending_stage import Scene, ask, at, do

from keeper.devnet.accounts import FARMER, WHALE
from keeper.domain.money import WAD, Token, UsdWad
from keeper.domain.plan import LegKind, Share
from keeper.domain.spec import PriceSpec
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import APPROVE, approve_leg, approve_legs, ask_tokens
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import PoolMaker, PriceSource
from keeper.prices.ctoken import CToken
from keeper.prices.erc4626 import Erc4626Share
from keeper.swaps.erc4626_pool import Erc4626Pool

pytestmark = pytest.mark.devnet

OWNER = FARMER.address
POOL, SHARE_PRICE, C_TOKEN_PRICE = Erc4626Pool(), Erc4626Share(), CToken()


@pytest.fixture
def stage(fair):
    with put_back(fair) as own:
        yield own


def token(stage, name: str) -> Token:
    return stage.talk(ask_tokens("local", [at(stage, name)]))[0]


def recognised(stage, name: str):
    return stage.talk(POOL.recognise(token(stage, name), ()))


def mixed(stage, basket):
    return POOL.mix(basket, stage.read(POOL.reads(basket)))


def join(stage, basket, amount: int):
    stage.deal(basket.parts[0], OWNER, amount)
    legs = POOL.join(basket, OWNER, [(1, 1)], 100)
    before = stage.balance(basket.token, OWNER)
    stage.run(OWNER, legs, {basket.parts[0].address: amount})
    return legs, stage.balance(basket.token, OWNER) - before


def quoted(stage, source: PriceSource, share: Token, settings=None, usd: int = WAD) -> Quote:
    spec = PriceSpec(source.name, settings or {})
    facts = stage.talk(source.resolve(spec, share))
    (asset,) = source.needs(spec, share, facts)
    (asset_token,) = stage.talk(ask_tokens("local", [asset]))
    price = TokenPrice(asset_token, UsdWad(usd), UsdWad(usd), ())
    return source.quote(spec, share, facts, stage.read(source.reads(spec, share, facts)), stage.head(), {asset: price})


# ------------------------------------------------------------------------------------------------------ made of assets


def test_share_is_recognised_and_other_tokens_are_not(stage):
    basket = recognised(stage, "vault")

    assert isinstance(POOL, PoolMaker)
    assert (basket.kind, basket.entry, basket.fee_bps) == ("erc4626", at(stage, "vault"), 0)
    assert [part.symbol for part in basket.parts] == ["USDC"]
    assert basket.price == PriceSpec("erc4626", {})
    assert [part.symbol for part in recognised(stage, "s_dai").parts] == ["DAI"]
    for other in ("usdc", "pair_weth_usdc", "c_usdc", "comet"):
        assert recognised(stage, other) is None


@pytest.mark.parametrize("name", ["vault", "s_dai"])
def test_join_brings_what_the_preview_says_and_uses_its_approval_up(stage, name):
    basket = recognised(stage, name)
    asset, amount = basket.parts[0], 1_000 * recognised(stage, name).parts[0].unit
    preview = ask(stage, basket.entry, "previewDeposit(uint256)", "uint256", amount)

    legs, brought = join(stage, basket, amount)

    assert mixed(stage, basket) == (1_000_000,)
    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.ADD_LIQUIDITY]
    assert brought == pytest.approx(preview, rel=1e-6)
    assert ask(stage, asset.address, "allowance(address,address)", "uint256", OWNER, basket.entry) == 0


def test_join_permissions_cover_every_call_and_nothing_a_thief_would_want(stage):
    basket = recognised(stage, "vault")
    allowed, amount = POOL.permissions(basket, OWNER), 10**21 + 7
    for call in stage.calls(POOL.join(basket, OWNER, [(1, 1)], 100), {basket.parts[0].address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, OWNER, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_fee_on_entering_that_came_later_or_is_large_keeps_us_out(stage):
    known = recognised(stage, "vault")
    admin = at(stage, "savings_admin")
    do(stage, admin, known.entry, "setEntryFee(uint256)", 100)
    with pytest.raises(ReadFailed, match="not 0 as when keeper began"):
        mixed(stage, known)

    again = recognised(stage, "vault")
    assert again.fee_bps in (100, 101)
    assert mixed(stage, again) == (1_000_000,)

    do(stage, admin, known.entry, "setEntryFee(uint256)", 500)
    with pytest.raises(ReadFailed, match="at most 200"):
        mixed(stage, recognised(stage, "vault"))


def test_empty_vault_is_not_entered_because_a_donation_would_swallow_the_deposit(stage):
    usdt, vault, thief = token(stage, "usdt"), at(stage, "usdt_vault"), WHALE.address
    basket = recognised(stage, "usdt_vault")
    amount = 10**9
    stage.deal(usdt, thief, 1 + 2 * amount)
    do(stage, thief, usdt.address, "approve(address,uint256)", vault, 1)
    do(stage, thief, vault, "deposit(uint256,address)", 1, thief)
    do(stage, thief, usdt.address, "transfer(address,uint256)", vault, 2 * amount)

    with pytest.raises(ReadFailed, match="almost empty"):
        mixed(stage, basket)
    _, brought = join(stage, basket, amount)
    assert brought == 0, "this is what it would have come to"


# -------------------------------------------------------------------------------------------------------- odd tokens


def test_taxed_asset_makes_full_shares_and_a_share_price_below_one(stage):
    taxed, vault = token(stage, "taxed"), at(stage, "tax_vault")
    do(stage, OWNER, taxed.address, "mint(address,uint256)", OWNER, 10**23)
    basket = recognised(stage, "tax_vault")

    stage.run(OWNER, POOL.join(basket, OWNER, [(1, 1)], 100), {taxed.address: 10**23})

    assert stage.balance(basket.token, OWNER) == 10**23
    assert stage.balance(taxed, vault) == 98 * 10**21
    quote = quoted(stage, SHARE_PRICE, basket.token, {"min_assets_usd": 1})
    assert quote.usd == pytest.approx(98 * WAD // 100, rel=1e-9)
    assert mixed(stage, basket) == (1_000_000,)


def test_usdt_wants_its_approval_reset_and_answers_nothing(stage):
    basket = recognised(stage, "usdt_vault")
    usdt = basket.parts[0]
    do(stage, WHALE.address, usdt.address, "mint(address,uint256)", WHALE.address, 10**12)
    stage.run(WHALE.address, POOL.join(basket, WHALE.address, [(1, 1)], 100), {usdt.address: 10**12})
    do(stage, OWNER, usdt.address, "approve(address,uint256)", basket.entry, 5)

    have = {usdt.address: 10**9}
    (plain,) = stage.calls([approve_leg(basket.entry, Share(usdt))], have)
    legs, brought = join(stage, basket, 10**9)

    assert stage.send(OWNER, plain.to, plain.data).status == 1, "used up by now"
    assert stage.send(OWNER, plain.to, plain.data).status == 0
    assert [leg.template[:4] for leg in legs[:2]] == [APPROVE.selector] * 2
    assert len(approve_legs(basket.entry, Share(usdt))) == 2
    assert brought == 10**9


def test_reward_whose_transfer_answers_false_is_a_claim_that_brings_nothing(stage):
    from keeper.devnet.deploy import Deployer
    from keeper.devnet.uniswap import compiled

    scene = Scene.of(stage, "compound-usdc")
    account, false = at(stage, "compound_admin"), at(stage, "false_token")
    stage.node.rpc("anvil_impersonateAccount", account)
    deployer = Deployer(stage.node, account)
    comptroller = deployer.deploy_compiled(compiled("DevComptroller"), false)
    market = deployer.deploy_compiled(
        compiled("DevCToken"), "cFALSE", scene.market.stake_token.address, comptroller, 2 * 10**14, True
    )
    comptroller.send("support", market, 10**15)
    do(stage, account, false, "mint(address,uint256)", comptroller.address, 10**24)
    other = Scene.of(stage, "compound-usdc", target=market.address)
    stage.run(OWNER, other.deposit(), other.give(10**9))
    stage.pass_blocks(20)
    good = other.simulate(other.claim())
    do(stage, account, false, "shutDown(bool)", True)

    bad = other.simulate(other.claim())

    assert good.success
    assert good.delta(false) > 0
    assert bad.success
    assert bad.delta(false) == 0
    assert other.claim()[0].brings == (other.reward,), "nothing but this tells"


# ------------------------------------------------------------------------------------------------------------ prices


def test_share_is_worth_what_it_would_pay_out(stage):
    share = token(stage, "s_dai")
    rate = ask(stage, share.address, "convertToAssets(uint256)", "uint256", WAD)

    quote = quoted(stage, SHARE_PRICE, share, usd=99 * WAD // 100)

    assert isinstance(SHARE_PRICE, PriceSource)
    assert quote.usd == rate * 99 // 100
    assert (quote.source, quote.token, quote.as_of) == ("erc4626", share, stage.head().timestamp)


def test_donation_lifts_a_small_vaults_price_and_that_price_does_not_count(stage):
    usdt, basket = token(stage, "usdt"), recognised(stage, "usdt_vault")
    _, shares = join(stage, basket, 10**10)
    plain = {"min_assets_usd": 1}
    before = quoted(stage, SHARE_PRICE, basket.token, plain).usd
    stage.deal(usdt, basket.entry, 3 * 10**10)

    assert quoted(stage, SHARE_PRICE, basket.token, plain).usd == pytest.approx(3 * before, rel=1e-3)
    with pytest.raises(PriceUnavailable, match="min_assets_usd"):
        quoted(stage, SHARE_PRICE, basket.token)
    assert shares == 10**10


@pytest.mark.parametrize("settings", [{"max_rate": "1.2"}, {"min_rate": "2", "max_rate": "3"}])
def test_share_price_outside_its_range_does_not_count(stage, settings):
    share = token(stage, "vault")
    stage.deal(token(stage, "usdc"), share.address, 4_500_000 * 10**6)

    assert quoted(stage, SHARE_PRICE, share).usd > 12 * WAD // 10
    with pytest.raises(PriceUnavailable, match="outside min_rate and max_rate"):
        quoted(stage, SHARE_PRICE, share, settings)
    assert quoted(stage, SHARE_PRICE, share, {"min_rate": "1.2", "max_rate": "1.6"}).usd > 0


def test_c_token_is_priced_by_its_stored_rate(stage):
    c_usdc, market = token(stage, "c_usdc"), at(stage, "c_usdc")
    supplied = ask(stage, market, "totalSupply()", "uint256")

    quote = quoted(stage, C_TOKEN_PRICE, c_usdc)

    assert isinstance(C_TOKEN_PRICE, PriceSource)
    assert quote.usd == 2 * WAD // 100
    assert quote.usd * supplied // c_usdc.unit == pytest.approx(1_550_000 * WAD, rel=1e-6)


def test_c_token_of_an_empty_market_or_a_pushed_rate_has_no_price(stage):
    with pytest.raises(PriceUnavailable, match="min_assets_usd"):
        quoted(stage, C_TOKEN_PRICE, token(stage, "c_dai"))
    with pytest.raises(PriceUnavailable, match="outside"):
        quoted(stage, C_TOKEN_PRICE, token(stage, "c_usdc"), {"max_rate": "0.019"})


def test_c_token_of_the_gas_token_is_priced_by_what_the_config_names(stage):
    weth, c_usdc = at(stage, "weth"), token(stage, "c_usdc")
    facts = stage.talk(C_TOKEN_PRICE.resolve(PriceSpec("ctoken", {"underlying": weth}), c_usdc))

    assert facts == {"asset": weth}


@pytest.mark.parametrize(
    "settings", [{"min_rate": "x"}, {"max_rate": "0"}, {"min_rate": "2", "max_rate": "1"}, {"min_assets_usd": -1}]
)
@pytest.mark.parametrize(("source", "name"), [(SHARE_PRICE, "vault"), (C_TOKEN_PRICE, "c_usdc")])
def test_bounds_that_are_none_are_refused(stage, source, name, settings):
    with pytest.raises(ConfigError):
        quoted(stage, source, token(stage, name), settings)


def test_what_is_no_share_is_refused(stage):
    usdc = token(stage, "usdc")
    for source in (SHARE_PRICE, C_TOKEN_PRICE):
        with pytest.raises(ReadFailed, match="price it by another source"):
            stage.talk(source.resolve(PriceSpec(source.name, {}), usdc))
