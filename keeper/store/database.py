"""One SQLite file: durable transactions from any thread, and SQLite's errors in the operator's words."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from keeper.domain.money import UsdWad
from keeper.errors import IllegalTransition, StoreUnavailable
from keeper.store.prepared import driver

__all__ = ["BUSY_SECONDS", "DAMAGED", "Damaged", "Database", "translated"]

#: How long a statement waits for another process's write before it gives up.
BUSY_SECONDS: Final = 10

#: Per connection. FULL: the commit is on the disk before the transaction is on the wire.
_PRAGMAS: Final = ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}", "trusted_schema=OFF")

#: What to do about a journal that cannot be read any more.
DAMAGED: Final = (
    "nothing is sent before it is mended: put the last backup in its place, or let `keeper recover` rebuild it from "
    "the chain"
)

#: SQLite's result names (by prefix) and what the operator can do.
_ADVICE: Final = (
    ("SQLITE_BUSY", f"is locked by another process for more than {BUSY_SECONDS} s; find it with `fuser {{path}}`"),
    ("SQLITE_LOCKED", "is locked by another connection; try again"),
    ("SQLITE_FULL", "cannot grow: the disk is full; free some space, keeper goes on by itself"),
    ("SQLITE_READONLY", "is read-only; make file and folder writable for the user that keeper runs as"),
    ("SQLITE_IOERR", "failed on the disk; check the disk (dmesg) and its free space"),
    ("SQLITE_CORRUPT", f"is damaged; {DAMAGED}"),
    ("SQLITE_NOTADB", f"is not a SQLite file; point keeper at its journal. If this was it, {DAMAGED}"),
    ("SQLITE_CANTOPEN", "cannot be opened; check that its folder exists and is writable for this user"),
    ("SQLITE_PERM", "may not be opened by this user; check owner and mode of the file"),
    ("SQLITE_AUTH", "may not be opened by this user; check owner and mode of the file"),
)

#: Those of them that say that the file itself is broken.
_BROKEN: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


class Damaged(StoreUnavailable):
    """The file is no journal any more, whoever reads it."""


class Database:
    """Connections to one file. ``write`` is one durable commit, ``read`` one consistent snapshot.

    Connections are kept and lent: a lane thread finds a warm one, and no thread leaves one behind when it ends. Writes
    of this process queue on a lock, which is fairer and quicker than SQLite's own waiting.
    """

    def __init__(self, path: Path, now: Callable[[], int], *, read_only: bool = False) -> None:
        """Prepare; opens nothing yet. ``now`` gives unix seconds."""
        self.path = path
        self.now = now
        self.read_only = read_only
        self._idle: deque[sa.Connection] = deque()
        self._writing = threading.Lock()
        self._closed = False
        #: Batches recorded so far, by kind and first position, so that long ones can refresh their rows in turns.
        self.turns: Counter[str] = Counter()
        #: Hour of block time of the last price of gas that was looked at, by chain.
        self.gas_hours: dict[str, int] = {}
        #: Fencing tokens of the leases that were taken through here, by lane.
        self.held: dict[str, int] = {}
        #: The file was made in the place of a lost one: an account is signed for once its nonces have a floor.
        self.rebuilt = False
        #: What was spent by the last question, with the question and the stamp of what it was answered from.
        self.spent: tuple[tuple[object, ...], object, UsdWad] | None = None
        self._writes = 0
        self._engine = _engine(path, read_only=read_only)

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Lend a connection inside BEGIN IMMEDIATE; commit at the end, roll back on any error.

        Raises:
            StoreUnavailable: when the commit is not certain.
            IllegalTransition: when a constraint or trigger of the tables forbids it.
        """
        with translated(self.path), self._writing, self._lent() as connection:
            driver(connection).execute("BEGIN IMMEDIATE")
            self._writes += 1
            yield connection
            driver(connection).execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Lend a connection on one snapshot. Raises StoreUnavailable."""
        with translated(self.path), self._lent() as connection:
            driver(connection).execute("BEGIN")
            yield connection

    def stamp(self, connection: sa.Connection) -> tuple[object, ...]:
        """Return what stays equal for as long as neither this process nor another one has written."""
        inner = driver(connection)
        return inner, inner.execute("PRAGMA data_version").fetchone()[0], self._writes

    def close(self) -> None:
        """Close idle connections; lent ones close when they come back. A second call does nothing."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    @contextmanager
    def _lent(self) -> Iterator[sa.Connection]:
        connection = self._borrow()
        try:
            yield connection
            connection.rollback()
            driver(connection).rollback()
        except BaseException:
            # A connection that has seen an error is not trusted with the next commit.
            connection.invalidate()
            connection.close()
            raise
        self._give_back(connection)

    def _borrow(self) -> sa.Connection:
        if self._closed:
            raise StoreUnavailable(f"the journal {self.path} is closed; open it again before using it")
        try:
            return self._idle.pop()
        except IndexError:
            return self._engine.connect()

    def _give_back(self, connection: sa.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


def _engine(path: Path, *, read_only: bool) -> sa.Engine:
    mode = "ro" if read_only else "rw"
    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: BEGIN and COMMIT stand where this module writes them, and nowhere else.
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into keeper's."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _worded(path, error.orig) from error
    except (sqlite3.Error, OverflowError) as error:
        raise _worded(path, error) from error


def _worded(path: Path, error: BaseException | None) -> StoreUnavailable | IllegalTransition:
    name = str(getattr(error, "sqlite_errorname", ""))
    if isinstance(error, sqlite3.IntegrityError):
        return IllegalTransition(f"the journal forbids it: {error}; report this, keeper should not have tried")
    if isinstance(error, OverflowError):
        return StoreUnavailable(
            f"a number is too large for the journal {path}: {error}; check what the endpoint answers"
        )
    for prefix, advice in _ADVICE:
        if name.startswith(prefix):
            kind = Damaged if prefix in _BROKEN else StoreUnavailable
            return kind(f"the journal {path} {advice.format(path=path)}")
    return StoreUnavailable(f"the journal {path} failed ({name or type(error).__name__}: {error}); nothing is sent")
