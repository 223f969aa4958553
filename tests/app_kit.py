"""What tests of the whole way share: a config for the local world, an app on it, and what the chain itself says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from keeper.app import App, Mode, open_app
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.market import BLOCK_SECONDS
from keeper.devnet.settings import world_config, write_farmer_key
from keeper.domain.events import Event

#: keccak("Transfer(address,address,uint256)").
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@dataclass
class Recorder:
    """An event sink that keeps everything."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name.value == name]


def write_config(world, folder: Path, *, extra: str = "", state: Path | None = None, **polls) -> Path:
    """Write keeper.toml for the world into a folder (and the farmer's keystore beside it)."""
    folder.mkdir(parents=True, exist_ok=True)
    keystore, password = write_farmer_key(folder / "keys")
    text = world_config(world, keystore=keystore, password_file=password, state=state or folder / "state", **polls)
    path = folder / "keeper.toml"
    path.write_text(text + extra)
    return path


def open_local(config: Path, *, mode: Mode = Mode.LIVE, events=None, **kwargs) -> App:
    loaded = load([config], env={}, catalogue=installed_catalogue(), dotenv=None)
    return open_app(loaded, mode=mode, events=events or Recorder(), **kwargs)


WEEK = 7 * 86_400

#: The first week of a world, nearly over: its beginning (genesis, and the time then), and the chain.
_kept: dict[str, object] = {}


def a_week(world) -> None:
    """Let the first week of a fresh world pass: five hundred blocks, mined once in a test process and then loaded.

    The last blocks are mined in each, because a node tells of the fees of its own blocks only.
    """
    assert world.block_number - world.genesis_block < 3, "only of a fresh world the first week can be loaded"
    if not _kept:
        genesis = (world.genesis_block, world.genesis_time)
        over = world.now + WEEK
        world.advance(WEEK - 40 * BLOCK_SECONDS)
        _kept.update(genesis=genesis, over=over, state=world.node.rpc("anvil_dumpState"))
    else:
        world.node.rpc("anvil_loadState", _kept["state"])
        world.node.rpc("anvil_setNextBlockBaseFeePerGas", "0x7")  # what that of empty blocks has fallen to
        for name, value in zip(("genesis_block", "genesis_time"), _kept["genesis"], strict=True):
            object.__setattr__(world, name, value)
    world.advance(_kept["over"] - world.now)


def pass_time(world, seconds: int) -> None:
    """Let time pass on a chain that a daemon sends to: what it sends meanwhile is in one of the blocks, never between."""
    world.node.rpc("evm_setAutomine", False)
    try:
        world.advance(seconds)
    finally:
        world.node.rpc("evm_setAutomine", True)
        if int(world.node.rpc("txpool_status")["pending"], 16):
            world.node.rpc("evm_mine")


def nonce(world, account: str) -> int:
    return int(world.node.rpc("eth_getTransactionCount", account, "latest"), 16)


def sent_by(world, account: str, since_block: int) -> list[dict]:
    """Every transaction of an account since a block, with its receipt, as the chain has them."""
    found = []
    for number in range(since_block + 1, world.block_number + 1):
        block = world.node.rpc("eth_getBlockByNumber", hex(number), True)
        ours = [tx for tx in block["transactions"] if tx["from"].lower() == account.lower()]
        found += [tx | {"receipt": world.node.rpc("eth_getTransactionReceipt", tx["hash"])} for tx in ours]
    return found


def transfers(receipts, owner: str) -> Counter:
    """Net amount by token that the receipts' Transfer logs moved to an owner, decoded by hand."""
    net = Counter()
    for receipt in receipts:
        for log in receipt["logs"]:
            if log["topics"][0] != TRANSFER or len(log["topics"]) != 3:
                continue
            source, target = ("0x" + topic[-40:] for topic in log["topics"][1:])
            raw = int(log["data"], 16)
            if target.lower() == owner.lower():
                net[log["address"].lower()] += raw
            if source.lower() == owner.lower():
                net[log["address"].lower()] -= raw
    return net


def principal(app: App, position_id: str) -> int:
    assessment = app.survey([position_id])[0]
    return assessment.observation.principal.raw
