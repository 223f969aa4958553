"""Hold an account's lease in the journal while this process lives: the second lock, for processes that share only that.

The operating system's lock keeps two processes of one machine apart. The lease keeps apart what shares the journal's
folder and not the machine; its fencing token is checked by the journal in the commit of every signed transaction.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Final, Self

from keeper.errors import LaneHeld, StoreError
from keeper.ports import Clock, Store

__all__ = ["LEASE_SECONDS", "Leases"]

#: Seconds for which a lease is taken; renewed after a third of that.
LEASE_SECONDS: Final = 30


class Leases:
    """The leases of one process. A context manager: on leaving, they are given up."""

    def __init__(self, store: Store, clock: Clock, *, ttl: int = LEASE_SECONDS) -> None:
        """Take none yet."""
        self._store = store
        self._clock = clock
        self._ttl = ttl
        #: The same after a restart on this machine: the dead process's lease is then taken over at once.
        self._holder = f"{socket.gethostname()} (user {os.getuid()})"
        self._tokens: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)

    def take(self, lane: str) -> None:
        """Take one, waiting for that of a dead process on another machine to run out.

        Raises:
            LaneHeld: another process keeps renewing it.
            StoreUnavailable: the journal cannot be written.
        """
        deadline = self._clock.monotonic() + self._ttl + 2
        while True:
            try:
                self._tokens[lane] = self._store.acquire_lease(lane, self._holder, self._ttl)
            except LaneHeld:
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.sleep(1.0)
            else:
                break
        if self._thread.ident is None:
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for lane, token in self._tokens.items():
            with contextlib.suppress(StoreError):
                self._store.release_lease(lane, token)

    def _renew(self) -> None:
        while not self._over.wait(self._ttl / 3):
            for lane, token in list(self._tokens.items()):
                # Lost or unwritable: the journal then refuses what would be signed, and says so there.
                with contextlib.suppress(StoreError):
                    self._store.renew_lease(lane, token, self._ttl)
