"""What the daemon tells its ops port: the watches' own state, read from memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from keeper.web.status import ChainStatus, LaneStatus, Status

if TYPE_CHECKING:
    from keeper.engine.supervisor import ChainWatch

__all__ = ["Health"]


class Health:
    """A ``StatusProvider`` over the watches of the moment."""

    def __init__(self, age: Callable[[], float | None]) -> None:
        """Begin without watches; ``age`` says how long ago the supervisor's loop last went round, in seconds."""
        self._age = age
        self._started_at, self._started = time.time(), time.monotonic()
        self.watches: Sequence[ChainWatch] = ()
        #: Whether the last write to the journal worked.
        self.store_ok = True
        #: Why keeper signs nothing, and how to undo it; empty while it is not paused.
        self.paused = ""

    def snapshot(self) -> Status:
        """Tell the present state."""
        watches = self.watches
        return Status(
            started_at=self._started_at,
            uptime=time.monotonic() - self._started,
            last_tick_age=self._age(),
            chains={w.context.name: ChainStatus(w.state.last_block, None, not w.state.error) for w in watches},
            store_ok=self.store_ok,
            lanes={
                f"{w.context.name}/{owner}": LaneStatus(int(not lane.worker.idle), lane.halted or "")
                for w in watches
                for owner, lane in list(w.lanes.items())
            },
            paused=self.paused,
        )
