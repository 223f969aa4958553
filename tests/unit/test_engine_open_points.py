"""What a look makes of an account's other compounds, of failures, of batches with policies, and of broken flags."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from adapter_kit import BLOCK, OWNER
from test_engine_decide import AROUND, REWARD, case
from test_engine_options import Says

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import NO_USD, Amount, usd
from keeper.domain.position import StrategyOptions
from keeper.engine.context import BatchTerms
from keeper.engine.decide import decide
from keeper.engine.rounds import round_for
from keeper.engine.track_record import _record
from keeper.strategy.accrual import state_of, state_text
from keeper.strategy.ends import EndMemory, memory_of

DAY, NOW = 86_400, BLOCK.timestamp
PAID = (Amount(REWARD, 10**18),)


def harvest(state=HarvestState.DONE, *, at=NOW - 60, received=PAID, name="h") -> Harvest:
    return Harvest(
        name, "p", "test", OWNER, state, "plan", 1, at, NO_USD, NO_USD, 1, finished_at=at + 30, received=received
    )


# ---------------------------------------------------------------------------- harvests a year


def test_a_failed_compound_that_claimed_counts_as_a_harvest_of_the_year():
    claimed, nothing = harvest(HarvestState.FAILED), harvest(HarvestState.FAILED, received=())
    assert _record([claimed]).within_a_year(NOW) == 1  # its receipt is income, whatever came after
    assert _record([nothing]).within_a_year(NOW) == 0
    assert _record([harvest(HarvestState.CANCELLED), harvest()]).within_a_year(NOW) == 1


# ---------------------------------------------------------------------------- batches


def member(**changes):
    options = StrategyOptions(batch="farm")
    return case("250", options=options, **changes)


def test_a_failed_member_leaves_the_round_to_be_paid():
    context = SimpleNamespace(batches={"farm": BatchTerms(usd(5))})
    failed, done = _record([harvest(HarvestState.FAILED)]), _record([harvest()])
    both = _record([harvest(HarvestState.FAILED, name="i"), harvest(at=NOW - 600)])
    assert failed.last_at == done.last_at == NOW - 60
    assert (failed.opened_at, done.opened_at, both.opened_at) == (None, NOW - 60, NOW - 600)

    def shared(record):
        around = replace(AROUND, last_harvest_at=record.last_at, round_open_since=record.opened_at)
        return round_for(context, [member(around=around)]).shared

    assert shared(done) == shared(both) == 0
    assert shared(failed) == usd(5)


def test_a_compound_under_way_holds_the_round_open():
    assert _record([harvest(HarvestState.OPEN)]).opened_at == NOW - 60


def test_a_batch_asks_no_policy():
    policy = Says(harvest=True)
    assert round_for(SimpleNamespace(batches={}), [member(judge=policy)]).included == ("p",)
    assert policy.scenes == []


# ---------------------------------------------------------------------------- what is said


def test_no_time_is_named_where_a_policy_decides():
    assert decide(case("150")).next_check is not None
    told = decide(case("150", judge=Says(harvest=False)))
    assert (told.verdict, told.next_check, told.numbers.eta_seconds) == (Verdict.WAIT, None, None)


@pytest.mark.parametrize("code", [ReasonCode.FORCED, ReasonCode.MAX_INTERVAL])
def test_a_rate_that_is_not_known_yet_is_not_one_of_zero(code):
    forced = code is ReasonCode.FORCED
    options = StrategyOptions() if forced else StrategyOptions(max_interval_seconds=DAY)
    new = case("5", learnt=(), forced=forced, options=options, watched_since=NOW - 2 * DAY)
    (reason, *_) = decide(new).reasons
    assert reason.code is code
    assert "nothing more is earned" not in reason.text
    assert "the rate is not known yet" in reason.text


def test_intervals_are_told_in_days_and_hours():
    waits = replace(AROUND, last_harvest_at=NOW - 2 * DAY - 3 * 3_600, min_interval_seconds=7 * DAY)
    (reason, *_) = decide(case("250", around=waits)).reasons
    assert reason.code is ReasonCode.TOO_SOON
    assert reason.text == "last harvest 2 d 3 h ago, min_interval is 7 d"


# ---------------------------------------------------------------------------- flags

METER = '{"version":1,"stake_token":"0x01","stake":5,"meters":[{"token":"0x02","at":1,"raw":2}]}'


def test_what_the_flags_hold_is_read_again():
    state = state_of(METER)
    assert state is not None
    assert state_of(state_text(state)) == state


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"stake":5', '"stake":"5"'),
        ('"stake":5', '"stake":null'),
        ('"stake":5', '"stake":true'),
        ('"stake_token":"0x01"', '"stake_token":1'),
        ('"stake_token":"0x01"', '"stake_token":["0x01"]'),
        ('"raw":2', '"raw":2.5'),
        ('"raw":2', '"raw":[]'),
        ('"at":1', '"at":"1"'),
        ('"token":"0x02"', '"token":{}'),
        ('"raw":2', '"raw":2,"begun":1'),
        ('"raw":2', '"raw":2,"looks":null'),
        ('"version":1', '"version":[1]'),
    ],
)
def test_garbage_in_a_rate_begins_anew(good, bad):
    assert good in METER
    assert state_of(METER.replace(good, bad)) is None


@pytest.mark.parametrize("text", ["[", "[1]", "1", "null", '"x"', "{}", '{"version":1}', "[" * 100_000])
def test_garbage_instead_of_a_rate_begins_anew(text):
    assert state_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '[{"token":"0x02","at":"soon","seen_at":1}]',
        '[{"token":"0x02","at":1,"seen_at":null}]',
        '[{"token":["0x02"],"at":1,"seen_at":1}]',
        '[{"token":"0x02","at":1,"seen_at":1,"renewed":"no"}]',
        '[{"token":"0x02","at":1.5,"seen_at":1}]',
        "null",
        "1",
        '"ends"',
        "[1]",
        "[" * 100_000,
    ],
)
def test_garbage_in_the_ends_begins_anew(text):
    assert memory_of(text) == EndMemory()
