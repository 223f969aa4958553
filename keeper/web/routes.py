"""What the JSON API answers: one table of paths, from which the answers and the OpenAPI document come."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from keeper.strategy.performance.windows import NAMES
from keeper.web.params import Param

__all__ = ["ROUTES", "ApiSource", "Document", "Route"]

#: What the source answers: plain JSON data.
Document: TypeAlias = Mapping[str, Any]

_POSITION: Final = r"[a-z0-9][a-z0-9._-]{0,62}"


@runtime_checkable
class ApiSource(Protocol):
    """What the API reads from: the journal, read-only. ``None`` stands for a position that is not configured.

    Every method may raise StoreUnavailable, and is called from several threads.
    """

    def positions(self, offset: int, limit: int) -> Document:
        """Configured positions and the last that was seen of each."""
        ...

    def position(self, name: str) -> Document | None:
        """Everything that `keeper explain` tells about one."""
        ...

    def report(self, window: str, position: str | None, offset: int, limit: int) -> Document | None:
        """What `keeper report` tells; what there is no time for now is named; asked again, it goes on from there."""
        ...

    def decisions(self, position: str, limit: int) -> Document | None:
        """Changes of a position's verdict, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """One path: what it takes, and who answers. ``{position}`` in the path stands for a position's id."""

    path: str
    summary: str
    #: ``schema`` of the answer: changes when the answer's shape does.
    schema: str
    answer: Callable[[ApiSource, Mapping[str, Any]], Document | None]
    params: tuple[Param, ...] = ()
    #: Keys of the answer and what they hold, for the documents.
    keys: tuple[tuple[str, str], ...] = ()

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return what the path's places hold; ``None`` when it is another path."""
        pattern = re.escape(self.path).replace(r"\{position\}", f"(?P<position>{_POSITION})")
        found = re.fullmatch(pattern, path)
        return None if found is None else found.groupdict()


_OFFSET: Final = Param("offset", "Positions to pass over.", 0, low=0, high=1_000_000)
_WINDOW: Final = Param("window", "Stretch of time up to now; `mtd` is this month so far (UTC).", "30d", choices=NAMES)
_ONE: Final = Param("position", "Only this position.", pattern=_POSITION, example="cake-bnb")

ROUTES: Final = (
    Route(
        "/api/v1/positions",
        "Every configured position, its verdict and the numbers behind it.",
        "keeper.api.positions/1",
        lambda source, asked: source.positions(asked["offset"], asked["limit"]),
        (_OFFSET, Param("limit", "Positions in one answer.", 100, low=1, high=200)),
        (
            ("positions", "as `positions` of `keeper status --json`"),
            ("count", "configured positions, those on other pages too"),
            ("next_offset", "offset of the next page; null on the last"),
        ),
    ),
    Route(
        "/api/v1/positions/{position}",
        "Everything about one position: why, what next, numbers, guards, past decisions and compounds.",
        "keeper.explain/1",
        lambda source, asked: source.position(asked["position"]),
        (),
        (("(all)", "as `keeper explain POSITION --json`"),),
    ),
    Route(
        "/api/v1/report",
        "What positions earned and cost, at which rates, and against never, daily and holding.",
        "keeper.api.report/1",
        lambda source, asked: source.report(asked["window"], asked["position"], asked["offset"], asked["limit"]),
        (_WINDOW, _ONE, _OFFSET, Param("limit", "Positions in one answer.", 20, low=1, high=100)),
        (
            ("(all)", "as `keeper report --json`; `total` is that of this page, null while a part of it is missing"),
            ("incomplete", "positions of this page that there was no time for now; ask again, it goes on from there"),
            ("count", "configured positions, those on other pages too"),
            ("next_offset", "offset of the next page; null on the last"),
        ),
    ),
    Route(
        "/api/v1/decisions",
        "Changes of a position's verdict or first reason, newest first.",
        "keeper.api.decisions/1",
        lambda source, asked: source.decisions(asked["position"], asked["limit"]),
        (
            Param("position", "Whose decisions.", required=True, pattern=_POSITION, example="cake-bnb"),
            Param("limit", "Decisions in one answer.", 20, low=1, high=500),
        ),
        (("position", "its id"), ("decisions", "each as `decision` of `keeper explain --json`")),
    ),
)
