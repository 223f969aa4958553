"""Batches of a fleet: a short one is kept whole, of a long one the unchanged rows are refreshed in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from keeper.domain.decision import Decision
from keeper.domain.observation import Observation
from keeper.store.database import Database

__all__ = ["REFRESHED", "named", "one", "turn"]

#: A longer batch refreshes the latest copies of what has not changed in turns, so many at a time.
REFRESHED: Final = 500

#: Above this many positions one scan is cheaper than naming them.
_MANY: Final = 500


def turn(db: Database, kind: str, batch: Sequence[Decision] | Sequence[Observation]) -> Callable[[int], bool]:
    """Say which places of a batch are refreshed this time: all of a short one, every n-th of a long one in rotation."""
    rounds = -(-len(batch) // REFRESHED) or 1
    key = f"{kind}:{batch[0].position_id if batch else ''}"
    now = db.turns[key] % rounds
    db.turns[key] += 1
    return lambda place: place % rounds == now


def named(
    query: sa.Select[Any], column: sa.ColumnElement[str], batch: Sequence[Decision] | Sequence[Observation]
) -> sa.Select[Any]:
    """Restrict a query to the positions of a batch, where that helps."""
    return query if len(batch) > _MANY else query.where(column.in_([item.position_id for item in batch]))


def one(db: Database, wanted: sa.ColumnElement[Any], key: sa.ColumnElement[str], value: str) -> Any:
    """Look one value up by a key; ``None`` when there is none."""
    with db.read() as connection:
        return connection.execute(sa.select(wanted).where(key == value)).scalar_one_or_none()
