"""What the ops port answers: pure functions from a status snapshot to a response."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from keeper.web.status import Status

__all__ = ["JSON", "Response", "healthz", "index", "metrics", "problem", "readyz"]

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

#: Media type of the Prometheus text format.
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

_INDEX: Final = """keeper
  /healthz  200 while the daemon's loop goes round, else 503
  /readyz   200 when every chain was read and the journal can be written, else 503 with reasons
  /metrics  Prometheus text format
  /api/v1/  positions, decisions and reports as JSON; /api/v1/openapi.json lists what there is
Read-only. `keeper status` on the machine itself says more.
"""


@dataclass(frozen=True, slots=True)
class Response:
    """Status, media type, body, and further headers."""

    status: HTTPStatus
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def index() -> Response:
    """Say what is here."""
    return Response(HTTPStatus.OK, TEXT, _INDEX.encode())


def healthz(status: Status, stale_after: float) -> Response:
    """Liveness: the supervisor's loop went round within ``stale_after`` seconds (or started within them)."""
    age = status.uptime if status.last_tick_age is None else status.last_tick_age
    alive = age <= stale_after
    return _json(alive, {"status": "ok" if alive else "stale", "tick_age_s": round(age, 1), "bound_s": stale_after})


def readyz(status: Status) -> Response:
    """Readiness: every chain was read once, the last cycle of each worked, the store can be written, no lane halted.

    A pause is told and is no failure: somebody wanted it.
    """
    reasons = _reasons(status)
    return _json(not reasons, {"ready": not reasons, "reasons": reasons, "paused": status.paused or None})


def metrics(exposition: Callable[[], bytes]) -> Response:
    """Everything that is measured."""
    return Response(HTTPStatus.OK, PROMETHEUS, exposition())


def problem(status: HTTPStatus, hint: str = "") -> Response:
    """An error as one line of text; repeats nothing that the client sent."""
    return Response(status, TEXT, f"{status.value} {status.phrase}{': ' if hint else ''}{hint}\n".encode())


def _reasons(status: Status) -> list[str]:
    reasons = [] if status.store_ok else ["store: the last write failed; see the log and `keeper doctor`"]
    if status.last_tick_age is None:
        reasons.append("daemon: starting")
    for name, chain in sorted(status.chains.items()):
        if chain.last_block is None:
            reasons.append(f"chain {name}: not read yet")
        elif not chain.ok:
            reasons.append(f"chain {name}: the last cycle failed; last read at block {chain.last_block}")
    reasons += [f"lane {name}: halted: {lane.halted}" for name, lane in sorted(status.lanes.items()) if lane.halted]
    return reasons


def _json(good: bool, content: dict[str, Any]) -> Response:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(status, JSON, (json.dumps(content) + "\n").encode())
