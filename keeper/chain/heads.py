"""Who is how far: which endpoint lags behind the others, and whether the chain itself stands still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keeper.chain.health import Member

__all__ = ["Heads"]

#: Blocks, and seconds of blocks, by which an endpoint may lag behind the best and still be read from.
_LAG_BLOCKS: Final = 3
_LAG_SECONDS: Final = 30.0

#: Seconds, and blocks, without a new block after which the chain is said to stand still.
_STALL_SECONDS: Final = 180.0
_STALL_BLOCKS: Final = 20

#: Seconds after which what an endpoint was heard to have no longer counts: a test chain may go back.
_FORGOTTEN: Final = 600.0

#: Members from which on a lone leader is outvoted by the others.
_MANY: Final = 3


class Heads:
    """Heights of a pool's endpoints. The pool's lock guards it."""

    def __init__(self, members: Sequence[Member], block_seconds: float, quorum: int) -> None:
        """Take the seconds between blocks, and how many endpoints must be past a height for it to count."""
        self._members = members
        self._quorum = quorum
        #: Blocks behind the best from which on an endpoint is not read from.
        self.allowed = max(_LAG_BLOCKS, int(_LAG_SECONDS / max(block_seconds, 0.01)))
        #: Seconds without a block after which the chain is stalled.
        self.patience = max(_STALL_SECONDS, _STALL_BLOCKS * block_seconds)
        #: Seconds after which an endpoint that nobody asked is asked for its height.
        self.poll = min(60.0, max(15.0, 5 * block_seconds))
        #: Seconds between looks at one that lags.
        self.poll_lagging = min(10.0, max(2.0, block_seconds))
        self._height: int | None = None
        self._since = 0.0
        #: The chain was said to stand still, and has not moved since.
        self.stalled = False

    def hear(self, member: Member, number: int, now: float) -> None:
        """Take note of a height; sets ``member.lagging``."""
        member.head, member.heard_at = number, now
        member.probe_at = now + self.poll
        best = self._best(now)
        member.lagging = best is not None and best - number > self.allowed and not self._awaits()
        if member.lagging:
            member.probe_at = now + self.poll_lagging

    def lag(self, member: Member, now: float) -> int | None:
        """Return how many blocks a member is behind the best."""
        best = self._best(now)
        return None if member.head is None or best is None else max(0, best - member.head)

    def moved(self, now: float) -> tuple[bool, int]:
        """Follow the height that the quorum has; returns whether ``stalled`` changed, and the newest block's age."""
        heights = sorted(self._known(now), reverse=True)
        height = heights[min(self._quorum, len(heights)) - 1] if heights else None
        if height != self._height:
            age = int(now - self._since) if self._height is not None else 0
            self._height, self._since = height, now
            was, self.stalled = self.stalled, False
            return was, age
        late = height is not None and now - self._since > self.patience
        changed = late and not self.stalled
        self.stalled = self.stalled or late
        return changed, int(now - self._since)

    def _known(self, now: float) -> list[int]:
        return [
            member.head for member in self._members if member.head is not None and now - member.heard_at < _FORGOTTEN
        ]

    def _awaits(self) -> bool:
        """Tell whether somebody's word is still to come: the first to be heard must not condemn the second."""
        return len(self._members) >= _MANY and any(
            member.head is None and member.wrong_id is None and member.paused_until <= 0 for member in self._members
        )

    def _best(self, now: float) -> int | None:
        """Return the highest height; of three or more, a lone leader's is not believed, because the rest outvote it."""
        heights = sorted(self._known(now), reverse=True)
        if len(heights) >= _MANY and heights[0] - heights[1] > self.allowed and heights[1] - heights[2] <= self.allowed:
            return heights[1]
        return heights[0] if heights else None
