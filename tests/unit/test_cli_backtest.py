"""``keeper backtest``: the table and its sentence, the picture, files instead of a history, and every mistake in words."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from fractions import Fraction

import pytest
import time_machine
from journal_kit import CONFIG, settle
from past_kit import DAY, HOUR, START, Farm, always, keep

from keeper.cli import execute
from keeper.domain.money import WAD
from keeper.store import open_store
from keeper.strategy.policies import POLICIES

OTHER = CONFIG[CONFIG.index("[[positions]]") :].replace("cake-bnb", "other").replace("pid = 2", "pid = 3")
NOW = START + 40 * DAY
EVERY = {*POLICIES, "clairvoyant", "what really happened"}

#: A policy of one's own, as a process: it harvests above 15 times the cost, and can be told to fail.
PROCESS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if len(sys.argv) > 1:
        sys.exit(3)
    due = float(asked["reward_usd"]) > 15 * float(asked["cost_usd"])
    print(json.dumps({"id": asked["id"], "harvest": due}), flush=True)
"""


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    return settle(tmp_path, monkeypatch, CONFIG + OTHER)


@pytest.fixture
def journal(home):
    store = open_store(home / "state" / "keeper.db")
    yield lambda farm: keep(store, farm)
    store.close()


@pytest.fixture
def line(capsys):
    def ask(*args: str, code: int = 0) -> str:
        capsys.readouterr()
        assert execute(["backtest", *args]) == code
        shown = capsys.readouterr()
        return shown.out if code == 0 else shown.err

    return ask


def farm(**changes) -> Farm:
    """Forty days of $10,000 at 60 %, gas dear by day and cheap by night, compounded by a cron."""
    made = {
        "rate": always("0.6"),
        "cost": lambda at: Fraction(4 if at // HOUR % 24 < 14 else 2),
        "fee": Fraction(3, 1_000),
    }
    return Farm(**{**made, **changes})


def days(**changes) -> Farm:
    made = farm(**changes)
    made.run(40, every=2 * HOUR, compound_each=DAY)
    return made


def rows(out: str, title: str = "policy") -> dict[str, list[str]]:
    """The cells of a table by its first column."""
    lines = out.splitlines()
    start = next(n for n, text in enumerate(lines) if text.startswith(title + " "))
    end = next(n for n in range(start, len(lines)) if not lines[n])
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", text) for text in lines[start + 1 : end])}


def test_the_table_and_its_sentences(journal, line):
    journal(days())
    out = line("cake-bnb")
    assert out.startswith("cake-bnb: 2025-01-01 00:00 to 2025-02-10 00:00 UTC\n  40 of 90 days recorded, 481 looks\n\n")
    found = rows(out)
    assert set(found) == EVERY
    assert next(iter(found)) == "clairvoyant"
    gained, regret, captured, harvests, paid, ratio = found["clairvoyant"]
    assert (regret, captured, ratio) == ("$0.00", "100 %", "1.00")
    assert gained.startswith("$")
    assert int(harvests) > 1
    assert paid.startswith("$")
    assert found["never"] == ["$0.00", gained, "0 %", "0", "$0.00", "-"]
    assert found["daily"][3] == "40"
    assert found["what really happened"][3:5] == ["40", "$160.00"]
    cost = re.search(
        r"^Your daily rhythm cost you \$([\d.]+) in these 40 days, beside keeper's rule\.$", out, re.MULTILINE
    )
    more = re.search(
        r"^keeper's rule would have gained \$([\d.]+) more than what really happened; the model", out, re.MULTILINE
    )
    assert cost
    assert more
    assert cost[1] == more[1]
    assert float(cost[1]) > 100
    assert "Rates, prices and gas are as recorded" in out
    assert "never in a gap" in out


def test_a_rhythm_that_is_nobodys_is_said_to_be_so(journal, line):
    made = farm()
    made.run(40, every=2 * HOUR)
    journal(made)
    out = line("cake-bnb")
    assert re.search(r"^A daily cron would have cost you \$[\d.]+ in these 40 days", out, re.MULTILINE)
    assert re.search(
        r"more than what really happened; the model, put through the real compounds, is \$0\.00 off\.$",
        out,
        re.MULTILINE,
    )


def test_json_is_exact_and_the_same_twice(journal, line):
    journal(days())
    first, again = line("cake-bnb", "--json"), line("cake-bnb", "--json")
    assert first == again
    document = json.loads(first)
    assert document["schema"] == "keeper.backtest/1"
    assert set(document) == {"schema", "positions", "total", "sentences", "assumed", "left_out"}
    (one,) = document["positions"]
    assert one["position"] == "cake-bnb"
    assert one["recorded"] == {
        "since": NOW - 90 * DAY,
        "until": NOW,
        "first": START,
        "last": NOW,
        "looks": 481,
        "seconds": 40 * DAY,
        "gaps": 0,
        "longest_gap_seconds": 0,
        "longest_gap_at": None,
    }
    best = one["policies"][0]
    assert set(best) == {
        "name",
        "gained_usd",
        "regret_usd",
        "captured",
        "harvests",
        "gas_paid_usd",
        "gas_paid_over_mean",
    }
    assert (best["name"], best["regret_usd"], best["captured"]) == ("clairvoyant", "0", "1.000000")
    assert document["total"]["policies"] == one["policies"]
    assert {row["name"] for row in one["policies"]} == EVERY


def test_several_positions_are_added_up_and_those_without_a_history_named(journal, line):
    journal(days())
    text = line()
    assert "other is left out: nothing is recorded of it in this time; let `keeper run` go on for 2 days" in text
    journal(days(position_id="other", stake=Fraction(50)))
    document = json.loads(line("--json"))
    parts = [{row["name"]: row for row in one["policies"]} for one in document["positions"]]
    for row in document["total"]["policies"]:
        assert row["harvests"] == sum(part[row["name"]]["harvests"] for part in parts)
        summed = sum(Fraction(part[row["name"]]["gained_usd"]) for part in parts)
        assert Fraction(row["gained_usd"]) == summed
    out = line()
    assert set(rows(out, "position")) == {"cake-bnb", "other"}
    assert out.startswith("cake-bnb, other: ")


def test_a_window_and_policies_of_ones_choice(journal, line):
    journal(days())
    out = line("cake-bnb", "--since", "2025-01-11", "--until", "2025-01-31", "--policy", "weekly", "--policy", "r>33g")
    assert out.startswith("cake-bnb: 2025-01-11 00:00 to 2025-01-31 00:00 UTC\n  20 of 20 days recorded, 241 looks")
    assert set(rows(out)) == {"weekly", "r>33g", "never", "clairvoyant", "what really happened"}
    assert "keeper's rule would" not in out
    assert line("cake-bnb", "--window", "10d").startswith("cake-bnb: 2025-01-31 00:00 to")
    assert "choose one way" in line("cake-bnb", "--window", "10d", "--since", "5d", code=2)


def test_gaps_are_told_and_nobody_acts_in_them(journal, line):
    made = farm()
    made.run(5, every=2 * HOUR)
    made.go(3 * DAY)
    made.run(5, every=2 * HOUR)
    made.go(DAY)
    made.run(5, every=2 * HOUR)
    journal(made)
    out = line("cake-bnb", "--since", "2025-01-01", "--until", "2025-01-20")
    assert "14.8 of 19 days recorded, 181 looks; 2 gaps, the longest of 3 d 2 h from 2025-01-06 00:00" in out
    assert int(rows(out)["daily"][3]) <= 17


def test_a_cron_of_ones_own_by_rule_options(home, journal, line):
    journal(days())
    before = rows(line("cake-bnb"))["rule"]
    config = home / "keeper.toml"
    config.write_text(config.read_text() + '[strategy]\nrisk_factor = "0.5"\n')
    assert rows(line("cake-bnb"))["rule"] != before


def test_too_little_says_what_to_do(home, journal, line):
    assert "nothing is recorded of it in this time" in line("cake-bnb", code=1)
    made = farm()
    made.run(1)
    journal(made)
    said = line("cake-bnb", code=1)
    assert said.startswith(
        "Error: cake-bnb: 1 d of it is recorded in this time, too little to say anything; let `keeper run`"
    )
    assert "or give --gas CSV --price CSV --principal USD --apr PERCENT --cost-gas N" in said


def test_without_a_journal_it_says_how_to_begin(home, line):
    assert "nothing is recorded yet: let `keeper run` go on for 2 days, or give --gas CSV" in line(code=1)
    assert 'no position "cake"; did you mean "cake-bnb"?' in line("cake", code=2)


def test_the_picture(home, journal, line):
    journal(days())
    for name in ("a.svg", "b.svg", "c.png"):
        line("cake-bnb", "--plot", name)
    drawn = (home / "a.svg").read_text()
    assert (home / "b.svg").read_text() == drawn
    for text in (
        "Gained over never compounding: cake-bnb, 40 days",
        "rule  $",
        "what really happened  -$",
        "↓ r&gt;g  -$",
    ):
        assert text in drawn, text
    assert (home / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "a plot is .svg or .png" in line("--plot", "a.pdf", code=2)


# ---------------------------------------------------------------------------- from files


@pytest.fixture
def files(home):
    gas, coin = home / "gas.csv", home / "coin.csv"
    gas.write_text("timestamp,gwei\n" + "".join(f"{START + n * HOUR},{10 + n % 24}\n" for n in range(24 * 30)))
    coin.write_text("date,price\n" + "".join(f"2025-01-{n:02},{2_000 + n}\n" for n in range(1, 31)))
    return gas, coin


FARM = ("--principal", "20k", "--apr", "40%", "--cost-gas", "30k")


def test_files_instead_of_a_history_need_no_config(home, files, line):
    (home / "keeper.toml").unlink()
    gas, coin = map(str, files)
    out = line("--gas", gas, "--price", coin, *FARM)
    assert out.startswith("gas.csv: 2025-01-01 00:00 to 2025-01-30 23:00 UTC\n")
    found = rows(out)
    assert set(found) == EVERY - {"what really happened"}
    assert float(found["clairvoyant"][5]) < 0.9
    assert found["daily"][3] == "29"
    assert "A daily cron would have cost you" in out
    assert "what really happened" not in out
    assert "The stake and its yield are thought up" in out
    fixed = json.loads(line("--gas", gas, "--price", "2000", *FARM, "--fee", "0.3%", "--pool-depth", "5m", "--json"))
    assert fixed["positions"][0]["recorded"]["gaps"] == 0
    assert fixed["total"]["model_error_usd"] is None
    assert set(rows(line("--gas", gas, "--price", coin, *FARM, "--window", "10d", "--policy", "rule"))) == {
        "rule",
        "never",
        "clairvoyant",
    }


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--principal", "5"], 2, "--principal: only with --gas"),
        (["--gas", "gas.csv", "--principal", "5"], 2, "--gas also needs --price, --apr, --cost-gas"),
        (["--gas", "gas.csv", "--price", "no.csv", *FARM], 2, '"no.csv" is neither a file nor an amount such as 2500'),
        (["cake-bnb", "--gas", "gas.csv", "--price", "1", *FARM], 2, "leave the positions away"),
        (["--gas", "gas.csv", "--price", "1", *FARM, "--window", "1d"], 1, "less than 2 days in this time"),
        (["--gas", "gas.csv", "--price", "1", *FARM, "--since", "2024-01-01", "--until", "2024-02-01"], 78, "overlap"),
        (["--policy", "nonsense"], 2, "no policy is called 'nonsense'; there are never, daily"),
        (["--gas", "missing.csv"], 2, "does not exist"),
    ],
)
def test_mistakes_are_told_in_words(files, journal, line, args, code, said):
    journal(days())
    assert said in " ".join(line(*args, code=code).split())


@pytest.mark.parametrize(("module", "args"), [("numpy", []), ("matplotlib", ["--plot", "a.svg"])])
def test_a_missing_extra_is_named(home, line, monkeypatch, module, args):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else there(name, *more))
    assert 'pip install "keeper[backtest]"' in line(*args, code=1)


# ---------------------------------------------------------------------------- policies of one's own


def external(home, *more: str) -> None:
    (home / "mine.py").write_text(PROCESS)
    command = json.dumps([sys.executable, str(home / "mine.py"), *more])
    config = home / "keeper.toml"
    config.write_text(config.read_text() + f"[policies.mine]\ncommand = {command}\n")


def test_a_process_takes_part(home, journal, line):
    made = farm()
    made.run(6, every=2 * HOUR)
    journal(made)
    external(home)
    document = json.loads(line("cake-bnb", "--policy", "mine", "--policy", "r>15g", "--json"))
    mine, same = ({**row, "name": ""} for row in document["total"]["policies"] if row["name"] in {"mine", "r>15g"})
    assert mine == same
    assert mine["harvests"] > 0
    assert "mine" in rows(line("cake-bnb"))


def test_a_process_that_fails_is_not_taken_for_one_that_waits(home, journal, line):
    journal(days())
    external(home, "fail")
    said = line("cake-bnb", "--policy", "mine", code=1)
    assert "cake-bnb: policy mine" in said
    assert "leave it out with --policy" in said


def test_an_installed_policy_takes_part(journal, line, monkeypatch):
    journal(days())

    class Mine:
        """Somebody's own."""

        name = "mine"

        def wants(self, scene):
            return scene.reward > 20 * scene.cost

    monkeypatch.setattr("keeper.config.plugins.load_policies", lambda: {"mine": Mine()})
    found = rows(line("cake-bnb"))
    assert found["mine"] == found["r>20g"]


def test_a_history_of_older_versions_is_lived_through_without_deciding(journal, line):
    """Looks without numbers: the model cannot say what a compound would have cost."""
    made = days()
    made.samples = [replace(sample, numbers=None) for sample in made.samples]
    journal(made)
    found = rows(line("cake-bnb"))
    assert {cells[3] for name, cells in found.items() if name != "what really happened"} == {"0"}


def test_dollars_are_dollars_whatever_currency_is_reported(journal, line):
    made = days()
    plain = rows_of(made, journal, line)
    euros = days(position_id="other", base=always("1.25"))
    assert rows_of(euros, journal, line) == plain


def rows_of(made: Farm, journal, line) -> dict[str, list[str]]:
    journal(made)
    assert made.samples[0].base_usd in {WAD, 5 * WAD // 4}
    return rows(line(made.position_id))
