"""``keeper unblock``: a halt is listed, shown by status, and cleared only on purpose."""

from __future__ import annotations

import json

import pytest
from cli_kit import Line

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


@pytest.fixture
def keeper(config, capsys) -> Line:
    return Line(config, capsys)


def flag(config, key):
    store = open_store(config.parent / "state" / "keeper.db", read_only=True)
    try:
        return store.get_flag(key)
    finally:
        store.close()


def test_halts_are_listed_and_shown_by_status(keeper, config):
    assert ACCOUNT in keeper("unblock").out
    assert json.loads(keeper("unblock", "--json").out)["halted"].keys() == {f"bnb:{ACCOUNT}"}
    assert "unasked" in keeper("status").out


def test_nothing_is_cleared_without_a_yes(keeper, config):
    refused = keeper("unblock", ACCOUNT)
    assert refused.code == 2
    assert "--yes" in refused.err
    assert flag(config, halt_key("bnb", ACCOUNT)) is not None


def test_an_account_is_cleared_on_purpose_and_nothing_else(keeper, config):
    assert keeper("unblock", ACCOUNT, "--yes").code == 0
    assert flag(config, halt_key("bnb", ACCOUNT)) is None
    assert flag(config, pin_key("p")) is not None


def test_a_position_is_believed_anew(keeper, config):
    assert keeper("unblock", "p", "--yes").code == 0
    assert flag(config, pin_key("p")) is None


def test_an_unknown_name_is_a_usage_error(keeper, config):
    unknown = keeper("unblock", "nobody", "--yes")
    assert unknown.code == 2
    assert "lists what is" in unknown.err
