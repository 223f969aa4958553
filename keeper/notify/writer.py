"""Lines to a stream that may be full, closed or broken: never raises, never blocks for long, counts what it drops."""

from __future__ import annotations

import io
import os
import select
import threading
from typing import Final, TextIO

__all__ = ["LineWriter"]

#: A pipe that polls as writable takes at least this many bytes without blocking (POSIX PIPE_BUF).
_PIECE: Final = select.PIPE_BUF

#: Milliseconds to wait for a slow reader before a line is dropped; none while the reader stays away.
_PATIENCE_MS: Final = 50


class LineWriter:
    """Writes whole lines. A reader that does not read (a stopped terminal, a full pipe) costs lines, never time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._fd = _descriptor(stream)
        self._stuck = False
        #: Lines that could not be written.
        self.dropped = 0

    def write(self, line: str) -> None:
        """Write one line, or drop it."""
        with self._lock:
            try:
                done = self._to_descriptor(line) if self._fd is not None else self._to_stream(line)
            except (OSError, ValueError):
                done = False  # closed or broken: nobody is left to tell
            self.dropped += not done

    def _to_stream(self, line: str) -> bool:
        try:
            self._stream.write(line + "\n")
        except UnicodeEncodeError:
            self._stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        self._stream.flush()
        return True

    def _to_descriptor(self, line: str) -> bool:
        assert self._fd is not None
        data = (line + "\n").encode(self._stream.encoding or "utf-8", "backslashreplace")
        for start in range(0, len(data), _PIECE):
            if not self._writable():
                return False
            os.write(self._fd, data[start : start + _PIECE])
        return True

    def _writable(self) -> bool:
        assert self._fd is not None
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        ready = bool(poll.poll(0 if self._stuck else _PATIENCE_MS))
        self._stuck = not ready
        return ready


def _descriptor(stream: TextIO) -> int | None:
    """Find the file behind a plain text stream; captured or wrapped streams are written through their own methods."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError):
        return None
