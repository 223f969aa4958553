"""Stretches of time that a report may be about: the last 30 days, this month, everything, or from a day to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

__all__ = ["NAMES", "Window", "moment_of", "window_of"]

#: Windows that have a name; beside them any span in hours, days or weeks. ``mtd`` is this month so far, in UTC.
NAMES: Final = ("24h", "7d", "30d", "90d", "365d", "mtd", "all")

_SPAN: Final = re.compile(r"([0-9]{1,5})([hdw])\Z")
_UNITS: Final = {"h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Window:
    """From a moment to another; unix seconds, both included."""

    #: As it was asked for: ``30d``, ``mtd``, ``2026-01-01..2026-02-01``.
    name: str
    since: int
    until: int


def window_of(name: str, now: int) -> Window:
    """Return a window that ends now.

    Raises:
        ValueError: the name is none; the text says which there are.
    """
    if name == "all":
        return Window(name, 0, now)
    if name == "mtd":
        today = datetime.fromtimestamp(now, UTC)
        return Window(name, int(datetime(today.year, today.month, 1, tzinfo=UTC).timestamp()), now)
    match = _SPAN.match(name)
    if match is None or int(match[1]) == 0:
        raise ValueError(f'"{name[:20]}" is no window; choose one of {", ".join(NAMES)}, or a span such as 45d or 12h')
    return Window(name, now - int(match[1]) * _UNITS[match[2]], now)


def moment_of(text: str, now: int) -> int:
    """Turn a span back from now (``30d``), or a day or minute in UTC (``2026-01-31``, ``2026-01-31T12:00``), into time.

    Raises:
        ValueError: it is neither.
    """
    if match := _SPAN.match(text):
        return now - int(match[1]) * _UNITS[match[2]]
    try:
        if "T" in text:
            found = datetime.fromisoformat(text)
            return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text[:20]}" is neither a span such as 30d nor a day such as 2026-01-31') from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
