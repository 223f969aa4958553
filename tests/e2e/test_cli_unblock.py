"""``keeper unblock``: a halt is listed, shown by status, and cleared only on purpose."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from keeper.app import pin_key
from keeper.engine.context import halt_key
from keeper.store import open_store

ACCOUNT = "0x" + "ab" * 20
CONFIG = f"""
[chains.bnb]
rpc = ["http://127.0.0.1:1"]
[signers.me]
kind = "watch"
address = "{ACCOUNT}"
[[positions]]
id = "p"
chain = "bnb"
protocol = "masterchef"
target = "{ACCOUNT}"
pid = 1
signer = "me"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "keeper.toml"
    path.write_text(f'[keeper]\nstate = "{tmp_path}/state"\n{CONFIG}')
    store = open_store(tmp_path / "state" / "keeper.db")
    store.set_flag(halt_key("bnb", ACCOUNT), "a transaction took a token out of the wallet unasked")
    store.set_flag(pin_key("p"), "config:said")
    store.close()
    return path


def keeper(config, *arguments):
    command = [sys.executable, "-m", "keeper", "-c", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def flag(config, key):
    store = open_store(config.parent / "state" / "keeper.db", read_only=True)
    try:
        return store.get_flag(key)
    finally:
        store.close()


def test_halts_are_listed_and_shown_by_status(config):
    assert ACCOUNT in keeper(config, "unblock").stdout
    assert json.loads(keeper(config, "unblock", "--json").stdout)["halted"].keys() == {f"bnb:{ACCOUNT}"}
    assert "unasked" in keeper(config, "status").stdout


def test_nothing_is_cleared_without_a_yes(config):
    refused = keeper(config, "unblock", ACCOUNT)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert flag(config, halt_key("bnb", ACCOUNT)) is not None


def test_an_account_is_cleared_on_purpose_and_nothing_else(config):
    assert keeper(config, "unblock", ACCOUNT, "--yes").returncode == 0
    assert flag(config, halt_key("bnb", ACCOUNT)) is None
    assert flag(config, pin_key("p")) is not None


def test_a_position_is_believed_anew(config):
    assert keeper(config, "unblock", "p", "--yes").returncode == 0
    assert flag(config, pin_key("p")) is None


def test_an_unknown_name_is_a_usage_error(config):
    unknown = keeper(config, "unblock", "nobody", "--yes")
    assert unknown.returncode == 2
    assert "lists what is" in unknown.stderr
