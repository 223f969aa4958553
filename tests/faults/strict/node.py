"""anvil behind geth's pool: a JSON-RPC server on a loopback port that keeps the pool itself and lets anvil mine.

anvil is given a transaction only when the block is made that takes it, so none of its own pool's habits show: it would
forget what is too cheap for a moment, take replacements that pay no more, and anything without funds. Reorganised-out
transactions go back into the pool, as geth's do.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from keeper.chain.anvil import LocalNode
from keeper.devnet.install import anvil_binary
from keeper.errors import RpcRejected
from tests.faults.strict.pool import GethPool, Refused, Rules, State
from tests.faults.strict.rawtx import RawTx, decode_raw

__all__ = ["StrictNode"]

_OPTIONS: Final = ("--no-mining", "--hardfork", "cancun", "--gas-limit", "30000000", "--accounts", "6")
CHAIN_ID: Final = 31337


class StrictNode:
    """A node with geth's pool. ``rpc`` asks it directly; ``url`` is for everybody else. Use as a context manager."""

    def __init__(
        self, *, rules: Rules | None = None, extra: Sequence[str] = (), anvil: LocalNode | None = None
    ) -> None:
        """Start anvil (unless one that does not mine is given) and the server in front of it."""
        self.anvil = anvil or LocalNode.start(binary=anvil_binary(), extra=(*_OPTIONS, *extra))
        self.pool = GethPool(rules or Rules(CHAIN_ID), self._state)
        #: Held while a call is answered or a block is made.
        self.lock = threading.RLock()
        self._mine_on_send = False
        self._miner: _Miner | None = None
        self._server = _Server(self)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._own: dict[str, Callable[..., Any]] = {
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionCount": self._count,
            "eth_getTransactionByHash": self._transaction,
            "txpool_status": self._status,
            "evm_mine": self._mine_one,
            "anvil_mine": self._mine_many,
            "anvil_reorg": self._reorg,
            "anvil_dropTransaction": self._drop,
            "anvil_dropAllTransactions": lambda: self.pool.drop(lambda _: False) and None,
            "evm_revert": self._revert,
            "evm_setAutomine": self._automine,
            "evm_setIntervalMining": self._interval,
        }

    def rpc(self, method: str, *params: Any) -> Any:
        """Answer one call. Raises RpcRejected with the node's words."""
        with self.lock:
            own = self._own.get(method)
            return self.anvil.rpc(method, *params) if own is None else own(*params)

    def stop(self) -> None:
        """End everything."""
        with self.lock:
            self._interval(0)
        self._server.stop()
        self.anvil.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------ chain and pool

    def _state(self, account: str) -> State:
        nonce = int(self.anvil.rpc("eth_getTransactionCount", account, "latest"), 16)
        return State(nonce, int(self.anvil.rpc("eth_getBalance", account, "latest"), 16))

    def _send(self, raw: str) -> str:
        try:
            tx = decode_raw(bytes.fromhex(raw[2:]))
        except ValueError as error:
            raise RpcRejected(str(error), code=-32000) from error
        try:
            self.pool.add(tx)
        except Refused as refused:
            raise RpcRejected(str(refused), code=-32000) from refused
        if self._mine_on_send:
            self.mine()
        return tx.hash

    def _count(self, account: str, tag: Any = "latest") -> str:
        if tag == "pending":
            return hex(self.pool.next_nonce(account))
        answer: str = self.anvil.rpc("eth_getTransactionCount", account, tag)
        return answer

    def _transaction(self, tx_hash: str) -> Any:
        pooled = self.pool.find(tx_hash)
        return self.anvil.rpc("eth_getTransactionByHash", tx_hash) if pooled is None else _as_rpc(pooled)

    def _status(self) -> dict[str, str]:
        counts = {
            "pending": sum(map(len, self.pool.pending.values())),
            "queued": sum(map(len, self.pool.queued.values())),
        }
        return {name: hex(count) for name, count in counts.items()}

    def _drop(self, tx_hash: str) -> str | None:
        gone = self.pool.drop(lambda tx: tx.hash != tx_hash.lower())
        return gone[0].hash if gone else None

    # --------------------------------------------------------------------------------------------------------- mining

    def mine(self, timestamp: int | None = None) -> None:
        """Make one block of what the pool has for it."""
        with self.lock:
            base = int(self.anvil.rpc("eth_getBlockByNumber", "pending", False)["baseFeePerGas"], 16)
            for tx in self.pool.executable(base):
                with suppress(RpcRejected):  # what anvil alone refuses stays where it is
                    self.anvil.rpc("eth_sendRawTransaction", "0x" + tx.raw.hex())
            self.anvil.rpc("evm_mine", *([] if timestamp is None else [{"timestamp": timestamp}]))
            self.anvil.rpc("anvil_dropAllTransactions")
            self.pool.reset()

    def _mine_one(self, options: Any = None) -> str:
        stamp = options.get("timestamp") if isinstance(options, dict) else options
        self.mine(int(stamp, 16) if isinstance(stamp, str) else stamp)
        return "0x0"

    def _mine_many(self, count: str | int = 1, *_: Any) -> None:
        for _index in range(int(count, 16) if isinstance(count, str) else count):
            self.mine()

    def _reorg(self, depth: int, transactions: Sequence[Any] = (), *, reinject: bool = True) -> None:
        """Replace the last blocks; what was in them goes back into the pool."""
        head = int(self.anvil.rpc("eth_blockNumber"), 16)
        out = [tx for number in range(head - depth + 1, head + 1) for tx in self._raw_of(number)]
        self.anvil.rpc("anvil_reorg", depth, list(transactions))
        self.anvil.rpc("anvil_dropAllTransactions")
        self.pool.reset(out if reinject else ())

    def reorg_without_return(self, depth: int) -> None:
        """Replace the last blocks by empty ones, and let no pool take back what was in them."""
        with self.lock:
            self._reorg(depth, reinject=False)

    def _raw_of(self, number: int) -> list[RawTx]:
        block = self.anvil.rpc("eth_getBlockByNumber", hex(number), False)
        raws = [self.anvil.rpc("eth_getRawTransactionByHash", tx_hash) for tx_hash in block["transactions"]]
        return [decode_raw(bytes.fromhex(raw[2:])) for raw in raws if raw]

    def _revert(self, snapshot: str) -> Any:
        answer = self.anvil.rpc("evm_revert", snapshot)
        self.pool.drop(lambda _: False)
        return answer

    def _automine(self, on: bool) -> None:
        self._mine_on_send = on
        if on:
            self.mine()

    def _interval(self, seconds: float) -> None:
        """Mine every so many seconds (fractions too); 0 stops."""
        if self._miner is not None:
            self._miner.stop()
        self._miner = _Miner(self, seconds) if seconds else None


class _Miner:
    """A clock that makes blocks."""

    def __init__(self, node: StrictNode, seconds: float) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(node, seconds), daemon=True)
        self._thread.start()

    def _run(self, node: StrictNode, seconds: float) -> None:
        due = time.monotonic() + seconds
        while not self._stopped.wait(max(due - time.monotonic(), 0)):
            with node.lock:
                if not self._stopped.is_set():
                    node.mine()
            due = max(due + seconds, time.monotonic())

    def stop(self) -> None:
        """Nothing is mined after this; who calls it holds the node's lock."""
        self._stopped.set()


class _Server(ThreadingHTTPServer):
    """HTTP in front of the node; batches too."""

    daemon_threads = True

    def __init__(self, node: StrictNode) -> None:
        super().__init__(("127.0.0.1", 0), _handler(node))
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)


def _handler(node: StrictNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            many = isinstance(calls, list)
            replies = [_answer(node, call) for call in (calls if many else [calls])]
            body = json.dumps(replies if many else replies[0]).encode()
            with suppress(OSError):  # the client has left
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _answer(node: StrictNode, call: dict[str, Any]) -> dict[str, Any]:
    head = {"jsonrpc": "2.0", "id": call.get("id")}
    try:
        return {**head, "result": node.rpc(call["method"], *call.get("params", []))}
    except RpcRejected as error:
        words = str(error).removeprefix(f"{call['method']}: ")
        data = {"data": "0x" + error.data.hex()} if error.data else {}
        return {**head, "error": {"code": error.code, "message": words, **data}}


def _as_rpc(tx: RawTx) -> dict[str, Any]:
    return {
        "hash": tx.hash,
        "from": tx.sender,
        "to": tx.to,
        "nonce": hex(tx.nonce),
        "gas": hex(tx.gas),
        "gasPrice": hex(tx.fee_cap),
        "maxFeePerGas": hex(tx.fee_cap),
        "maxPriorityFeePerGas": hex(tx.tip_cap),
        "value": hex(tx.value),
        "input": "0x" + tx.data.hex(),
        "chainId": hex(tx.chain_id or 0),
        "type": "0x2" if tx.raw[0] == 2 else "0x0",
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
