"""A policy in a process of its own, on a real chain: it says when, the guards still say whether."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from app_kit import nonce, write_config
from cli_kit import Line, Process, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400

ALWAYS = """
import json, os, sys
open({pids!r}, "a").write(f"{{os.getpid()}}\\n")
print("watching", file=sys.stderr)
for line in sys.stdin:
    print(json.dumps({{"id": json.loads(line)["id"], "harvest": True, "why": "I always do"}}), flush=True)
"""


def configured(world, folder: Path, script: str) -> Path:
    (folder / "mine.py").write_text(script.format(pids=str(folder / "pids")))
    command = json.dumps([sys.executable, "-S", str(folder / "mine.py")])
    config = write_config(world, folder)
    config.write_text(
        config.read_text() + f'\n[strategy]\npolicy = "mine"\n[policies.mine]\ncommand = {command}\ntimeout = "20s"\n'
    )
    return config


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def started(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "pids").read_text().split()]


def decided(line: Line) -> dict:
    return line("explain", "uni-farm", "--live", "--json").json["position"]["decision"]


def test_it_is_asked_and_overruled_where_the_harvest_would_not_pay(fresh_world, tmp_path, capsys):
    line = Line(configured(fresh_world, tmp_path, ALWAYS), capsys)
    poor = decided(line)
    fresh_world.advance(2 * DAY)
    rich = decided(line)

    assert (poor["verdict"], poor["reasons"][0]["code"]) == ("WAIT", "below_cost")
    assert "I always do" in poor["reasons"][0]["text"]
    assert (rich["verdict"], rich["reasons"][0]["code"]) == ("HARVEST", "policy_harvests")
    assert rich["numbers"]["policy"] == "mine"
    assert not [pid for pid in started(tmp_path) if alive(pid)]


def test_one_that_dies_makes_its_positions_wait_and_says_why(fresh_world, tmp_path, capsys):
    line = Line(configured(fresh_world, tmp_path, "raise SystemExit('no model: ' + {pids!r})"), capsys)
    fresh_world.advance(8 * DAY)  # by keeper's rule all three are due
    before = nonce(fresh_world, fresh_world.farmer.address)

    dead = decided(line)
    ran = line("harvest", "uni-farm", "--yes")

    assert (dead["verdict"], dead["reasons"][0]["code"]) == ("WAIT", "policy_failed")
    assert "ended with status 1" in dead["reasons"][0]["text"]
    assert "policy_failed" in ran.out + ran.err or "ended with status 1" in ran.out + ran.err
    assert nonce(fresh_world, fresh_world.farmer.address) == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_daemon_compounds_by_it_and_takes_it_along(fresh_world, tmp_path, how):
    fresh_world.advance(2 * DAY)  # by keeper's rule none is due
    with Process(configured(fresh_world, tmp_path, ALWAYS), tmp_path / "log", pace=10) as daemon:
        done = daemon.until("harvest.done")
        said = daemon.named("policy.said")
        (pid,) = started(tmp_path)
        assert alive(pid)
        os.kill(daemon.process.pid, how)
        daemon.finish()

    assert done[0]["position"] in {"uni-farm", "sushi-chef", "usdc-aave"}
    assert [(event["policy"], event["text"]) for event in said] == [("mine", "watching")]
    wait_for(lambda: not alive(pid), 5)
