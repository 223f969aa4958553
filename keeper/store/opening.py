"""Open the journal's file: make it, bring it up to date, or say in one sentence why not."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from keeper import __version__
from keeper.errors import JournalTooNew, StoreUnavailable
from keeper.store import marker
from keeper.store.database import BUSY_SECONDS, DAMAGED, Damaged, Database, translated
from keeper.store.schema import REVISION, REVISIONS, meta

__all__ = ["open_database"]

#: Marks the file as keeper's in SQLite's header ("KEEP").
_APPLICATION_ID: Final = 0x4B454550


class _Foreign(StoreUnavailable):
    """A sound database, and none of keeper's."""


def open_database(path: Path, *, read_only: bool, now: Callable[[], int], rebuild: bool = False) -> Database:
    """Return the database at ``path``, at this keeper's revision.

    Raises:
        StoreUnavailable: missing (read-only), damaged, foreign, locked or on read-only media.
        JournalMissing: the journal that belongs here is gone, empty, or another one.
        JournalTooNew: written by a newer keeper.
    """
    if rebuild:
        _make_room(path)
    # Read before the file is: another process may be making both, the marker last.
    belongs = None if read_only else marker.expected(path)
    revision = _for_reading(path) if read_only else _for_writing(path, None if rebuild else belongs)
    database = Database(path, now, read_only=read_only)
    try:
        if not read_only:
            _prove_sound(database)
            if revision != REVISION:
                _migrate(database, rebuilt=rebuild and revision is None)
        facts = _facts(database)
        database.rebuilt = "rebuilt" in facts
        if not read_only and belongs != facts["journal_id"]:
            marker.remember(path, facts["journal_id"])
    except BaseException:
        database.close()
        raise
    return database


def _for_reading(path: Path) -> str:
    """Return the revision of a journal that is only looked at, or say why it cannot be."""
    if not path.is_file():
        raise StoreUnavailable(f"there is no journal at {path} yet; `keeper run` or `keeper harvest` makes it")
    revision, _ = _look(path)
    _refuse_newer(path, revision)
    if revision is None:
        raise StoreUnavailable(f"the journal {path} is empty; `keeper run` or `keeper harvest` fills it")
    if revision != REVISION:
        raise StoreUnavailable(
            f"the journal {path} is of an earlier keeper; start `keeper run` once to bring it up to date"
        )
    return revision


def _for_writing(path: Path, belongs: str | None) -> str | None:
    """Return the revision of the journal, made when there never was one; ``None`` while it is empty."""
    if not path.is_file():
        if belongs is not None:
            raise marker.missing(path, "was here and is gone")
        _create(path)
    revision, journal_id = _look(path)
    _refuse_newer(path, revision)
    if belongs is not None and revision is None:
        raise marker.missing(path, "was here and is empty now")
    if belongs and journal_id != belongs:
        raise marker.missing(path, f"is another one ({journal_id}) than the one that belongs here ({belongs})")
    return revision


def _make_room(path: Path) -> None:
    """Move away what stands in the place of the journal and is not it; a sound journal stays."""
    belongs = marker.expected(path)
    try:
        revision, journal_id = _look(path) if path.is_file() else (None, None)
        _refuse_newer(path, revision)
        if revision is not None and journal_id == (belongs or journal_id) and _damage(path) is None:
            return
    except Damaged:
        pass
    except _Foreign:
        if belongs is None:
            raise
    if belongs is None:
        # Cut short between here and the new journal, the next start must not take this for the first one.
        marker.remember(path, secrets.token_hex(16))
    marker.set_aside(path)


def _create(path: Path) -> None:
    """Make folder (0700) and empty file (0600); WAL is a property of the file and set once."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"cannot make the journal {path}: {error.strerror}; choose a folder that this user can write"
        ) from error


def _look(path: Path) -> tuple[str | None, str | None]:
    """Read the file's revision and the journal's id by plain SQL; ``None`` for an empty file."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with translated(path), closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not tables:
            return None, None
        if "alembic_version" not in tables or "attempts" not in tables:
            raise _Foreign(f"{path} is a database of something else; give keeper a file of its own")
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        journal_id = connection.execute("SELECT value FROM meta WHERE key = 'journal_id'").fetchone()
    return (str(version[0]) if version else None), (str(journal_id[0]) if journal_id else None)


def _damage(path: Path) -> str | None:
    """Return what SQLite's own check finds; ``None`` for a sound file."""
    with translated(path), closing(_plain(path)) as connection:
        answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if answer == "ok" else answer


def _facts(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {row.key: row.value for row in connection.execute(sa.select(meta))}


def _refuse_newer(path: Path, revision: str | None) -> None:
    if revision is None or revision in REVISIONS:
        return
    with translated(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = 'keeper_version'").fetchone()
    writer = f"keeper {row[0]}" if row else "a newer keeper"
    raise JournalTooNew(
        f"the journal {path} was written by {writer} (revision {revision}, this is {__version__}, {REVISION}); "
        "install that version or newer, never an older one"
    )


def _prove_sound(database: Database) -> None:
    """Refuse a damaged or unwritable file before anything relies on it."""
    damage = _damage(database.path)
    if damage is not None:
        raise Damaged(f"the journal {database.path} is damaged ({damage}); {DAMAGED}")
    with translated(database.path), closing(_plain(database.path)) as connection:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute("ROLLBACK")
    if mode != "wal":
        raise StoreUnavailable(
            f"the journal {database.path} cannot use WAL ({mode}); keep it on a local disk, not a share"
        )


def _migrate(database: Database, *, rebuilt: bool) -> None:
    """Run the packaged revisions in one transaction; a second process waits, and finds it done."""
    from alembic import command  # noqa: PLC0415  (0.3 s that an up-to-date file need not pay)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        # Asked again, as another process may have done it while this one waited for its turn.
        now = _look(database.path)[0]
        if now == REVISION:
            return
        if now is not None:
            _back_up(database.path, now)
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
        known = set(connection.execute(sa.select(meta.c.key)).scalars())
        created = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"journal_id": secrets.token_hex(16), "created": created}
        if rebuilt:
            facts["rebuilt"] = created
        new = [{"key": key, "value": value} for key, value in facts.items() if key not in known]
        if new:
            connection.execute(meta.insert(), new)
        connection.execute(meta.delete().where(meta.c.key == "keeper_version"))
        connection.execute(meta.insert(), {"key": "keeper_version", "value": __version__})
        connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")


def _back_up(path: Path, revision: str) -> None:
    """Keep the file as it was before a migration, beside it."""
    target = path.with_name(f"{path.name}.{revision}-{int(time.time())}.bak")
    while target.exists():
        target = target.with_name(target.name.replace(".bak", "+.bak"))
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"cannot keep a copy of the journal at {target}: {error.strerror}; make its folder writable for this user"
        ) from error
    with translated(path), closing(_plain(path)) as source, closing(_plain(target)) as copy:
        source.backup(copy)


def _plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
