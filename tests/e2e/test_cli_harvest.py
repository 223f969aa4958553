"""One-shot harvests as an operator runs them, against what the chain itself says."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from app_kit import a_week, nonce, open_local, principal, sent_by, transfers, write_config
from cli_kit import Line, Process, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def line(fresh_world, tmp_path, capsys):
    a_week(fresh_world)
    return Line(write_config(fresh_world, tmp_path), capsys)


def stake(line: Line, position: str) -> int:
    with open_local(line.config) as app:
        return principal(app, position)


def test_the_stake_rises_by_what_was_recorded_and_the_ledger_is_the_transfer_logs(fresh_world, line):
    farmer, start = fresh_world.farmer.address, fresh_world.block_number
    before = stake(line, "sushi-chef")
    shown = line("harvest", "sushi-chef", "--yes", "--json")
    assert shown.code == 0
    assert shown.json["schema"] == "keeper.harvest/1"
    result = shown.json["results"][0]
    done = result["harvest"]
    assert done["state"] == "done"
    assert stake(line, "sushi-chef") - before == int(done["realised"]["compounded"]["raw"])

    receipts = [tx["receipt"] for tx in sent_by(fresh_world, farmer, start)]
    assert [r["transactionHash"] for r in receipts] == [tx["tx"] for tx in done["transactions"]]
    moved = transfers(receipts, farmer)
    ledger = Counter()
    for entry in line("ledger", "--json").json["entries"]:
        ledger[entry["amount"]["token"]] += int(entry["amount"]["raw"])
    assert ledger
    assert {t: raw for t, raw in ledger.items() if raw} == {t: moved[t] for t, raw in ledger.items() if raw}
    assert sum(int(r["gasUsed"], 16) for r in receipts) == done["realised"]["gas"]
    assert "1/" in shown.err
    assert "mined in block" in shown.err


def test_nothing_to_do_is_exit_three_and_force_compounds_anyway(fresh_world, line):
    assert line("harvest", "usdc-aave", "--yes").code == 0
    again = line("harvest", "usdc-aave", "--yes")
    assert again.code == 3
    assert "--force" in again.out
    assert line("harvest", "usdc-aave", "--yes", "--exit-zero").code == 0
    before = nonce(fresh_world, fresh_world.farmer.address)
    fresh_world.advance(DAY)
    forced = line("harvest", "usdc-aave", "--yes", "--force", "--json")
    assert forced.code == 0
    assert nonce(fresh_world, fresh_world.farmer.address) > before


def test_a_guard_is_exit_four_and_nothing_is_sent(fresh_world, line):
    fresh_world.set_price("AAVE", 300 * 10**8)  # the pool still says $150
    before = nonce(fresh_world, fresh_world.farmer.address)
    refused = line("harvest", "usdc-aave", "--yes", "--force")
    assert refused.code == 4
    assert "BLOCKED" in refused.out
    assert nonce(fresh_world, fresh_world.farmer.address) == before


def test_without_a_terminal_yes_is_needed(fresh_world, line):
    shown = line("harvest", "usdc-aave")
    assert shown.code == 2
    assert "--yes" in shown.err


def test_all_takes_every_position_that_is_due(line):
    shown = line("harvest", "--all", "--yes", "--json")
    assert shown.code == 0
    assert [r["harvest"]["state"] for r in shown.json["results"]] == ["done"] * 3
    assert line("harvest", "--all", "--yes").code == 3


def test_a_plan_shows_floors_that_are_never_zero(line):
    plan = line("harvest", "uni-farm", "--dry-run=simulate", "--json").json["results"][0]["plan"]
    swaps = [leg for leg in plan["legs"] if leg["kind"] == "swap"]
    assert swaps
    assert all(int(leg["at_least"]["raw"]) > 0 for leg in swaps)
    assert all(int(leg["at_least"]["raw"]) <= int(leg["expected"][0]["raw"]) for leg in swaps)


def test_a_simulated_harvest_needs_no_key_and_sends_nothing(fresh_world, line, tmp_path):
    (tmp_path / "keys" / "farm.password").unlink()
    before = fresh_world.block_number
    shown = line("harvest", "uni-farm", "--dry-run=simulate")
    assert shown.code == 0
    assert "stake UNI-V2" in shown.out
    assert fresh_world.block_number == before
    assert not (tmp_path / "state" / "keeper.db").exists()


def test_an_interrupted_harvest_says_what_it_leaves_and_the_next_finishes_it(fresh_world, line, tmp_path):
    fresh_world.node.rpc("evm_setAutomine", False)
    try:
        with Process(line.config, tmp_path / "log", ("harvest", "usdc-aave", "--yes")) as keeper:
            wait_for(lambda: "claim AAVE: sent" in keeper.log.read_text(), 40, keeper.log.read_text)
            keeper.send(signal.SIGINT)
            assert keeper.finish() == 130
    finally:
        fresh_world.node.rpc("evm_setAutomine", True)
        fresh_world.node.rpc("evm_mine")
    said = keeper.log.read_text()
    assert "the compound of usdc-aave is unfinished; `keeper harvest usdc-aave` or `keeper run` goes on" in said
    assert "Traceback" not in said
    assert line("harvest", "usdc-aave", "--yes").code == 0
    assert [h["state"] for h in line("ledger", "--json").json["harvests"]] == ["done"]
