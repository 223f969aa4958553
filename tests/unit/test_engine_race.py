"""The race beside the daemon: it follows what surveys see, is bounded, and can do no harm."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from past_kit import DAY, HOUR, START, Farm, always
from race_kit import Fleet, assessed, context

from keeper.backtest.history import history_of
from keeper.backtest.standing import standing_of
from keeper.domain.harvest import HarvestState
from keeper.domain.plan import Plan
from keeper.engine import race
from keeper.engine.race import LEAST, note_race, race_key
from keeper.engine.track_record import track_record
from keeper.errors import StoreUnavailable
from keeper.store import open_store
from keeper.strategy.performance.contest import contest_of, contest_text
from keeper.strategy.policies import POLICIES

KEY = race_key("bnb", "cake-bnb")


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "keeper.db")
    yield opened
    opened.close()


def book(store, farm: Farm, done) -> None:
    """Write a compound and its movements into the journal, as the lanes do."""
    plan = Plan(done.plan_id, done.position_id, "bnb", done.owner, (), (), farm.stake_token)
    begun = replace(done, state=HarvestState.OPEN, finished_at=None, received=(), compounded=None, cost_usd=0)
    store.open_harvest(begun, plan)
    store.close_harvest(done, [move for move in farm.ledger if move.harvest_id == done.id])


def after_survey(beside, assessments) -> None:
    """What the watch does: the price of gas is noted, decisions are made, and then the race is thought of."""
    decision = assessments[0].decision
    for assessment in assessments:
        track_record(beside, assessment.position)
    beside.outlook.note(decision.block.timestamp, decision.numbers.gas_price_wei)
    note_race(beside, assessments, decision.block)


def play(store, farm: Farm, looks: int, *, restart_at: int = -1, every: int = HOUR) -> None:
    beside = context(store)
    for number in range(looks):
        if number == restart_at:
            beside = context(store)
        if farm.samples:
            farm.go(every)
            if number % 30 == 20:
                book(store, farm, farm.compound())
            if number == 50:
                farm.move(30)
        sample = farm.look()
        after_survey(beside, [assessed(sample)])
    assert beside.events.events == []


def lively() -> Farm:
    return Farm(stake=Fraction(100), rate=always(5), cost=lambda at: Fraction(1 + at // HOUR % 5, 2))


def test_what_the_daemon_keeps_is_what_a_backtest_of_the_same_looks_says(store):
    farm = lively()
    play(store, farm, 120)
    kept = contest_of(store.get_flag(KEY))
    window = (START, START + 365 * DAY)
    tested = standing_of(history_of("p", *farm.books, (), window, rebasing=False), list(POLICIES.values()))
    assert (kept.looks, kept.since, kept.at) == (119, START, START + farm.at)
    for name in POLICIES:
        line = tested.line(name)
        assert (kept.gained(name), kept.entries[name].shadow.harvests) == (line.gained, line.harvests), name
    assert kept.entries["never"].shadow.harvests == 0
    assert kept.gained("r>20g") != 0


def test_a_restart_in_the_middle_changes_nothing(store, tmp_path):
    play(store, lively(), 80)
    with_restart = open_store(tmp_path / "other.db")
    play(with_restart, lively(), 80, restart_at=41)
    assert with_restart.get_flag(KEY) == store.get_flag(KEY)
    with_restart.close()


def test_it_looks_once_in_ten_minutes_and_not_in_the_midst_of_a_compound(store):
    farm, beside = lively(), context(store)
    for seconds in (0, 100, 500, 200):
        farm.go(seconds)
        after_survey(beside, [assessed(farm.look())])
    assert contest_of(store.get_flag(KEY)).looks == 1
    done = farm.compound()
    begun = replace(done, state=HarvestState.OPEN, finished_at=None, received=(), compounded=None, cost_usd=0)
    store.open_harvest(begun, Plan("p", "cake-bnb", "bnb", done.owner, (), (), farm.stake_token))
    farm.go(HOUR)
    after_survey(beside, [assessed(farm.look())])
    assert contest_of(store.get_flag(KEY)).looks == 1


def test_of_many_a_part_at_a_time_lives_on_and_nobody_is_forgotten(store, monkeypatch):
    monkeypatch.setattr(race, "PART", 4)
    monkeypatch.setattr(race, "LEAST", 3)
    fleet = Fleet(20)
    beside = context(store, *fleet.names)
    for turn in range(8):
        after_survey(beside, fleet.survey(900))
        assert len(store.flags(race_key("bnb"))) == min(turn + 1, 4) * 5
    assert {contest_of(text).looks for text in store.flags(race_key("bnb")).values()} == {1}
    few = Fleet(3)
    beside = context(store, *few.names)
    after_survey(beside, few.survey(900))
    assert len(store.flags(race_key("bnb"))) == 3


def test_what_it_asks_of_the_journal_is_one_text_for_each_and_one_commit(store, monkeypatch):
    asked = []
    for name in ("get_flag", "set_flags", "harvests", "ledger", "flags", "samples"):
        real = getattr(type(store), name)

        def counted(self, *args, _name=name, _real=real, **options):
            asked.append(_name)
            return _real(self, *args, **options)

        monkeypatch.setattr(type(store), name, counted)
    fleet = Fleet(LEAST)
    beside = context(store, *fleet.names)
    for _ in range(2):
        assessments = fleet.survey(900)
        for assessment in assessments:
            track_record(beside, assessment.position)  # the survey's own question
        asked.clear()
        note_race(beside, assessments, assessments[0].decision.block)
    assert asked == ["get_flag"] * LEAST + ["set_flags"]
    many = [SimpleNamespace(position=SimpleNamespace(id=str(n)), case=1) for n in range(10_000)]
    assert len(race._in_turn(many, {}, START)) == 625


def test_positions_that_are_gone_leave_nothing_behind(store):
    store.set_flags({race_key("bnb", "old"): "{}", race_key("eth", "other"): "{}", "race": "x"})
    note_race(context(store), [], lively().look().observation.block)
    assert store.flags("race") == {"race": "x", race_key("eth", "other"): "{}"}


def test_what_was_decided_and_remembered_stays_as_it_is(store):
    farm, beside = lively(), context(store)
    for _ in range(3):
        farm.go(HOUR)
        found = assessed(farm.look())
        track_record(beside, found.position)
        beside.outlook.note(found.decision.block.timestamp, found.decision.numbers.gas_price_wei)
        learnt, memory = dict(beside.learnt), beside.outlook.memory
        before = repr((found.decision, found.observation, memory.mean, memory.last, memory.last_at, learnt))
        note_race(beside, [found], found.decision.block)
        assert (
            repr((found.decision, found.observation, memory.mean, memory.last, memory.last_at, beside.learnt)) == before
        )
        assert beside.outlook.memory is memory
    assert store.decisions("cake-bnb") == []


def test_nothing_is_kept_where_nobody_wants_it(store):
    farm = lively()
    note_race(context(store, races=None), [assessed(farm.look())], farm.samples[0].observation.block)
    assert store.flags("race") == {}


@pytest.mark.parametrize("broken", ["step_between", "advance", "points_of", "field_of", "contest_of", "contest_text"])
def test_whatever_goes_wrong_is_told_once_and_begins_anew(store, monkeypatch, broken):
    farm, beside = lively(), context(store)
    after_survey(beside, [assessed(farm.look())])

    def fails(*_, **__):
        raise ZeroDivisionError("of all things")

    with monkeypatch.context() as patch:
        patch.setattr(race, broken, fails)
        for _ in range(3):
            farm.go(HOUR)
            after_survey(beside, [assessed(farm.look())])
    (event,) = beside.events.events
    assert (event.name.value, event.fields["position"]) == ("race.failed", "cake-bnb")
    assert event.fields["error"] == "ZeroDivisionError: of all things"
    assert store.get_flag(KEY) is None
    farm.go(HOUR)
    after_survey(beside, [assessed(farm.look())])
    assert contest_of(store.get_flag(KEY)).since == START + farm.at


def test_a_journal_that_takes_nothing_more_stops_no_survey(store, monkeypatch):
    farm, beside = lively(), context(store)

    def full(_self, _values):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(type(store), "set_flags", full)
    for _ in range(3):
        farm.go(HOUR)
        after_survey(beside, [assessed(farm.look())])
    (event,) = beside.events.events
    assert event.fields["position"] is None
    assert "disk is full" in event.fields["error"]


def test_a_chain_that_was_wound_back_begins_anew(store):
    farm, beside = lively(), context(store)
    for seconds in (0, DAY, DAY):
        farm.go(seconds)
        after_survey(beside, [assessed(farm.look())])
    farm.at -= DAY
    after_survey(beside, [assessed(farm.look())])
    assert contest_of(store.get_flag(KEY)).since == START + farm.at


def test_a_position_without_prices_or_verdict_waits(store):
    farm, beside = lively(), context(store)
    sample = farm.look()
    unpriced = assessed(
        replace(sample, prices=tuple(p for p in sample.prices if p[0] in {"", farm.stake_token.address}))
    )
    bare = assessed(sample)
    undecided = replace(bare, decision=replace(bare.decision, numbers=None))
    for broken in (replace(bare, case=None), undecided):
        note_race(beside, [broken], sample.observation.block)
    assert store.flags("race") == {}
    assert unpriced is not None


def test_what_is_kept_is_small(store):
    play(store, lively(), 40)
    assert len(store.get_flag(KEY)) < 250 * len(POLICIES)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", '{"v":2}', '{"v":1}', '{"v":1,"stake":3}'])
def test_a_text_that_is_none_is_no_contest(text):
    assert contest_of(text) is None


def test_policies_that_come_and_go(store):
    farm = lively()
    play(store, farm, 40)
    data = json.loads(store.get_flag(KEY))
    data["policies"].pop("weekly")
    data["policies"]["gone"] = data["policies"]["daily"]
    store.set_flag(KEY, json.dumps(data))
    play(store, farm, 1)
    kept = contest_of(store.get_flag(KEY))
    assert set(kept.entries) == set(POLICIES)
    joined = kept.entries["weekly"]
    assert joined.since == START + farm.at - HOUR
    assert (kept.gained("weekly"), joined.shadow.harvests) == (0, 0)
    assert contest_of(contest_text(kept)) == kept


def test_a_reward_that_is_new_pends_from_then_on():
    from past_kit import BNB, CAKE, LP

    from keeper.strategy.gas_memory import GasMemory
    from keeper.strategy.performance.contest import advance, begun, look_before
    from keeper.strategy.performance.past import step_between
    from keeper.strategy.performance.points import points_of
    from keeper.strategy.performance.ticks import tick_of

    farm = lively()
    (point,), _ = points_of([farm.look()])
    contest = begun(point, (LP, (CAKE,)), POLICIES)
    farm.go(HOUR)
    (point,), _ = points_of([farm.look()])
    both = (BNB, CAKE)
    point = replace(point, pending=(7, point.pending[0]), reward_prices=(6 * 10**20, point.reward_prices[0]))
    before, pace = look_before(contest, point, (LP, both))
    assert before.pending == (0, 0)
    step = step_between(before, point, (LP, both), [], [], rebasing=False, pace=pace)
    memory = GasMemory()
    memory.observe(point.at, 1e9)
    tick = tick_of(step, (LP, both), contest.terms.after(point), farm.samples[-1].numbers)
    advance(contest, tick, both, pace, POLICIES, memory)
    assert list(contest.pending) == [BNB.address, CAKE.address]
    assert contest.entries["never"].shadow.pending[1] // 10**18 == pytest.approx(point.pending[1], rel=1e-9)
