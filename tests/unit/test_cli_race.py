"""``keeper race``: who leads and who is running, in one position and in all, and why there is nothing to show."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
import time_machine
from journal_kit import CONFIG, settle
from past_kit import DAY, HOUR, START, Farm, always
from race_kit import assessed, context

from keeper.cli import execute
from keeper.engine.race import note_race
from keeper.engine.track_record import track_record
from keeper.store import open_store
from keeper.strategy.policies import POLICIES

OTHER = CONFIG[CONFIG.index("[[positions]]") :].replace("cake-bnb", "other").replace("pid = 2", "pid = 3")
NOW = START + 9 * DAY


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    return settle(tmp_path, monkeypatch, CONFIG + OTHER)


@pytest.fixture
def line(capsys):
    def ask(*args: str, code: int = 0) -> str:
        capsys.readouterr()
        assert execute(["race", *args]) == code
        shown = capsys.readouterr()
        return shown.out if code == 0 else shown.err

    return ask


def live(home, *farms: Farm, days: int = 9) -> None:
    """Let a daemon watch these for some days, one look in two hours."""
    store = open_store(home / "state" / "keeper.db")
    beside = context(store, *(farm.position_id for farm in farms))
    for look in range(days * 12 + 1):
        for farm in farms:
            if look:
                farm.go(2 * HOUR)
            sample = farm.look()
            store.record_samples([sample])
            beside.outlook.note(sample.observation.block.timestamp, sample.numbers.gas_price_wei)
            found = assessed(sample)
            track_record(beside, found.position)
            note_race(beside, [found], sample.observation.block)
    assert beside.events.events == []
    store.close()


def farm(**changes) -> Farm:
    return Farm(**{"rate": always(5), "cost": lambda at: Fraction(1 + at // HOUR % 5), **changes})


def rows(out: str, title: str = "policy") -> dict[str, list[str]]:
    lines = out.splitlines()
    start = next(n for n, text in enumerate(lines) if text.startswith(title + " "))
    end = next(n for n in range(start, len(lines)) if not lines[n])
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", text) for text in lines[start + 1 : end])}


def test_one_position_and_who_leads(home, line):
    live(home, farm())
    out = line("cake-bnb")
    assert out.startswith("cake-bnb: since 2025-01-01 00:00 UTC (9 d, 108 looks), the last now\n\n")
    found = rows(out)
    assert set(found) == {*POLICIES, "rule *"} - {"rule"}
    assert found["never"] == ["$0.00", "0", "$0.00", "-"]
    assert found["daily"][1] == "9"
    amounts = [Fraction(cells[0].replace("$", "").replace(",", "")) for cells in found.values()]
    assert amounts == sorted(amounts, reverse=True)
    assert re.search(
        r"^(rule leads, and is running\.|.* leads, \$[\d.]+ ahead of rule, which is running\.)$", out, re.MULTILINE
    )
    assert "sends nothing" in out


def test_all_positions_and_the_total(home, line):
    live(home, farm(), farm(position_id="other", stake=Fraction(30)))
    out = line()
    assert set(rows(out, "position")) == {"cake-bnb", "other"}
    document = json.loads(line("--json"))
    assert document["schema"] == "keeper.race/1"
    assert set(document) == {"schema", "positions", "total", "not_yet"}
    first, second = document["positions"]
    assert {k: first[k] for k in ("position", "chain", "since", "last_look", "looks", "running")} == {
        "position": "cake-bnb",
        "chain": "bnb",
        "since": START,
        "last_look": NOW,
        "looks": 108,
        "running": "rule",
    }
    assert set(first["policies"][0]) == {
        "name",
        "since",
        "gained_usd",
        "harvests",
        "gas_paid_usd",
        "gas_paid_over_mean",
    }
    assert first["leads"] == first["policies"][0]["name"]
    parts = [{row["name"]: row for row in one["policies"]} for one in (first, second)]
    for row in document["total"]:
        assert Fraction(row["gained_usd"]) == sum(Fraction(part[row["name"]]["gained_usd"]) for part in parts)
        assert row["harvests"] == sum(part[row["name"]]["harvests"] for part in parts)


def test_the_policy_of_a_position_is_marked_and_one_without_a_shadow_told(home, line):
    config = home / "keeper.toml"
    config.write_text(CONFIG + 'policy = "weekly"\n' + OTHER)
    live(home, farm())
    out = line("cake-bnb")
    assert "weekly *" in rows(out)
    assert re.search(r"leads, \$[\d.]+ ahead of weekly, which is running\.", out)
    config.write_text(CONFIG + 'policy = "mine"\n' + OTHER + '[policies.mine]\ncommand = ["mine"]\n')
    out = line("cake-bnb")
    assert "mine is running, and has no shadow: only built-in policies have." in out
    assert " *" not in out


def test_who_has_not_begun_is_told(home, line):
    live(home, farm())
    assert "not in it yet: other" in line()
    assert "nothing has raced yet: `keeper run` begins" in line("other")
    assert json.loads(line("other", "--json")) == {
        "schema": "keeper.race/1",
        "positions": [],
        "total": [],
        "not_yet": ["other"],
    }


def test_without_a_journal_or_a_wish(home, line):
    assert "nothing has raced yet" in line()
    config = home / "keeper.toml"
    config.write_text(CONFIG + "[strategy]\nrace = false\n")
    assert "strategy.race is false in the config" in line()
    assert "did you mean" in line("cake-bn", code=2)


def test_nobody_gains_where_nothing_happened(home, line):
    live(home, farm(rate=always(0)), days=1)
    assert "Nobody has gained on never compounding yet." in line("cake-bnb")
