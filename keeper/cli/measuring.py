"""The metrics of how positions did, kept fresh beside the daemon's work without getting into its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final, Self

from keeper.cli.report_data import USD
from keeper.cli.report_desk import ReportDesk
from keeper.domain.money import WAD
from keeper.errors import StoreUnavailable
from keeper.notify.metrics import MetricsSink
from keeper.strategy.performance.results import Performance

__all__ = ["Measuring"]

#: Window of the metrics, seconds until they are first worked out, between two rounds, and of work in one round.
_WINDOW: Final = "30d"
_FIRST: Final = 60.0
_EVERY: Final = 600.0
_ROUND: Final = 20.0

#: Positions that have metrics of their own.
_MOST: Final = 1_000


class Measuring:
    """Keeps the performance metrics fresh from a thread of its own: positions in turn, never more than half busy."""

    def __init__(
        self,
        desk: ReportDesk,
        names: Sequence[str],
        metrics: MetricsSink,
        *,
        first: float = _FIRST,
        every: float = _EVERY,
    ) -> None:
        """Measure ``names`` each ``every`` seconds, in US dollars, and show them in the metrics."""
        self._desk, self._names, self._metrics = desk, names[:_MOST], metrics
        self._first, self._every = first, every
        self._stopped = threading.Event()
        self._next = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="measuring", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _run(self) -> None:
        wait = self._first
        while self._names and not self._stopped.wait(wait):
            self._round()
            wait = self._every

    def _round(self) -> None:
        """Go on where the last round ended, for as long as a round may take, once round at most."""
        begun = time.monotonic()
        for _ in self._names:
            started = time.monotonic()
            if self._stopped.is_set() or started - begun > _ROUND:
                return
            name = self._names[self._next % len(self._names)]
            try:
                found, _late = self._desk.ask([name], _WINDOW, USD, _ROUND)
            except StoreUnavailable:
                return  # told by whoever writes the journal
            self._next += 1
            if isinstance(result := found.get(name), Performance):
                self._metrics.measured(
                    name,
                    _float(result.in_kind.apr),
                    _float(None if result.never is None else result.never.gain),
                    _float(None if result.daily is None else result.daily.gain),
                )
            self._stopped.wait(min(time.monotonic() - started, _ROUND))


def _float(wad: int | None) -> float | None:
    """Turn wad into a number for graphs."""
    return None if wad is None else wad / WAD
