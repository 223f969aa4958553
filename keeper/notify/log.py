"""The log: one line per event, JSON for machines or a readable line for a terminal, always redacted.

structlog (0.2 s to import) is loaded when the first sink is made, so that cheap commands never pay for it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self, TextIO, TypeAlias

from keeper.domain.events import Event
from keeper.notify.console import ConsoleRenderer, is_terminal, wants_colour
from keeper.notify.redact import RedactingFilter, Redactor
from keeper.notify.writer import LineWriter

__all__ = ["Format", "LogSink", "configure"]

#: ``auto`` is ``console`` on a terminal, ``json`` anywhere else.
Format: TypeAlias = Literal["auto", "json", "console"]

#: Fields that a line has by itself; an event's own fields of these names give way.
_RESERVED: Final = frozenset({"timestamp", "level", "event"})

_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

#: Name of lines that come from a library's logger rather than from the event stream.
_LIBRARY_EVENT: Final = "library.message"


class LogSink:
    """Writes every event as one line. Never raises and never blocks on a stream that nobody reads."""

    def __init__(
        self,
        form: Format = "auto",
        level: str = "info",
        stream: TextIO | None = None,
        redactor: Redactor | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        target = stream if stream is not None else sys.stderr
        console = form == "console" or (form == "auto" and is_terminal(target))
        self._threshold = _number(level)
        self._writer = LineWriter(target)
        self._redactor = redactor if redactor is not None else Redactor()
        colour = console and wants_colour(target, environ)
        self._processors = _processors(self._redactor, console=console, colour=colour)
        self._handler: _Bridge | None = None

    def emit(self, event: Event) -> None:
        """Write one event."""
        self.line(event.level, event.name, event.fields)

    def line(self, level: str, name: str, fields: Mapping[str, Any]) -> None:
        """Write one line; fields named like the line's own (``timestamp``, ``level``, ``event``) are left out."""
        if _number(level) < self._threshold:
            return
        plain = {str(key): value for key, value in fields.items() if key not in _RESERVED}
        rendered: Any = {"timestamp": None, "level": str(level), "event": str(name), **plain}
        for processor in self._processors:
            rendered = processor(None, str(level), rendered)
        self._writer.write(self._redactor.values(str(rendered)))

    @property
    def dropped(self) -> int:
        """Lines that could not be written because the stream was full, closed or broken."""
        return self._writer.dropped

    def attach(self) -> None:
        """Take over the standard library's logging and Python's warnings until ``close``."""
        if self._handler is None:
            self._handler = _Bridge(self, self._threshold)
            self._handler.addFilter(RedactingFilter(self._redactor))
            logging.getLogger().addHandler(self._handler)
            logging.captureWarnings(capture=True)

    def close(self) -> None:
        """Give the standard library's logging back. Events are still written afterwards."""
        if self._handler is not None:
            logging.captureWarnings(capture=False)
            logging.getLogger().removeHandler(self._handler)
            self._handler = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


def configure(
    form: Format = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    redactor: Redactor | None = None,
    environ: Mapping[str, str] = os.environ,
) -> LogSink:
    """Make the log sink, and lead the loggers of web3, urllib3, apscheduler, alembic, sqlalchemy ... into it.

    Args:
        form: ``auto``, ``json`` or ``console``.
        level: ``debug``, ``info``, ``warning`` or ``error``; libraries are heard from ``warning`` up.
        stream: where lines go, stderr by default; never stdout, which belongs to data.
        redactor: what must not be shown; share one instance across the process.
        environ: where NO_COLOR, FORCE_COLOR and TERM are looked up.
    """
    sink = LogSink(form, level, stream, redactor, environ)
    sink.attach()
    return sink


class _Bridge(logging.Handler):
    """Leads standard-library records into the same lines. What libraries tell below WARNING is not for operators."""

    def __init__(self, sink: LogSink, threshold: int) -> None:
        super().__init__(max(threshold, logging.WARNING))
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower() if record.levelname.lower() in _LEVELS else "warning"
        extras: dict[str, Any] = {"exception": record.exc_text} if record.exc_text else {}
        self._sink.line(
            level, _LIBRARY_EVENT, {"logger": record.name, "message": record.getMessage().rstrip("\n"), **extras}
        )


def _number(level: str) -> int:
    return _LEVELS.get(str(level).lower(), logging.INFO)


def _processors(redactor: Redactor, *, console: bool, colour: bool) -> list[Callable[[Any, str, Any], Any]]:
    import structlog  # noqa: PLC0415  loaded by the first sink, not by every command

    if console:
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        return [stamp, redactor.processor, ConsoleRenderer(colour=colour)]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return [stamp, redactor.processor, structlog.processors.JSONRenderer()]
