"""What must not be hidden: harvests behind dropped ones, a rate that is not known yet, a member that cannot be sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from test_engine_decide import case
from test_engine_options import Says

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import usd
from keeper.domain.position import StrategyOptions
from keeper.engine.decide import decide
from keeper.engine.rounds import round_for
from keeper.engine.track_record import track_record

DAY = 86_400
NOW = case().observation.block.timestamp


def harvest(number, state, at):
    found = case().position
    money = {"predicted_reward_usd": usd(1), "predicted_cost_usd": usd(1), "predicted_gas": 1}
    times = {"decided_block": 1, "started_at": at, "finished_at": at}
    return Harvest(str(number), found.id, found.chain, found.owner, state, "", **times, **money)


def test_compounds_that_were_dropped_hide_neither_the_year_nor_the_last_one():
    dropped = [harvest(100 + i, HarvestState.CANCELLED, NOW - 60 * i) for i in range(300)]
    done = [harvest(i, HarvestState.DONE, NOW - DAY - i) for i in range(12)]
    store = SimpleNamespace(harvests=lambda _, limit: [*dropped, *done][:limit])
    position = replace(case().position, options=StrategyOptions(max_harvests_per_year=12))
    record = track_record(SimpleNamespace(store=store, learnt={}), position)
    assert record.within_a_year(NOW) == 12
    assert record.last_at == NOW - DAY


def test_a_rate_that_is_not_known_yet_is_not_one_that_has_ended():
    options = StrategyOptions(target_yield_bps=1_500)
    assert decide(case("60", options=options)).verdict is Verdict.WAIT
    unknown = decide(replace(case("60", options=options), learnt=()))
    assert (unknown.verdict, unknown.code) == (Verdict.WAIT, ReasonCode.RATE_UNKNOWN)


def test_a_member_that_cannot_be_harvested_pays_for_no_round():
    context = SimpleNamespace(batches={})
    member = case("300", judge=Says(harvest=False))
    assert round_for(context, [member]).included == ("p",)
    watched = replace(member, around=replace(member.around, can_sign=False))
    assert decide(watched).verdict is Verdict.WAIT
    assert round_for(context, [watched]).included == ()
