"""One run's surroundings: a chain with geth's pool rules that makes blocks, and a proxy that can misbehave."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from keeper.devnet.accounts import FARMER
from keeper.errors import KeeperError
from tests.faults import world
from tests.faults.arena import counter
from tests.faults.proxy import SEND, Action, Proxy, Rule
from tests.faults.strict.node import StrictNode
from tests.faults.strict.rawtx import RawTx, decode_raw

#: Chain seconds per real second: a block of 12 seconds takes a quarter of a second.
SCALE: Final = 48.0
BLOCK_WALL: Final = 0.25
#: Seconds that a client waits for an HTTP answer, real.
HTTP_SECONDS: Final = 1.0
GWEI: Final = 10**9


class Arena:
    """Use as a context manager."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="keeper-arena-"))
        self.places = world.kept()
        anvil = world.start(self.places)
        anvil.rpc("anvil_setCode", counter.ADDRESS, counter.runtime())
        self.origin = time.monotonic()
        self.node = StrictNode(anvil=anvil)
        self.proxy = Proxy(self.node.port)
        #: Base fee of the next block; above its usual height it falls by an eighth a block.
        self.base_fee = world.BASE_FEE
        self.genesis = int(anvil.rpc("eth_blockNumber"), 16)
        #: Hashes of different raw transactions in the order in which they were first seen on the wire.
        self.sent: list[str] = []
        #: Whether the fault really happened; a reorg is told apart, because it comes later.
        self.struck = False
        self.reorged = False
        #: Seconds by which the latest block was late: how busy this machine is, which is nobody's fault.
        self.lateness = 0.0
        self._over = threading.Event()
        self._miner = threading.Thread(target=self._mine, name="miner", daemon=True)
        self._miner.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._miner.join(10)
        self.proxy.close()
        self.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def now(self) -> float:
        """Chain time."""
        return self.places.epoch + (time.monotonic() - self.origin) * SCALE

    def _mine(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            due = max(due, time.monotonic() - BLOCK_WALL) + BLOCK_WALL
            self._over.wait(due - time.monotonic())
            if not self._over.is_set():
                with suppress(KeeperError, ValueError):
                    self.mine_one()
                self.lateness = max(self.lateness, time.monotonic() - due)

    def mine_one(self) -> None:
        """Make one block now."""
        with self.node.lock:
            self.node.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.base_fee))
            head = int(self.node.anvil.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            self.node.mine(max(int(self.now), head + 1))
            self.base_fee = max(self.base_fee * 7 // 8, world.BASE_FEE)

    def settle(self) -> None:
        """Let the network behave, and mine until the pools are empty of what can be mined."""
        self.proxy.clear()
        self.base_fee = world.BASE_FEE
        for _ in range(6):
            self.mine_one()

    # ------------------------------------------------------------------------------------------------------- faults

    def at_send(self, number: int, action: Action, *, count: int | None = 1) -> None:
        """Meet the ``number``-th different transaction (from 1) with an action, the first time it is sent."""

        def when(_method: str, params: list[Any]) -> bool:
            struck = self._index(params) == number
            self.struck = self.struck or struck
            return struck

        self.proxy.add(Rule(action, (SEND,), count=count, when=when))

    def from_send(self, number: int, start: Callable[[], None]) -> None:
        """Begin something when the node has taken the ``number``-th different transaction."""

        def alter(_method: str, _params: list[Any], reply: dict[str, Any]) -> dict[str, Any]:
            start()
            return reply

        self.at_send(number, Action("begin", alter=alter))

    def hash_of(self, number: int) -> str | None:
        """Hash of the ``number``-th different transaction."""
        return self.sent[number - 1] if len(self.sent) >= number else None

    def _index(self, params: list[Any]) -> int:
        tx_hash = decode_raw(bytes.fromhex(params[0][2:])).hash
        if tx_hash not in self.sent:
            self.sent.append(tx_hash)
        return self.sent.index(tx_hash) + 1

    def reorg_out(self, tx_hash: str) -> None:
        """Replace the blocks from the transaction's on by empty ones; no pool takes it back."""
        with self.node.lock:
            receipt = self.node.anvil.rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                head = int(self.node.anvil.rpc("eth_blockNumber"), 16)
                self.node.reorg_without_return(head - int(receipt["blockNumber"], 16) + 1)
                self.reorged = True

    # -------------------------------------------------------------------------------------------------------- verdict

    def bumped(self, intent: int) -> int:
        """How often an increment happened, by the contract's own count."""
        data = "0x" + counter.COUNT.encode(intent).hex()
        return int(self.node.anvil.rpc("eth_call", {"to": counter.ADDRESS, "data": data}, "latest"), 16)

    def executed(self) -> list[RawTx]:
        """Every successful transaction of the wallet on the canonical chain since the run began."""
        found = []
        anvil = self.node.anvil
        for number in range(self.genesis + 1, int(anvil.rpc("eth_blockNumber"), 16) + 1):
            for tx in anvil.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
                receipt = anvil.rpc("eth_getTransactionReceipt", tx["hash"])
                if tx["from"].lower() == FARMER.address and receipt["status"] == "0x1":
                    found.append(decode_raw(bytes.fromhex(anvil.rpc("eth_getRawTransactionByHash", tx["hash"])[2:])))
        return found
