"""A weighted pool as maker of its token and as price: joins that the owner alone gets, a price that no swap moves."""

from __future__ import annotations

import pytest
from adapter_kit import STRANGER, mutations, permitted
from gauge_stage import do, put_back
from hypothesis import given
from hypothesis import strategies as st

from keeper.abi import Fn
from keeper.domain.money import WAD, UsdWad
from keeper.domain.position import RouteSpec
from keeper.domain.valuation import TokenPrice
from keeper.erc20 import ask_tokens
from keeper.errors import ReadFailed
from keeper.ports import PriceSpec
from keeper.prices.balancer_lp import BalancerLp, weighted_price
from keeper.swaps.balancer_pool import BalancerPool

pytestmark = pytest.mark.devnet

SPEC = PriceSpec("balancer-lp", {})
PUSH = Fn("push(bytes32,uint256,uint256)")


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


@pytest.fixture
def tokens(stage):
    ground = stage.fair.grounds["balancer"]
    return stage.talk(ask_tokens("local", [ground["bal_pool"], ground["bal"], ground["weth"]]))


def value(stage, tokens) -> int:
    pool, bal, weth = tokens
    facts = stage.talk(BalancerLp().resolve(SPEC, pool))
    known = {t.address: TokenPrice(t, UsdWad(p), UsdWad(p), ()) for t, p in ((bal, 2 * WAD), (weth, 3_000 * WAD))}
    answers = stage.read(BalancerLp().reads(SPEC, pool, facts))
    return BalancerLp().quote(SPEC, pool, facts, answers, stage.head(), known).usd


def basket_of(stage, tokens, *via):
    return stage.talk(BalancerPool().recognise(tokens[0], [RouteSpec("uniswap-v2", STRANGER, via)]))


@pytest.mark.parametrize("side", [1, 2])
def test_one_token_joins_for_what_it_is_worth(stage, tokens, side):
    part = tokens[side]
    basket = basket_of(stage, tokens, part.address)
    usd = 2 if side == 1 else 3_000
    raw = 9_000 * part.unit // usd
    stage.deal(part, STRANGER, raw)
    rate = (usd * WAD * 10**18, value(stage, tokens) * part.unit)

    stage.run(STRANGER, BalancerPool().join(basket, STRANGER, [rate], 40 + basket.fee_bps), {part.address: raw})

    assert basket.parts == (part,)
    assert basket.fee_bps == 15
    assert stage.balance(part, STRANGER) == 0
    worth = stage.balance(tokens[0], STRANGER) * value(stage, tokens) // WAD
    assert 8_950 * WAD <= worth <= 9_000 * WAD


def test_pushed_pool_mints_too_little_and_the_price_stands(stage, tokens):
    pool, bal, weth = tokens
    basket = basket_of(stage, tokens, weth.address)
    before = value(stage, tokens)
    vault, raw = basket.entry, stage.balance(weth, basket.entry) // 2
    stage.deal(weth, STRANGER, raw + weth.unit)
    do(stage, STRANGER, weth.address, "approve(address,uint256)", vault, raw)
    index = 1 if bal.address < weth.address else 0
    pool_id = basket.numbers["pool_id"].to_bytes(32, "big")

    assert stage.send(STRANGER, vault, PUSH.encode(pool_id, index, raw)).status == 1

    rate = (3_000 * WAD * 10**18, before * weth.unit)
    legs = BalancerPool().join(basket, STRANGER, [rate], 100)
    simulated = stage.chain.simulate(STRANGER, stage.calls(legs, {weth.address: weth.unit}), [pool.address])
    assert value(stage, tokens) == pytest.approx(before, rel=1e-9)
    assert [call.success for call in simulated.calls] == [True, False]
    assert "BPT_OUT_MIN_AMOUNT" in simulated.calls[1].error


def test_join_permits_nothing_a_thief_would_want(stage, tokens):
    basket, amount = basket_of(stage, tokens, tokens[2].address), 10**21 + 7
    allowed = BalancerPool().permissions(basket, STRANGER)
    legs = BalancerPool().join(basket, STRANGER, [(1, 1)], 100)

    for call in stage.calls(legs, {tokens[2].address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, STRANGER, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_other_tokens_are_no_weighted_pools(stage, tokens):
    for token in tokens[1:]:
        assert stage.talk(BalancerPool().recognise(token, [])) is None
        with pytest.raises(ReadFailed, match="weighted Balancer pool"):
            stage.talk(BalancerLp().resolve(SPEC, token))


HELD = st.integers(10**18, 10**27)


@given(x=HELD, y=HELD, weight=st.integers(2, 98), sold=st.integers(1, 500))
def test_swap_along_the_weights_leaves_the_price_alone(x, y, weight, sold):
    """In a pool of two weights: y moves by the power of their ratio."""
    weights = (weight * WAD // 100, WAD - weight * WAD // 100)
    moved = x + x * sold // 100
    y_after = int(y * (x / moved) ** (weights[0] / weights[1]))
    before, after = (weighted_price(v, weights, 10**24, 10**18) for v in ((x, y), (moved, y_after)))

    if y_after > 10**9:
        assert abs(after - before) <= before // 10**6 + 1


@given(x=HELD, weight=st.integers(2, 98))
def test_balanced_pool_is_worth_what_it_holds(x, weight):
    weights = (weight * WAD // 100, WAD - weight * WAD // 100)
    y = x * weights[1] // weights[0]

    assert abs(weighted_price((x, y), weights, 10**24, 10**24) - (x + y)) <= (x + y) // 10**12 + 2
