"""``keeper discover``: finds what is staked, on the local world and at the fair, and writes it into the config."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from app_kit import write_config
from cli_kit import Line

from keeper.chain.endpoint import Endpoint
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.accounts import FARMER
from keeper.domain.facts import Place

pytestmark = pytest.mark.devnet

STRANGER = "0x" + "5a" * 20


def places(chain: str, known: Sequence[Place]) -> str:
    """Tables of places as a person would write them."""
    text = ""
    for place in known:
        params = ", ".join(f"{key} = {json.dumps(value)}" for key, value in place.params.items())
        text += f'\n[[chains.{chain}.places]]\nprotocol = "{place.protocol}"\nname = "{place.name}"\n'
        text += f'target = "{place.target}"\nparams = {{ {params} }}\n'
    return text


def without_positions(path: Path) -> Path:
    """Take every position out of a config file; what stands after them goes too."""
    path.write_text(path.read_text().split("[[positions]]")[0])
    return path


# ---------------------------------------------------------------- the local world


@pytest.fixture
def world_places(fresh_world) -> str:
    known = [Place(p.protocol, p.id.replace("-", " "), p.target) for p in fresh_world.positions]
    return places(fresh_world.facts.name, known)


@pytest.fixture
def config_file(fresh_world, world_places, tmp_path) -> Path:
    path = without_positions(write_config(fresh_world, tmp_path))
    path.write_text(path.read_text() + "# a word of my own\n" + world_places)
    return path


@pytest.fixture
def line(config_file, capsys) -> Line:
    return Line(config_file, capsys)


def test_the_three_positions_of_the_world_are_found_and_shown(fresh_world, line):
    shown = line("discover", FARMER.address)

    assert shown.code == 0, shown.err
    for words in (
        "stake of UNI-V2",
        "pool 1",
        "USDC supplied",
        "50,000 USDC",
        "$50,000.00",
        "[[positions]]",
        "(WETH/",
        "SUSHI)",
    ):
        assert words in shown.out
    document = line("discover", FARMER.address, "--chain", fresh_world.facts.name, "--json").json
    assert document["schema"] == "keeper.discover/1"
    found = {one["protocol"]: one for one in document["chains"][0]["found"]}
    assert {p.protocol for p in fresh_world.positions} == set(found)
    for position in fresh_world.positions:
        entry = found[position.protocol]
        assert entry["target"].lower() == position.target
        assert entry["params"].items() <= position.params.items()
        assert {"pid", "asset"} & position.params.keys() == {"pid", "asset"} & entry["params"].keys()
        assert int(entry["staked"]["raw"]) > 0
        assert 10_000 < float(entry["value_usd"]) < 10_000_000, "LP tokens are valued by their sides"
    assert document["written"] is None


def test_what_is_written_is_loaded_resolved_and_not_written_twice(fresh_world, line, config_file):
    before = config_file.read_bytes()

    first = line("discover", "farm", "--write")

    assert first.code == 0, first.err
    assert f"added to {config_file}" in first.out
    assert config_file.read_bytes().startswith(before), "everything else is kept byte for byte"
    added = tomllib.loads(config_file.read_text())["positions"]
    assert [one["signer"] for one in added] == ["farm"] * 3, "the account is that of a signer of this config"

    again = line("discover", "farm", "--write", "--json").json
    assert again["written"] is None
    assert {one["configured_as"] for one in again["chains"][0]["found"]} == {one["id"] for one in added}
    assert len(tomllib.loads(config_file.read_text())["positions"]) == 3
    entries = line("positions", "--json").json["positions"]
    assert {one["target"].lower() for one in entries} == {p.target for p in fresh_world.positions}


def test_another_account_is_watched_only(fresh_world, line, config_file):
    whale = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
    shown = line("discover", whale, "--write", "--json")

    assert shown.code == 0, shown.err
    for one in tomllib.loads(config_file.read_text()).get("positions", []):
        assert one["owner"] == whale
        assert "signer" not in one


def test_a_stranger_has_nothing_and_that_is_no_error(line):
    shown = line("discover", STRANGER)

    assert shown.code == 0
    assert "nothing found" in shown.out
    assert "[[positions]]" not in shown.out


def test_a_broken_place_is_shown_and_hides_nothing(fresh_world, line, config_file):
    name = fresh_world.facts.name
    wrong = [
        Place(protocol, f"wrong {protocol}", fresh_world.facts.wrapped_native)
        for protocol in installed_catalogue().protocols
    ]
    config_file.write_text(config_file.read_text() + places(name, wrong))

    document = line("discover", FARMER.address, "--json").json

    chain = document["chains"][0]
    right = [one for one in chain["found"] if not one["place"].startswith("wrong")]
    assert len(right) == 3
    assert chain["problems"], "at least some adapters say that this is none of theirs"
    assert all(one["place"].startswith("wrong") and one["problem"] for one in chain["problems"])
    shown = line("discover", FARMER.address)
    assert shown.code == 0
    assert "was not searched" in shown.out


def test_no_config_file_is_needed_where_an_endpoint_is_given(fresh_world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    from keeper.cli import execute

    code = execute(["discover", FARMER.address, "--chain", "ethereum", "--rpc", fresh_world.node.url])

    assert code != 0, "the local chain is not Ethereum, and that is noticed"
    assert "31337" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("discover", "0x12"), "nor is it a signer"),
        (("discover", "frm"), "nor is it a signer of the config (farm)"),
        (("discover", "0x70997970C51812dc3A010C7d01b50e0d17dc79c8"), "checksum"),
        (("discover", "farm", "--chain", "nowhere"), "no chain 'nowhere'"),
        (("discover", "farm", "--protocol", "masterchief"), "no such protocol: masterchief"),
        (("discover", "farm", "--rpc", "http://127.0.0.1:1"), "exactly one --chain"),
    ],
)
def test_mistakes_are_named(line, args, says):
    shown = line(*args)

    assert shown.code == 78
    assert says in shown.err


def test_only_what_is_asked_for_is_searched(line):
    document = line("discover", "farm", "--protocol", "aave-v3", "--json").json

    assert [one["protocol"] for one in document["chains"][0]["found"]] == ["aave-v3"]


# ---------------------------------------------------------------- the fair


@pytest.fixture
def fair_file(fair, tmp_path) -> Path:
    """A config that knows the fair's chain, a watched account, and nothing else."""
    facts = fair.ground.facts
    path = tmp_path / "keeper.toml"
    path.write_text(f"""\
[chains.{facts.name}]
rpc = ["{fair.node.url}"]
chain_id = {facts.chain_id}
native_symbol = "ETH"
wrapped_native = "{facts.wrapped_native}"
block_time_ms = {facts.block_time_ms}
fee_model = "eip1559"
tip_floor_gwei = "0.01"
tip_cap_gwei = 2
l1_fee = "none"
confirmations = 0
multicall3 = "{facts.multicall3}"

[signers.me]
kind = "watch"
address = "{FARMER.address}"

[[prices.tokens]]
chain = "{facts.name}"
token = "{fair.ground["usdc"]}"
sources = [{{ kind = "fixed", usd = "1" }}]
""")
    return path


@pytest.fixture
def known_places(fair, fair_file) -> list[Place]:
    """What the fair's stalls say of where they can be found, put into the config."""
    stalls = [stall for stall in fair.stalls if stall.place is not None]
    known = list({(s.place.protocol, s.place.target, str(s.place.params)): s.place for s in stalls}.values())
    fair_file.write_text(fair_file.read_text() + places(fair.ground.facts.name, known))
    return known


def test_everything_at_the_fair_is_found_in_few_requests(fair, fair_file, known_places, capsys, monkeypatch):
    posts = []
    post = Endpoint._post
    monkeypatch.setattr(Endpoint, "_post", lambda self, body: (posts.append(body), post(self, body))[1])

    document = Line(fair_file, capsys)("discover", "me", "--json").json

    (chain,) = document["chains"]
    found = {(one["protocol"], one["target"].lower(), one["params"].get("pid", "")) for one in chain["found"]}
    for stall in fair.stalls:
        if stall.place is not None:
            position = stall.position
            assert (position.protocol, position.target, position.params.get("pid", "")) in found, position.id
    assert len({protocol for protocol, *_ in found}) >= 5, "families"
    assert chain["problems"] == []
    assert len(posts) < len(known_places), "what all places are asked travels together"


def test_what_is_found_at_the_fair_loads_once_it_is_written(fair, fair_file, known_places, capsys):
    shown = Line(fair_file, capsys)("discover", "me", "--write")

    assert shown.code == 0, shown.err
    loaded = load([fair_file], {}, catalogue=installed_catalogue(), dotenv=None)
    written = {(p.protocol, p.target) for p in loaded.settings.positions}
    assert {(s.position.protocol, s.position.target) for s in fair.stalls if s.place is not None} <= written
    again = Line(fair_file, capsys)("discover", "me", "--write", "--json").json
    assert again["written"] is None


def test_shares_that_no_place_names_are_found_by_their_logs(fair, fair_file, capsys):
    vaults = {s.position.target for s in fair.stalls if s.position.protocol == "erc4626"}
    line = Line(fair_file, capsys)

    assert line("discover", "me", "--json").json["chains"][0]["found"] == []
    (chain,) = line("discover", "me", "--logs", "--json").json["chains"]

    assert vaults
    assert vaults <= {one["target"].lower() for one in chain["found"]}
    assert "logs since block 0" in chain["logs"]
    assert len({one["target"] for one in chain["found"]}) == len(chain["found"]), "no vault twice under two names"


def test_nfts_that_no_view_lists_are_found_by_their_logs(fair, fair_file, capsys):
    """A place that names the wrong ones finds nothing, until the logs tell which ones there are."""
    (stall, *_) = [s for s in fair.stalls if s.position.protocol == "uniswap-v4"]
    blind = Place("uniswap-v4", "V4", stall.position.target, {**stall.place.params, "ids": "999999"})
    fair_file.write_text(fair_file.read_text() + places(fair.ground.facts.name, [blind]))
    line = Line(fair_file, capsys)

    assert line("discover", "me", "--protocol", "uniswap-v4", "--json").json["chains"][0]["found"] == []
    (chain,) = line("discover", "me", "--protocol", "uniswap-v4", "--logs", "--json").json["chains"]

    assert stall.position.params["token_id"] in {one["params"]["token_id"] for one in chain["found"]}
    assert all("ids" not in one["params"] for one in chain["found"])
    assert "NFTs: logs since block 0" in chain["logs"]
