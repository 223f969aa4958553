"""Measured performance kept for a while: worked out one position at a time, so that nobody who asks can flood it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from keeper.cli.report_data import USD, journal_now, measure
from keeper.strategy.performance.results import Performance
from keeper.strategy.performance.windows import window_of

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["ReportDesk", "Result"]

#: Seconds for which a result stands.
FRESH: Final = 600

#: Results that are kept.
_KEPT: Final = 4_000

#: A position's performance, or why there is none.
Result: TypeAlias = Performance | str

_Key: TypeAlias = tuple[str, str, str]


class ReportDesk:
    """Answers from memory what it can, works out the rest in turn, and says what it had no time for. Thread-safe."""

    def __init__(self, store: Callable[[], SqliteStore], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read from what ``store`` lends; it may raise StoreUnavailable. ``clock`` gives seconds."""
        self._store, self._clock = store, clock
        self._results: OrderedDict[_Key, tuple[float, Result]] = OrderedDict()
        self._looking = threading.Lock()
        self._working = threading.Lock()

    def ask(
        self, names: Sequence[str], window: str, currency: str, seconds: float
    ) -> tuple[dict[str, Result], list[str]]:
        """Return what is known of positions over a window within so many seconds, and the ids of the others.

        Raises:
            StoreUnavailable: the journal cannot be read.
            ValueError: there is no such window.
        """
        deadline = self._clock() + seconds
        found: dict[str, Result] = {}
        late: list[str] = []
        for name in names:
            result = self._kept((name, window, currency))
            if result is None and self._clock() < deadline:
                result = self._work((name, window, currency), deadline)
            if result is None:
                late.append(name)
            else:
                found[name] = result
        return found, late

    def _work(self, key: _Key, deadline: float) -> Result | None:
        """Work one out, when it is one's turn before the deadline."""
        if not self._working.acquire(timeout=max(deadline - self._clock(), 0)):
            return None
        try:
            known = self._kept(key)
            return known if known is not None else self._measured(key)
        finally:
            self._working.release()

    def _measured(self, key: _Key) -> Result:
        name, window, currency = key
        store = self._store()
        span = window_of(window, journal_now(store, [name]))
        result = measure(store, name, span, currency)
        if result is None:
            result = measure(store, name, span, USD)
        assert result is not None, "US dollars need no rate"
        with self._looking:
            self._results[key] = (self._clock(), result)
            self._results.move_to_end(key)
            while len(self._results) > _KEPT:
                self._results.popitem(last=False)
        return result

    def _kept(self, key: _Key) -> Result | None:
        with self._looking:
            at, result = self._results.get(key, (0.0, None))
            return result if result is not None and self._clock() - at < FRESH else None
