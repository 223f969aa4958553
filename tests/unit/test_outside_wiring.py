"""Proofs of merkle drops from the config to the adapter: fetched before anything is read, kept secret, told about."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from app_kit import Recorder
from web_kit import web

from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.domain.money import Address
from keeper.engine.clock import SystemClock
from keeper.outside import open_outside
from keeper.ports import ProtocolAdapter
from keeper.protocols.merkle import Merkle
from keeper.wiring import load_plugins

OWNER = Address("0x" + "aa" * 20)
TOKEN = Address("0x" + "bb" * 20)
CONFIG = """
[chains.ethereum]
rpc = ["http://127.0.0.1:1"]

[[positions]]
id = "drops"
chain = "ethereum"
protocol = "merkle"
target = "0x{target}"
owner = "{owner}"
tokens = "{token}"
proofs = "{proofs}"
"""


@pytest.fixture
def site():
    with web() as running:
        yield running


@pytest.fixture
def opened(tmp_path):
    """Open what a config with these proofs wants; returns the outside, the plugins, events and secrets."""
    resources = ExitStack()

    def start(proofs: str):
        path = tmp_path / "keeper.toml"
        path.write_text(CONFIG.format(target="cc" * 20, owner=OWNER, token=TOKEN, proofs=proofs))
        loaded = load([path], env={}, catalogue=installed_catalogue(), dotenv=None)
        plugins, events, secrets = load_plugins(), Recorder(), list[str]()
        outside = open_outside(
            loaded, plugins, loaded.positions(), SystemClock(), events, resources, keep_secret=secrets.append
        )
        return outside, outside.furnished(plugins), events, secrets

    with resources:
        yield start


def known(plugins, source: str):
    adapter = plugins.protocols["merkle"]
    assert isinstance(adapter, Merkle)
    return adapter._drops(source, OWNER, "ethereum")


def test_proofs_are_there_before_anything_is_read(site, opened):
    site.body = {TOKEN: {"amount": "7", "proof": []}}
    source = f"{site.url}/{{owner}}?chain={{chain_id}}"

    _, plugins, events, secrets = opened(source)

    assert known(plugins, source).by_token[TOKEN][0].amount == 7
    assert site.asked[0][0] == f"/{OWNER}?chain=1"
    assert secrets == [source], "its address may hold a key"
    assert events.events == []
    assert isinstance(plugins.protocols["merkle"], ProtocolAdapter)


def test_file_of_proofs(tmp_path, opened):
    file = tmp_path / "proofs.json"
    file.write_text(f'{{"{TOKEN}": {{"amount": "7", "proof": []}}}}')
    _, plugins, _, secrets = opened(str(file))
    assert known(plugins, str(file)).by_token[TOKEN][0].amount == 7
    assert secrets == []


def test_source_that_cannot_be_read_is_told(site, opened):
    site.status = 404
    _, plugins, events, _ = opened(site.url)
    assert known(plugins, site.url).problem == "127.0.0.1 answers status 404"
    (warning,) = events.named("outside.failed")
    assert warning.fields["error"] == "proofs: 127.0.0.1 answers status 404"


def test_chain_that_the_service_does_not_trade_on_is_told(tmp_path):
    path = tmp_path / "keeper.toml"
    text = CONFIG.format(target="cc" * 20, owner=OWNER, token=TOKEN, proofs=tmp_path / "none.json")
    path.write_text(text.replace("ethereum", "optimism") + '\n[quotes]\nkind = "cow"\n')
    loaded = load([path], env={}, catalogue=installed_catalogue(), dotenv=None)
    events = Recorder()
    with ExitStack() as resources:
        clock, plugins = SystemClock(), load_plugins()
        outside = open_outside(
            loaded, plugins, loaded.positions(), clock, events, resources, keep_secret=lambda _: None
        )
    assert outside.quotes is not None
    said = [str(event.fields["error"]) for event in events.named("outside.failed")]
    assert any("CoW is not known to trade on optimism" in text for text in said)


def test_nothing_is_opened_where_nothing_is_wanted(opened):
    outside, plugins, _, _ = opened('{\\"' + TOKEN + '\\": {\\"amount\\": \\"7\\", \\"proof\\": []}}')
    assert outside.drops is None
    assert all(plugins.protocols[name] is plugin for name, plugin in plugins.protocols.items())
