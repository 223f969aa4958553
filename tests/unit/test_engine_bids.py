"""What may be bid for a decision, whoever made it: enough to be sent at all, and never more than it is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_engine_decide import REWARD, case
from test_engine_options import Says

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.money import Amount, usd
from keeper.domain.position import StrategyOptions
from keeper.domain.transaction import FeeQuote
from keeper.engine.decide import decide
from keeper.strategy.batching import Round
from keeper.tx.fees import first_bid

DAY = 86_400
NOW = case().observation.block.timestamp


def overdue(pending="20", **options):
    wanted = StrategyOptions(max_interval_seconds=DAY, **options)
    return case(pending, options=wanted, watched_since=NOW - 2 * DAY)


@pytest.mark.parametrize(
    ("due", "code"),
    [
        (case("20", judge=Says(harvest=True)), ReasonCode.POLICY_HARVESTS),
        (replace(case("20", judge=Says(harvest=True)), failure_ppm=100_000), ReasonCode.POLICY_HARVESTS),
        (overdue(), ReasonCode.MAX_INTERVAL),
        (overdue(reward_drift_bps=3_000), ReasonCode.MAX_INTERVAL),
        (replace(overdue(), l1_fee_wei=10**15), ReasonCode.MAX_INTERVAL),
    ],
)
def test_what_is_only_worth_fetching_is_sent_and_never_for_more_than_it_fetches(due, code):
    decision = decide(due)
    assert decision.code is code
    most = decision.numbers.fire_gas_price_wei
    assert most is not None  # a bid without a bound is a person's alone
    assert first_bid(due.fees, budget_wei=most, ceiling_wei=None).max_fee_wei >= due.fees.price_wei

    def at(price):
        dearer = replace(due, fees=FeeQuote(price, 0), around=replace(due.around, native_balance_wei=10**20))
        return decide(replace(dearer, around=replace(dearer.around, per_day_usd=usd(1_000)))).code

    assert at(most * 999_999 // 10**6) is code
    assert at(most * 1_000_001 // 10**6) is not code


@pytest.mark.parametrize("pending", ["201", "203", "206", "220"])
def test_a_member_of_a_batch_bids_its_part_of_what_the_round_can_spare(pending):
    member = case(pending)
    own = decide(member).numbers
    for spare in ("0", "0.1"):
        due = replace(member, round=Round(("p", "q"), usd(spare), usd(0)))
        decision = decide(due)
        assert decision.code is ReasonCode.BATCH_DUE
        most = decision.numbers.fire_gas_price_wei
        assert first_bid(due.fees, budget_wei=most, ceiling_wei=None).max_fee_wei >= due.fees.price_wei
        part = min(usd(spare) // 2, own.budget_usd - own.cost_usd)
        assert (most - 10**9) * own.cost_usd // 10**9 == pytest.approx(part, rel=1e-6, abs=10**9)


def test_the_price_of_an_event_is_no_fee_of_the_day():
    limited = case("6000", staked="100000", options=StrategyOptions(max_harvests_per_year=4))
    decision = decide(limited)
    assert decision.numbers.cost_parts.event_usd > limited.around.per_day_usd
    assert decision.verdict is Verdict.HARVEST


def test_a_call_fee_hides_no_fees_from_the_limit_of_a_day():
    paid = case("300")
    paid = replace(paid, observation=replace(paid.observation, call_fee=(Amount(REWARD, int(usd(10)) // 8),)))
    decision = decide(replace(paid, around=replace(paid.around, spent_today_usd=usd(19))))
    assert decision.numbers.cost_usd < 0
    assert decision.code is ReasonCode.DAY_LIMIT_REACHED
