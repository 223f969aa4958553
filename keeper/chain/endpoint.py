"""One JSON-RPC endpoint: one keep-alive connection per thread, every answer checked, no secret ever shown.

http.client is used because it is the fastest of the clients measured and trusts nothing in the environment: no proxy
variables, no netrc, no redirects.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from keeper.chain import reply
from keeper.chain.quantity import uint
from keeper.chain.reply import MAX_ANSWER_BYTES, Answer
from keeper.errors import BadReply, ConfigError, KeeperError, RpcRejected, RpcTimeout, RpcUnavailable

__all__ = ["BATCH_LIMIT", "Endpoint", "WrongChain"]

#: Items per JSON-RPC batch: the smallest limit of common nodes (Erigon, older Bor).
BATCH_LIMIT: Final = 100

#: Seconds that connecting, and each wait for bytes, may take.
DEFAULT_TIMEOUT: Final = 10.0

#: A whole answer may take this many time-outs, so that a slow drip ends too.
_WHOLE_ANSWER: Final = 3

_CHUNK: Final = 1 << 20

#: Seconds after which the chain id is read again, and after which a connection that the server closed in peace makes
#: it worth reading. One that broke does at once: what answers next may be another node behind the same name.
_RECHECK: Final = 600.0
_RECHECK_CLOSED: Final = 60.0

#: Prefixes of methods that may have an effect: nothing rides along with them, and they are never repeated.
_EFFECTS: Final = ("eth_send", "eth_sign", "eth_submit")

_Calls = Sequence[tuple[str, Sequence[Any] | bytes]]


class WrongChain(BadReply):
    """An endpoint answered for another chain: nothing that it said in the same breath is believed.

    Attributes:
        chain_id: the chain id that it answered.
    """

    def __init__(self, message: str, chain_id: int) -> None:
        self.chain_id = chain_id
        super().__init__(message)


class Endpoint:
    """One JSON-RPC URL. Threads may share it; each gets its own connection.

    Every method raises RpcUnavailable (RpcTimeout), RateLimited, BadReply, StaleHead or RpcRejected, and nothing else.
    """

    def __init__(
        self, url: str, *, timeout: float = DEFAULT_TIMEOUT, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take ``url`` apart; nothing is sent.

        Raises:
            ConfigError: when it is not an http(s) URL with a host. The message does not contain it.
        """
        self._parts = _split(url)
        self._timeout = timeout
        #: How this endpoint is named to people: scheme and host, ``/***`` for whatever else the URL holds.
        self.redacted = _redacted(self._parts)
        self._path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        self._secrets = _secrets(url, self._parts)
        self._headers = {"Content-Type": "application/json", "User-Agent": "keeper"} | _authorization(self._parts)
        self._ids = itertools.count(1)
        self._monotonic = monotonic
        #: Chain id that it must have, once told; whether that is in doubt, and when it was last read.
        self._chain_id: int | None = None
        self._in_doubt = True
        self._identified_at = 0.0
        self._local = threading.local()
        self._open: weakref.WeakSet[http.client.HTTPConnection] = weakref.WeakSet()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Endpoint({self.redacted!r})"

    def expect(self, chain_id: int) -> None:
        """Believe reads only with this chain id, read along with them after a broken connection and now and then."""
        self._chain_id = chain_id

    def identify(self) -> None:
        """Read the chain id now.

        Raises:
            WrongChain: when it is another than expected.
        """
        self._identified(self._single("eth_chainId", ()))

    def call(self, method: str, params: Sequence[Any] | bytes = ()) -> Any:
        """Make one request and return its result. ``params`` may be JSON already (for cached bodies)."""
        if not method.startswith("eth_") or method.startswith(_EFFECTS) or not self._is_in_doubt():
            return self._single(method, params)
        try:
            identity, answer = self._batch([("eth_chainId", ()), (method, params)])
        except (RpcRejected, BadReply):  # not every node takes batches
            self.identify()
            return self._single(method, params)
        self._identified(identity)
        if isinstance(answer, KeeperError):
            raise answer
        return answer

    def batch(self, calls: _Calls) -> list[Any]:
        """Make several requests; the answers come in order, an item's failure as an exception *value* in its place."""
        asked: list[tuple[str, Sequence[Any] | bytes]] = list(calls)
        if doubted := bool(asked) and self._is_in_doubt():
            asked.insert(0, ("eth_chainId", ()))
        answers: list[Any] = []
        for start in range(0, len(asked), BATCH_LIMIT):
            answers += self._batch(asked[start : start + BATCH_LIMIT])
            if doubted and start == 0:
                self._identified(answers.pop(0))
        return answers

    def send_batch(self, raws: Sequence[bytes]) -> list[Any]:
        """Send raw transactions in this order in one request, once; a refusal is an exception value in its place."""
        if len(raws) > BATCH_LIMIT:
            raise ValueError(f"{len(raws)} transactions in one batch; at most {BATCH_LIMIT}")
        return self._batch([("eth_sendRawTransaction", ("0x" + raw.hex(),)) for raw in raws]) if raws else []

    def close(self) -> None:
        """Close every thread's connection. The endpoint stays usable."""
        with self._lock:
            connections = list(self._open)
            self._open.clear()
        for connection in connections:
            connection.close()

    def _is_in_doubt(self) -> bool:
        """Tell whether the next read must prove the chain id."""
        if self._chain_id is None:
            return False
        age = self._monotonic() - self._identified_at
        if age >= _RECHECK_CLOSED and self._was_closed():
            self._in_doubt = True
        return self._in_doubt or age >= _RECHECK

    def _identified(self, answer: Any) -> None:
        """Take an answer to eth_chainId."""
        if isinstance(answer, KeeperError):
            raise answer
        chain_id = uint(answer, "its chain id")
        if self._chain_id is not None and chain_id != self._chain_id:
            self._in_doubt = True
            raise WrongChain(
                f"{self.redacted} answers for chain id {chain_id}, not {self._chain_id}. Correct its URL.", chain_id
            )
        self._in_doubt, self._identified_at = False, self._monotonic()

    def _single(self, method: str, params: Sequence[Any] | bytes) -> Any:
        number = next(self._ids)
        encoded = params if isinstance(params, bytes) else reply.dump(list(params))
        body = b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}' % (number, method.encode(), encoded)
        return reply.one(self._post(body), number, self.redacted, self._scrub)

    def _batch(self, calls: _Calls) -> list[Any]:
        numbers = [next(self._ids) for _ in calls]
        items = [
            b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}'
            % (number, method.encode(), params if isinstance(params, bytes) else reply.dump(list(params)))
            for number, (method, params) in zip(numbers, calls, strict=True)
        ]
        return reply.many(self._post(b"[" + b",".join(items) + b"]"), numbers, self.redacted, self._scrub)

    def _scrub(self, text: str) -> str:
        """Take this endpoint's own secrets out of words that a node said."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _post(self, body: bytes) -> Answer:
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, self._headers)
            return self._receive(connection)
        except TimeoutError:
            self._break(connection)
            raise RpcTimeout(
                f"{self.redacted} did not answer within {self._timeout:g} s. Check the node, or add another endpoint."
            ) from None
        except ssl.SSLError as error:
            self._break(connection)
            raise RpcUnavailable(
                f"{self.redacted}: TLS failed ({error.reason}). Check the URL and its certificate."
            ) from None
        except OSError as error:
            self._break(connection)
            raise RpcUnavailable(
                f"{self.redacted} cannot be reached ({error.strerror or type(error).__name__}). "
                "Check that the node runs and the URL is right."
            ) from None
        except http.client.HTTPException as error:
            self._break(connection)
            raise BadReply(
                f"{self.redacted} did not speak HTTP ({type(error).__name__}). Check that its URL is for JSON-RPC."
            ) from None

    def _receive(self, connection: http.client.HTTPConnection) -> Answer:
        deadline = time.monotonic() + _WHOLE_ANSWER * self._timeout
        response = connection.getresponse()
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(_CHUNK):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                self._break(connection)
                raise BadReply(f"{self.redacted} answered more than {MAX_ANSWER_BYTES >> 20} MB. Use another endpoint.")
            if time.monotonic() > deadline:
                raise TimeoutError
        response.close()  # read1 leaves a fully read response open, and the connection then refuses the next request
        if response.length:
            self._break(connection)
            raise BadReply(f"{self.redacted} stopped {response.length} bytes before the end of its answer. Try again.")
        if response.will_close:
            self._drop(connection)
        return Answer(response.status, response.headers.get("Retry-After"), b"".join(pieces))

    def _connection(self) -> http.client.HTTPConnection:
        """Return this thread's connection; a fresh one when the server has closed the old one meanwhile."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None:
            if not _readable(connection.sock):
                return connection
            self._drop(connection)
        connection = self._connect()
        self._local.connection = connection
        with self._lock:
            self._open.add(connection)
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout)

    def _was_closed(self) -> bool:
        """Tell whether this thread's next request will open a new connection because the server closed the old one."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        return connection is not None and (connection.sock is None or _readable(connection.sock))

    def _break(self, connection: http.client.HTTPConnection) -> None:
        """Give up a connection on which something went wrong."""
        self._in_doubt = True
        self._drop(connection)

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._local.connection = None
        with self._lock:
            self._open.discard(connection)


def _readable(sock: socket.socket) -> bool:
    """Tell whether bytes or an end wait on an idle connection: either way it is of no more use."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _split(url: str) -> SplitResult:
    """Parse a URL, complaining without repeating it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = None
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(
            "an RPC URL is not of the form http(s)://host[:port][/path]. Correct it (it is not shown here)."
        )
    return parts


def _redacted(parts: SplitResult) -> str:
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    hidden = parts.path.strip("/") or parts.query or parts.username or parts.password
    return f"{parts.scheme}://{name}{port}" + ("/***" if hidden else "")


def _secrets(url: str, parts: SplitResult) -> tuple[str, ...]:
    """Everything of a URL that may be a secret, longest first."""
    found = {url, parts.query, parts.path, parts.username or "", parts.password or "", parts.netloc.rpartition("@")[0]}
    found |= set(parts.path.split("/")) | {pair.partition("=")[2] for pair in parts.query.split("&")}
    return tuple(sorted((text for text in found if len(text) >= 4), key=len, reverse=True))


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None and parts.password is None:
        return {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
