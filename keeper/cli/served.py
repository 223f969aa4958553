"""What the JSON API tells: the journal, opened read-only beside the daemon's own, in the words of the commands."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from keeper.cli.explain_story import story_json, story_of
from keeper.cli.journal import read_known
from keeper.cli.output import jsonable
from keeper.cli.report_data import Report
from keeper.cli.report_desk import ReportDesk
from keeper.cli.report_json import report_json
from keeper.cli.views import decision_json, known_json
from keeper.errors import StoreUnavailable
from keeper.store import open_store
from keeper.strategy.performance.results import Performance
from keeper.strategy.performance.windows import window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.store.sqlite import SqliteStore

__all__ = ["Served"]

#: Seconds that one answer may take to work out reports; a client waits three times as long at most.
_PATIENCE: Final = 5.0


class Served:
    """An ``ApiSource`` over a config and its journal. Reads only; opens the journal when it is first asked."""

    def __init__(self, loaded: Loaded) -> None:
        """Prepare; opens nothing yet."""
        self._loaded = loaded
        self._opening = threading.Lock()
        self._store: SqliteStore | None = None
        #: What the reports come from.
        self.desk = ReportDesk(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._opening:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def positions(self, offset: int, limit: int) -> Mapping[str, Any]:
        """Tell configured positions and the last that was seen of each."""
        page, rest = self._page(offset, limit)
        with self._reading() as store:
            return {"positions": [_plain(known_json(read_known(store, position))) for position in page]} | rest

    def position(self, name: str) -> Mapping[str, Any] | None:
        """Tell everything about one position."""
        position = self._find(name)
        if position is None:
            return None
        with self._reading() as store:
            story = story_of(self._loaded, store, read_known(store, position))
            return dict(_plain(story_json(story)))

    def decisions(self, position: str, limit: int) -> Mapping[str, Any] | None:
        """Tell the changes of a position's verdict, newest first."""
        if self._find(position) is None:
            return None
        with self._reading() as store:
            changes = store.decisions(position, limit)
            return {"position": position, "decisions": [_plain(decision_json(change)) for change in changes]}

    def report(self, window: str, position: str | None, offset: int, limit: int) -> Mapping[str, Any] | None:
        """Tell how positions did."""
        one = None if position is None else self._find(position)
        if position is not None and one is None:
            return None
        page, rest = self._page(offset, limit) if one is None else ([one], {"count": 1, "next_offset": None})
        currency = self._loaded.settings.report.currency
        with self._reading():
            found, late = self.desk.ask([p.id for p in page], window, currency, _PATIENCE)
        measured = [result for result in found.values() if isinstance(result, Performance)]
        told = {result.currency for result in measured} or {currency}
        until = max((result.until for result in measured), default=int(time.time()))
        report = Report(
            window_of(window, until),
            currency if len(told) > 1 else next(iter(told)),
            "" if told == {currency} else currency,
            tuple(measured),
            tuple((name, result) for name, result in found.items() if isinstance(result, str)),
        )
        document = dict(_plain(report_json(report))) | {"incomplete": late} | rest
        return document | ({"total": None} if late or len(told) > 1 else {})

    def _page(self, offset: int, limit: int) -> tuple[Sequence[PositionConfig], dict[str, Any]]:
        everything = self._loaded.settings.positions
        page = everything[offset : offset + limit]
        more = offset + limit if offset + limit < len(everything) else None
        return page, {"count": len(everything), "next_offset": more}

    def _find(self, name: str) -> PositionConfig | None:
        return next((position for position in self._loaded.settings.positions if position.id == name), None)

    @contextmanager
    def _reading(self) -> Iterator[SqliteStore]:
        """Lend the journal; one that cannot be read any more is opened anew the next time."""
        store = self._open()
        try:
            yield store
        except StoreUnavailable:
            with self._opening:
                if self._store is store:
                    self._store = None
            store.close()
            raise

    def _open(self) -> SqliteStore:
        with self._opening:
            if self._store is None:
                self._store = open_store(self._loaded.journal, read_only=True)
            return self._store


def _plain(value: Any) -> Any:
    return jsonable(value)
