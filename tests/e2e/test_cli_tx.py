"""Transactions by hand on a real chain: pause, cancel, speed up, with and without a daemon, and the lost race."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from app_kit import a_week, nonce, sent_by, write_config
from attack_kit import edit
from cli_kit import Line, Process, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def config(fresh_world, tmp_path, port):
    path = write_config(fresh_world, tmp_path)
    path.write_text(path.read_text().replace("[web]\nenabled = false\n", f'[web]\nlisten = "127.0.0.1:{port}"\n'))
    return path


@pytest.fixture
def line(config, capsys):
    return Line(config, capsys)


@pytest.fixture
def stuck(fresh_world):
    """A chain that takes transactions and mines none."""
    a_week(fresh_world)
    fresh_world.node.rpc("evm_setAutomine", False)
    return fresh_world


@contextmanager
def blocks(world, every=0.3):
    """Mine regularly meanwhile."""
    over = threading.Event()

    def mine():
        while not over.wait(every):
            world.node.rpc("anvil_mine", "0x1")

    thread = threading.Thread(target=mine, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def open_transactions(line):
    shown = line("tx", "list", "--open", "--json")
    return shown.json["transactions"] if shown.code == 0 else []  # the first process is still making the journal


def first_sent(line):
    return wait_for(lambda: [tx for tx in open_transactions(line) if tx["state"] == "broadcast"], 30)[0]


def test_harvest_on_the_wrong_chain_ends_like_doctor(line):
    text = line.config.read_text()
    line.config.write_text(text.replace("chain_id = 31337", "chain_id = 31338"))
    shown = line("harvest", "uni-farm", "--yes")
    assert shown.code == 78
    assert "31337" in shown.err


def test_a_pause_holds_a_running_daemon_and_is_told_everywhere(fresh_world, line, port, tmp_path):
    assert line("pause", "upgrading", "the", "node").code == 0
    before = nonce(fresh_world, fresh_world.farmer.address)
    a_week(fresh_world)
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        paused = daemon.until("lane.paused")
        assert "upgrading the node" in paused[0]["reason"]
        wait_for(lambda: "upgrading the node" in str(ready(port)["paused"]), 20)
        daemon.until("cycle.done", 2)
        wait_for(lambda: ready(port)["ready"], 20, lambda: str(ready(port)))
        status = line("status")
        assert "upgrading the node; `keeper resume` goes on" in status.out
        assert line("status", "--json").json["paused"]["reason"] == "upgrading the node"
        assert any(row["subject"] == "paused" for row in line("doctor", "--no-keys", "--json").json["rows"])
        assert nonce(fresh_world, fresh_world.farmer.address) == before
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert "keeper_paused{" in (text := answer.read().decode())
            assert f'keeper_paused{{chain="local",owner="{fresh_world.farmer.address}"}} 1.0' in text

        resumed = line("resume")
        assert (resumed.code, "upgrading the node" in resumed.out) == (0, True)
        daemon.until("harvest.done", 3)
        assert daemon.named("lane.resumed")
        assert ready(port)["paused"] is None


def test_the_kill_file_stops_and_resume_says_who_must_remove_it(fresh_world, line, tmp_path):
    a_week(fresh_world)
    file = tmp_path / "state" / "PAUSE"
    file.parent.mkdir()
    file.write_text("looking at an odd price\n")
    before = nonce(fresh_world, fresh_world.farmer.address)
    assert line("harvest", "uni-farm", "--yes").code != 0
    assert nonce(fresh_world, fresh_world.farmer.address) == before
    refused = line("resume")
    assert refused.code == 4
    assert f"the file {file} stops it (looking at an odd price); remove it to go on" in refused.err
    assert "odd price" in line("status").out
    file.unlink()
    assert "was not paused" in line("resume").out
    assert line("harvest", "uni-farm", "--yes").code == 0


def test_a_daemon_cancels_what_it_is_asked_to(stuck, line, tmp_path):
    farmer, first = stuck.farmer.address, nonce(stuck, stuck.farmer.address)
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        daemon.until("harvest.sent")
        sent = first_sent(line)
        assert sent["nonce"] == first
        status = line("status").out
        assert f"(nonce {first})" in status
        with blocks_after_cancel(stuck, line, sent["id"]):
            shown = line("tx", "cancel", sent["id"], "--yes", "--wait", "60")
        assert (shown.code, shown.err) == (0, "")
        assert f"asked process {daemon.process.pid}" in shown.out
        assert "cancelled: its nonce was used in block" in shown.out
        stuck.node.rpc("evm_setAutomine", True)
    after = line("tx", "show", sent["id"], "--json").json["transaction"]
    assert after["state"] == "cancelled"
    assert [a["purpose"] for a in after["attempts"]] == ["work", "cancel"]
    mined = [tx for tx in sent_by(stuck, farmer, 0) if int(tx["nonce"], 16) == first]
    assert [tx["to"].lower() for tx in mined] == [farmer]


@contextmanager
def blocks_after_cancel(world, line, intent_id):
    """Mine only once a cancel is signed: before, the original would be mined."""
    from keeper.store import open_store

    over = threading.Event()
    journal = line.config.parent / "state" / "keeper.db"

    def mine():
        store = open_store(journal, read_only=True)
        while not over.wait(0.1):
            if len(store.track(intent_id).attempts) > 1:
                time.sleep(0.5)
                world.node.rpc("anvil_mine", "0x1")
        store.close()

    thread = threading.Thread(target=mine, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def killed_with_one_sent(line, tmp_path):
    """Let a daemon send one transaction that nobody mines, and kill it."""
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        daemon.until("harvest.sent")
        sent = first_sent(line)
        daemon.send(signal.SIGKILL)
        daemon.finish()
    return sent


def test_without_a_daemon_it_is_cancelled_here(stuck, line, tmp_path):
    sent = killed_with_one_sent(line, tmp_path)
    shown = line("tx", "show", sent["id"])
    assert "nothing is done until `keeper run`" in shown.out
    with blocks_after_cancel(stuck, line, sent["id"]):
        shown = line("tx", "cancel", sent["attempts"][0]["tx"][:12], "--yes", "--wait", "60", "--json")
    assert shown.code == 0, shown
    assert shown.json["transaction"]["state"] == "cancelled"
    again = line("tx", "cancel", sent["id"], "--yes")
    assert again.code == 4
    assert "it is cancelled in block" in again.err


def test_the_original_mined_instead_is_done_and_not_cancelled(stuck, line, tmp_path):
    sent = killed_with_one_sent(line, tmp_path)
    with blocks(stuck):
        time.sleep(0.7)
        shown = line("tx", "cancel", sent["id"], "--yes", "--wait", "60")
    assert shown.code == 3
    assert "not cancelled: the original was mined first in block" in shown.out
    assert "it is done, and that stands" in shown.out
    assert line("tx", "show", sent["id"], "--json").json["transaction"]["state"] == "confirmed"


def test_whoever_holds_the_account_outbids_what_it_is_asked_to(stuck, line, tmp_path):
    forced = ("harvest", "uni-farm", "--yes", "--force")  # no budget binds the bid of what a person forces
    with Process(line.config, tmp_path / "log", args=forced) as harvest:
        sent = first_sent(line)
        shown = line("tx", "speed-up", sent["id"], "--yes", "--wait", "60")
        assert shown.code == 0, shown
        assert f"asked process {harvest.process.pid}" in shown.out
        assert "higher bid 0x" in shown.out
        one, two = line("tx", "show", sent["id"], "--json").json["transaction"]["attempts"]
        assert one["purpose"] == two["purpose"] == "work"
        for field in ("max_fee_wei", "max_tip_wei"):
            assert int(two[field]) * 8 >= int(one[field]) * 9
        stuck.node.rpc("evm_setAutomine", True)
        stuck.node.rpc("anvil_mine", "0x1")
        assert harvest.finish(60) == 0


def test_a_bid_that_no_limit_allows_is_refused_in_words(stuck, line, tmp_path):
    edit(line.config, "[limits]\n", '[limits]\nmax_gas_price_gwei = "1.2"\n')  # enough for the first bid only
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        daemon.until("harvest.sent")
        sent = first_sent(line)
        shown = line("tx", "speed-up", sent["id"], "--yes", "--wait", "60")
        assert shown.code == 4, shown
        assert "no higher bid is within the limits" in shown.err
        assert "within the limits" in daemon.until("tx.stuck")[0]["why"]


def test_a_question_names_the_cost_and_no_changes_nothing(stuck, line, tmp_path, monkeypatch):
    import sys
    from io import StringIO

    sent = killed_with_one_sent(line, tmp_path)

    class Terminal(StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    shown = line("tx", "cancel", sent["id"])
    assert shown.code == 3
    for part in ("about 21,000 gas", "limits.cancel_max", "if the original is mined first, that stands"):
        assert part in shown.err
    assert len(open_transactions(line)[0]["attempts"]) == 1
