"""The OpenAPI 3.1 document of the JSON API, made from its table of routes."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from keeper.web.params import Param
from keeper.web.routes import ROUTES, Route

__all__ = ["document"]

_ABOUT: Final = (
    "Read-only; no keys, no control. Amounts, money and shares are text, so that no reader loses digits: money in "
    "whole units of the currency, shares of one (0.184 is 18.4 %). Times are unix seconds. Every answer names its "
    "schema. Errors are {error: {status, text}}. Served on the ops port ([web] listen), on loopback unless told "
    "otherwise, and only under the machine's own names."
)

_ERRORS: Final = {
    "400": "A parameter is wrong; the text says which and what it may be.",
    "404": "No such path or position.",
    "503": "Too many questions at once, or the journal cannot be read now; `Retry-After` says when to come again.",
}


@cache
def document() -> dict[str, Any]:
    """Return the document as JSON data."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "keeper", "version": "1", "summary": "What keeper sees and does.", "description": _ABOUT},
        "paths": {route.path: {"get": _operation(route)} for route in ROUTES},
        "components": {
            "schemas": {_name(route): _schema(route) for route in ROUTES} | {"Error": _ERROR},
            "responses": {f"Error{status}": _error(text) for status, text in _ERRORS.items()},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    errors = {status: {"$ref": f"#/components/responses/Error{status}"} for status in _ERRORS}
    return {
        "operationId": _name(route)[0].lower() + _name(route)[1:],
        "summary": route.summary,
        "parameters": [*_places(route), *(_parameter(param) for param in route.params)],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{_name(route)}"}}},
            },
            **errors,
        },
    }


def _name(route: Route) -> str:
    """Name a route's answer: ``Positions``, ``Position``, ``Report``."""
    *_, before, last = route.path.split("/")
    return before.removesuffix("s").capitalize() if last.startswith("{") else last.capitalize()


def _places(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": "A position's id.", "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _parameter(param: Param) -> dict[str, Any]:
    found = {"name": param.name, "in": "query", "description": param.text, "schema": param.schema}
    return found | {"required": True} if param.required else found


def _schema(route: Route) -> dict[str, Any]:
    """Say what the answer has: its schema's name, and the keys that the table tells."""
    keys = {key: {"description": text} for key, text in route.keys if key.isidentifier()}
    same = [text for key, text in route.keys if not key.isidentifier()]
    found: dict[str, Any] = {
        "type": "object",
        "required": ["schema", *keys],
        "properties": {"schema": {"const": route.schema}, **keys},
    }
    return found | {"description": f"{same[0]}."} if same else found


_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "text"],
            "properties": {"status": {"type": "integer"}, "text": {"type": "string"}},
        }
    },
}


def _error(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
