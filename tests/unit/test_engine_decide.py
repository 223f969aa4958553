"""Decisions in words: each verdict and reason, from one position under different circumstances."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import BLOCK, OWNER, addr, token

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.money import Amount, usd
from keeper.domain.observation import Accrual, Observation
from keeper.domain.position import Market, Position, RouteSpec, StrategyOptions
from keeper.domain.transaction import FeeQuote
from keeper.domain.valuation import Quote, SwapDepth, TokenPrice, Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.case import Case
from keeper.engine.decide import decide
from keeper.ports import SwapRoute
from keeper.strategy.guards import Surroundings
from keeper.strategy.threshold import SECONDS_PER_YEAR

STAKE, REWARD, NATIVE = token(1, "USDC", 6), token(3, "UNI"), token(7, "WETH")
SPEC = RouteSpec("uniswap-v2", addr(9))
AROUND = Surroundings(
    can_sign=True,
    native_balance_wei=10**18,
    min_native_wei=10**16,
    spent_today_usd=usd(0),
    per_day_usd=usd(20),
    gas_price_wei=10**9,
    max_gas_price_wei=None,
    failures=0,
    max_failures=3,
    last_harvest_at=None,
    min_interval_seconds=0,
)


def price(t, dollars):
    value = usd(dollars)
    return TokenPrice(t, value, value, (Quote(t, value, "chainlink", 0), Quote(t, value, "uniswap-v2", 0)))


def case(pending="200", *, staked="10000", apr="0.2", gas_gwei=1, options=None, **changes) -> Case:
    """$10,000 staked at 20 % a year in UNI at $8; a compound is 667k gas at 1 gwei and $3,000: about $2."""
    route = SwapRoute(SPEC, (REWARD, STAKE), (addr(8),), 30)
    position = Position("p", "test", "x", OWNER, "s", addr(5), {}, SPEC, options or StrategyOptions())
    yearly = int(usd(staked)) * int(usd(apr)) // 10**18 // 8
    observation = Observation(
        "p",
        BLOCK,
        Amount(STAKE, int(usd(staked)) // 10**12),
        (Amount(REWARD, int(usd(pending)) // 8),),
        (Accrual(Amount(REWARD, yearly)),),
    )
    valuation = Valuation(
        BLOCK,
        (price(NATIVE, 3000), price(STAKE, 1), price(REWARD, 8)),
        price(NATIVE, 3000),
        (SwapDepth(REWARD, usd(10**9)),),
    )
    made = Case(
        holding=Holding(position, Market(STAKE, (REWARD,)), (Sale(REWARD, STAKE, route),)),
        observation=observation,
        valuation=valuation,
        pending=observation.pending,
        fees=FeeQuote(gas_gwei * 10**9, 0),
        gas_units=666_667,
        l1_fee_wei=0,
        around=AROUND,
    )
    return replace(made, **changes)


def test_waits_below_the_threshold_and_says_how_much_is_missing():
    decision = decide(case("50"))
    assert decision.verdict is Verdict.WAIT
    assert decision.code is ReasonCode.BELOW_THRESHOLD
    assert "$49.85 pending has not reached the threshold of $206.0" in decision.reasons[0].text
    assert "needs 4." in decision.reasons[0].text
    numbers = decision.numbers
    assert numbers is not None
    assert numbers.eta_seconds == pytest.approx((206.06 - 49.85) / (2000 * 0.997) * SECONDS_PER_YEAR, rel=0.01)
    assert decision.next_check == BLOCK.timestamp + numbers.eta_seconds


def test_harvests_above_it():
    decision = decide(case("210"))
    assert (decision.verdict, decision.code) == (Verdict.HARVEST, ReasonCode.ABOVE_THRESHOLD)
    assert any("price of UNI ok (chainlink $8.00, uniswap-v2 $8.00)" in g.text for g in decision.guards)


def test_the_gas_price_it_names_is_the_one_that_fires():
    waiting = decide(case("100"))
    assert waiting.verdict is Verdict.WAIT
    fire = waiting.numbers.fire_gas_price_wei
    assert decide(case("100", fees=FeeQuote(fire, 0))).verdict is Verdict.HARVEST
    assert decide(case("100", fees=FeeQuote(fire + fire // 1000 + 1, 0))).verdict is Verdict.WAIT


def test_cheap_gas_fires_what_dear_gas_holds():
    assert decide(case("100", gas_gwei=50)).code is ReasonCode.BELOW_COST
    assert decide(case("250", gas_gwei=1)).verdict is Verdict.HARVEST


def test_a_too_small_position_is_told_so():
    decision = decide(case("40", staked="50", apr="0.02"))
    assert decision.verdict is Verdict.WAIT
    assert decision.code is ReasonCode.PAYBACK_TOO_LONG
    assert decision.numbers.gain_per_year_usd == 0


def test_ended_rewards_are_claimed_at_exit():
    over = Accrual(Amount(REWARD, 10**18), 0, BLOCK.timestamp - 1)
    base = case("500")
    decision = decide(replace(base, observation=replace(base.observation, accruals=(over,))))
    assert (decision.verdict, decision.code) == (Verdict.WAIT, ReasonCode.REWARDS_ENDED)
    assert "claim" in decision.reasons[0].text
    assert decision.numbers.threshold_usd is None


def test_a_reward_token_that_rises_faster_than_the_yield_is_better_held():
    decision = decide(case("500", options=StrategyOptions(reward_drift_bps=2_500)))
    assert decision.code is ReasonCode.NO_YIELD


def test_a_falling_reward_token_makes_waiting_dearer():
    steady = decide(case("150")).numbers
    falling = decide(case("150", options=StrategyOptions(reward_drift_bps=-1_000))).numbers
    assert falling.threshold_usd < steady.threshold_usd
    assert falling.waiting_cost_per_day_usd > steady.waiting_cost_per_day_usd


def test_nothing_pending_and_nothing_staked():
    assert decide(case("0")).code is ReasonCode.NOTHING_PENDING
    decision = decide(case("5", staked="0"))
    assert (decision.verdict, decision.code) == (Verdict.BLOCKED, ReasonCode.NO_PRINCIPAL)


def test_force_overrides_the_rule_but_not_the_guards():
    assert decide(case("5", forced=True)).code is ReasonCode.FORCED
    paused = case("5", forced=True)
    paused = replace(paused, observation=replace(paused.observation, deposits_paused=True))
    assert decide(paused).verdict is Verdict.BLOCKED


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"can_sign": False}, ReasonCode.WATCH_ONLY, "add signer"),
        ({"failures": 3}, ReasonCode.QUARANTINED, "3 times in a row"),
        ({"spent_today_usd": usd(19)}, ReasonCode.DAY_LIMIT_REACHED, "limits.per_day $20.00"),
        ({"max_gas_price_wei": 10**8}, ReasonCode.FEE_ABOVE_LIMIT, "max_gas_price is 0.1"),
        ({"native_balance_wei": 1}, ReasonCode.GAS_BALANCE_LOW, "send some"),
        ({"last_harvest_at": BLOCK.timestamp - 10, "min_interval_seconds": 60}, ReasonCode.TOO_SOON, "10 s ago"),
    ],
)
def test_each_guard_blocks_a_due_harvest_and_says_what_to_do(change, code, words):
    decision = decide(case("250", around=replace(AROUND, **change)))
    assert (decision.verdict, decision.code) == (Verdict.BLOCKED, code)
    assert words in decision.reasons[0].text


def test_a_waiting_position_shows_its_guards_too():
    decision = decide(case("5", around=replace(AROUND, failures=5)))
    assert decision.verdict is Verdict.WAIT
    assert {r.code for r in decision.reasons} == {ReasonCode.BELOW_THRESHOLD, ReasonCode.QUARANTINED}


def test_an_underfunded_farm_blocks():
    base = case("250")
    decision = decide(replace(base, observation=replace(base.observation, underfunded=("UNI",))))
    assert (decision.verdict, decision.code) == (Verdict.BLOCKED, ReasonCode.UNDERFUNDED)


def test_one_reward_that_can_be_paid_is_not_held_up_by_another_that_cannot():
    base = case("250")
    other = token(20, "JOE")
    two = (*base.observation.pending, Amount(other, 10**18))
    observed = replace(base.observation, pending=two, underfunded=("JOE",))
    assert decide(replace(base, observation=observed)).verdict is Verdict.HARVEST


def test_a_large_share_of_the_pool_dilutes_its_own_yield():
    base = case("250")
    half = Accrual(base.observation.accruals[0].per_year, own_share_ppm=500_000)
    diluted = decide(replace(base, observation=replace(base.observation, accruals=(half,))))
    assert diluted.numbers.yield_wad * 2 == pytest.approx(decide(base).numbers.yield_wad, rel=1e-9)
    assert diluted.numbers.threshold_usd > decide(base).numbers.threshold_usd
