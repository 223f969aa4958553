"""One writer per lane on one machine: an operating-system lock that a killed process cannot leave behind."""

from __future__ import annotations

import glob
import json
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from keeper.errors import LaneHeld, StoreUnavailable

__all__ = ["LaneLock", "Sender", "alive", "senders"]


@dataclass(frozen=True, slots=True)
class Sender:
    """A process that holds a lane, by the note that it left."""

    #: Lane as written in the file's name: chain and account.
    lane: str
    pid: int
    host: str
    since: str


def senders(path: Path) -> list[Sender]:
    """Return who says to hold a lane of the journal at ``path``; notes of processes that are gone are left out."""
    found = []
    for note in sorted(path.parent.glob(f"{glob.escape(path.name)}.*.holder")):
        lane = note.name.removeprefix(f"{path.name}.").removesuffix(".holder")
        try:
            content = json.loads(note.read_text(encoding="utf-8"))
            sender = Sender(lane, int(content["pid"]), str(content["host"]), str(content["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if sender.host != socket.gethostname() or alive(sender.pid):
            found.append(sender)
    return found


def alive(pid: int) -> bool:
    """Whether this machine has a process, as far as this one may know; it does not see into other containers."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class LaneLock:
    """Exclusive right to send for one lane, held until released or until the process ends.

    Example:
        ``with LaneLock(journal_path, "ethereum:0xabc..."): ...``
    """

    def __init__(self, path: Path, lane: str) -> None:
        """Name the lock beside the journal at ``path``; takes nothing yet."""
        self.lane = lane
        base = path.with_name(f"{path.name}.{re.sub(r'[^A-Za-z0-9_.-]', '_', lane)}")
        self._note = base.with_name(base.name + ".holder")
        self._lock = FileLock(base.with_name(base.name + ".lock"), mode=0o600, thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LaneHeld: naming process, host and time of the holder.
            StoreUnavailable: when the folder does not let us make the lock's file.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LaneHeld(f"lane {self.lane} is held by {self._holder()}; stop that keeper first") from None
        except (OSError, NotImplementedError) as error:
            raise StoreUnavailable(
                f"cannot lock lane {self.lane} beside the journal: {error}; keep the journal in a writable local folder"
            ) from error
        self._sign()

    def release(self) -> None:
        """Give the lock up; a second call does nothing."""
        if self._lock.is_locked:
            self._note.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _sign(self) -> None:
        """Leave a note for whoever comes second. The note informs; the lock decides."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        draft = self._note.with_name(f"{self._note.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._note)

    def _holder(self) -> str:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return f"process {note['pid']} on {note['host']} since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
