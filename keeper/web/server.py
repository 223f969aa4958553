"""The ops port itself: a small read-only HTTP server in threads, hardened for being reachable by accident."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Collection
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from keeper.web import pages
from keeper.web.api import Api
from keeper.web.listen import HostCheck, Listen, bind_error, parse_listen
from keeper.web.status import StatusProvider

__all__ = ["OpsServer"]

#: Seconds a client may be silent.
_IDLE_S: Final = 5.0

#: Seconds a whole exchange may take, so that a client that drips bytes does not hold a place.
_EXCHANGE_S: Final = 15.0

#: Clients served at once; further ones are turned away.
_PLACES: Final = 16

#: Bytes of an unwanted request body that are read before the refusal, so that the client gets to see it.
_DRAIN: Final = 65_536

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Connection", "close"),
)

_log = logging.getLogger("keeper.web")


class OpsServer:
    """Serves health, readiness, metrics, the JSON API and an index. GET and HEAD only; no secrets, no control."""

    def __init__(
        self,
        listen: str | tuple[str, int],
        status: StatusProvider,
        metrics: Callable[[], bytes],
        *,
        api: Api | None = None,
        hosts: Collection[str] = (),
        stale_after: float = 120.0,
    ) -> None:
        """Prepare, without listening yet.

        Args:
            listen: ``host:port`` or the two apart; port 0 lets the system choose.
            status: asked at each request.
            metrics: Prometheus text, asked at each scrape.
            api: answers what is under ``/api/``; nothing is there without it.
            hosts: further names to answer to in the Host header; the machine's own name is among them anyway.
            stale_after: seconds without a tick after which ``/healthz`` says 503.
        """
        self._listen = parse_listen(listen) if isinstance(listen, str) else Listen(*listen)
        self._check = HostCheck(self._listen, {*hosts, socket.gethostname()})
        self._routes: dict[str, Callable[[], pages.Response]] = {
            "/": pages.index,
            "/healthz": lambda: pages.healthz(status.snapshot(), stale_after),
            "/readyz": lambda: pages.readyz(status.snapshot()),
            "/metrics": lambda: pages.metrics(metrics),
        }
        self._api = api
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen and serve from a thread of its own.

        Raises:
            ConfigError: when the address cannot be had; says who has it or which key to change.
        """
        try:
            server = _Server(self._listen.host, self._listen.port, self._check, self._routes, self._api)
        except OSError as error:
            raise bind_error(self._listen, error) from error
        self._server = server
        if not self._listen.loopback:
            _log.warning(
                "web.listen = %s:%s is reachable from other machines: anybody who reaches it can read health, metrics, "
                "positions and amounts (never keys). Keep it behind a firewall, or listen on 127.0.0.1",
                self._listen.host,
                self.port,
            )
        threading.Thread(target=server.serve_forever, args=(0.2,), name="ops-port", daemon=True).start()

    @property
    def port(self) -> int:
        """The port it really listens on."""
        if self._server is None:
            return self._listen.port
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Base address for a client on this machine."""
        host = "127.0.0.1" if self._listen.wildcard else self._listen.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def close(self) -> None:
        """Stop listening. Exchanges under way end by themselves."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * _PLACES

    def __init__(
        self,
        host: str,
        port: int,
        check: HostCheck,
        routes: dict[str, Callable[[], pages.Response]],
        api: Api | None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.check, self.routes, self.api = check, routes, api
        self._places = threading.BoundedSemaphore(_PLACES)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up of the base class, which can hang for seconds."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "keeper", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        limit = threading.Timer(_EXCHANGE_S, _cut, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._places.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Tell the log instead of stderr, so that it passes the redactor; a client that went away is no news."""
        if isinstance(sys.exception(), OSError):
            return
        _log.warning("a request to the ops port failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.check.allows(hosts[0]):
            hint = "not served under this name; use the address, localhost or the machine's own name"
            self._answer(pages.problem(HTTPStatus.MISDIRECTED_REQUEST, hint))
            return
        path, _, query = self.path.partition("?")
        route, api = self.server.routes.get(path), self.server.api
        if route is not None:
            self._answer(route())
        elif api is not None and path.startswith("/api/"):
            self._answer(api.answer(path, query))
        else:
            self._answer(pages.problem(HTTPStatus.NOT_FOUND, "see /"))

    do_HEAD = do_GET  # noqa: N815  named by http.server

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer plainly: the base class would repeat what the client sent, in HTML."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._drain()
            self._answer(pages.problem(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only"), ("Allow", "GET, HEAD"))
        else:
            self._answer(pages.problem(HTTPStatus(code)))

    def version_string(self) -> str:
        """Tell no versions."""
        return "keeper"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: probes come every few seconds, and request lines are not to be trusted."""

    def _answer(self, response: pages.Response, *extra: tuple[str, str]) -> None:
        self.close_connection = True
        self.send_response(response.status)
        for name, value in (*_HEADERS, *response.headers, *extra):
            self.send_header(name, value)
        self.send_header("Content-Type", response.media_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _drain(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal():
            self.rfile.read(min(int(length), _DRAIN))


def _cut(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself
