"""``keeper bench policy``: the same bytes for the same arguments, a table, a plot, and mistakes told in words."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime
from functools import partial

import pytest

from keeper.backtest.runner import Plan
from keeper.backtest.suite import Cell
from keeper.cli import execute


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """A few cells stand for the suites, so that a test takes no minute."""
    monkeypatch.setattr("keeper.backtest.runner.Plan", partial(Plan, hours=350))
    monkeypatch.setattr("keeper.backtest.report.core", lambda: (Cell(2e4, 60.0), Cell(2e4, 200.0, "wild", "ou")))
    monkeypatch.setattr("keeper.backtest.report.idle", lambda: (Cell(2e2, 0.5),))
    monkeypatch.setattr("keeper.backtest.report.stress", lambda: (Cell(2e4, 200.0, stress="a trouble", poll=24),))
    monkeypatch.setattr("keeper.backtest.batches.HOURS", 200)


FEW = ["--policy", "rule", "--policy", "r>33g", "--seeds", "1", "--jobs", "1"]


def test_json_is_the_same_twice_and_another_with_another_seed(capsys):
    def said(*more: str) -> str:
        assert execute(["bench", "policy", *FEW, "--json", *more]) == 1  # two cells do not pass the gate
        return capsys.readouterr().out

    first, again, other = said("--stress"), said("--stress"), said("--base-seed", "9")

    assert first == again
    document = json.loads(first)
    assert document["schema"] == "keeper.bench.policy/1"
    core, stress = document["reports"]
    assert (core["suite"], core["base_seed"], core["cells"], core["years"]) == ("core", 0, 2, 2)
    assert core["gate"]["passed"] is False
    assert core["gate"]["wanted"]["score"] == 0.955
    assert [row["name"] for row in core["policies"]] == ["rule", "r>33g", "best-k", "clairvoyant"]
    rule = core["policies"][0]
    assert 0.9 < rule["bins"]["200"] < 1.0
    assert rule["cells"][1] | {"captured": 0} == rule["cells"][1] | {"captured": 0, "gas": "wild", "rate": "ou"}
    assert core["policies"][-1]["score"] == 1.0
    assert set(stress["policies"][0]["bins"]) == {"a trouble", "batches of 20"}
    assert json.loads(other)["reports"][0]["policies"][0]["score"] != rule["score"]


def test_the_table_says_what_was_missed_and_the_plot_is_drawn(tmp_path, capsys):
    plots = [tmp_path / name for name in ("a.svg", "b.svg", "c.png")]
    for plot in plots:
        assert execute(["bench", "policy", *FEW, "--plot", str(plot)]) == 1
        shown = capsys.readouterr()

    assert "Gate: missed." in shown.out
    assert "  n* 1.5 captures 0.0000, below 0.82" in shown.out
    assert "clairvoyant" in shown.out
    assert "drew" in shown.err
    assert plots[0].read_bytes() == plots[1].read_bytes()
    assert "rule  0." in plots[0].read_text()
    assert plots[2].read_bytes().startswith(b"\x89PNG")


def test_a_pass_ends_with_0(monkeypatch, capsys):
    monkeypatch.setattr("keeper.backtest.report.gate", lambda score, regret: [])

    assert execute(["bench", "policy", *FEW]) == 0
    assert "Gate: rule passes." in capsys.readouterr().out
    assert execute(["bench", "policy", "--policy", "weekly", "--seeds", "1", "--jobs", "1"]) == 0
    assert "Gate" not in capsys.readouterr().out


def test_recorded_gas(tmp_path, capsys):
    start = int(datetime(2021, 1, 1, tzinfo=UTC).timestamp())
    file = tmp_path / "gas.csv"
    file.write_text("timestamp,gwei\n" + "".join(f"{start + d * 86_400},{20 + d % 9}\n" for d in range(400)))

    assert execute(["bench", "policy", *FEW, "--gas", str(file)]) == 0

    shown = capsys.readouterr()
    assert "Recorded gas: 52 cells, 1 years each" in shown.out
    assert "2022 is left out" in shown.err
    assert "Gate" not in shown.out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--policy", "nonsense"], 2, "no policy is called 'nonsense'; there are never, daily"),
        (["--price", __file__], 2, "--price goes with --gas"),
        (["--gas", __file__], 78, "expected a header"),
        ([*FEW, "--plot", "picture.pdf"], 2, "a plot is .svg or .png"),
    ],
)
def test_mistakes_are_told_in_words(args, code, said, capsys):
    assert execute(["bench", "policy", *args]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("module", "args"), [("numpy", []), ("matplotlib", [*FEW, "--plot", "a.svg"])])
def test_a_missing_extra_is_named(module, args, monkeypatch, capsys):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else there(name, *more))

    assert execute(["bench", "policy", *args]) == 1
    assert 'pip install "keeper[backtest]"' in capsys.readouterr().err


class Mine:
    """Somebody's own."""

    name = "mine"

    def wants(self, scene):
        return scene.reward > 50 * scene.cost


class Single:
    """One that decides one position at a time."""

    name = "single"

    def wants(self, scene):
        return bool(scene.reward > 50 * scene.cost)


def test_an_installed_policy_races_by_its_name(monkeypatch, capsys):
    monkeypatch.setattr("keeper.config.plugins.load_policies", lambda: {"mine": Mine(), "single": Single()})

    assert (
        execute(["bench", "policy", "--policy", "mine", "--policy", "r>50g", "--seeds", "2", "--jobs", "1", "--json"])
        == 0
    )
    mine, same = json.loads(capsys.readouterr().out)["reports"][0]["policies"][:2]
    assert mine["bins"] == same["bins"]

    assert execute(["bench", "policy", "--policy", "single", "--seeds", "2", "--jobs", "1"]) == 1
    assert "cannot decide many positions at once" in capsys.readouterr().err
