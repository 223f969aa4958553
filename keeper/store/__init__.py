"""Memory: the write-ahead journal, and everything else worth remembering, in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keeper.store.marker import forget

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["forget", "open_store"]


def open_store(
    path: Path, *, read_only: bool = False, now: Callable[[], int] | None = None, rebuild: bool = False
) -> SqliteStore:
    """Open the journal at ``path``, making it (folder 0700, file 0600) or bringing it up to date when needed.

    Args:
        path: the file.
        read_only: for commands that only show; never makes, changes or migrates anything.
        now: unix seconds, for leases and the day's budget; the system's clock by default.
        rebuild: what `keeper recover` does: where the journal is gone, damaged or another one, begin a new one and
            keep what stood there as ``<name>.lost-<unix time>``. A sound journal stays as it is. Until ``raise_floor``
            has told a rebuilt journal where the nonces of an account begin, nothing is signed for that account.

    Raises:
        StoreUnavailable: cannot be used; the message says what to do.
        JournalMissing: it was here and is gone; nothing is sent before it is back or rebuilt.
        JournalTooNew: written by a newer keeper.
    """
    # SQLAlchemy costs 0.4 s: a command that opens no journal does not pay it.
    from keeper.store.opening import open_database  # noqa: PLC0415
    from keeper.store.sqlite import SqliteStore  # noqa: PLC0415

    clock = now or (lambda: int(time.time()))
    return SqliteStore(open_database(path, read_only=read_only, now=clock, rebuild=rebuild))
