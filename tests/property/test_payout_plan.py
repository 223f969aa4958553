"""Plans that pay out and buy gas: what is sent, sold and kept adds up, and only these calls are permitted."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from adapter_kit import BLOCK, OWNER, STRANGER, addr, token
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.app import load_plugins
from keeper.domain.money import BPS, Address, Amount, usd
from keeper.domain.observation import Observation
from keeper.domain.plan import LegKind, Patch, Share
from keeper.domain.position import Basket, Market, Position, RouteSpec, StrategyOptions
from keeper.domain.spec import PriceSpec
from keeper.domain.valuation import Quote, TokenPrice, Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.payout import part
from keeper.engine.plan import make_plan, permissions_of
from keeper.engine.simulate import fill, min_out
from keeper.engine.ways import _holding
from keeper.erc20 import TRANSFER, UNWRAP
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import SwapRoute
from keeper.signers.policy import matches
from keeper.strategy.split import GasMoney

PLUGINS = load_plugins()
A, B, R, S, LP, W = (token(n, name) for n, name in enumerate(("A", "B", "R", "S", "LP", "WETH"), 1))
DOLLARS = {A: "2", B: "1", R: "8", S: "3", LP: "5", W: "3000"}
SPEC, FARM, FRIEND = RouteSpec("uniswap-v2", addr(90)), addr(91), Address("0x" + "77" * 20)
POOR = GasMoney(0, 10**9)
amounts = st.integers(10**19, 10**23)


def price(t):
    value = usd(DOLLARS[t])
    return TokenPrice(t, value, value, (Quote(t, value, "fixed", 0),))


WORTH = Valuation(BLOCK, tuple(price(t) for t in DOLLARS), price(W))


def route(sell, buy) -> SwapRoute:
    return SwapRoute(SPEC, (sell, buy), (addr(200),), 30)


def options(share=3_000, keep=10**18, most=2_000) -> StrategyOptions:
    return StrategyOptions(payout_bps=share, payout_to=FRIEND if share else None, gas_keep_wei=keep, gas_share_bps=most)


def holding(stake, rewards, parts=(), chosen=None) -> Holding:
    chosen = options() if chosen is None else chosen
    position = Position("p", "test", "synthetix-staking-rewards", OWNER, "s", FARM, {}, SPEC, chosen)
    targets = parts or (stake,)
    sales = tuple(
        Sale(reward, buy, route(reward, buy))
        for reward in rewards
        if reward is not stake
        for buy in targets
        if buy is not reward
    )
    top_ups = tuple(Sale(reward, W, route(reward, W)) for reward in rewards if reward is not W)
    extra = (W, top_ups) if chosen.gas_keep_wei else (None, ())
    basket = Basket(SPEC.kind, stake, parts, SPEC.router, PriceSpec("uniswap-v2-lp", {}), 30) if parts else None
    return Holding(position, Market(stake, rewards, parts, basket=basket), sales, *extra)


def plan_of(held: Holding, pending, money=POOR):
    observed = Observation("p", BLOCK, Amount(held.market.stake_token, 10**24), tuple(pending), ())
    return make_plan(PLUGINS, held, observed, WORTH, money)


def play(held: Holding, pending, money=POOR):
    """Carry a plan out at agreed prices and without fees; returns what went where, and the calls."""
    have, gone, calls = {}, {kind: {} for kind in LegKind}, []
    for leg in plan_of(held, pending, money).legs:
        call = fill(leg, have, BLOCK.timestamp)
        calls.append(call)
        if leg.kind is LegKind.CLAIM:
            have |= {amount.token.address: amount.raw for amount in pending}
            continue
        shares = [patch.rule for patch in leg.patches if isinstance(patch.rule, Share)]
        for share in {rule.token.address: rule for rule in shares}.values() if leg.spends else ():
            raw = have[share.token.address] * share.bps // BPS
            have[share.token.address] -= raw
            gone[leg.kind][share.token] = gone[leg.kind].get(share.token, 0) + raw
            if leg.kind is LegKind.SWAP:
                floor = leg.patches[1].rule
                assert min_out(floor, {share.token.address: 10**20}) > 1, "never without a floor"
                bought = leg.brings[0]
                have[bought.address] = (
                    have.get(bought.address, 0) + raw * WORTH.price(share.token).mid // WORTH.price(bought).mid
                )
        if leg.kind is LegKind.ADD_LIQUIDITY:
            have[held.market.stake_token.address] = 10**18
    return gone, have, calls


CASES = {
    "reward is sold": (S, (R,), ()),
    "reward is the stake": (R, (R,), ()),
    "reward is wrapped gas": (S, (W,), ()),
    "stake and reward are wrapped gas": (W, (W,), ()),
    "two rewards": (S, (R, A), ()),
    "two rewards, one is wrapped gas": (S, (R, W), ()),
    "LP": (LP, (R,), (A, B)),
    "LP with wrapped gas": (LP, (R,), (A, W)),
    "LP, reward is a side": (LP, (A,), (A, B)),
    "LP, reward is wrapped gas": (LP, (W,), (A, W)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@given(data=st.data(), share=st.just(0) | st.integers(100, 9_000), most=st.integers(1, 900))
def test_each_part_is_what_the_options_say(case, data, share, most):
    stake, rewards, sides = case
    pending = [Amount(reward, data.draw(amounts)) for reward in rewards]
    gone, have, _ = play(holding(stake, rewards, sides, options(share, 10**24, most)), pending)

    for amount in pending:
        assert gone[LegKind.PAYOUT].get(amount.token, 0) == amount.raw * share // BPS
    whole = sum(WORTH.value_mid(amount) for amount in pending)
    bought = WORTH.value_mid(Amount(W, gone[LegKind.UNWRAP].get(W, 0)))
    assert bought <= whole * most // BPS + 10**6
    left = [Amount(t, have.get(t.address, 0)) for t in rewards if t not in sides]
    assert sum(WORTH.value_mid(amount) for amount in left) * 1_000 <= whole, "the rest is compounded"
    assert gone[LegKind.DEPOSIT][stake] > 0
    assert all(raw >= 0 for raw in have.values())


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_call_of_a_plan_is_permitted_to_the_key_of_its_config(case):
    stake, rewards, sides = case
    held = holding(stake, rewards, sides)
    allowed = permissions_of(PLUGINS, held)
    _, _, calls = play(held, [Amount(reward, 10**21) for reward in rewards])

    assert {LegKind.PAYOUT, LegKind.UNWRAP} <= {call.kind for call in calls}
    for call in calls:
        assert matches(allowed, call.to, call.data, 0, FRIEND) is None, call.label
        pays = matches(allowed, call.to, call.data, 0)
        assert (pays is not None) == (call.kind is LegKind.PAYOUT), "only the config lets tokens be sent"


@given(st.sampled_from([R, S, W, LP]), st.binary(min_size=20, max_size=20), st.integers(0, 2**256 - 1))
def test_tokens_go_to_nobody_else_and_only_where_they_are_rewards(sent, to, raw):
    held = holding(S, (R,))
    allowed = permissions_of(PLUGINS, held)
    account = "0x" + to.hex()
    assume(account != FRIEND)

    assert matches(allowed, sent.address, TRANSFER.encode(account, raw), 0, FRIEND) == (
        f"never: tokens may be sent to {FRIEND} only"
    )
    fits = sent is R and 1 <= raw <= 2**128 - 1
    assert (matches(allowed, sent.address, TRANSFER.encode(FRIEND, raw), 0, FRIEND) is None) == fits


def test_without_the_options_nothing_of_it_is_permitted():
    plain, both = holding(S, (R,), (), options(0, 0)), holding(S, (R,))
    allowed = permissions_of(PLUGINS, plain)

    assert not {p.selector for p in allowed} & {TRANSFER.selector, UNWRAP.selector}
    assert "function" in matches(allowed, R.address, TRANSFER.encode(FRIEND, 1), 0, FRIEND)
    assert "contract" in matches(allowed, W.address, UNWRAP.encode(1), 0)
    more = {(p.to, p.selector) for p in permissions_of(PLUGINS, both)} - {(p.to, p.selector) for p in allowed}
    assert more == {(R.address, TRANSFER.selector), (W.address, UNWRAP.selector)}
    added = [p for p in permissions_of(PLUGINS, both) if p not in allowed]
    swaps = [p for p in added if p.to == SPEC.router]
    assert len(added) == 4, "to pay out, to unwrap, and to sell for wrapped gas by both forms; the approval was there"
    assert len(swaps) == 2
    unwrap = next(p for p in added if p.to == W.address)
    assert matches([unwrap], W.address, UNWRAP.encode(0), 0) is not None
    assert matches([unwrap], W.address, UNWRAP.encode(2**128), 0) is not None


def test_a_careless_adapter_cannot_send_tokens_away():
    lax = replace(permissions_of(PLUGINS, holding(S, (R,)))[0], to=R.address, selector=TRANSFER.selector, words=2)
    data = TRANSFER.encode(STRANGER, 1)

    assert "never" in matches([replace(lax, args=())], R.address, data, 0)
    assert "never" in matches([replace(lax, args=())], R.address, data, 0, FRIEND)


def test_what_is_worth_less_than_a_cent_is_not_sent():
    held = holding(S, (R, A))
    legs = plan_of(held, [Amount(R, 10**21), Amount(A, 10**16)], GasMoney(10**18, 1)).legs

    assert [leg.label for leg in legs if leg.kind is LegKind.PAYOUT] == ["pay out 30 % R to 0x7777..7777"]


@pytest.mark.parametrize(
    ("bps", "says"), [(1, "0.01 %"), (50, "0.5 %"), (100, "1 %"), (1_250, "12.5 %"), (2_000, "20 %")]
)
def test_labels_say_the_share_as_a_person_would(bps, says):
    (leg,) = part(PLUGINS, holding(S, (R,), (), options(bps, 0)), [Amount(R, 10**24)], WORTH).legs

    assert leg.label == f"pay out {says} R to 0x7777..7777"
    assert leg.patches == (Patch(1, Share(R, bps)),)


def test_gas_is_bought_with_what_is_worth_most_and_the_wrapped_token_goes_first():
    def sold(rewards, pending):
        legs = plan_of(holding(S, rewards, (), options(0)), pending).legs
        at = next(index for index, leg in enumerate(legs) if leg.kind is LegKind.UNWRAP)
        return next((leg.spends[0] for leg in reversed(legs[:at]) if leg.kind is LegKind.SWAP), None)

    assert sold((R, A), [Amount(R, 10**21), Amount(A, 10**23)]) is A
    assert sold((R, A), [Amount(R, 10**23), Amount(A, 10**21)]) is R
    assert sold((R, W), [Amount(R, 10**23), Amount(W, 10**18)]) is None


def test_plans_without_gas_money_or_with_enough_of_it_buy_none():
    for money in (None, GasMoney(10**18, 10**9)):
        kinds = [leg.kind for leg in plan_of(holding(S, (R,)), [Amount(R, 10**21)], money).legs]
        assert LegKind.UNWRAP not in kinds
        assert kinds.count(LegKind.SWAP) == 1


def test_resolving_wants_a_route_to_gas_only_where_it_is_needed():
    market = Market(R, (R,))
    position = holding(R, (R,)).position
    lost = ReadFailed("no pool")

    found = _holding(position, market, W, [SPEC], {(SPEC, R, W): [route(R, W)]})
    assert isinstance(found, Holding)
    assert found.sales == ()
    assert (found.wrapped, found.top_ups) == (W, (Sale(R, W, route(R, W)),))
    assert W in found.tokens
    broken = _holding(position, market, W, [SPEC], {(SPEC, R, W): lost})
    assert isinstance(broken, ConfigError)
    assert "gas_top_up: no pool" in str(broken)
    found = {(SPEC, R, W): lost, (SPEC, W, R): [route(W, R)]}
    both = _holding(position, Market(R, (R, W)), W, [SPEC], found)
    assert isinstance(both, Holding), "wrapped gas is a reward, so it can be topped up without a sale"
    assert both.top_ups == ()


def test_a_payout_to_a_contract_of_the_position_is_refused():
    def refused(to, market):
        position = holding(S, (R,)).position
        chosen = replace(position, options=replace(position.options, payout_to=to, gas_keep_wei=0))
        return _holding(chosen, market, W, [SPEC], {(SPEC, R, S): [route(R, S)]})

    market = Market(S, (R,), contracts=MappingProxyType({"controller": addr(77)}))
    for to, what in (
        (R.address, "a token"),
        (S.address, "a token"),
        (addr(77), "a contract"),
        (addr(200), "a contract"),
    ):
        found = refused(to, market)
        assert isinstance(found, ConfigError)
        assert f"is {what} of this position" in str(found)
    assert isinstance(refused(FRIEND, market), Holding)
