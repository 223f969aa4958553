"""One line per event for a person at a terminal: time, event, fields; coloured only where that is wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

__all__ = ["ConsoleRenderer", "wants_colour"]

#: Column at which the fields begin, as long as the event's name is shorter.
_NAME_WIDTH: Final = 16

_BARE = re.compile(r"[\w.:/@+%$<>,~*()\[\]-]+\Z")

_STYLES: Final[Mapping[str, str]] = {"debug": "2", "info": "36", "warning": "33", "error": "31", "critical": "31"}

#: Told by the line's shape instead of a field.
_SHAPE: Final = frozenset({"timestamp", "event", "level", "exception", "legs"})

#: For programs, which read JSON: what a person would have to skip over. What it cost stands there in dollars, too.
_MACHINE: Final = frozenset({"plan", "cost_wei"})


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Decide by NO_COLOR, FORCE_COLOR, TERM=dumb and the stream, in this order."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person probably reads the stream; a closed stream has no reader."""
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False


class ConsoleRenderer:
    """Last structlog processor for terminals. Text from outside cannot forge lines or send control sequences."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, _logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> str:
        """Render one event."""
        level = str(event_dict.get("level", "info"))
        name = _clean(str(event_dict.get("event", "")))
        gap = " " * max(1, _NAME_WIDTH - len(name))
        words = [self._field("level", level)] if level not in {"info", "debug"} else []
        words += [self._field(key, _leg(key, value, event_dict)) for key, value in _fields(event_dict)]
        stamp = self._paint("2", _clean(str(event_dict.get("timestamp", ""))))
        line = f"{stamp} {self._paint(_STYLES.get(level, '0'), name)}{gap}{' '.join(words)}".rstrip()
        return line + _indented(str(event_dict.get("exception") or ""))

    def _field(self, key: str, value: Any) -> str:
        return f"{self._paint('2', _clean(key) + '=')}{_shown(value)}"

    def _paint(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and text else text


def _fields(event_dict: Mapping[str, Any]) -> list[tuple[str, Any]]:
    shape = _SHAPE if "leg" in event_dict else _SHAPE - {"legs"}
    return [(str(key), value) for key, value in event_dict.items() if key not in shape and not _idle(key, value)]


def _idle(key: str, value: Any) -> bool:
    """Whether a field says nothing to a person: it is empty, for programs, or the first attempt of anything."""
    return value is None or value == "" or key in _MACHINE or (key == "attempt" and value == 1)


def _leg(key: str, value: Any, event_dict: Mapping[str, Any]) -> Any:
    return f"{value}/{event_dict['legs']}" if key == "leg" and event_dict.get("legs") is not None else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, default=repr, ensure_ascii=False)
    if _BARE.match(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _clean(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _indented(exception: str) -> str:
    return "".join(f"\n    {_clean(line)}" for line in exception.splitlines())
