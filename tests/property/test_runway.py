"""The forecast of the gas money: what it never says, and a worked example."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import Track
from keeper.domain.money import Address
from keeper.domain.plan import LegKind
from keeper.domain.transaction import Attempt, AttemptState, Intent, IntentState, Receipt
from keeper.strategy.runway import ENOUGH_DAYS, LOW_DAYS, Spent, committed_wei, forecast, runway, spending

DAY = 86_400
NOW = 1_800_000_000
OWNER = Address("0x" + "11" * 20)

WEI = st.integers(0, 10**22)
FEES = st.lists(st.builds(Spent, st.integers(NOW - 400 * DAY, NOW + DAY), st.integers(0, 10**19)), max_size=20)


@given(WEI, FEES, WEI)
def test_days_are_what_the_rate_allows(balance, fees, committed):
    found = runway(balance, fees, committed, NOW)
    if found.days is None:
        assert found.wei_per_day is None
        assert not found.low
        assert found.top_up_wei == 0
        return
    left = max(balance - committed, 0)
    assert found.days >= 0
    assert found.days * found.spent_wei * DAY <= left * found.span_seconds
    assert (found.days + 1) * found.spent_wei * DAY > left * found.span_seconds


@given(WEI, FEES, WEI, WEI)
def test_more_money_never_lasts_shorter_and_more_on_its_way_never_longer(balance, fees, committed, more):
    before, richer = runway(balance, fees, committed, NOW), runway(balance + more, fees, committed, NOW)
    busier = runway(balance, fees, committed + more, NOW)
    if before.days is not None:
        assert richer.days >= before.days
        assert busier.days <= before.days


@given(WEI, FEES, WEI)
def test_what_it_asks_for_lasts_long_enough(balance, fees, committed):
    found = runway(balance, fees, committed, NOW)
    filled = runway(balance + found.top_up_wei, fees, committed, NOW)
    if filled.days is not None:
        assert filled.days >= ENOUGH_DAYS
        assert not filled.low
        if found.top_up_wei:
            assert len(str(found.top_up_wei).rstrip("0")) <= 2


@given(WEI, FEES, st.integers(1, 1000))
def test_the_unit_does_not_matter(balance, fees, scale):
    scaled = [Spent(fee.at, fee.wei * scale) for fee in fees]
    assert runway(balance * scale, scaled, 0, NOW).days == runway(balance, fees, 0, NOW).days


@given(WEI, FEES)
def test_the_order_does_not_matter_and_nothing_is_no_rate(balance, fees):
    assert runway(balance, fees[::-1], 0, NOW) == runway(balance, fees, 0, NOW)
    assert runway(balance, [], 0, NOW).days is None
    assert runway(balance, [Spent(NOW - DAY, 10**15)], 0, NOW).days is None  # one day says nothing yet


def test_a_worked_example():
    fees = [Spent(NOW - day * DAY, 29 * 10**13) for day in (5, 10, 15, 20, 29)]
    fees.append(Spent(NOW - 200 * DAY, 10**20))  # long ago: another time, another price of gas
    found = runway(11 * 10**14, fees, 10**14, NOW)
    # five compounds for 0.00029 each in 29 days are 0.00005 a day; 0.001 of the 0.0011 is free: 20 days
    assert found.wei_per_day == 5 * 10**13
    assert found.days == 20
    assert found.days < LOW_DAYS
    assert found.low
    # ninety days are 0.0045, and 0.0001 is on its way: 0.0035 is lacking
    assert found.top_up_wei == 35 * 10**14


def test_a_quiet_month_is_reckoned_from_all_there_is():
    assert runway(10**18, [Spent(NOW - 50 * DAY, 10**16)], 0, NOW).days == 5_000


def harvest(number, state, cost):
    return Harvest(f"h{number}", "p", "bnb", OWNER, state, "plan", 1, NOW - 10 * DAY, 0, 0, 0, None, cost_wei=cost)


def track(harvest_id, state, *, receipt=None, fees=(3, 5)):
    intent = Intent("i", "k", harvest_id, 0, "bnb", 56, OWNER, LegKind.CLAIM, "claim", OWNER, b"", 0, state, 7)
    attempts = tuple(
        Attempt("i", f"0x{fee}", b"", 7, 100, fee, 1, AttemptState.BROADCAST, signed_block=1) for fee in fees
    )
    return Track(intent, attempts, receipt, created_at=NOW - 5 * DAY)


def test_what_is_on_its_way_counts_once():
    receipt = Receipt("0x3", 5, "0xb", 1, 90, 3, 10, ())
    done, still = harvest(1, HarvestState.DONE, 1_000), harvest(2, HarvestState.OPEN, 0)
    tracks = [
        track("h1", IntentState.CONFIRMED, receipt=receipt),  # its compound's own figure has it
        track("h2", IntentState.MINED, receipt=receipt),
        replace(track("h2", IntentState.BROADCAST), receipt=None),
        track("", IntentState.PLANNED, fees=()),
    ]
    assert sorted(fee.wei for fee in spending([done, still], tracks)) == [280, 1_000]
    assert committed_wei(tracks) == 500
    found = forecast(10_000, [done, still], tracks, NOW)
    assert (found.spent_wei, found.committed_wei, found.span_seconds) == (1_280, 500, 10 * DAY)
