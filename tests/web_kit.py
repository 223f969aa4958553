"""A local HTTP server that answers GET and POST as it is told, also badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Web:
    """Answers with ``body`` (bytes, anything that JSON can say, or a function of path and what was posted that makes
    one of these), piece by piece where told to."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.headers: dict[str, str] = {}
        #: Seconds before each byte; 0 for all at once.
        self.drip = 0.0
        self.asked: list[tuple[str, dict[str, str]]] = []
        #: What came with each POST.
        self.posted: list[Any] = []
        self.url = ""


@contextmanager
def web() -> Iterator[Web]:
    site = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            site.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(site.posted[-1])

        def do_GET(self) -> None:
            self._answer(None)

        def _answer(self, posted: Any) -> None:
            site.asked.append((self.path, dict(self.headers.items())))
            said = site.body(self.path, posted) if callable(site.body) else site.body
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(site.status)
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if not site.drip:
                    self.wfile.write(body)
                    return
                for byte in body:
                    time.sleep(site.drip)
                    self.wfile.write(bytes([byte]))
            except OSError:
                pass  # whoever asked has gone

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
