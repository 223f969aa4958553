"""A JSON-RPC proxy that misbehaves on command: loopback only, one thread per connection, batches taken item by item.

It stands between keeper and a real node. Every raw transaction that it sees is written down, and at that very moment
it looks into the journal, through a connection of its own, whether these bytes were already there.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keeper.abi import keccak

Item = dict[str, Any]

SEND: Final = "eth_sendRawTransaction"
_HOST: Final = "127.0.0.1"
#: Seconds that the node behind may take; longer than any client waits.
_UPSTREAM_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Transport:
    """What happens to the whole HTTP exchange in which a matching item travels."""

    #: ``hang``, ``close``, ``status``, ``truncate``, ``garbage``, ``empty`` or ``html``.
    kind: str
    #: Whether the node behind gets the request all the same.
    forward: bool = True
    status: int = 502
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to one matching item. Several parts may be set; parts that are not set do nothing."""

    name: str
    transport: Transport | None = None
    #: Answers without asking the node: the reply's fields beside id and version.
    answer: Callable[[str, list[Any]], Item] | None = None
    #: Changes the parameters before the node sees them.
    rewrite: Callable[[str, list[Any]], list[Any]] | None = None
    #: Changes the node's reply (the whole reply object; return it).
    alter: Callable[[str, list[Any], Item], Item] | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Rule:
    """Which items an action meets, and how often."""

    action: Action
    #: Methods, or empty for all.
    methods: tuple[str, ...] = (SEND,)
    #: Items it is used up by; ``None`` for no end.
    count: int | None = None
    #: Monotonic time of its end.
    until: float | None = None
    probability: float = 1.0
    #: Further condition on the parameters.
    when: Callable[[str, list[Any]], bool] = field(default=lambda _method, _params: True)
    #: Items met so far.
    hits: int = 0

    def meets(self, method: str, params: list[Any], rng: random.Random) -> bool:
        """Decide about one item, and count it."""
        if self.methods and method not in self.methods:
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if self.until is not None and time.monotonic() >= self.until:
            return False
        if not self.when(method, params) or (self.probability < 1 and rng.random() >= self.probability):
            return False
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class Seen:
    """One raw transaction on the wire."""

    at: float
    raw: bytes
    hash: str
    endpoint: str
    #: Whether the journal held these bytes when they arrived; ``None`` when it could not be asked.
    journaled: bool | None


class Proxy:
    """Listens on a free loopback port. Rules are tried in order; the first that meets an item has it."""

    def __init__(
        self,
        upstream: int,
        *,
        name: str = "a",
        path: str = "/",
        journal: Path | None = None,
        canaries: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        """Begin to listen.

        Args:
            upstream: port of the node behind; may be changed while it runs.
            name: how raw transactions seen here are marked.
            path: path and query of the URL that clients are given.
            journal: the file that must hold raw bytes before they arrive here.
            canaries: texts that no request may carry outside its path.
            seed: of the chances that rules with a probability take.
        """
        self.upstream, self.name, self.journal = upstream, name, journal
        self._path = path
        self._canaries = [text.encode() for text in canaries]
        self._rng = random.Random(seed)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._sockets: set[socket.socket] = set()
        self.seen: list[Seen] = []
        #: Items by method, whatever became of them.
        self.counts: Counter[str] = Counter()
        #: Faults that were really met, by the action's name.
        self.met: Counter[str] = Counter()
        #: Words with which raw transactions were refused here.
        self.refusals: Counter[str] = Counter()
        #: Requests that carried a canary.
        self.leaks: list[str] = []
        self._listener = socket.create_server((_HOST, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"proxy-{name}", daemon=True).start()

    @property
    def url(self) -> str:
        """What keeper is told."""
        return f"http://{_HOST}:{self.port}{self._path}"

    def add(self, *rules: Rule) -> None:
        """Put rules in force, behind those that are."""
        with self._lock:
            self._rules += rules

    def remove(self, *rules: Rule) -> None:
        """Take rules out of force."""
        with self._lock:
            self._rules = [rule for rule in self._rules if all(rule is not other for other in rules)]

    def clear(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._rules = []

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    # ------------------------------------------------------------------ HTTP

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(client)
            threading.Thread(target=self._serve, args=(client,), name=f"proxy-{self.name}-c", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        node = _Node(lambda: self.upstream)
        try:
            with client, client.makefile("rb") as stream:
                while (body := self._request(stream)) is not None:
                    if not self._exchange(client, node, body):
                        return
        except (OSError, ValueError):
            return
        finally:
            node.close()
            with self._lock:
                self._sockets.discard(client)

    def _request(self, stream: Any) -> bytes | None:
        """Read one request; ``None`` at the end of the connection."""
        first = stream.readline()
        if not first:
            return None
        length, head = 0, b""
        while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
            head += line
            key, _, value = line.partition(b":")
            if key.lower() == b"content-length":
                length = int(value)
        body: bytes = stream.read(length)
        for canary in self._canaries:
            if canary in body or canary in head:
                self.leaks.append(f"request to {self.name} carries {canary.decode()}")
        return body if len(body) == length else None

    def _exchange(self, client: socket.socket, node: _Node, body: bytes) -> bool:
        """Answer one request; ``False`` ends the connection."""
        asked = json.loads(body)
        items: list[Item] = asked if isinstance(asked, list) else [asked]
        actions = [self._action(item) for item in items]
        transport = next((action.transport for action in actions if action and action.transport), None)
        for action in actions:
            if action is not None and action.seconds:
                self._closed.wait(action.seconds)
        if transport is not None and not transport.forward:
            return self._transport(client, transport, b"")
        replies = self._replies(node, items, actions)
        if replies is None:
            return False
        payload = json.dumps(replies if isinstance(asked, list) else replies[0]).encode()
        if transport is not None:
            return self._transport(client, transport, payload)
        _respond(client, 200, payload)
        return True

    def _transport(self, client: socket.socket, transport: Transport, payload: bytes) -> bool:
        kind = transport.kind
        if kind == "hang":
            client.settimeout(transport.seconds)
            with suppress(OSError):
                while not self._closed.is_set() and client.recv(65536):
                    pass
            return False
        if kind == "close":
            return False
        if kind == "status":
            _respond(client, transport.status, b"<html><body>upstream</body></html>", transport.headers, html=True)
            return True
        if kind == "truncate":
            half = payload[: max(len(payload) // 2, 1)]
            client.sendall(_head(200, len(payload), ()) + half)
            return False
        bodies = {"garbage": b'{"jsonrpc": "2.0", "id": \xff\xfe,,}', "empty": b"", "html": b"<html>try later</html>"}
        _respond(client, 200, bodies[kind], html=kind == "html")
        return True

    # ------------------------------------------------------------------ JSON-RPC

    def _action(self, item: Item) -> Action | None:
        method, params = str(item.get("method")), item.get("params") or []
        if method == SEND:
            self._witness(params)
        with self._lock:
            self.counts[method] += 1
            for rule in self._rules:
                if rule.meets(method, params, self._rng):
                    self.met[rule.action.name] += 1
                    return rule.action
        return None

    def _replies(self, node: _Node, items: list[Item], actions: list[Action | None]) -> list[Item] | None:
        """Collect a reply for each item, asking the node for what is not answered here; ``None`` when it is gone."""
        replies: list[Item | None] = []
        onward: list[Item] = []
        for item, action in zip(items, actions, strict=True):
            method, params = str(item.get("method")), item.get("params") or []
            reply = None
            if action is not None and action.answer is not None:
                reply = {"jsonrpc": "2.0", "id": item.get("id"), **action.answer(method, params)}
            if reply is None:
                sent = (
                    item
                    if action is None or action.rewrite is None
                    else item | {"params": action.rewrite(method, params)}
                )
                onward.append(sent)
            replies.append(reply)
        answers: Iterable[Item] = ()
        if onward:
            got = node.ask(onward)
            if got is None:
                return None
            answers = got
        it = iter(answers)
        out: list[Item] = []
        for item, action, reply in zip(items, actions, replies, strict=True):
            final = next(it) if reply is None else reply
            if action is not None and action.alter is not None:
                final = action.alter(str(item.get("method")), item.get("params") or [], final)
            if item.get("method") == SEND and isinstance(final.get("error"), dict):
                self.refusals[str(final["error"].get("message"))] += 1
            out.append(final)
        return out

    def _witness(self, params: list[Any]) -> None:
        """Write a raw transaction down, with what the journal says of it at this moment."""
        at = time.monotonic()
        with suppress(ValueError, IndexError, TypeError, AttributeError):
            raw = bytes.fromhex(params[0][2:])
            seen = Seen(at, raw, "0x" + keccak(raw).hex(), self.name, self._journaled(raw))
            with self._lock:
                self.seen.append(seen)

    def _journaled(self, raw: bytes) -> bool | None:
        if self.journal is None:
            return None
        try:
            uri = f"{self.journal.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=2)) as connection:
                return connection.execute("SELECT 1 FROM attempts WHERE raw = ?", (raw,)).fetchone() is not None
        except sqlite3.Error:
            return None


class _Node:
    """This connection's own connection to the node behind."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._open: http.client.HTTPConnection | None = None
        self._to = 0

    def ask(self, items: list[Item]) -> list[Item] | None:
        """Forward items as one batch; ``None`` when the node does not answer."""
        body = json.dumps(items).encode()
        for _ in range(2):
            if self._open is None or self._to != self._port():
                self.close()
                self._to = self._port()
                self._open = http.client.HTTPConnection(_HOST, self._to, timeout=_UPSTREAM_SECONDS)
            try:
                self._open.request("POST", "/", body, {"Content-Type": "application/json"})
                answers = json.loads(self._open.getresponse().read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()  # kept too long; whether the node saw it is not known, which is as in life
                if any(item.get("method") == SEND for item in items):
                    return None
            except (OSError, ValueError, http.client.HTTPException):
                self.close()
                return None
            else:
                by_id = {answer.get("id"): answer for answer in answers}
                return [by_id.get(item.get("id"), {"jsonrpc": "2.0", "id": item.get("id")}) for item in items]
        return None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _head(status: int, length: int, headers: tuple[tuple[str, str], ...], *, html: bool = False) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {'text/html' if html else 'application/json'}"]
    lines += [f"{key}: {value}" for key, value in headers]
    return ("\r\n".join([*lines, f"Content-Length: {length}", "", ""])).encode()


def _respond(
    client: socket.socket, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = (), *, html: bool = False
) -> None:
    client.sendall(_head(status, len(body), headers, html=html) + body)


# ---------------------------------------------------------------------- the catalogue of actions


def accept_then_hang(seconds: float = 5.0) -> Action:
    """The node has it; the client never hears."""
    return Action("accept_then_hang", Transport("hang", seconds=seconds))


def accept_then_close() -> Action:
    """The node has it; the connection ends."""
    return Action("accept_then_close", Transport("close"))


def hang(seconds: float = 5.0) -> Action:
    """Nobody has it, and nobody answers."""
    return Action("hang", Transport("hang", forward=False, seconds=seconds))


def close() -> Action:
    """Nobody has it; the connection ends."""
    return Action("close", Transport("close", forward=False))


def status(code: int, *, forward: bool = True, retry_after: int | None = None) -> Action:
    """An HTML page with this status; the node has it all the same unless ``forward`` is false."""
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    return Action(f"status_{code}", Transport("status", forward=forward, status=code, headers=headers))


def broken(kind: str) -> Action:
    """The node has it; the answer is ``truncate``, ``garbage``, ``empty`` or ``html``."""
    return Action(kind, Transport(kind))


def blackhole_ok() -> Action:
    """The right hash is answered, and the transaction is never given to anybody."""
    return Action(
        "blackhole_ok", answer=lambda _m, params: {"result": "0x" + keccak(bytes.fromhex(params[0][2:])).hex()}
    )


def error(message: str, code: int = -32000, *, forward: bool = False, data: str | None = None) -> Action:
    """An error; with ``forward`` although the node took it."""
    fields: Item = {"error": {"code": code, "message": message} | ({} if data is None else {"data": data})}
    if not forward:
        return Action(f"error:{message[:30]}", answer=lambda _m, _p: fields)

    def alter(_method: str, _params: list[Any], reply: Item) -> Item:
        return {"jsonrpc": "2.0", "id": reply.get("id"), **fields}

    return Action(f"lie:{message[:30]}", alter=alter)


def result(value: Any) -> Action:
    """A result without asking the node; a function gets method and parameters."""
    if callable(value):
        return Action("result", answer=lambda method, params: {"result": value(method, params)})
    return Action("result", answer=lambda _m, _p: {"result": value})


def altered(change: Callable[[Any], Any], name: str = "altered") -> Action:
    """The node's result, changed; an error stays as it is."""

    def alter(_method: str, _params: list[Any], reply: Item) -> Item:
        return reply | {"result": change(reply["result"])} if "result" in reply else reply

    return Action(name, alter=alter)


def delay(seconds: float) -> Action:
    """A late answer."""
    return Action("delay", seconds=seconds)


def wrong_id() -> Action:
    """The answer to somebody else's question."""
    return Action("wrong_id", alter=lambda _m, _p, reply: reply | {"id": 10**9})


def missing_result() -> Action:
    """Neither result nor error."""
    return Action("missing_result", alter=lambda _m, _p, reply: {"jsonrpc": "2.0", "id": reply.get("id")})


_TAGGED: Final = {"eth_getTransactionCount": 1, "eth_getBalance": 1, "eth_call": 1, "eth_getCode": 1}


def frozen_head(height: int) -> Action:
    """An endpoint that has not seen a block since ``height``, in every answer alike."""

    def rewrite(method: str, params: list[Any]) -> list[Any]:
        out = list(params)
        if method == "eth_getBlockByNumber" and out and out[0] in ("latest", "pending", "safe"):
            out[0] = hex(height)
        if method == "eth_feeHistory" and len(out) > 1 and out[1] in ("latest", "pending"):
            out[1] = hex(height)
        at = _TAGGED.get(method)
        if at is not None and len(out) > at and out[at] in ("latest", "pending"):
            out[at] = hex(height)
        return out

    def alter(method: str, _params: list[Any], reply: Item) -> Item:
        value = reply.get("result")
        if method == "eth_blockNumber" and value is not None:
            return reply | {"result": hex(min(height, int(value, 16)))}
        if method == "eth_getBlockByNumber" and isinstance(value, dict) and int(value["number"], 16) > height:
            return reply | {"result": None}
        if method == "eth_getTransactionReceipt" and isinstance(value, dict) and int(value["blockNumber"], 16) > height:
            return reply | {"result": None}
        return reply

    return Action("frozen_head", rewrite=rewrite, alter=alter)


def stale_nonce(less: int) -> Action:
    """Transaction counts of some time ago."""
    return altered(lambda value: hex(max(int(value, 16) - less, 0)), "stale_nonce")


def ghost_nonce(more: int) -> Action:
    """A pool that knows of transactions which nobody sent."""
    return altered(lambda value: hex(int(value, 16) + more), "ghost_nonce")


def lying_receipt(change: Callable[[Item], Item], name: str) -> Action:
    """Receipts that exist, changed."""
    return altered(lambda value: change(json.loads(json.dumps(value))) if isinstance(value, dict) else value, name)


def flipped_status(receipt: Item) -> Item:
    """Success for failure, failure for success."""
    return receipt | {"status": "0x0" if receipt["status"] == "0x1" else "0x1"}


def other_block(receipt: Item) -> Item:
    """A block that does not exist."""
    return receipt | {"blockHash": "0x" + "ba" * 32}


def scaled_logs(receipt: Item) -> Item:
    """Ten times the tokens in every log."""
    for log in receipt["logs"]:
        if len(log["data"]) == 66:
            log["data"] = f"0x{min(int(log['data'], 16) * 10, 2**255):064x}"
    return receipt


def invented_receipt(params: list[Any], height: int, block_hash: str) -> Item:
    """A receipt of success for a transaction that is not mined."""
    return {
        "transactionHash": params[0],
        "blockNumber": hex(height),
        "blockHash": block_hash,
        "transactionIndex": "0x0",
        "status": "0x1",
        "gasUsed": hex(60_000),
        "cumulativeGasUsed": hex(60_000),
        "effectiveGasPrice": hex(10**9),
        "logs": [],
        "logsBloom": "0x" + "00" * 256,
        "type": "0x2",
        "contractAddress": None,
    }


def scaled_words(factor: int, divisor: int = 1) -> Callable[[Any], Any]:
    """Change every word of call results that looks like an amount."""

    def change(word: str) -> str:
        number = int(word, 16)
        return f"{number * factor // divisor:064x}" if 10**15 < number < 10**30 else word

    def alter(value: Any) -> Any:
        if not isinstance(value, str) or len(value) < 66:
            return value
        return "0x" + re.sub(r"[0-9a-f]{64}", lambda match: change(match[0]), value[2:])

    return alter


def scaled_simulation(factor: int, divisor: int = 1) -> Callable[[Any], Any]:
    """Change the amounts that a simulation reports, in return data and logs."""
    change = scaled_words(factor, divisor)

    def alter(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        value = json.loads(json.dumps(value))
        for block in value:
            for call in block.get("calls", ()):
                call["returnData"] = change(call.get("returnData", "0x"))
                for log in call.get("logs", ()):
                    log["data"] = change(log["data"])
        return value

    return alter
