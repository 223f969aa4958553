"""Send through private relays, where nobody can trade ahead of a transaction; after some blocks in public, if told so.

A relay is given transactions and is never asked anything: no nonce, no receipt, no chain id. Cancels and bumps go where
the transaction went, because they wait as long as it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from keeper.domain.transaction import SignedTx
from keeper.errors import ConfigError, KeeperError, Transient
from keeper.submitters.fan import Fan, Route, SendRaw, Source, now, one_by_one
from keeper.submitters.outcomes import Outcome
from keeper.submitters.public import PublicSubmitter

__all__ = ["PrivateSubmitter", "PrivateThenPublic"]


class PrivateSubmitter:
    """Sends the same bytes to all relays, and to nobody else."""

    name = "private"

    def __init__(self, senders: Source[SendRaw], fan: Fan) -> None:
        """Take one function per relay; each is given one transaction at a time, because relays need take no batches.

        Args:
            senders: functions that send one transaction to one relay.
            fan: how to send.

        Raises:
            ConfigError: without any relay.
        """
        if not senders:
            raise ConfigError("there is no relay to send private transactions to. Set the chain's private_rpc.")
        self._senders = senders
        self.fan = fan

    def submit(self, signed: SignedTx) -> Outcome:
        """Send; returns the best outcome of all relays, and that relay's words."""
        return self.submit_many([signed])[0]

    def submit_many(self, batch: Sequence[SignedTx]) -> list[Outcome]:
        """Send several, in this order, to every relay at once; the best outcome of each."""
        return self.fan.send(batch, self.routes)

    def routes(self, _batch: Sequence[SignedTx] = ()) -> list[Route]:
        """Return the relays of this moment."""
        return [Route(one_by_one(send)) for send in now(self._senders)]


class PrivateThenPublic:
    """Sends to the relays; to the public endpoints too once a transaction has waited long enough."""

    name = "private_then_public"

    def __init__(self, private: PrivateSubmitter, public: PublicSubmitter, blocks: int) -> None:
        """Take both ways, and the blocks after which the second is open."""
        self._private, self._public, self._blocks = private, public, blocks

    def submit(self, signed: SignedTx) -> Outcome:
        """Send where it may go by now; the words of the outcome say when that is public."""
        return self.submit_many([signed])[0]

    def submit_many(self, batch: Sequence[SignedTx]) -> list[Outcome]:
        """Send each where it may go by now, in this order; the best outcome of each.

        Raises:
            IntegrityError: when something is to go public and no endpoint is of the right chain; nothing was sent.
        """
        opened = False

        def routes(open_: Sequence[SignedTx]) -> list[Route]:
            nonlocal opened
            relays = self._private.routes()
            if not any(self._is_late(tx) for tx in open_):
                return relays
            try:
                public = [replace(route, takes=self._is_late, leads=True) for route in self._public.routes()]
            except Transient as error:
                public = [_closed(error, self._is_late)]
            else:
                opened = True
            return [*relays, *public]

        outcomes = self._private.fan.send(batch, routes)
        return [
            (outcome, f"public after {tx.waited_blocks} blocks: {words}" if opened and self._is_late(tx) else words)
            for tx, (outcome, words) in zip(batch, outcomes, strict=True)
        ]

    def _is_late(self, signed: SignedTx) -> bool:
        return signed.waited_blocks >= self._blocks


def _closed(error: Transient, takes: Callable[[SignedTx], bool]) -> Route:
    """Stand for the public endpoints while there is none: what is due there is tried again, and not called public."""

    def send(_raws: Sequence[bytes]) -> list[str | KeeperError]:
        raise error

    return Route(send, takes, leads=True)
