"""Which journal a state folder has: a small file beside it, so that a journal that is gone or swapped is noticed.

An empty journal looks like a first start; with something in flight it would sign the same nonces again. The marker is
written once the journal is durable, and read before the journal is: what it names must be there.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path
from typing import Final

from keeper.errors import JournalMissing, StoreUnavailable

__all__ = ["expected", "forget", "missing", "remember", "set_aside"]

#: Files that SQLite keeps beside a database.
_SIDE_FILES: Final = ("-wal", "-shm", "-journal")

_ID = re.compile(r"[0-9a-f]{32}")


def expected(path: Path) -> str | None:
    """Return the id of the journal that belongs at ``path``; ``None`` when there never was one, ``""`` when unreadable.

    Raises:
        StoreUnavailable: the marker is there and this user may not read it.
    """
    try:
        text = _marker(path).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise StoreUnavailable(
            f"cannot read {_marker(path)}: {error.strerror}; make it readable for the user that keeper runs as"
        ) from error
    return text if _ID.fullmatch(text) else ""


def remember(path: Path, journal_id: str) -> None:
    """Write the marker: whole and on the disk, or not at all.

    Raises:
        StoreUnavailable: the folder cannot be written.
    """
    marker = _marker(path)
    draft = marker.with_name(f"{marker.name}.{secrets.token_hex(4)}")
    try:
        file = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            os.write(file, f"{journal_id}\n".encode("ascii"))
            os.fsync(file)
        finally:
            os.close(file)
        draft.replace(marker)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot write {marker}: {error.strerror}; make the folder writable for the user that keeper runs as"
        ) from error


def missing(path: Path, what: str) -> JournalMissing:
    """Return the refusal; ``what`` says what became of the journal."""
    return JournalMissing(
        f"the journal {path} {what}. Transactions that it knew may be on their way, so nothing is sent; "
        "put the journal (or its last backup) back, or let `keeper recover` rebuild it from the chain"
    )


def set_aside(path: Path) -> Path | None:
    """Move what is at ``path`` away, never deleting it; return where it is now, ``None`` when nothing was there.

    Raises:
        StoreUnavailable: it cannot be moved.
    """
    target = path.with_name(f"{path.name}.lost-{int(time.time())}")
    while target.exists():
        target = target.with_name(target.name + "+")
    moved = None
    try:
        # The file itself first: should this be cut short, a file without its log would pass for the whole journal.
        for suffix in ("", *_SIDE_FILES):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(target.with_name(target.name + suffix))
                moved = target
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot move {path} aside: {error.strerror}; make the folder writable for the user that keeper runs as"
        ) from error
    return moved


def forget(path: Path) -> None:
    """Delete a journal that may be lost: a rehearsal's."""
    for suffix in ("", *_SIDE_FILES, ".id"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.id")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
