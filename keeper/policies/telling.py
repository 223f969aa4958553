"""Tells the event stream that a policy fails and that it is back: once when it begins, then once a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from keeper.domain.events import Event, EventName, Level
from keeper.policies.lines import plain
from keeper.ports import Clock, EventSink

__all__ = ["Teller"]

#: Seconds between two events about the same failing policy.
_EVERY: Final = 60.0

#: Characters that are kept of what somebody else says.
_LONGEST: Final = 300


class Teller:
    """One policy's voice in the event stream. Safe to use from several threads."""

    def __init__(self, name: str, events: EventSink, clock: Clock, redact: Callable[[str], str] = str) -> None:
        self._name, self._events, self._clock, self._redact = name, events, clock, redact
        self._lock = threading.Lock()
        self._told: float | None = None

    def clean(self, text: str) -> str:
        """Return somebody else's words as they may be shown and kept: one short line without secrets."""
        return self._redact(plain(text, _LONGEST))

    def failed(self, what: str, advice: str) -> None:
        """Tell what is wrong, unless that was told within the minute."""
        with self._lock:
            now = self._clock.monotonic()
            if self._told is not None and now - self._told < _EVERY:
                return
            self._told = now
        self._emit(EventName.POLICY_FAILED, Level.WARNING, policy=self._name, error=what, next=advice)

    def fine(self) -> None:
        """Tell that it answers again, if it was told that it did not."""
        with self._lock:
            if self._told is None:
                return
            self._told = None
        self._emit(EventName.POLICY_RECOVERED, policy=self._name)

    def said(self, text: str) -> None:
        """Pass on what it wrote for people."""
        self._emit(EventName.POLICY_SAID, policy=self._name, text=self.clean(text))

    def _emit(self, name: EventName, level: Level = Level.INFO, **fields: str) -> None:
        self._events.emit(Event(name, level, fields))
