"""The global stop: a flag in the journal, or a file that anybody can make; while either is there, nothing is signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keeper.ports import Store

__all__ = ["PAUSE", "Pause", "kill_pause", "pause_of", "paused_text", "stop_of"]

#: Flag of the pause; its value is when it began (ISO 8601, UTC), a space, and why.
PAUSE: Final = "pause"

#: The reason of somebody who gave none.
_NO_REASON: Final = "no reason given"

#: Characters of a kill file that are taken for its reason.
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is signed, since when, and how that is undone."""

    reason: str
    #: Unix seconds; ``None`` when the flag was written by hand.
    since: int | None
    #: The kill file, when it is that which stops.
    file: Path | None = None

    @property
    def undo(self) -> str:
        """What ends it."""
        return f"remove {self.file}" if self.file is not None else "`keeper resume` goes on"

    @property
    def text(self) -> str:
        """Why, and how to undo it."""
        if self.file is None:
            return f"{self.reason}; {self.undo}"
        why = f" ({self.reason})" if self.reason else ""
        return f"the file {self.file} stops it{why}; remove it to go on"


def paused_text(reason: str, now: int) -> str:
    """Return the flag's value for a pause that begins now."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{moment} {' '.join(reason.split()) or _NO_REASON}"


def pause_of(value: str | None) -> Pause | None:
    """Read the flag's value; whatever stands there pauses."""
    if value is None:
        return None
    moment, _, reason = value.partition(" ")
    try:
        since = int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return Pause(value.strip() or _NO_REASON, None)
    return Pause(reason or _NO_REASON, since)


def kill_pause(file: Path | None) -> Pause | None:
    """Look for the kill file. What stands in it is the reason; one that cannot be read stops all the same."""
    if file is None:
        return None
    try:
        since = int(file.stat().st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return Pause("", None, file)
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            words = "".join(c for c in stream.read(_LONGEST) if c.isprintable() or c.isspace())
    except OSError:
        words = ""
    return Pause(" ".join(words.split()), since, file)


def stop_of(store: Store, file: Path | None) -> Pause | None:
    """Say why nothing may be signed now; ``None`` when nothing stops. The kill file comes first.

    Args:
        store: where the flag is.
        file: the kill file of the config.
    """
    return kill_pause(file) or pause_of(store.get_flag(PAUSE))
