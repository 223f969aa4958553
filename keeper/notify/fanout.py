"""One stream to several sinks: a sink that fails or is slow harms neither the others nor the engine."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from keeper.domain.events import Event
from keeper.ports import EventSink

__all__ = ["Fanout", "Queued"]

_log = logging.getLogger("keeper.notify")


class Fanout:
    """Gives every event to every sink, in the order in which the sinks were named."""

    def __init__(self, *sinks: EventSink) -> None:
        self._sinks = sinks
        self._failures = [0] * len(sinks)

    def emit(self, event: Event) -> None:
        """Give one event to all sinks. Never raises."""
        for at, sink in enumerate(self._sinks):
            try:
                sink.emit(event)
            except Exception:  # noqa: BLE001  a sink is somebody else's code, and no log line is worth a harvest
                self._failed(at, event)

    @property
    def failures(self) -> dict[str, int]:
        """How many events each sink refused, by the sink's class name."""
        return {type(sink).__name__: count for sink, count in zip(self._sinks, self._failures, strict=True) if count}

    def _failed(self, at: int, event: Event) -> None:
        self._failures[at] += 1
        if self._failures[at] == 1:
            name = type(self._sinks[at]).__name__
            _log.warning("%s failed on %s; keeper goes on without it being told", name, event.name, exc_info=True)


class Queued:
    """A slow sink behind a bounded queue and a thread of its own. A full queue drops its oldest event."""

    def __init__(self, sink: EventSink, size: int = 1000) -> None:
        self._sink = Fanout(sink)
        self._waiting: deque[Event] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._closing = False
        self._busy = False
        #: Events that were never given to the sink.
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name=f"queued-{type(sink).__name__}", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Queue one event; returns at once."""
        with self._changed:
            if self._closing:
                self.dropped += 1
                return
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(event)
            self._changed.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything queued was given to the sink; ``False`` when that took longer than ``timeout`` s."""
        deadline = time.monotonic() + timeout
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._busy, timeout=max(0.0, deadline - time.monotonic())
            )

    def close(self, timeout: float = 5.0) -> bool:
        """Take no more events, give the sink what is queued, stop; ``False`` when ``timeout`` s were not enough."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (event := self._next()) is not None:
            self._sink.emit(event)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._busy = True
            return self._waiting.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()
