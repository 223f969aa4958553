"""The read-only JSON API on the ops port: questions checked, answered a few at once, refused in a sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from keeper.errors import StoreUnavailable
from keeper.web.openapi import document
from keeper.web.pages import JSON, Response
from keeper.web.params import BadQuestion, read_query
from keeper.web.routes import ROUTES, ApiSource, Document, Route

__all__ = ["AT_ONCE", "OPENAPI", "Api"]

#: Questions that are answered at once; further ones are asked to come again, so that probes always get through.
AT_ONCE: Final = 4

#: Where the OpenAPI document is.
OPENAPI: Final = "/api/v1/openapi.json"

#: Seconds after which a client that was turned away may come again.
_AGAIN: Final = "2"


class Api:
    """Answers questions under ``/api/``. Holds nothing open between them and changes nothing."""

    def __init__(self, source: ApiSource) -> None:
        """Answer from ``source``."""
        self._source = source
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def answer(self, path: str, query: str) -> Response:
        """Answer one question; never raises for what a client can cause."""
        if path == OPENAPI:
            return _refused(query) or _json(HTTPStatus.OK, document())
        for route in ROUTES:
            places = route.match(path)
            if places is not None:
                return self._ask(route, places, query)
        return _problem(HTTPStatus.NOT_FOUND, f"no such path; {OPENAPI} lists them")

    def _ask(self, route: Route, places: Mapping[str, str], query: str) -> Response:
        try:
            asked = {**read_query(query, route.params), **places}
        except BadQuestion as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        if not self._turns.acquire(blocking=False):
            return _busy("too many questions at once; come again in a moment")
        try:
            found = route.answer(self._source, asked)
        except StoreUnavailable:
            return _busy("the journal cannot be read now; the log and `keeper doctor` say more")
        finally:
            self._turns.release()
        if found is None:
            return _problem(HTTPStatus.NOT_FOUND, "no such position; /api/v1/positions lists them")
        return _json(HTTPStatus.OK, {"schema": route.schema, **found})


def _refused(query: str) -> Response | None:
    try:
        read_query(query, ())
    except BadQuestion as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error))
    return None


def _json(status: HTTPStatus, content: Document, *headers: tuple[str, str]) -> Response:
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    return Response(status, JSON, body.encode(), headers)


def _problem(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    """An error: the status again, and a sentence."""
    return _json(status, {"error": {"status": status.value, "text": text}}, *headers)


def _busy(text: str) -> Response:
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, text, ("Retry-After", _AGAIN))
