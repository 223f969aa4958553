"""What commands show from the journal alone: every verdict, no chain, and nothing heavy imported."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from journal_kit import CONFIG, LP, OWNER, settle

from keeper.cli import execute as run
from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import WAD, Address, Amount, Token
from keeper.domain.observation import Accrual, Observation, Sample
from keeper.domain.plan import Plan
from keeper.store import open_store

CAKE = Token("bnb", Address("0x" + "33" * 20), "CAKE", 18)
THEN = 1_700_000_000
BLOCK = BlockRef("bnb", 45_102_331, "0x" + "ab" * 32, THEN)

TWO = f"""{CONFIG}[[positions]]
id = "other"
chain = "bnb"
protocol = "masterchef"
target = "0x4444444444444444444444444444444444444444"
pid = 3
owner = "0x1111111111111111111111111111111111111111"
"""


def dollars(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * WAD + int((part + "0" * 18)[:18])


NUMBERS = DecisionNumbers(
    principal_usd=dollars("10240.18"),
    reward_usd=dollars("21.77"),
    threshold_usd=dollars("79.70"),
    budget_usd=dollars("0.02"),
    cost_usd=dollars("0.31"),
    forward_usd_per_year=dollars("1884.19"),
    yield_wad=184 * 10**15,
    pressure_wad=186 * 10**15,
    gas_units=412_000,
    gas_price_wei=11 * 10**7,
    harvests_per_year_milli=23_000,
    waiting_cost_per_day_usd=dollars("0.011"),
    gain_per_year_usd=dollars("155"),
    eta_seconds=972_000,
    fire_gas_price_wei=8 * 10**6,
)


def decision(verdict: Verdict = Verdict.WAIT, code=ReasonCode.BELOW_THRESHOLD, numbers=NUMBERS) -> Decision:
    text = f"sentence about {code.value}"
    guards = (Reason(ReasonCode.GUARD_OK, "not paused"), Reason(ReasonCode.GUARD_OK, "limits ok"))
    return Decision("cake-bnb", BLOCK, verdict, (Reason(code, text),), numbers, guards, THEN + 972_000)


def harvest(number: int, state: HarvestState) -> Harvest:
    return Harvest(
        id=f"h{number}",
        position_id="cake-bnb",
        chain="bnb",
        owner=OWNER,
        state=state,
        plan_id="p",
        decided_block=45_000_000,
        started_at=THEN - 800_000 + number,
        predicted_reward_usd=dollars("80.12"),
        predicted_cost_usd=dollars("0.29"),
        predicted_gas=412_000,
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    return settle(tmp_path, monkeypatch, TWO)


@pytest.fixture
def store(home):
    opened = open_store(home / "state" / "keeper.db")
    yield opened
    opened.close()


def record(store, made: Decision) -> None:
    store.record_decision(made)
    seen = Observation(
        "cake-bnb",
        BLOCK,
        Amount(LP, 412 * 10**17),
        (Amount(CAKE, 931 * 10**16),),
        (Accrual(Amount(CAKE, 10**21)),),
    )
    store.record_samples([Sample(seen, made.numbers)])


def close(store, done: Harvest) -> None:
    plan = Plan("p", "cake-bnb", "bnb", OWNER, (), (LP, CAKE), LP)
    store.open_harvest(replace(done, state=HarvestState.OPEN), plan)
    entries = [
        LedgerEntry(
            done.id,
            "0x" + done.id[1:].zfill(64),
            3,
            45_000_001,
            THEN,
            "claim",
            Amount(CAKE, 34 * 10**18),
            dollars("80.05"),
        )
    ]
    finished = replace(
        done,
        finished_at=THEN - 790_000,
        received=(Amount(CAKE, 34 * 10**18),),
        compounded=Amount(LP, 3 * 10**17),
        gas_used=410_000,
        cost_wei=45_100_000_000_000,
        received_usd=dollars("80.05"),
        compounded_usd=dollars("79.9"),
        cost_usd=dollars("0.30"),
    )
    store.close_harvest(finished, entries)


def shown(capsys, *args: str) -> str:
    assert run(list(args)) == 0
    return capsys.readouterr().out


def parsed(capsys, *args: str) -> dict:
    return json.loads(shown(capsys, *args, "--json"))


@pytest.mark.parametrize("args", [["status"], ["explain", "cake-bnb"], ["positions"], ["ledger"], ["ledger", "--csv"]])
def test_without_a_journal_nothing_fails_and_none_is_made(home, capsys, args):
    assert run(args) == 0
    assert not (home / "state").exists()
    assert capsys.readouterr().out


def test_explain_without_data_says_how_to_get_some(home, capsys):
    out = shown(capsys, "explain", "cake-bnb")
    assert "--live" in out
    assert "keeper run" in out


def test_status_lists_every_position(store, capsys):
    record(store, decision())
    out = shown(capsys, "status")
    line = next(row for row in out.splitlines() if row.startswith("cake-bnb"))
    for part in ("WAIT", "$10,240.18", "$21.77", "$79.70", "$0.31"):
        assert part in line
    assert "not seen" in out
    assert "block 45,102,331" in out


def test_status_shows_why_a_position_is_blocked(store, capsys):
    record(store, decision(Verdict.BLOCKED, ReasonCode.PRICE_STALE, numbers=None))
    assert "sentence about price_stale" in shown(capsys, "status")


def test_status_says_when_a_compound_ended_after_the_verdict(store, capsys):
    early = BlockRef("bnb", 45_000_000, "0x" + "ab" * 32, THEN - 795_000)
    record(store, replace(decision(Verdict.HARVEST, ReasonCode.ABOVE_THRESHOLD), block=early))
    assert "from before" not in shown(capsys, "status")
    close(store, harvest(1, HarvestState.DONE))
    out = shown(capsys, "status")
    assert re.search(r"cake-bnb: compounded .* ago; the numbers above are from before", out)
    record(store, decision())
    assert "from before" not in shown(capsys, "status")


def test_status_does_not_believe_the_heartbeat_of_a_process_that_is_gone(home, store, capsys):
    record(store, decision())
    beat = home / "state" / "heartbeat"
    beat.write_text(f"{int(time.time())} {os.getpid()}\n")
    assert f"daemon: running (process {os.getpid()}" in shown(capsys, "status")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    beat.write_text(f"{int(time.time())} {gone.pid}\n")
    assert f"daemon: not running (process {gone.pid} is gone)" in shown(capsys, "status")
    assert parsed(capsys, "status")["daemon"]["running"] is False


def test_status_json_has_exact_amounts_as_text(store, capsys):
    record(store, decision())
    document = parsed(capsys, "status")
    assert document["schema"] == "keeper.status/1"
    first, second = document["positions"]
    assert first["staked"]["raw"] == "41200000000000000000"
    assert first["decision"]["numbers"]["cost_usd"] == "0.31"
    assert first["decision"]["numbers"]["gas_price_wei"] == "110000000"
    assert second["decision"] is None
    assert document["chains"][0]["block"] == 45_102_331


def test_an_open_compound_is_shown(store, capsys):
    record(store, decision())
    store.open_harvest(harvest(1, HarvestState.OPEN), Plan("p", "cake-bnb", "bnb", OWNER, (), (LP,), LP))
    assert "under way" in shown(capsys, "status")
    assert parsed(capsys, "status")["positions"][0]["open_harvest"] == "h1"
    assert "under way" in shown(capsys, "explain", "cake-bnb")


@pytest.mark.parametrize(
    ("made", "parts"),
    [
        (decision(), ["WAIT", "needs 3.6x as much", "0.008 gwei", "23 a year", "+$155", "412,000 gas", "18.4 %"]),
        (
            decision(Verdict.HARVEST, ReasonCode.ABOVE_THRESHOLD, replace(NUMBERS, reward_usd=dollars("90"))),
            ["HARVEST", "$90.00", "would fire  now"],
        ),
        (
            decision(Verdict.WAIT, ReasonCode.NO_YIELD, replace(NUMBERS, threshold_usd=None, eta_seconds=None)),
            ["never", "sentence about no_yield"],
        ),
        (decision(Verdict.BLOCKED, ReasonCode.PROTOCOL_PAUSED), ["BLOCKED", "protocol_paused"]),
        (decision(Verdict.BLOCKED, ReasonCode.PRICE_MISSING, None), ["BLOCKED", "price_missing", "41.2 CAKE-BNB"]),
    ],
)
def test_explain_every_verdict(store, capsys, made, parts):
    record(store, made)
    out = shown(capsys, "explain", "cake-bnb")
    for part in [*parts, "not paused", "no harvest yet"]:
        assert part in out


def test_explain_shows_prediction_beside_outcome(store, capsys):
    record(store, decision())
    close(store, harvest(1, HarvestState.DONE))
    out = shown(capsys, "explain", "cake-bnb")
    assert "predicted $80.12 for $0.29, got $80.05 for $0.30" in out
    document = parsed(capsys, "explain", "cake-bnb")
    assert document["harvests"][0]["realised"]["cost_wei"] == "45100000000000"
    assert document["past_decisions"][0]["code"] == "below_threshold"


def test_ledger_totals_what_was_done(store, capsys):
    close(store, harvest(1, HarvestState.DONE))
    close(store, harvest(2, HarvestState.DONE))
    out = shown(capsys, "ledger")
    assert "2 compounds: received $160.10, compounded $159.80, gas $0.60" in out
    assert parsed(capsys, "ledger")["totals"]["received_usd"] == "160.1"


def test_ledger_entries_and_csv_are_exact(store, capsys):
    close(store, harvest(1, HarvestState.DONE))
    assert "34 CAKE" in shown(capsys, "ledger", "--entries")
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "ledger", "--entries", "--csv"))))
    assert rows[0]["amount"] == "34.000000000000000000"
    assert rows[0]["value_usd"] == "80.05"
    harvests = list(csv.DictReader(io.StringIO(shown(capsys, "ledger", "--csv"))))
    assert harvests[0]["cost_wei"] == "45100000000000"


def test_ledger_since_leaves_out_what_is_older(store, capsys):
    close(store, harvest(1, HarvestState.DONE))
    assert parsed(capsys, "ledger", "--since", "2023-01-01")["harvests"]
    assert parsed(capsys, "ledger", "--since", "30d")["harvests"] == []
    assert run(["ledger", "--since", "soon"]) == 2


def test_an_empty_ledger_says_of_what_and_an_unknown_position_is_told(store, capsys):
    assert shown(capsys, "ledger") == "nothing was harvested yet\n"
    close(store, harvest(1, HarvestState.DONE))
    assert shown(capsys, "ledger", "--position", "other") == "nothing was harvested by other yet\n"
    assert shown(capsys, "ledger", "--since", "2024-01-31") == "nothing was harvested since 2024-01-31 00:00 UTC\n"
    assert run(["ledger", "--position", "cake-bnv"]) == 2
    assert 'did you mean "cake-bnb"?' in capsys.readouterr().err


def test_the_ledger_of_a_position_that_left_the_config_is_still_there(home, store, capsys):
    close(store, harvest(1, HarvestState.DONE))
    (home / "keeper.toml").write_text(TWO.replace('id = "cake-bnb"', 'id = "renamed"'))
    assert "1 compound:" in shown(capsys, "ledger", "--position", "cake-bnb")


def test_a_token_cannot_smuggle_a_formula_into_the_spreadsheet(store, capsys):
    evil = Token("bnb", Address("0x" + "66" * 20), '=HYPERLINK("x")', 18)
    one = harvest(1, HarvestState.DONE)
    store.open_harvest(replace(one, state=HarvestState.OPEN), Plan("p", "cake-bnb", "bnb", OWNER, (), (evil,), LP))
    entry = LedgerEntry(one.id, "0x" + "cd" * 32, 3, 1, THEN, "claim", Amount(evil, 1), None)
    store.close_harvest(replace(one, finished_at=THEN), [entry])
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "ledger", "--entries", "--csv"))))
    assert rows[0]["symbol"].startswith("'=")


def test_an_unknown_position_gets_a_hint(home, capsys):
    assert run(["explain", "cake-bn"]) == 2
    assert 'did you mean "cake-bnb"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [["status"], ["explain", "cake-bnb"], ["ledger"], ["ledger", "--entries"], ["positions"]]
)
def test_the_journal_is_read_without_web3_or_eth_account(home, store, args):
    record(store, decision())
    code = (
        "import sys; from keeper.cli import execute; rc = execute(sys.argv[1:]); "
        "print(*{'web3', 'eth_account', 'eth_abi', 'apscheduler', 'alembic'} & set(sys.modules), file=sys.stderr); sys.exit(rc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=home, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""
