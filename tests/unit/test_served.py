"""What the API and the metrics tell of a real journal: the commands' own words, read-only, a little at a time."""

from __future__ import annotations

import threading
import time

import pytest
import time_machine
from journal_kit import CONFIG, settle
from past_kit import DAY, HOUR, START, Farm, always, keep

from keeper.cli.measuring import Measuring
from keeper.cli.report_data import USD
from keeper.cli.report_desk import FRESH, ReportDesk
from keeper.cli.served import Served
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.errors import StoreUnavailable
from keeper.notify.metrics import MetricsSink
from keeper.store import open_store
from keeper.strategy.performance.results import Performance

OTHER = CONFIG[CONFIG.index("[[positions]]") :].replace("cake-bnb", "other").replace("pid = 2", "pid = 3")
NOW = START + 20 * DAY


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, CONFIG + OTHER)
    return load([tmp_path / "keeper.toml"], env={}, catalogue=installed_catalogue(), dotenv=None, secrets=False)


@pytest.fixture
def journal(loaded):
    """The daemon's own: it stays open for writing while the API reads."""
    store = open_store(loaded.journal)
    farm = Farm(cost=always("0.3"))
    farm.run(20, every=6 * HOUR, compound_each=4 * DAY)
    keep(store, farm)
    for number in range(3):
        at = BlockRef("bnb", number, "0x" + "ab" * 32, START + number)
        code = (ReasonCode.BELOW_THRESHOLD, ReasonCode.BELOW_COST)[number % 2]
        reasons = (Reason(code, f"the {number}th"),)
        store.record_decisions([Decision("cake-bnb", at, Verdict.WAIT, reasons, farm.samples[-1].numbers)])
    with time_machine.travel(NOW, tick=False):
        yield store
    store.close()


@pytest.fixture
def served(loaded, journal):
    with Served(loaded) as made:
        yield made


def test_positions_come_in_pages(served):
    first, second = served.positions(0, 1), served.positions(1, 1)
    assert [p["id"] for p in first["positions"]] == ["cake-bnb"]
    assert first["positions"][0]["decision"]["verdict"] == "WAIT"
    assert (first["count"], first["next_offset"], second["next_offset"]) == (2, 1, None)
    assert second["positions"][0]["decision"] is None
    assert served.positions(5, 10)["positions"] == []


def test_a_position_is_what_explain_tells(served):
    found = served.position("cake-bnb")
    assert found["position"]["id"] == "cake-bnb"
    assert len(found["past_decisions"]) == 3
    assert len(found["harvests"]) == 5
    assert served.position("nobody") is None


def test_decisions_are_limited_and_newest_first(served):
    found = served.decisions("cake-bnb", 2)
    assert [d["reasons"][0]["text"] for d in found["decisions"]] == ["the 2th", "the 1th"]
    assert served.decisions("nobody", 2) is None


def test_a_report_is_what_the_command_tells_and_says_who_is_missing(served):
    found = served.report("30d", None, 0, 20)
    assert [p["position"] for p in found["positions"]] == ["cake-bnb"]
    assert found["positions"][0]["harvests"] == 5
    assert found["total"]["harvests"] == 5
    assert [m["position"] for m in found["missing"]] == ["other"]
    assert (found["incomplete"], found["count"], found["currency"]) == ([], 2, "USD")
    assert served.report("7d", "cake-bnb", 0, 20)["window"]["name"] == "7d"
    assert served.report("7d", "nobody", 0, 20) is None


def test_the_journal_is_opened_for_reading_alone(served, journal):
    served.positions(0, 1)
    with pytest.raises(StoreUnavailable):
        served._open().set_flag("x", "y")
    journal.set_flag("x", "y")  # the daemon writes on


def test_without_a_journal_it_is_unavailable_and_there_when_it_comes(loaded):
    with Served(loaded) as made:
        with pytest.raises(StoreUnavailable):
            made.positions(0, 1)
        open_store(loaded.journal).close()
        assert made.positions(0, 1)["count"] == 2


# ---------------------------------------------------------------------------- results kept for a while


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def test_a_result_stands_for_a_while_and_is_worked_out_once(journal):
    clock, opened = Clock(), []
    desk = ReportDesk(lambda: opened.append(1) or journal, clock=clock)
    first = desk.ask(["cake-bnb"], "30d", USD, 5)[0]["cake-bnb"]
    assert isinstance(first, Performance)
    assert desk.ask(["cake-bnb"], "30d", USD, 5)[0]["cake-bnb"] is first
    assert len(opened) == 1
    desk.ask(["cake-bnb"], "7d", USD, 5)
    assert len(opened) == 2
    clock.now += FRESH + 1
    assert desk.ask(["cake-bnb"], "30d", USD, 5)[0]["cake-bnb"] is not first
    assert "no samples" in desk.ask(["other"], "30d", USD, 5)[0]["other"]


def test_what_there_is_no_time_for_is_named_and_what_is_known_is_told(journal):
    clock = Clock()
    desk = ReportDesk(lambda: setattr(clock, "now", clock.now + 3) or journal, clock=clock)
    found, late = desk.ask(["cake-bnb", "other", "third"], "30d", USD, 5)
    assert (list(found), late) == (["cake-bnb", "other"], ["third"])
    found, late = desk.ask(["cake-bnb", "other", "third"], "30d", USD, 5)
    assert late == []


def test_one_at_a_time_and_nobody_waits_longer_than_it_said(journal):
    entered, leave = threading.Event(), threading.Event()

    def slow():
        entered.set()
        leave.wait(10)
        return journal

    desk = ReportDesk(slow)
    worker = threading.Thread(target=desk.ask, args=(["cake-bnb"], "30d", USD, 5))
    worker.start()
    assert entered.wait(5)
    begun = time.perf_counter()
    assert desk.ask(["other"], "30d", USD, 0.2) == ({}, ["other"])
    assert time.perf_counter() - begun < 3
    leave.set()
    worker.join(10)


# ---------------------------------------------------------------------------- metrics


def test_metrics_are_filled_from_the_history(journal):
    sink = MetricsSink("1")
    desk = ReportDesk(lambda: journal)
    with Measuring(desk, ["cake-bnb", "other"], sink, first=0.01, every=60):
        deadline = time.perf_counter() + 20
        while b"gain_over_daily_usd{" not in sink.exposition() and time.perf_counter() < deadline:
            threading.Event().wait(0.02)
    real = desk.ask(["cake-bnb"], "30d", USD, 5)[0]["cake-bnb"]
    shown = sink.exposition().decode()
    for line in (
        f'keeper_position_apr{{position="cake-bnb"}} {real.in_kind.apr / 10**18}',
        f'keeper_position_gain_over_never_usd{{position="cake-bnb"}} {real.never.gain / 10**18}',
        f'keeper_position_gain_over_daily_usd{{position="cake-bnb"}} {real.daily.gain / 10**18}',
    ):
        assert line in shown
    assert 'position="other"' not in shown


def test_a_journal_that_fails_stops_no_thread():
    def broken():
        raise StoreUnavailable("gone")

    asked = threading.Event()
    sink = MetricsSink("1")
    desk = ReportDesk(lambda: (asked.set(), broken()))
    with Measuring(desk, ["cake-bnb"], sink, first=0.01, every=0.01) as measuring:
        assert asked.wait(5)
        asked.clear()
        assert asked.wait(5)  # and comes again
    assert measuring._stopped.is_set()


def test_positions_beyond_the_bound_have_no_series():
    sink = MetricsSink("1", max_positions=2)
    for number in range(5):
        sink.measured(f"p{number}", 0.1, None, 1.0)
    shown = sink.exposition().decode()
    assert shown.count("keeper_position_apr{") == 2
    assert 'keeper_position_apr{position="other"}' not in shown
    assert "keeper_position_gain_over_never_usd{" not in shown
