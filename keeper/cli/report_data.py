"""What ``keeper report`` and the JSON API tell about money: the journal's history, measured position by position."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from keeper.domain.harvest import HarvestState
from keeper.domain.observation import USD_ONE
from keeper.strategy.performance.measure import performance, total
from keeper.strategy.performance.points import rated, sides_of
from keeper.strategy.performance.results import Performance, Total
from keeper.strategy.performance.windows import Window

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["USD", "Report", "journal_now", "measure", "report_of"]

#: The currency that needs no rate.
USD: Final = "USD"

#: More compounds than one position will ever have.
_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """Several positions over one window."""

    window: Window
    #: What money is told in.
    currency: str
    #: The currency that was wanted, where its rate is not on record and dollars are told instead; else empty.
    without_rate: str
    found: tuple[Performance, ...]
    #: Positions that nothing can be said about, and why.
    missing: tuple[tuple[str, str], ...]

    @property
    def total(self) -> Total:
        """All of them together."""
        return total(self.found)


def journal_now(store: SqliteStore, positions: Iterable[str]) -> int:
    """Return the present in unix seconds; a test chain whose clock runs ahead is believed."""
    seen = (store.latest_observation(name) for name in positions)
    return max((int(time.time()), *(found.block.timestamp for found in seen if found is not None)))


def report_of(
    store: SqliteStore,
    positions: Sequence[str],
    window: Window,
    currency: str = USD,
    *,
    told_of: Callable[[int], None] = lambda _done: None,
) -> Report:
    """Measure positions over a window, in a currency, or in US dollars where a rate is missing for one of them.

    ``told_of`` is called before each with how many are done.
    """
    for told in dict.fromkeys((currency, USD)):
        results = []
        for done, name in enumerate(positions):
            told_of(done)
            results.append((name, measure(store, name, window, told)))
            if results[-1][1] is None:
                break
        if all(result is not None for _, result in results):
            return Report(
                window,
                told,
                "" if told == currency else currency,
                tuple(result for _, result in results if isinstance(result, Performance)),
                tuple((name, result) for name, result in results if isinstance(result, str)),
            )
    raise AssertionError("US dollars need no rate")


def measure(store: SqliteStore, position: str, window: Window, currency: str) -> Performance | str | None:
    """Measure one position; or say why that cannot be; ``None`` when the currency's rate is not on record."""
    samples = store.samples(position, window.since, window.until)
    if currency == USD:
        samples = [sample if sample.base_usd == USD_ONE else replace(sample, base_usd=USD_ONE) for sample in samples]
    elif samples:
        converted = rated(samples)
        if converted is None:
            return None
        samples = converted
    harvests = store.harvests(position, limit=_ALL)
    ledger = store.ledger(position, window.since)
    sides = sides_of(samples[-1]) if samples else None
    found = performance(samples, harvests, ledger, currency=currency, sides=sides)
    if found is not None:
        return found
    if any(h.state is HarvestState.OPEN for h in harvests) and len(samples) > 1:
        return "a compound is under way since before this window; its outcome is not on record yet"
    if len(samples) == 1:
        return "only one sample so far; it takes two, and `keeper run` records one every ten minutes"
    if samples:
        return "its samples hold no prices; `keeper explain` says which price is missing"
    return "no samples in this window; `keeper run` records one every ten minutes"
