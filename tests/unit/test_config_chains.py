"""Chain facts: complete, checksummed, sourced, without endpoints, and equal to viem's definitions."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from keeper.abi import checksum
from keeper.config.chains import REQUIRED, merge, missing_facts, shipped
from keeper.config.loader import load
from keeper.config.models import ChainConfig
from keeper.config.packaged import chain_names, locate
from keeper.config.plugins import installed_catalogue

#: Our names and viem's.
VIEM = {
    "ethereum": "mainnet",
    "bnb": "bsc",
    "polygon": "polygon",
    "avalanche": "avalanche",
    "arbitrum": "arbitrum",
    "optimism": "optimism",
    "base": "base",
}


def viem_folder() -> Path | None:
    """Find viem's definitions in the devnet install, wherever it is."""
    checkout = Path(__file__).resolve().parents[2] / ".cache" / "devnet"
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "keeper" / "devnet"
    homes = [os.environ.get("KEEPER_DEVNET_HOME"), checkout, cache]
    folders = [Path(home) / "viem" / "chains" / "definitions" for home in homes if home]
    return next((folder for folder in folders if folder.is_dir()), None)


def test_the_seven_chains_ship() -> None:
    assert set(chain_names()) == set(VIEM)


@pytest.mark.parametrize("name", sorted(VIEM))
def test_facts_are_complete_and_sane(name: str) -> None:
    facts = merge(name, ChainConfig())

    assert missing_facts(name, ChainConfig()) == ()
    assert facts.tip_floor_wei <= facts.tip_cap_wei <= 500 * 10**9
    assert facts.multicall3 is not None
    assert facts.wrapped_native in facts.feeds
    assert all(3_600 <= feed.max_age_seconds <= 90_000 for feed in facts.feeds.values())
    assert (facts.sequencer_feed is not None) == (facts.l1_fee != "none")


@pytest.mark.parametrize("name", sorted(VIEM))
def test_every_address_has_its_checksum_and_every_fact_its_source(name: str) -> None:
    text = locate("chains", f"{name}.toml").read_text()
    lines = text.splitlines()

    for found in re.findall(r"0x[0-9a-fA-F]{40}\b", text):
        assert found == checksum(found)
    for key in (*REQUIRED, "multicall3", "finality", "finality_blocks"):
        at = next(index for index, line in enumerate(lines) if line.startswith(f"{key} = "))
        assert lines[at - 1].startswith("# "), f"{key} has no source"
    for at, line in enumerate(lines):
        if line.startswith("[feeds."):
            assert " USD, heartbeat" in lines[at - 1], line


@pytest.mark.parametrize("name", sorted(VIEM))
def test_there_is_no_endpoint_in_the_facts(name: str) -> None:
    text = locate("chains", f"{name}.toml").read_text()

    assert "://" not in text
    assert "rpc" not in tomllib.loads(text)


#: Whether the chain's "finalized" block is believed, and the minutes that depth takes where it is not named.
FINALITY = {
    "ethereum": (True, 10),
    "bnb": (True, 2),
    "polygon": (False, 15),
    "avalanche": (False, 1),
    "arbitrum": (True, 30),
    "optimism": (True, 30),
    "base": (True, 30),
}


@pytest.mark.parametrize("name", sorted(VIEM))
def test_finality_is_a_fact_of_every_chain(name: str) -> None:
    facts = merge(name, ChainConfig())
    tag, minutes = FINALITY[name]

    assert facts.finality_tag is tag
    assert facts.finality_blocks * facts.block_time_ms >= minutes * 60_000
    assert facts.finality_blocks >= facts.confirmations


CUSTOM = ChainConfig.model_validate(
    {
        "chain_id": 31337,
        "native_symbol": "ETH",
        "wrapped_native": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "block_time_ms": 1000,
        "fee_model": "eip1559",
        "tip_floor_gwei": 0,
        "tip_cap_gwei": 2,
        "l1_fee": "none",
        "confirmations": 1,
    }
)


def test_a_chain_that_says_nothing_of_finality_counts_blocks() -> None:
    facts = merge("local", CUSTOM)

    assert (facts.finality_tag, facts.finality_blocks) == (False, 64)
    assert merge("local", CUSTOM.model_copy(update={"confirmations": 100})).finality_blocks == 100


def test_finality_may_be_overridden() -> None:
    facts = merge("ethereum", ChainConfig(finality="depth", finality_blocks=100))
    deeper = merge("ethereum", ChainConfig(confirmations=500))

    assert (facts.finality_tag, facts.finality_blocks) == (False, 100)
    assert (deeper.finality_tag, deeper.finality_blocks) == (True, 500)


def test_no_fact_for_a_chain_that_does_not_ship() -> None:
    assert shipped("nowhere") is None
    assert missing_facts("nowhere", ChainConfig()) == REQUIRED


@pytest.mark.parametrize("name", sorted(VIEM))
def test_facts_equal_viems(name: str) -> None:
    folder = viem_folder()
    if folder is None:
        pytest.skip("the devnet is not installed; `make devnet` does it")
    text = (folder / f"{VIEM[name]}.ts").read_text()
    if "...chainConfig" in text:
        text += (folder.parents[1] / "op-stack" / "chainConfig.ts").read_text()
    facts = merge(name, ChainConfig())

    assert number(text, r"\bid: ([\d_]+)") == facts.chain_id
    assert number(text, r"blockTime: ([\d_]+)") == facts.block_time_ms
    assert re.search(r"symbol: '(\w+)'", text)[1] == facts.native_symbol  # type: ignore[index]
    assert re.search(r"multicall3: \{\s*address: '(0x\w+)'", text)[1].lower() == facts.multicall3  # type: ignore[index]


def number(text: str, pattern: str) -> int:
    found = re.search(pattern, text)
    assert found, pattern
    return int(found[1].replace("_", ""))


@pytest.mark.parametrize("name", sorted(VIEM))
def test_exchanges_and_places_are_of_kinds_that_keeper_brings(name: str) -> None:
    """With keys of theirs, and with everything that a position found there needs and the place alone can know."""
    facts, catalogue = merge(name, ChainConfig()), installed_catalogue()

    assert facts.exchanges
    for exchange in facts.exchanges:
        assert exchange.kind in catalogue.swaps
        assert exchange.via or exchange.pools, "a reward is rarely paired with the stake itself"
        assert exchange.router not in exchange.via
    for token in {token for exchange in facts.exchanges for token in exchange.via}:
        assert token in facts.feeds, f"what is sold over {token} needs its price"
    for place in facts.places:
        assert place.protocol in catalogue.protocols, place.name
        assert place.params.keys() <= catalogue.protocols[place.protocol].keys(), place.name
    names = [place.name for place in facts.places]
    assert len(set(names)) == len(names), "people tell places by their names"


@pytest.mark.parametrize("name", sorted(VIEM))
def test_the_shipped_file_passes_the_checks_of_a_config(name: str, tmp_path: Path) -> None:
    """A person may copy any table of it into keeper.toml."""
    shipped_text = locate("chains", f"{name}.toml").read_text()
    head, *tables = re.split(r"^(?=\[)", shipped_text, flags=re.MULTILINE)
    own = "".join(re.sub(r"^(\[+)", rf"\1chains.{name}.", table, count=1) for table in tables)
    file = tmp_path / "keeper.toml"
    file.write_text(f'[chains.{name}]\nrpc = ["http://127.0.0.1:1"]\n{head}\n{own}')

    found = load([file], {}, catalogue=installed_catalogue(), dotenv=None).chain_facts(name)

    assert found == merge(name, ChainConfig())
