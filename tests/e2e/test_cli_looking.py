"""Commands that look at a real chain: explain and status --live, positions, doctor, keys."""

from __future__ import annotations

import re
import stat
import sys
from io import StringIO

import pytest
from app_kit import a_week, write_config
from cli_kit import Line

from keeper.app import pin_key
from keeper.cli.checkup import State
from keeper.store import open_store

pytestmark = pytest.mark.devnet

DAY = 86_400
PHRASE = "test test test test test test test test test test test junk"


@pytest.fixture
def line(fresh_world, tmp_path, capsys):
    return Line(write_config(fresh_world, tmp_path), capsys)


@pytest.mark.parametrize(("days", "verdict"), [(2, "WAIT"), (8, "HARVEST")])
def test_explain_live_simulates_and_records_nothing(fresh_world, line, tmp_path, days, verdict):
    fresh_world.advance(days * DAY)
    block = fresh_world.block_number
    document = line("explain", "uni-farm", "--live", "--json").json
    decision = document["position"]["decision"]
    assert decision["verdict"] == verdict
    assert document["simulated"]["claimed"][0]["symbol"] == "UNI"
    assert decision["numbers"]["threshold_usd"]
    out = line("explain", "uni-farm", "--live").out
    for part in (verdict, "simulated harvest", "k = m + 2F/L", "price of UNI ok", "gas balance ok"):
        assert part in out
    assert fresh_world.block_number == block
    assert not (tmp_path / "state" / "keeper.db").exists()


def test_explain_live_of_a_blocked_position(fresh_world, line):
    fresh_world.set_price("AAVE", 300 * 10**8)
    out = line("explain", "usdc-aave", "--live").out
    assert "BLOCKED" in out
    assert "differ" in out


def test_status_live_and_positions_need_no_key(fresh_world, line, tmp_path):
    (tmp_path / "keys" / "farm.password").unlink()
    assert all(p["decision"] for p in line("status", "--live", "--json").json["positions"])
    found = {p["id"]: p["contracts"] for p in line("positions", "--live", "--json").json["positions"]}
    assert set(found["uni-farm"]["made_of"]) == {"WETH", "USDC"}
    assert "deposit_pays" in found["sushi-chef"]["side_effects"]


def test_doctor_finds_a_healthy_setup(line):
    shown = line("doctor", "--json")
    states = [row["state"] for row in shown.json["rows"]]
    assert shown.code == 0
    assert State.FAIL.value not in states
    subjects = {row["subject"] for row in shown.json["rows"]}
    assert {"config", "disk", "journal", "anvil", "signing", "key farm", "local", "uni-farm", "local gas"} <= subjects


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        (("chain_id = 31337", "chain_id = 31338"), 78, "is chain 31337, not 31338"),
        (("http://127.0.0.1:", "http://127.0.0.1:1"), 69, "cannot be reached"),
    ],
)
def test_doctor_names_the_failure_and_the_fix(line, change, code, part):
    text = line.config.read_text()
    before, after = change
    if "http" in before:
        text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:1", text)
    else:
        text = text.replace(before, after)
    line.config.write_text(text)
    shown = line("doctor")
    assert shown.code == code
    (failed,) = [row for row in shown.out.splitlines() if row.startswith("fail")]
    assert part in failed
    assert "->" in failed


def test_doctor_names_a_password_that_does_not_open(line, tmp_path):
    password = tmp_path / "keys" / "farm.password"
    password.write_text("wrong\n")
    shown = line("doctor", "--json")
    assert shown.code == 69
    (failed,) = [row for row in shown.json["rows"] if row["state"] == "fail"]
    assert failed["subject"] == "key farm"
    assert failed["fix"]


def test_looking_and_doctor_show_what_the_daemon_would_refuse(fresh_world, line, tmp_path):
    a_week(fresh_world)
    assert line("harvest", "sushi-chef", "--yes").code == 0
    store = open_store(tmp_path / "state" / "keeper.db")
    config, _, _ = str(store.get_flag(pin_key("sushi-chef"))).partition(":")
    store.set_flag(pin_key("sushi-chef"), f"{config}:something else")
    store.close()
    for args in (["status", "--live"], ["explain", "sushi-chef", "--live"], ["doctor"]):
        shown = line(*args)
        assert "answer differently" in shown.out
        assert "`keeper unblock sushi-chef`" in shown.out
    assert "sushi-chef: sushi-chef:" not in line("status", "--live").out
    assert line("unblock", "sushi-chef", "--yes").code == 0
    assert "answer differently" not in line("status", "--live").out


def test_a_broken_journal_is_told_and_not_a_bug(line, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "keeper.db").write_bytes(b"no database" * 1000)
    shown = line("doctor")
    assert shown.code == 75
    assert "fail  journal" in shown.out
    assert shown.err == ""
    for args in (["status", "--live"], ["explain", "uni-farm", "--live"]):
        shown = line(*args)
        assert shown.code == 75
        assert "keeper.db cannot be read" in shown.err
        assert "bug" not in shown.err


def test_doctor_names_a_state_folder_that_is_a_file(line, tmp_path):
    (tmp_path / "state").write_text("")
    shown = line("doctor")
    assert shown.code == 78
    assert "is a file, and keeper.state a folder" in shown.out


def test_doctor_names_a_position_that_is_no_such_protocol(fresh_world, line):
    text = line.config.read_text()
    line.config.write_text(re.sub(fresh_world.farm, fresh_world.router, text, flags=re.IGNORECASE))
    shown = line("doctor", "--no-keys")
    assert shown.code == 78
    assert "uni-farm" in next(row for row in shown.out.splitlines() if row.startswith("fail"))


def test_keys_are_imported_from_stdin_shown_and_opened(fresh_world, line, tmp_path, monkeypatch):
    password = tmp_path / "new.password"
    password.write_text("correct horse\n")
    password.chmod(0o600)
    target = tmp_path / "imported.json"
    monkeypatch.setattr(sys, "stdin", StringIO(PHRASE + "\n"))
    args = ("keys", "import", str(target), "--index", "1", "--password-file", str(password))
    made = line(*args, "--json")
    assert made.json["address"].lower() == fresh_world.farmer.address
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    monkeypatch.setattr(sys, "stdin", StringIO(PHRASE + "\n"))
    assert line(*args).code == 69  # never overwritten
    shown = line("keys", "show")
    assert "farm" in shown.out
    assert line("keys", "check").code == 0
    (tmp_path / "keys" / "farm.password").write_text("wrong\n")
    assert line("keys", "check").code == 69
    assert "junk" not in made.out + made.err
