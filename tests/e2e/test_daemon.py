"""The daemon as a process: killed with -9 again and again it finishes each compound once; told to stop it drains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from app_kit import a_week, nonce, sent_by, write_config

from keeper.domain.harvest import HarvestState
from keeper.errors import StoreUnavailable
from keeper.store import open_store

pytestmark = [pytest.mark.devnet, pytest.mark.slow]


def daemon(config, **env) -> subprocess.Popen:
    command = [sys.executable, "-m", "keeper", "-c", str(config), "--log-format", "json", "run"]
    return subprocess.Popen(command, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def done(journal) -> int:
    if not journal.exists():
        return 0
    try:
        store = open_store(journal, read_only=True)
    except StoreUnavailable:  # being made at this moment
        return 0
    try:
        return sum(harvest.state is HarvestState.DONE for harvest in store.harvests())
    finally:
        store.close()


def test_sigkill_between_legs_again_and_again_and_each_compound_happens_once(fresh_world, tmp_path):
    a_week(fresh_world)
    config = write_config(fresh_world, tmp_path, poll_gas_seconds=2, poll_positions_seconds=2)
    journal = tmp_path / "state" / "keeper.db"
    farmer = fresh_world.farmer.address
    start, first = fresh_world.block_number, nonce(fresh_world, farmer)

    for point in ("marked:3", "journaled:2", "mined:4", "confirmed:2", "sent:5"):
        killed = daemon(config, KEEPER_KILL=point)
        killed.communicate(timeout=90)
        assert killed.returncode == -signal.SIGKILL

    last = daemon(config)
    wait_for(lambda: done(journal) >= 3)
    last.send_signal(signal.SIGTERM)
    _, err = last.communicate(timeout=30)
    assert last.returncode == 0, err

    store = open_store(journal, read_only=True)
    harvests = store.harvests()
    legs = sum(len(store.intents(h.id)) for h in harvests)
    hashes = [a.hash for h in harvests for i in store.intents(h.id) for a in store.attempts(i.id)]
    planned = Counter((i.harvest_id, i.leg_index) for h in harvests for i in store.intents(h.id))
    store.close()
    assert Counter(h.position_id for h in harvests) == {"uni-farm": 1, "sushi-chef": 1, "usdc-aave": 1}

    txs = sent_by(fresh_world, farmer, start)
    assert {tx["receipt"]["status"] for tx in txs} == {"0x1"}
    assert sorted(tx["hash"] for tx in txs) == sorted(hashes), "the journal and the chain name the same transactions"
    assert len(txs) == len(planned) == nonce(fresh_world, farmer) - first
    assert legs >= len(planned)


def test_a_stop_drains_and_no_secret_is_ever_logged(fresh_world, tmp_path):
    a_week(fresh_world)
    config = write_config(fresh_world, tmp_path, poll_gas_seconds=2, poll_positions_seconds=2)
    running = daemon(config)
    wait_for(lambda: done(tmp_path / "state" / "keeper.db") >= 1)
    begun = time.monotonic()
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert time.monotonic() - begun < 10
    assert "local world" not in out + err
    assert fresh_world.farmer.private_key[2:] not in out + err
    names = [json.loads(line)["event"] for line in err.splitlines() if line.startswith("{")]
    assert {"daemon.started", "cycle.done", "harvest.sent", "harvest.done", "daemon.stopped"} <= set(names)
    assert "Traceback" not in err
