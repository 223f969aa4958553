"""Take signed transactions and send none: for looking at what would be sent."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from keeper.domain.transaction import SignedTx
from keeper.ports import Submission

__all__ = ["RecordOnlySubmitter"]


class RecordOnlySubmitter:
    """Keeps what it was given; nothing leaves the process, so everything is refused for certain."""

    name = "record_only"

    def __init__(self) -> None:
        self._recorded: list[SignedTx] = []
        self._lock = threading.Lock()

    @property
    def recorded(self) -> tuple[SignedTx, ...]:
        """Everything submitted so far, oldest first."""
        with self._lock:
            return tuple(self._recorded)

    def submit(self, signed: SignedTx) -> tuple[Submission, str]:
        """Record and refuse."""
        with self._lock:
            self._recorded.append(signed)
        return Submission.REFUSED, "recorded only: this run sends nothing"

    def submit_many(self, batch: Sequence[SignedTx]) -> list[tuple[Submission, str]]:
        """Record and refuse all."""
        return [self.submit(signed) for signed in batch]
