"""What tests at the fair share: its stalls by name, a stage that is put back after each test, and a whole keeper on it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app_kit import Recorder
from chain_stage import Stage

from keeper.app import App, open_app
from keeper.chain.anvil import LocalNode
from keeper.chain.client import open_chain
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.fair.open import Fair, families
from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.settings import write_farmer_key
from keeper.domain.position import Position, RouteSpec
from keeper.engine.clock import SystemClock

#: Options of the fair's node: some contracts are larger than mainnet allows.
NODE_OPTIONS = ("--code-size-limit", "100000", "--gas-limit", "60000000")

#: States of earlier blocks that are kept, in memory; by default there are thousands, most of them as files.
_KEPT_BLOCKS = 64


@contextmanager
def fair_node(binary: Path) -> Iterator[LocalNode]:
    """An empty node of the fair's options.

    It is a fork of another empty node: anvil reckons no state root for the blocks of a fork, and with all families on
    the chain that root is nearly all that an empty block costs (7 ms of 7.5).
    """
    options = (*NODE_OPTIONS, "--prune-history", str(_KEPT_BLOCKS))
    with (
        LocalNode.start(binary=binary) as origin,
        LocalNode.start(binary=binary, fork_url=origin.url, extra=options) as node,
    ):
        yield node


class _Anywhere(dict):
    """Addresses of a fair that is not open: enough to know what its stalls are called."""

    def __missing__(self, name: str) -> str:
        return "0x" + "00" * 19 + "01"


@cache
def known_stalls() -> dict[str, Stall]:
    """Every stall by its position's id, without a chain."""
    found = {}
    for family in families():
        for stall in importlib.import_module(f"keeper.devnet.fair.{family}").stalls(Ground(_Anywhere())):
            assert stall.position.id not in found, f"two stalls are called {stall.position.id}"
            found[stall.position.id] = stall
    return found


@dataclass
class FairStage(Stage):
    """The open fair on a node of its own; ``fair_stage`` puts it back after each test."""

    def __init__(self, fair: Fair) -> None:
        self.fair = fair
        super().__init__(fair.node, open_chain(fair.ground.facts, [fair.node.url], events=Recorder()))

    def stall(self, name: str) -> Stall:
        return next(stall for stall in self.fair.stalls if stall.position.id == name)

    def ripen(self, stall: Stall) -> None:
        """Let the time pass, and the others act, after which there is something to harvest."""
        self.pass_time(stall.ripe_seconds)
        for sender, to, data in stall.stir:
            assert self.send(sender, to, data).status == 1, f"what stirs {stall.position.id} failed"

    def pass_time(self, seconds: int) -> None:
        """Let time pass in far fewer blocks than a real chain would have: with as much on it as here, each costs 20 ms."""
        before, blocks = self.head().timestamp, min(max(seconds // 7_200, 1), 24)
        # Not by anvil_mine's own interval, which is ignored where one is set for the chain.
        self.node.rpc("anvil_setBlockTimestampInterval", max(seconds // blocks, 1))
        self.node.rpc("anvil_mine", hex(blocks))
        self.node.rpc("anvil_setBlockTimestampInterval", self.interval)
        assert self.head().timestamp >= before + seconds * 9 // 10

    def pass_blocks(self, count: int):
        before = self.head().timestamp
        self.node.rpc("anvil_mine", hex(count))
        assert self.head().timestamp == before + count * self.interval
        return self.head()


@contextmanager
def put_back(fair: Fair) -> Iterator[FairStage]:
    """A stage; afterwards the chain is as it was."""
    snapshot = fair.node.rpc("evm_snapshot")
    stage = FairStage(fair)
    try:
        yield stage
    finally:
        stage.chain.close()
        fair.node.rpc("evm_revert", snapshot)


class ChainClock(SystemClock):
    """The machine's clock, but telling the chain's time of day."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    def now(self) -> int:
        return int(self.stage.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def open_at_the_fair(stage: FairStage, folder: Path, stalls: Sequence[Stall], events: Recorder | None = None) -> App:
    """A whole live keeper with these stalls as its positions."""
    path = write_fair_config(stage, folder, stalls)
    loaded = load([path], env={}, catalogue=installed_catalogue(), dotenv=None)
    return open_app(loaded, events=events or Recorder(), clock=ChainClock(stage))


def write_fair_config(stage: FairStage, folder: Path, stalls: Sequence[Stall]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    keystore, password = write_farmer_key(folder / "keys")
    facts = stage.fair.ground.facts
    prices = {**stage.fair.ground.prices, **{token: usd for stall in stalls for token, usd in stall.prices.items()}}
    chain = f"""\
[chains.{facts.name}]
rpc = ["{stage.node.url}"]
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
"""
    signer = f"""\
[signers.farm]
kind = "keystore"
path = "{keystore}"
password_file = "{password}"
address = "{stalls[0].position.owner}"
"""
    priced = [
        f'[[prices.tokens]]\nchain = "{facts.name}"\ntoken = "{at}"\nsources = [{{ kind = "fixed", usd = "{usd}" }}]\n'
        for at, usd in prices.items()
    ]
    rest = '[prices]\nmin_sources = 1\n[limits]\nper_tx = "$100000"\nper_day = "$1000000"\n[web]\nenabled = false\n'
    parts = [f'[keeper]\nstate = "{folder / "state"}"\n', chain, signer, rest, *priced]
    parts += [position_block(stall.position) for stall in stalls]
    path = folder / "keeper.toml"
    path.write_text("\n".join(parts))
    return path


def position_block(position: Position) -> str:
    params = {key: value for key, value in position.params.items() if key != "block_time_ms"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in params.items()]
    routes = ", ".join(map(_route, position.routes))
    return "\n".join(
        [
            "[[positions]]",
            f'id = "{position.id}"\nchain = "{position.chain}"\nprotocol = "{position.protocol}"',
            f'target = "{position.target}"\nsigner = "farm"\nmax_slippage = "3%"',
            *lines,
            *([f"route = [{routes}]"] if routes else []),
            "",
        ]
    )


def _route(spec: RouteSpec) -> str:
    parts = [f'kind = "{spec.kind}", router = "{spec.router}", fee_bps = {spec.fee_bps}']
    parts += [f"via = {_list(spec.via)}"] if spec.via else []
    parts += [f'quoter = "{spec.quoter}"'] if spec.quoter else []
    parts += [f"tiers = {json.dumps(list(spec.tiers))}"] if spec.tiers else []
    parts += [f"pools = {_list(spec.pools)}"] if spec.pools else []
    return "{ " + ", ".join(parts) + " }"


def _list(addresses: Iterable[str]) -> str:
    return json.dumps(list(addresses))
