"""Dry runs: the origin sees reads only, and what the report says is what a real run then pays."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from app_kit import a_week, nonce, write_config
from chain_kit import Proxy
from cli_kit import Line, environment, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def origin(fresh_world):
    with Proxy(fresh_world.rpc_url) as proxy:
        yield proxy


@pytest.fixture
def line(fresh_world, origin, tmp_path, capsys):
    a_week(fresh_world)
    config = write_config(fresh_world, tmp_path)
    config.write_text(config.read_text().replace(fresh_world.rpc_url, origin.url))
    for file in (tmp_path / "keys").glob("*.password"):
        file.unlink()  # no key can be opened
    return Line(config, capsys)


def writes(origin) -> list[str]:
    words = ("send", "sign", "anvil_", "evm_", "mine", "impersonate")
    return [method for method in origin.methods if any(word in method.lower() for word in words)]


def test_a_fork_is_played_on_and_the_origin_sees_only_reads(fresh_world, origin, line, tmp_path):
    block, count = fresh_world.block_number, nonce(fresh_world, fresh_world.farmer.address)
    shown = line("run", "--dry-run", "--warp", "20d", "--json")
    assert shown.code == 0
    report = shown.json
    assert report["schema"] == "keeper.dry-run/1"
    done = [c["position"] for c in report["compounds"] if c["state"] == "done"]
    assert set(done) == {"uni-farm", "sushi-chef", "usdc-aave"}
    assert len(done) >= 6
    for stake in report["stakes"]:
        assert int(stake["after"]["raw"]) > int(stake["before"]["raw"])
    spent = sum(int(n["before_wei"]) - int(n["after_wei"]) for n in report["native"])
    assert spent == sum(int(c["realised"]["cost_wei"]) for c in report["compounds"])
    assert report["chains"][0]["to_time"] - report["chains"][0]["from_time"] >= 20 * DAY

    assert origin.methods
    assert writes(origin) == []
    assert fresh_world.block_number == block
    assert nonce(fresh_world, fresh_world.farmer.address) == count
    assert not (tmp_path / "state" / "keeper.db").exists()


def test_the_reports_gas_is_what_a_real_run_then_pays(fresh_world, line, tmp_path, capsys):
    report = line("run", "--dry-run", "--once", "--json").json
    predicted = {c["position"]: c["realised"]["gas"] for c in report["compounds"]}
    real = Line(write_config(fresh_world, tmp_path / "real"), capsys)("harvest", "--all", "--yes", "--json").json
    for result in real["results"]:
        paid = result["harvest"]["realised"]["gas"]
        assert abs(predicted[result["position"]] - paid) * 20 <= paid


def test_the_report_says_what_a_person_wants_to_know(line):
    out = line("run", "--dry-run", "--once").out
    for part in ("no key was used", "only reads", "keeper harvest", "stake of uni-farm", "gas money of", "compounds: "):
        assert part in out


def test_simulate_needs_no_anvil(origin, line, monkeypatch):
    monkeypatch.setenv("KEEPER_ANVIL", "/nonexistent")
    shown = line("run", "--dry-run=simulate", "--json")
    assert shown.code == 0
    assert {c["position"] for c in shown.json["compounds"]} == {"uni-farm", "sushi-chef", "usdc-aave"}
    assert shown.json["totals"]["gas"] > 0
    assert writes(origin) == []


def test_a_dry_run_without_anvil_says_what_to_do(line, monkeypatch, tmp_path):
    monkeypatch.setenv("KEEPER_DEVNET_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = line("run", "--dry-run", "--once")
    assert shown.code == 78
    assert "--dry-run=simulate" in shown.err


def test_skipped_positions_say_why(fresh_world, line):
    fresh_world.set_price("AAVE", 300 * 10**8)
    report = line("run", "--dry-run", "--once", "--json").json
    skipped = {each["position"]: each["decision"]["code"] for each in report["skipped"]}
    assert skipped["usdc-aave"] == "price_disagrees"


def test_a_harvest_can_be_rehearsed_too(fresh_world, origin, line):
    block = fresh_world.block_number
    shown = line("harvest", "uni-farm", "--dry-run")
    assert shown.code == 0
    assert "rehearsed on a fork" in shown.out
    assert fresh_world.block_number == block
    assert writes(origin) == []


def test_ctrl_c_on_the_terminal_still_gives_the_report(fresh_world, line):
    command = [sys.executable, "-m", "keeper", "--config", str(line.config), "run", "--dry-run", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, env=environment()
    ) as process:
        state = line.config.parent / "state" / "dry-run.db"
        wait_for(lambda: state.exists() and any(harvested(state)), 60)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to keeper and all its children
        report = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 130
    assert report["compounds"]


def harvested(state):
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as journal:
        try:
            return journal.execute("SELECT count(*) FROM harvests WHERE state = 'done'").fetchone()
        except sqlite3.Error:
            return (0,)
