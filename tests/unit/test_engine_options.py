"""Every option of the strategy in a whole decision: verdict, reason, numbers; and the guards around others' policies."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine_decide import REWARD, case

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.money import Amount, UsdWad, usd
from keeper.domain.observation import Accrual, RateSource, Restart
from keeper.domain.position import StrategyOptions
from keeper.domain.transaction import FeeQuote
from keeper.engine.case import effective_payback, reckon
from keeper.engine.decide import decide
from keeper.strategy.batching import Round
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.verdicts import Answer

DAY = 86_400
NOW = case().observation.block.timestamp


def numbers(found):
    made = decide(found).numbers
    assert made is not None
    return made


class Says:
    """A policy that always says the same."""

    name = "says"

    def __init__(self, *, harvest: bool) -> None:
        self.harvest, self.scenes = harvest, []

    def judge(self, scene, position_id, cost_at=None):
        self.scenes.append((scene, position_id, cost_at))
        code = ReasonCode.POLICY_HARVESTS if self.harvest else ReasonCode.POLICY_WAITS
        return Answer(self.harvest, "because", code)


def test_a_policy_decides_instead_of_the_rule():
    assert decide(case("20", judge=Says(harvest=True))).code is ReasonCode.POLICY_HARVESTS
    waits = decide(case("500", judge=Says(harvest=False)))
    assert (waits.verdict, waits.code) == (Verdict.WAIT, ReasonCode.POLICY_WAITS)
    assert waits.numbers.policy == "says"
    assert waits.numbers.fire_gas_price_wei is None  # a policy that does not tell is not spoken for
    assert waits.numbers.budget_usd > 0  # what the harvest is worth is keeper's to say


def test_nobody_is_asked_where_the_answer_would_not_count():
    policy = Says(harvest=False)
    assert decide(case("20", judge=policy, forced=True)).code is ReasonCode.FORCED
    options = StrategyOptions(max_interval_seconds=DAY)
    assert (
        decide(case("20", judge=policy, options=options, watched_since=NOW - 2 * DAY)).code is ReasonCode.MAX_INTERVAL
    )
    assert policy.scenes == []


def test_no_policy_may_pay_more_than_it_fetches():
    greedy = decide(case("1.5", judge=Says(harvest=True)))
    assert (greedy.verdict, greedy.code) == (Verdict.WAIT, ReasonCode.BELOW_COST)
    assert "the policy would harvest (because)" in greedy.reasons[0].text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"spent_today_usd": usd(19)}, ReasonCode.DAY_LIMIT_REACHED),
        ({"native_balance_wei": 1}, ReasonCode.GAS_BALANCE_LOW),
        ({"can_sign": False}, ReasonCode.WATCH_ONLY),
        ({"failures": 3}, ReasonCode.QUARANTINED),
        ({"max_gas_price_wei": 10**8}, ReasonCode.FEE_ABOVE_LIMIT),
        ({"last_harvest_at": NOW - 5, "min_interval_seconds": 60}, ReasonCode.TOO_SOON),
        ({"harvests_this_year": 4, "max_harvests_per_year": 4}, ReasonCode.YEAR_LIMIT_REACHED),
    ],
)
def test_guards_hold_every_policy(changes, code):
    held = case("500", judge=Says(harvest=True))
    held = replace(held, around=replace(held.around, **changes))
    assert decide(held).verdict is Verdict.BLOCKED
    assert code in {r.code for r in decide(held).reasons}
    by_rule = replace(held, judge=None)
    assert decide(by_rule).verdict is Verdict.BLOCKED


def test_a_policy_sees_dollars_years_and_what_the_cost_would_be():
    policy = Says(harvest=False)
    decide(case("200", judge=policy))
    scene, position_id, cost_at = policy.scenes[0]
    assert position_id == "p"
    assert scene.principal == pytest.approx(10_000)
    assert scene.reward == pytest.approx(199.4, rel=1e-3)
    assert scene.cost == pytest.approx(2, rel=1e-3)
    assert scene.forward == pytest.approx(1_994, rel=1e-3)
    assert cost_at(10**9) == pytest.approx(scene.cost, rel=1e-9)
    assert cost_at(2 * 10**9) == pytest.approx(2 * scene.cost, rel=1e-9)


def test_max_interval_harvests_what_is_worth_fetching_and_nothing_else():
    options = StrategyOptions(max_interval_seconds=30 * DAY)
    old = case("20", options=options)
    old = replace(old, around=replace(old.around, last_harvest_at=NOW - 31 * DAY))
    assert decide(old).code is ReasonCode.MAX_INTERVAL
    assert decide(replace(old, around=replace(old.around, last_harvest_at=NOW - 29 * DAY))).verdict is Verdict.WAIT
    poor = case("1", options=options)
    poor = replace(poor, around=replace(poor.around, last_harvest_at=NOW - 31 * DAY))
    assert decide(poor).code is ReasonCode.BELOW_COST
    never = case("20", options=options, watched_since=NOW - 31 * DAY)  # never harvested: watched for so long
    assert decide(never).code is ReasonCode.MAX_INTERVAL


def test_max_interval_takes_the_reward_home_even_where_it_earns_nothing():
    options = StrategyOptions(max_interval_seconds=30 * DAY, reward_drift_bps=3_000)
    idle = case("20", options=options, watched_since=NOW - 31 * DAY)
    assert decide(idle).code is ReasonCode.MAX_INTERVAL
    assert decide(replace(idle, watched_since=NOW)).code is ReasonCode.NO_YIELD


def test_an_exit_date_moves_the_last_harvest_forward_and_ends_them():
    far = decide(case("200", horizon=10 * SECONDS_PER_YEAR))
    assert far.verdict is Verdict.HARVEST or numbers(case("200", horizon=10 * SECONDS_PER_YEAR)).threshold_usd
    near = decide(case("200", horizon=5 * DAY))  # $200 at 20 % for five days earn 55 cents, for $2
    assert (near.verdict, near.code) == (Verdict.WAIT, ReasonCode.EXIT_NEAR)
    assert "5 days that are left" in near.reasons[0].text
    assert decide(case("200", horizon=0)).code is ReasonCode.EXIT_NEAR
    assert numbers(case("200", horizon=5 * DAY)).horizon_seconds == 5 * DAY


def test_a_little_reward_far_from_the_end_waits_for_its_threshold_not_for_the_end():
    early = decide(case("3", horizon=60 * DAY))  # $3 would not pay back, but $200 will
    assert early.code is ReasonCode.BELOW_THRESHOLD
    assert early.numbers.eta_seconds is not None


def test_a_yearly_limit_has_a_price_and_the_price_falls_with_gas_time():
    free, dear = numbers(case("200")), numbers(case("200", options=StrategyOptions(max_harvests_per_year=4)))
    assert free.cost_parts.event_usd == 0
    assert dear.cost_parts.event_usd > 0
    assert dear.cost_usd == dear.cost_parts.total
    assert dear.harvests_per_year_milli <= 4_001
    assert dear.threshold_usd > 2 * free.threshold_usd
    # reckoned at the usual price of gas, so that cheap hours are still better than dear ones
    limited = StrategyOptions(max_harvests_per_year=4)
    now_cheap = numbers(case("200", options=limited, usual_gas_wei=10**9, fees=FeeQuote(10**8, 0)))
    usual = numbers(case("200", options=limited, usual_gas_wei=10**9))
    assert now_cheap.cost_usd < usual.cost_usd
    assert now_cheap.cost_parts.event_usd == usual.cost_parts.event_usd


def test_failures_and_corrections_are_in_the_cost():
    plain = numbers(case("200"))
    learnt = numbers(case("200", correction_ppm=1_100_000, failure_ppm=50_000))
    assert learnt.gas_units == -(-plain.gas_units * 11 // 10)
    assert learnt.cost_parts.failure_usd * 100 // learnt.cost_parts.gas_usd in {4, 5}
    assert learnt.gas_correction_ppm == 1_100_000


@given(
    pending=st.integers(1, 3_000),
    failure=st.integers(0, 10**6),
    l1=st.integers(0, 10**15),
    allowed=st.none() | st.integers(1, 50),
    fee=st.integers(0, 5),
)
def test_the_bid_leaves_room_for_what_is_not_gas(pending, failure, l1, allowed, fee):
    options = StrategyOptions(max_harvests_per_year=allowed)
    made = case(str(pending), options=options, failure_ppm=failure, l1_fee_wei=l1, usual_gas_wei=10**9)
    made = replace(
        made, observation=replace(made.observation, call_fee=(Amount(REWARD, fee * 10**18 // 8),) if fee else ())
    )
    made = replace(made, around=replace(made.around, per_day_usd=usd(10**9)))
    price = numbers(made).fire_gas_price_wei
    if price is not None:
        assert decide(replace(made, fees=FeeQuote(price, 0))).verdict is Verdict.HARVEST
    beyond = (price or 0) + max((price or 0) // 10**6, 10**3)
    assert decide(replace(made, fees=FeeQuote(beyond, 0))).verdict is Verdict.WAIT


def test_a_call_fee_is_negative_cost():
    paid = case("1")
    observation = replace(paid.observation, call_fee=(Amount(REWARD, usd(3) // 8),))
    decision = decide(replace(paid, observation=observation))
    assert decision.numbers.cost_parts.call_fee_usd == -usd(3)
    assert decision.numbers.cost_usd < 0
    assert decision.verdict is Verdict.HARVEST  # the call is paid for: nothing to wait for


def test_a_lock_that_outlasts_the_exit_blocks():
    options = StrategyOptions(exit_at=NOW + 5 * DAY)
    locked = case("500", options=options)
    locked = replace(locked, observation=replace(locked.observation, restarts=(Restart(7 * DAY),)))
    assert decide(locked).verdict is Verdict.BLOCKED
    assert decide(locked).code is ReasonCode.LOCK_BEYOND_EXIT
    assert decide(replace(locked, forced=True, around=replace(locked.around, forced=True))).verdict is Verdict.HARVEST


def test_a_penalty_clock_is_charged():
    clock = case("200")
    clock = replace(clock, observation=replace(clock.observation, restarts=(Restart(3 * DAY, 10),)))
    assert numbers(clock).cost_parts.restart_usd > 0
    assert numbers(clock).threshold_usd > numbers(case("200")).threshold_usd


def test_rates_learnt_by_looking_are_used_and_named():
    own = case("200")
    silent = replace(own, observation=replace(own.observation, accruals=()))
    assert decide(silent).code is ReasonCode.RATE_UNKNOWN
    per_year = own.observation.accruals[0].per_year
    learnt = replace(silent, learnt=(Accrual(per_year, source=RateSource.OBSERVED),))
    assert numbers(learnt).threshold_usd == numbers(own).threshold_usd
    assert numbers(learnt).rate_source == "observed"
    assert numbers(own).rate_source == "chain"


def test_a_batch_decides_for_its_members():
    member = case("150", options=StrategyOptions(batch="farm"))
    due = Round(("p", "q"), UsdWad(usd(5)), UsdWad(usd(3)))
    assert decide(replace(member, round=due)).code in {ReasonCode.BATCH_DUE, ReasonCode.BATCH_WAITS}
    rich = replace(case("300", options=StrategyOptions(batch="farm")), round=due)
    assert decide(rich).code is ReasonCode.BATCH_DUE
    late = replace(rich, round=replace(due, shared=UsdWad(usd(9))))
    assert decide(late).code is ReasonCode.BATCH_WAITS
    assert "$4.00 more is needed" in decide(late).reasons[0].text
    stranger = replace(rich, round=Round(("q",), UsdWad(usd(5)), UsdWad(usd(3))))
    assert decide(stranger).code is ReasonCode.BATCH_WAITS


@given(drift=st.integers(-60_000, 15_000), days=st.integers(1, 730))
def test_the_payback_of_a_falling_rate_is_shorter(drift, days):
    seconds = days * DAY
    worth = effective_payback(seconds, drift)
    x = min(drift / 10_000 * seconds / SECONDS_PER_YEAR, 2)
    exact = seconds * ((2.718281828459045**x - 1) / x if x else 1)
    assert worth == pytest.approx(exact, rel=0.07)
    assert worth <= seconds if drift <= 0 else worth >= seconds


def test_payout_shows_what_is_paid_out_and_only_the_rest_earns():
    half = StrategyOptions(payout_bps=5_000, payout_to="0x" + "77" * 20)
    shown = numbers(case("200", options=half))
    assert shown.payout_usd == shown.reward_usd // 2
    assert reckon(case("200", options=half)).economics.yield_wad == reckon(case("200")).economics.yield_wad // 2


def remembering(gwei):
    """Ten days of hourly prices, in gwei, up to now."""
    memory = GasMemory()
    for hour in range(240):
        memory.observe(NOW - (240 - hour) * 3_600, gwei(hour) * 10**9)
    return memory


def test_flat_gas_is_the_plain_rule():
    memory = remembering(lambda _: 1.0)
    assert numbers(case("200", memory=memory)).gas_weight_ppm == pytest.approx(10**6, rel=1e-5)
    assert numbers(case("200", memory=memory)).threshold_usd == pytest.approx(
        numbers(case("200")).threshold_usd, rel=1e-5
    )


def test_a_dear_hour_in_gas_that_comes_back_is_sat_out_and_a_cheap_one_is_taken():
    draw = random.Random(3)
    memory = remembering(lambda _: math.exp(draw.gauss(0, 0.5)))
    waits = decide(case("215", memory=memory, usual_gas_wei=10**9))
    assert numbers(case("215", memory=memory)).gas_weight_ppm > 10**6
    assert waits.code is ReasonCode.CHEAPER_SOON
    assert "is normal soon; waiting costs $0.12 a day" in waits.reasons[0].text
    assert decide(case("215")).verdict is Verdict.HARVEST  # without a memory
    cheap = case("40", memory=memory, fees=FeeQuote(5 * 10**7, 0))
    assert numbers(cheap).gas_weight_ppm < 10**6
    assert numbers(cheap).threshold_usd < numbers(replace(cheap, memory=None)).threshold_usd


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 40), pending=st.integers(5, 2_000), failure=st.integers(0, 10**5), l1=st.integers(0, 10**15))
def test_the_price_that_would_fire_is_the_highest_whatever_is_remembered(seed, pending, failure, l1):
    draw = random.Random(seed)
    memory = remembering(lambda _: math.exp(draw.gauss(0, 0.4)))
    made = case(str(pending), memory=memory, failure_ppm=failure, l1_fee_wei=l1)
    made = replace(made, around=replace(made.around, per_day_usd=usd(10**9)))
    price = numbers(made).fire_gas_price_wei
    if price is not None:
        assert decide(replace(made, fees=FeeQuote(price * 999_999 // 10**6, 0))).verdict is Verdict.HARVEST
    beyond = (price or 0) + max((price or 0) // 10**5, 10**3)
    assert decide(replace(made, fees=FeeQuote(beyond, 0))).verdict is Verdict.WAIT
