"""Get one JSON document from a web address or a file, whatever its server does: slow, huge, broken or hostile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["MAX_BYTES", "Unfetched", "get_json", "shown"]

#: Longest document that is read.
MAX_BYTES: Final = 4_000_000
#: Deepest nesting of its JSON.
_DEEPEST: Final = 32
_CHUNK: Final = 65_536


class Unfetched(Exception):
    """A document could not be had; the text says why and names the host only, as addresses may hold keys."""

    def __init__(self, text: str, status: int | None = None) -> None:
        """Say why; ``status`` is that of an answer that is none."""
        super().__init__(text)
        self.status = status


def shown(source: str) -> str:
    """Name a source for people: a file as it is, of a web address the host."""
    parts = urlsplit(source)
    return parts.hostname or "the web" if parts.scheme in {"http", "https"} else source


def get_json(
    source: str,
    headers: Mapping[str, str] | None = None,
    *,
    body: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """Return the document; numbers with a point are exact decimals. Redirects are not followed.

    Args:
        source: an http(s) address, or the path of a file.
        headers: sent along.
        body: a question that is posted as JSON; without it the document is only got.
        seconds: for all of it, however slowly it comes.
        max_bytes: longest answer that is read.

    Raises:
        Unfetched: saying why.
    """
    parts = urlsplit(source)
    if parts.scheme in {"http", "https"}:
        said = _from_web(parts, headers or {}, body, time.monotonic() + seconds, max_bytes)
    else:
        said = _from_file(Path(source), max_bytes)
    try:
        found = json.loads(said, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unfetched(f"{shown(source)} answers no JSON ({type(error).__name__})") from error
    if _deeper(found, _DEEPEST):
        raise Unfetched(f"{shown(source)} answers JSON nested deeper than {_DEEPEST}")
    return found


def _from_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            body = file.read(max_bytes + 1)
    except OSError as error:
        raise Unfetched(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > max_bytes:
        raise Unfetched(f"{path} is longer than {max_bytes} bytes")
    return body


def _from_web(
    parts: SplitResult, headers: Mapping[str, str], posted: Mapping[str, Any] | None, until: float, max_bytes: int
) -> bytes:
    host = parts.hostname
    if host is None:
        raise Unfetched("the address has no host")
    connection: http.client.HTTPConnection | None = None
    watchdog: threading.Timer | None = None
    try:
        timeout = max(0.1, until - time.monotonic())
        connection = (
            http.client.HTTPSConnection(host, parts.port, timeout=timeout)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=timeout)
        )
        watchdog = threading.Timer(timeout, _hang_up, (connection,))
        watchdog.daemon = True
        watchdog.start()
        _connect(connection, host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Accept": "application/json", "User-Agent": "keeper", **headers}
        if posted is None:
            connection.request("GET", path, headers=sent)
        else:
            sent["Content-Type"] = "application/json"
            connection.request("POST", path, json.dumps(posted), headers=sent)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise Unfetched(f"{host} answers status {answer.status}", answer.status)
        return _body(connection, answer, until, max_bytes, host)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unfetched(f"{host} cannot be asked ({type(error).__name__})") from error
    finally:
        if watchdog is not None:
            watchdog.cancel()
        if connection is not None:
            connection.close()


def _connect(connection: http.client.HTTPConnection, host: str) -> None:
    """Connect so that the watchdog has something to hang up on, in the middle of a handshake too."""
    http.client.HTTPConnection.connect(connection)
    if isinstance(connection, http.client.HTTPSConnection):
        context = ssl.create_default_context()
        tls = context.wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
        connection.sock = tls
        tls.do_handshake()


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """End what drips byte by byte in front of the body, where each byte alone is in time."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _body(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, until: float, max_bytes: int, host: str
) -> bytes:
    """Read piece by piece, so that neither a drip nor a flood holds anybody up."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise Unfetched(f"{host} is too slow")
        if connection.sock is not None:
            connection.sock.settimeout(left)
        part = answer.read1(_CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise Unfetched(f"{host} answers more than {max_bytes} bytes")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _deeper(value: object, left: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_deeper(one, left - 1) for one in inside)
