"""A journal that is gone, damaged or swapped: nothing is sent until it is rebuilt from the chain, and then all is well."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from app_kit import a_week, nonce, sent_by, transfers, write_config
from cli_kit import Line, Process

from keeper.store import open_store

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def line(fresh_world, tmp_path, capsys, monkeypatch):
    # anvil keeps no state of old blocks: looking for a nonce there is tried again as often as ever, but soon
    monkeypatch.setattr("keeper.chain.retry._backoff", lambda _: 0.001)
    return Line(write_config(fresh_world, tmp_path), capsys)


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "state" / "keeper.db"


def lose(journal):
    for file in journal.parent.glob("keeper.db*"):
        if file.suffix in {".db", ".db-wal", ".db-shm"}:
            file.unlink()


def entries(document):
    """Net amount by token, over everything that was booked."""
    net = Counter()
    for entry in document["entries"]:
        net[entry["amount"]["token"]] += int(entry["amount"]["raw"])
    return net


def test_a_sound_journal_needs_nothing_and_says_what_goes_on(fresh_world, line, journal):
    a_week(fresh_world)
    assert line("harvest", "sushi-chef", "--yes").code == 0
    before = journal.read_bytes()
    shown = line("recover")
    assert shown.code == 0
    assert "nothing needs recovery" in shown.out
    assert line("recover", "--json").json["needed"] is False
    assert journal.read_bytes() == before
    assert nonce(fresh_world, fresh_world.farmer.address) > 0


def test_a_lost_journal_refuses_until_it_is_rebuilt_and_the_books_are_the_same(fresh_world, line, journal):
    a_week(fresh_world)
    farmer, start = fresh_world.farmer.address, fresh_world.block_number
    for position in ("uni-farm", "sushi-chef", "usdc-aave"):
        assert line("harvest", position, "--yes").code == 0
    booked = line("ledger", "--json").json
    used = nonce(fresh_world, farmer)
    lose(journal)

    refused = line("harvest", "uni-farm", "--yes", "--force")
    assert refused.code == 75
    assert "`keeper recover`" in refused.err
    assert nonce(fresh_world, farmer) == used
    assert line("recover").code == 2  # nobody is asked without a terminal
    assert not journal.exists()

    shown = line("recover", "--yes")
    assert shown.code == 0, shown
    assert f"the next nonce is {used}" in shown.out
    assert "3 compounds" in shown.out
    rebuilt = line("ledger", "--json").json
    assert entries(rebuilt) == entries(booked)
    assert len(rebuilt["entries"]) == len(booked["entries"])
    assert {e["kind"] for e in rebuilt["entries"]} == {e["kind"] for e in booked["entries"]}
    one, other = ({h["position"]: h["realised"] for h in doc["harvests"]} for doc in (booked, rebuilt))
    for position, realised in one.items():
        assert {h["error"] for h in rebuilt["harvests"]} == {
            "recovered from the chain; what it was worth then is not known"
        }
        for key in ("received", "compounded", "gas", "cost_wei"):
            assert other[position][key] == realised[key], (position, key)
    logs = transfers([tx["receipt"] for tx in sent_by(fresh_world, farmer, start)], farmer)
    assert {t: raw for t, raw in entries(rebuilt).items() if raw} == {t: logs[t] for t in entries(rebuilt) if logs[t]}

    assert "nothing needs recovery" in line("recover").out
    fresh_world.advance(7 * DAY)
    assert line("harvest", "uni-farm", "--yes").code == 0
    assert nonce(fresh_world, farmer) > used


@pytest.mark.parametrize("damage", ["garbage", "empty", "swapped"])
def test_a_damaged_empty_or_swapped_journal_is_kept_and_rebuilt(fresh_world, line, journal, tmp_path, damage):
    a_week(fresh_world)
    assert line("harvest", "usdc-aave", "--yes").code == 0
    lose(journal)
    if damage == "swapped":
        open_store(tmp_path / "other.db").close()
        journal.write_bytes((tmp_path / "other.db").read_bytes())
    else:
        journal.write_bytes(b"no database" * 1000 if damage == "garbage" else b"")
    what = journal.read_bytes()
    assert line("harvest", "usdc-aave", "--yes", "--force").code == 75
    shown = line("recover", "--yes", "--json")
    assert shown.code == 0, shown
    assert shown.json["recovered"] is True
    (account,) = shown.json["accounts"]
    assert [c["finished"] for c in account["compounds"]] == [True]
    assert any(kept.read_bytes() == what for kept in journal.parent.glob("keeper.db.lost-*"))
    assert len(line("ledger", "--json").json["harvests"]) == 1
    fresh_world.advance(7 * DAY)
    assert line("harvest", "usdc-aave", "--yes").code == 0


def test_what_may_still_be_mined_is_waited_for(fresh_world, line, journal, tmp_path):
    a_week(fresh_world)
    farmer, used = fresh_world.farmer.address, nonce(fresh_world, fresh_world.farmer.address)
    fresh_world.node.rpc("evm_setAutomine", False)
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        daemon.until("harvest.sent")
        daemon.send(signal.SIGKILL)
        daemon.finish()
    lose(journal)
    refused = line("recover", "--yes")
    assert refused.code == 75
    assert f"(nonces {used} to {used})" in refused.err
    assert not journal.exists()
    document = line("recover", "--yes", "--json")
    assert (document.code, document.json["recovered"]) == (75, False)
    assert document.json["accounts"][0]["in_pool"] == 1

    fresh_world.node.rpc("evm_setAutomine", True)
    fresh_world.node.rpc("anvil_mine", "0x1")
    shown = line("recover", "--yes")
    assert shown.code == 0, shown
    # The claim was mined, and nothing after it: what it brought is in the wallet, and keeper says so.
    assert "NOT put back into the farm" in shown.out
    assert "the wallet holds" in shown.out
    assert "UNI" in shown.out
    (harvest,) = line("ledger", "--json").json["harvests"]
    assert (harvest["state"], harvest["realised"]["compounded"]) == ("failed", None)
    assert nonce(fresh_world, farmer) == used + 1
    fresh_world.advance(7 * DAY)
    assert line("harvest", "uni-farm", "--yes").code == 0


def test_no_other_keeper_may_run_meanwhile(fresh_world, line, journal, tmp_path):
    with Process(line.config, tmp_path / "log", pace=10) as daemon:
        daemon.until("cycle.done")
        lose(journal)
        shown = line("recover", "--yes")
        assert shown.code == 75
        assert str(daemon.process.pid) in shown.err
        assert not journal.exists()
