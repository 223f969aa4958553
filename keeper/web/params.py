"""Parameters of the JSON API: what each may be, checked strictly; whatever else comes is refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

__all__ = ["BadQuestion", "Param", "read_query"]

#: Parameters that are looked at before a query is refused.
_MOST: Final = 16

_WHOLE: Final = re.compile(r"(0|[1-9][0-9]{0,8})\Z")


class BadQuestion(ValueError):
    """A parameter is wrong. The sentence repeats nothing that the client sent."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. A whole number within bounds where ``high`` is set, one of ``choices``, or text of a pattern."""

    name: str
    text: str
    default: str | int | None = None
    required: bool = False
    low: int = 0
    high: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""

    def read(self, value: str) -> str | int:
        """Check a value.

        Raises:
            BadQuestion: it is none; the sentence says what would be.
        """
        if self.high is not None:
            if not _WHOLE.match(value) or not self.low <= int(value) <= self.high:
                raise BadQuestion(f"{self.name} must be a whole number from {self.low} to {self.high}")
            return int(value)
        if self.choices and value not in self.choices:
            raise BadQuestion(f"{self.name} must be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise BadQuestion(f"{self.name} must look like {self.example}")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""
        if self.high is not None:
            bounds: dict[str, Any] = {"type": "integer", "minimum": self.low, "maximum": self.high}
        elif self.choices:
            bounds = {"type": "string", "enum": list(self.choices)}
        else:
            bounds = {"type": "string", "pattern": f"^{self.pattern}$"} if self.pattern else {"type": "string"}
        return bounds if self.default is None else bounds | {"default": self.default}


def read_query(query: str, known: Sequence[Param]) -> Mapping[str, str | int | None]:
    """Read a query string: every known parameter once at most, and no other.

    Raises:
        BadQuestion: with what is wrong.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST) if query else []
    except ValueError:
        raise BadQuestion("the query is not of the form name=value&name=value") from None
    by_name = {param.name: param for param in known}
    found: dict[str, str | int | None] = {}
    for name, value in pairs:
        if name not in by_name:
            takes = f"takes {', '.join(by_name)}" if by_name else "takes no parameters"
            raise BadQuestion(f"a parameter is not known; this path {takes}")
        if name in found:
            raise BadQuestion(f"{name} is given twice")
        found[name] = by_name[name].read(value)
    for param in known:
        if param.required and param.name not in found:
            raise BadQuestion(f"{param.name} is needed")
    return {param.name: param.default for param in known} | found
