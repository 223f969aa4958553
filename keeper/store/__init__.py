"""Memory: the write-ahead journal, and everything else worth remembering, in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["open_store"]


def open_store(path: Path, *, read_only: bool = False, now: Callable[[], int] | None = None) -> SqliteStore:
    """Open the journal at ``path``, making it (folder 0700, file 0600) or bringing it up to date when needed.

    Args:
        path: the file.
        read_only: for commands that only show; never makes, changes or migrates anything.
        now: unix seconds, for leases and the day's budget; the system's clock by default.

    Raises:
        StoreUnavailable: cannot be used; the message says what to do.
        JournalTooNew: written by a newer keeper.
    """
    # SQLAlchemy costs 0.4 s: a command that opens no journal does not pay it.
    from keeper.store.opening import open_database  # noqa: PLC0415
    from keeper.store.sqlite import SqliteStore  # noqa: PLC0415

    return SqliteStore(open_database(path, read_only=read_only, now=now or (lambda: int(time.time()))))
