"""What a process writes to stderr, as lines for the log: bounded, counted, never more than a person would read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Words"]

#: Lines that are passed on within a minute; the rest is counted.
_LINES: Final = 20

#: Bytes without a line's end that are kept to become a line.
_KEPT: Final = 4_096

#: Bytes within a minute above which reading them would be all that keeper does.
_FLOOD: Final = 1_000_000

_MINUTE: Final = 60.0


class Words:
    """Splits what was written into lines and passes some of them on."""

    def __init__(self, tell: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._monotonic = tell, monotonic
        self._rest = b""
        self._begun = monotonic()
        self._bytes = self._told = self._left_out = 0

    def feed(self, data: bytes) -> bool:
        """Take what was written; ``False`` when it is too much to go on listening."""
        if self._monotonic() - self._begun >= _MINUTE:
            self._new_minute()
        self._bytes += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        self._rest = rest[:_KEPT]
        return self._bytes <= _FLOOD

    def close(self) -> None:
        """Pass on what has no line's end yet, and how much was left out."""
        self._line(self._rest)
        self._rest = b""
        self._new_minute()

    def _line(self, line: bytes) -> None:
        text = line[:_KEPT].decode("utf-8", "replace").strip()
        if not text:
            return
        if self._told >= _LINES:
            self._left_out += 1
            return
        self._told += 1
        self._tell(text)

    def _new_minute(self) -> None:
        if self._left_out:
            self._tell(f"({self._left_out} more lines)")
        self._begun, self._bytes, self._told, self._left_out = self._monotonic(), 0, 0, 0
