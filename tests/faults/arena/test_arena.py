"""The arena's own checks: its contract, its judge, what is committed as measured, and a small sample of it, live."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.arena import counter
from tests.faults.arena.cases import CASES
from tests.faults.arena.fight import VERDICTS, Outcome, judge, tournament, verdicts
from tests.faults.arena.subjects import PATTERNS
from tests.faults.arena.table import BEGIN, END, MEASURED, PAGE, block, figures, summary


def measured():
    return json.loads(MEASURED.read_text())


@pytest.mark.devnet
def test_the_committed_contract_is_what_its_source_compiles_to():
    assert counter.runtime() == counter.compiled()["runtime"]


@pytest.mark.parametrize(
    ("counts", "finished", "verdict"),
    [
        ({"a": 1, "b": 1}, True, "right"),
        ({"a": 1, "b": 2}, True, "double"),
        ({"a": 0, "b": 2}, False, "double"),
        ({"a": 0, "b": 1}, True, "lost"),
        ({"a": 0, "b": 1}, False, "stuck"),
        ({"a": 1, "b": 1}, False, "stuck"),
    ],
)
def test_the_judge(counts, finished, verdict):
    assert judge(counts, finished=finished) == verdict


def test_the_page_shows_what_was_measured():
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert block(measured()) in text


def test_what_was_measured_is_whole_and_keeper_was_right_every_time():
    found = measured()
    assert found["runs"] >= 3
    assert found["spoilt"] == 0, "a run in which the fault did not happen proves nothing"
    runs = found["runs"] * sum(case.counts for case in CASES)
    assert list(found["patterns"]) == [pattern.name for pattern in PATTERNS]
    for name, row in found["patterns"].items():
        if "not run" in row:
            assert name == "safe_eth"
            continue
        assert list(row["total"]) == list(VERDICTS)
        assert sum(row["total"].values()) == runs
        assert row["cases"]["control"] == {"right": found["runs"]}, "without a fault everybody is right"
        assert set(row["cases"]) == {case.name for case in CASES}
    assert found["patterns"]["keeper"]["total"] == dict.fromkeys(VERDICTS, 0) | {"right": runs}


def test_every_pattern_has_its_script_and_its_place_on_the_page():
    text = PAGE.read_text()
    for pattern in PATTERNS:
        if pattern.script:
            assert (Path(counter.__file__).parent / "patterns" / pattern.script).is_file()
            assert f"| `{pattern.name}` |" in text


def test_a_spoilt_run_is_not_counted():
    runs = [Outcome("keeper", "reorg", seed, "right", {}, 1.0, spoilt) for seed, spoilt in ((1, ""), (2, "late"))]
    assert verdicts(runs, "keeper") == {"right": 1}
    assert figures(runs, {})["spoilt"] == 1


def test_a_pattern_that_cannot_run_says_why():
    row = summary(figures([], {"safe_eth": "no compiler"}))
    assert "not run: no compiler" in row


@pytest.mark.devnet
@pytest.mark.slow
def test_a_sample_live():
    """Two faults, keeper and the most usual pattern: the second is not told apart from the first by luck."""
    wanted = [pattern for pattern in PATTERNS if pattern.name in ("tenacity", "keeper")]
    cases = [case for case in CASES if case.name in ("control", "kill_9", "accept_then_close")]
    outcomes, missing = tournament(wanted, cases, [1], jobs=3, install=False)
    assert missing == {}
    found = {(each.pattern, each.case): (each.verdict, each.counts, each.said[-4000:]) for each in outcomes}
    for case in cases:
        assert found["keeper", case.name][0] == "right", found["keeper", case.name]
    assert found["tenacity", "control"][0] == "right"
    assert found["tenacity", "kill_9"][0] == "double"
    assert found["tenacity", "accept_then_close"][0] == "double"
