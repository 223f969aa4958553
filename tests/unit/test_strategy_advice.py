"""Advice in words: too small, better claimed at the exit, ended, and what moving elsewhere is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import BLOCK
from advice_kit import GWEI, candidate, numbers_of, observation_of

from keeper.domain.decision import CostParts, ReasonCode
from keeper.domain.money import UsdWad, usd
from keeper.domain.observation import RateSource, Restart
from keeper.domain.position import RewardsEnd
from keeper.strategy.advice import about_gwei, about_usd, advise, gas_price_limit
from keeper.strategy.breakeven import cost_limit
from keeper.strategy.switching import FRESH_SECONDS, economics_of
from keeper.strategy.threshold import Rule, evaluate

DAY = 86_400
NOW = BLOCK.timestamp
SMALL = numbers_of("600", "0.1", cost="4", reward="3")


def told(here, *there, now=NOW, harvests=()):
    return advise(here.position, here.observation, here.numbers, harvests, candidates=there, now=now)


def only(reasons):
    (reason,) = reasons
    return reason.code, reason.text


def test_a_sound_position_is_left_alone():
    assert told(candidate("a")) == ()


def test_one_too_small_is_told_from_which_stake_and_gas_price_on_it_would_pay():
    code, text = only(told(candidate("a", SMALL)))
    assert code is ReasonCode.TOO_SMALL
    assert "n* = 0.9" in text
    assert "from about $1,600 staked" in text
    assert "with gas below 0.37 gwei" in text
    assert text.endswith("until then claim when you leave")


def test_both_ways_out_of_being_too_small_are_true():
    enough = evaluate(economics_of(numbers_of("1600", "0.1", cost="4")), Rule())
    short = evaluate(economics_of(numbers_of("1500", "0.1", cost="4")), Rule())
    assert enough.gain_per_year > 0 == short.gain_per_year
    for gwei, pays in ((370, True), (380, False)):
        cheaper = numbers_of("600", "0.1", cost=int(usd("4")) * gwei // 1000)
        assert (evaluate(economics_of(cheaper), Rule()).gain_per_year > 0) is pays


def test_what_is_no_gas_leaves_less_for_gas_or_nothing():
    limit = cost_limit(economics_of(SMALL))
    assert gas_price_limit(SMALL, limit) == limit * GWEI // usd("4")
    dear = numbers_of("600", "0.1", parts=CostParts(gas_usd=usd("2"), l1_usd=usd("2")))
    assert gas_price_limit(dear, limit) is None
    assert "gwei" not in only(told(candidate("a", dear)))[1]


def test_a_reward_that_is_due_is_not_called_too_small():
    due = numbers_of("600", "0.1", cost="4", reward="200")
    assert due.threshold_usd is not None
    assert due.reward_usd >= due.threshold_usd
    assert told(candidate("a", due)) == ()


def test_the_price_of_an_event_makes_no_position_too_small():
    one_a_year = replace(numbers_of("10000", "0.2", parts=CostParts(gas_usd=usd("2"), event_usd=usd("198"))))
    assert one_a_year.harvests_per_year_milli == 1_000
    assert told(candidate("a", one_a_year)) == ()


def test_too_near_the_exit_it_is_claimed_there():
    leaving = candidate("a", numbers_of("10000", "0.1", horizon_seconds=20 * DAY), exit_at=NOW + 20 * DAY)
    code, text = only(told(leaving))
    assert code is ReasonCode.CLAIM_AT_EXIT
    assert "in the 20 days until you leave: claim once, when you leave" in text
    ending = candidate("a", numbers_of("10000", "0.1", horizon_seconds=20 * DAY))
    assert "until rewards end" in only(told(ending))[1]
    assert told(candidate("a", numbers_of("10000", "0.1", horizon_seconds=300 * DAY))) == ()


def test_a_reward_that_is_better_held_is_claimed_at_the_exit():
    code, text = only(told(candidate("a", numbers_of("10000", "0.1", drift="0.15"))))
    assert code is ReasonCode.CLAIM_AT_EXIT
    assert "(-5.00 % a year): claim once, when you leave" in text


def test_ended_rewards_are_claimed_and_left_behind():
    over = observation_of("a", ends_at=NOW - 1)
    ended = numbers_of("10000", "0", reward="12")
    code, text = only(told(candidate("a", ended, seen=over)))
    assert code is ReasonCode.REWARDS_ENDED
    assert "claim the $12.00 and leave, or move" in text
    crumbs = told(candidate("a", numbers_of("10000", "0", reward="1"), seen=over))
    assert "below its gas and leave" in only(crumbs)[1]
    renewed = candidate("a", ended, seen=over, rewards_end=RewardsEnd.RENEWED)
    assert ReasonCode.REWARDS_ENDED not in [reason.code for reason in told(renewed)]


def test_nothing_is_advised_where_nothing_is_known_or_staked():
    here = candidate("a")
    assert advise(here.position, here.observation, None) == ()
    assert told(candidate("a", replace(numbers_of(), principal_usd=UsdWad(0)))) == ()


# ---------------------------------------------------------------------------- elsewhere

POOR, RICH = numbers_of("10000", "0.08", cost="2"), numbers_of("50000", "0.12", cost="0.5")


def test_moving_is_advised_with_both_yields_its_cost_and_when_it_is_earned_back():
    code, text = only(told(candidate("a", POOR), candidate("b", RICH, entry_cost_bps=30)))
    assert code is ReasonCode.SWITCH
    assert text.startswith("moving to b is worth $442.50 a year")
    assert "(a 8.2 %, b 12.6 % after compounding" in text
    assert "it costs $32.50 once, paid back in 27 days" in text
    assert text.endswith("advice only, keeper moves nothing")


def test_the_yields_compared_are_those_after_compounding_and_its_cost():
    dear = numbers_of("50000", "0.12", cost="100")  # the higher rate, but nothing is left of it by compounding
    (reason,) = told(candidate("a", POOR), candidate("b", dear, exit_cost_bps=0))
    assert "b 12.0 % after compounding" in reason.text


def test_the_best_of_several_is_advised():
    better = numbers_of("50000", "0.2", cost="0.5")
    here = candidate("a", POOR, candidates=("b", "c", "d"))
    (reason,) = told(here, candidate("b", RICH), candidate("c", better), candidate("d", POOR))
    assert "moving to c" in reason.text


def test_only_listed_candidates_count():
    assert told(candidate("a", POOR, candidates=()), candidate("b", RICH)) == ()


@pytest.mark.parametrize(
    "there",
    [
        candidate("b", POOR),
        candidate("b", numbers_of("10000", "0.085", cost="2")),  # half a percent: a trifle
        candidate("b", RICH, entry_cost_bps=450),  # the cost of moving eats it
        candidate("b", RICH, seen=observation_of("b", deposit_fee_bps=450)),
        candidate("b", numbers_of("50000", "0.12", cost="0.5", horizon_seconds=30 * DAY)),  # ends too soon
        candidate("b", numbers_of("100", "0.12"), seen=observation_of("b", share_ppm=900_000)),  # a pool too small
    ],
)
def test_a_move_that_gains_too_little_is_not_mentioned(there):
    assert told(candidate("a", POOR), there) == ()


def test_before_an_exit_only_what_is_earned_until_then_counts():
    soon = candidate("a", POOR, exit_at=NOW + 60 * DAY)
    assert told(soon, candidate("b", RICH)) == ()
    assert told(candidate("a", POOR, exit_at=NOW - 1), candidate("b", RICH)) == ()


@pytest.mark.parametrize(
    ("here", "there", "later", "why"),
    [
        ({}, {"seen": observation_of("b", source=RateSource.OBSERVED)}, 0, "b's rate is only estimated"),
        ({"seen": observation_of("a", source=RateSource.OBSERVED)}, {}, 0, "this position's rate is only estimated"),
        ({}, {}, FRESH_SECONDS + 3_600, "b's numbers are 7 hours old"),
        ({}, {"seen": observation_of("b", deposits_paused=True)}, 0, "b's contract refuses deposits"),
        (
            {"seen": observation_of("a", restarts=(Restart(30 * DAY, None, NOW + DAY),))},
            {},
            0,
            "this stake is locked until 2023-11-15",
        ),
        (
            {"exit_at": NOW + 300 * DAY},
            {"seen": observation_of("b", restarts=(Restart(365 * DAY, None),))},
            0,
            "after you mean to leave",
        ),
    ],
)
def test_a_move_that_would_pay_by_doubtful_numbers_is_withheld_and_said_so(here, there, later, why):
    reasons = told(candidate("a", POOR, **here), candidate("b", RICH, **there), now=NOW + later)
    code, text = only(reasons)
    assert code is not ReasonCode.SWITCH
    assert "b seems to earn 12." in text
    assert "not advised" in text
    assert why in text


def test_a_candidate_without_numbers_is_said_to_be_unknown():
    unknown = replace(candidate("b"), numbers=None)
    assert "no advice about moving to b: b's numbers are not known yet" in only(told(candidate("a", POOR), unknown))[1]
    empty = candidate("b", replace(RICH, principal_usd=UsdWad(0)))
    assert "watch another account's stake there" in only(told(candidate("a", POOR), empty))[1]


def test_penalties_locks_and_bridges_are_told():
    penalty = observation_of("a", restarts=(Restart(30 * DAY, 100, NOW + DAY), Restart(30 * DAY, 500, NOW - DAY)))
    lock = observation_of("b", restarts=(Restart(7 * DAY, None),))
    (reason,) = told(candidate("a", POOR, seen=penalty), candidate("b", RICH, seen=lock, chain="other"))
    assert "it costs $102.50 once" in reason.text  # 1 % of $10,000; the other penalty has run down
    assert "a bridge from test to other comes on top" in reason.text
    assert "it locks the stake for 7 days" in reason.text


def test_ended_rewards_and_a_better_place_are_said_together():
    over = candidate("a", numbers_of("10000", "0", reward="12"), seen=observation_of("a", ends_at=NOW - 1))
    assert [reason.code for reason in told(over, candidate("b", RICH))] == [
        ReasonCode.REWARDS_ENDED,
        ReasonCode.SWITCH,
    ]


@pytest.mark.parametrize(
    ("dollars", "shown"), [("4012", "$4,100"), ("4100", "$4,100"), ("0.361", "$0.37"), ("12", "$12"), ("1.23", "$1.30")]
)
def test_a_least_stake_is_rounded_up(dollars, shown):
    assert about_usd(usd(dollars)) == shown


@pytest.mark.parametrize(
    ("wei", "shown"), [(379_000_000, "0.37 gwei"), (30 * 10**9, "30 gwei"), (1_234, "0.0000012 gwei")]
)
def test_a_highest_gas_price_is_rounded_down(wei, shown):
    assert about_gwei(wei) == shown
