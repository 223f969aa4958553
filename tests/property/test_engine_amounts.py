"""Amounts in a plan: never more than the harvest brought, never a swap without a floor, halves that add up."""

from __future__ import annotations

import pytest
from adapter_kit import OWNER, addr, token
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.block import BlockRef
from keeper.domain.money import BPS, Amount, usd
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Plan, Share
from keeper.domain.position import Market, Position, RouteSpec
from keeper.domain.valuation import Quote, TokenPrice, Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.execute import reprice
from keeper.engine.payout import DUST
from keeper.engine.plan import _shares
from keeper.engine.simulate import fill, min_out
from keeper.errors import HarvestPaidNothing, SimulationReverted
from keeper.ports import SwapRoute

A, B, R, LP = token(1, "A"), token(2, "B", 6), token(3, "R"), token(4, "LP")
BLOCK = BlockRef("test", 7, "0x" + "00" * 32, 1_700_000_000)
amounts = st.integers(1, 10**30)
bps = st.integers(1, BPS)


def price(t, dollars):
    value = usd(dollars)
    return TokenPrice(t, value, value, (Quote(t, value, "fixed", 0),))


def worth(**dollars):
    prices = {"A": "2", "B": "1", "R": "8", "LP": "5"} | dollars
    by_name = {t.symbol: t for t in (A, B, R, LP)}
    return Valuation(BLOCK, tuple(price(by_name[name], text) for name, text in prices.items()), price(A, "3000"))


def swap_leg(share: Share, numerator: int, denominator: int, slippage: int) -> Leg:
    return Leg(
        LegKind.SWAP,
        "swap R for A",
        addr(9),
        b"\1\2\3\4" + bytes(96),
        (Patch(0, share), Patch(1, MinOut(share, numerator, denominator, slippage)), Patch(2, Deadline(600))),
        (R,),
        (A,),
    )


@given(have=amounts, part=bps, top=amounts, bottom=amounts, slippage=st.integers(0, 1_000))
def test_a_swap_spends_its_share_and_never_goes_out_without_a_floor(have, part, top, bottom, slippage):
    leg = swap_leg(Share(R, part), top, bottom, slippage)
    if have * part // BPS == 0:
        with pytest.raises(HarvestPaidNothing):
            fill(leg, {R.address: have}, 0)
        return
    if have * top // bottom >= 2**127:
        return
    call = fill(leg, {R.address: have}, 1_700_000_000)
    spent, floor, deadline = (int.from_bytes(call.data[4 + 32 * i : 36 + 32 * i], "big") for i in range(3))
    assert spent == have * part // BPS <= have
    assert floor >= 1
    assert floor <= max(spent * top // bottom, 1)
    assert deadline == 1_700_000_600
    assert call.data[:4] == b"\1\2\3\4"


@given(have=amounts, slippage=st.integers(0, 999), extra=st.integers(1, 1_000))
def test_more_slippage_never_raises_the_floor(have, slippage, extra):
    share = Share(R)
    tight = min_out(MinOut(share, 3, 2, slippage), {R.address: have})
    loose = min_out(MinOut(share, 3, 2, slippage + extra), {R.address: have})
    assert loose <= tight


def test_an_amount_beyond_belief_is_refused():
    with pytest.raises(SimulationReverted, match="beyond belief"):
        fill(swap_leg(Share(R), 3, 1, 100), {R.address: 2**255}, 0)


def test_nothing_brought_means_nothing_is_sent():
    with pytest.raises(HarvestPaidNothing, match="brought no R"):
        fill(swap_leg(Share(R), 1, 1, 100), {}, 0)


def holding(rewards, parts=(A, B)):
    spec = RouteSpec("uniswap-v2", addr(9))
    route = {(x, y): Sale(x, y, SwapRoute(spec, (x, y), (addr(8),), 30)) for x in (A, B, R) for y in (A, B) if x != y}
    position = Position("p", "test", "x", OWNER, "s", addr(5), {}, spec)
    return Holding(position, Market(LP, rewards, parts), tuple(route.values()))


def play(rewards, parts, pending, mix=()):
    """Sell by the shares at agreed prices, with no fee; return the value that ends up in each side."""
    value = worth()
    have = {t.address: 0 for t in (A, B, R)} | {a.token.address: a.raw for a in pending}
    for sale, share in _shares(holding(rewards, parts), tuple(pending), value, mix):
        spent = have[sale.reward.address] * share // BPS
        have[sale.reward.address] -= spent
        have[sale.buy.address] += (
            spent * value.price(sale.reward).mid * sale.buy.unit // (value.price(sale.buy).mid * sale.reward.unit)
        )
    return {t.symbol: value.value_mid(Amount(t, have[t.address])) for t in (A, B, R)}


@given(r=st.integers(10**16, 10**24))
def test_a_foreign_reward_is_sold_half_into_each_side(r):
    sides = play((R,), (A, B), [Amount(R, r)])
    total = sides["A"] + sides["B"]
    assert sides["R"] == 0
    assert abs(sides["A"] - sides["B"]) * 1000 <= total + 10**16


@given(a=st.integers(10**17, 10**24))
def test_a_reward_that_is_one_side_keeps_half(a):
    sides = play((A,), (A, B), [Amount(A, a)])
    assert abs(sides["A"] - sides["B"]) * 1000 <= sides["A"] + sides["B"] + 10**16


@given(a=st.integers(0, 10**24), b=st.integers(0, 10**12), r=st.integers(10**16, 10**24))
def test_mixed_rewards_end_in_balance(a, b, r):
    sides = play((A, B, R), (A, B), [Amount(A, a), Amount(B, b), Amount(R, r)])
    total = sides["A"] + sides["B"]
    assert sides["R"] * 1000 <= total
    assert abs(sides["A"] - sides["B"]) * 200 <= total + 10**17


@given(
    a=st.integers(0, 10**24),
    b=st.integers(0, 10**12),
    r=st.integers(10**16, 10**24),
    first=st.integers(0, 10**6),
)
def test_rewards_end_in_the_mix_that_is_wanted(a, b, r, first):
    sides = play((A, B, R), (A, B), [Amount(A, a), Amount(B, b), Amount(R, r)], (first, 10**6 - first))
    total = sum(sides.values())
    assert sides["R"] * 1000 <= total
    # To a hundredth, and up to a cent that nobody would buy.
    assert abs(sides["A"] - total * first // 10**6) * 100 <= total + 100 * DUST
    assert abs(sides["B"] - total * (10**6 - first) // 10**6) * 100 <= total + 100 * DUST


def test_a_resumed_plan_takes_todays_floor():
    leg = swap_leg(Share(R), 1, 1, 130)
    plan = Plan("id", "p", "test", OWNER, (leg,), (R, A), LP)
    fresh = reprice(plan, worth(R="10"))
    floor = min_out(fresh.legs[0].patches[1].rule, {R.address: 10**18})
    assert floor == 5 * 10**18 * (BPS - 130) // BPS  # 1 R = $10 = 5 A
    assert fresh.legs[0].patches[0] == leg.patches[0]


@given(r=st.integers(1, 10**15))
def test_dust_is_left_where_it_is(r):
    assert list(_shares(holding((R,), ()), (Amount(R, r),), worth(), ())) == []
    assert list(_shares(holding((R,), (A, B)), (Amount(R, r),), worth(), ())) == []
