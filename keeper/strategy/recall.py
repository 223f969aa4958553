"""Records that the store keeps as text, read again: what is of another shape than was written raises, and only one way.

A flag can be edited by hand, cut off, or be another version's. What was learnt is then learnt anew.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final, TypeVar

__all__ = ["parsed", "recalled"]

T = TypeVar("T")

#: Types of a field by the word that annotates it.
_TYPES: Final = {"int": int, "bool": bool, "str": str, "Address": str}


def parsed(text: str) -> Any:
    """Decode JSON.

    Raises:
        ValueError: it is none, or nested beyond all measure.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def recalled(kind: type[T], data: Any) -> T:
    """Make a flat dataclass of numbers (none below zero), words and flags from decoded JSON.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is not an object")  # noqa: TRY004 (garbage, not a caller's mistake)
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, as every caller's
        value = data.get(field.name)
        wrong = type(value) is not _TYPES[str(field.type)] or (type(value) is int and value < 0)
        if field.name in data and wrong:
            raise ValueError(f"{kind.__name__}.{field.name} cannot be {value!r}")
    try:
        return kind(**data)
    except TypeError as error:
        raise ValueError(str(error)) from error
