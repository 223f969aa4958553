"""Statements compiled once: on the way to the wire, SQLAlchemy's own execution costs as much as SQLite's."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from keeper.store.schema import Big

__all__ = ["Prepared", "driver"]


def driver(connection: sa.Connection) -> sqlite3.Connection:
    """Return SQLite's own connection inside SQLAlchemy's."""
    inner = connection.connection.driver_connection
    assert isinstance(inner, sqlite3.Connection)
    return inner


class Prepared:
    """A Core statement compiled to text and run by the driver; results come back as SQLite gives them."""

    __slots__ = ("_bigs", "_fixed", "_text")

    def __init__(self, statement: sa.sql.ClauseElement, *columns: str) -> None:
        """Compile ``statement``; ``columns`` are those that an INSERT fills."""
        compiled: Any = statement.compile(
            dialect=sqlite.dialect(paramstyle="named"),
            column_keys=list(columns) or None,
        )
        names: dict[Any, str] = compiled.bind_names
        self._text = str(compiled)
        self._fixed = {name: bind.value for bind, name in names.items() if not bind.required}
        self._bigs = tuple(name for bind, name in names.items() if isinstance(bind.type, Big))

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Execute with one set of values."""
        return driver(connection).execute(self._text, self._bound(values))

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Execute a query; return its rows by the names of their columns."""
        found = self.run(connection, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def run_many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per row; nothing for no rows."""
        if rows:
            driver(connection).executemany(self._text, [self._bound(row) for row in rows])

    def _bound(self, values: Mapping[str, Any]) -> dict[str, Any]:
        bound = {**self._fixed, **values}
        for name in self._bigs:
            bound[name] = None if bound[name] is None else str(bound[name])
        return bound
