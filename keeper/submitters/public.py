"""Put raw transactions into the public pool by giving them to every endpoint of the chain at once."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.transaction import SignedTx
from keeper.errors import ConfigError
from keeper.submitters.fan import Fan, Route, SendMany, Source, now
from keeper.submitters.outcomes import Outcome

__all__ = ["PublicSubmitter"]


class PublicSubmitter:
    """Sends the same bytes to all endpoints; never builds, signs or changes any."""

    name = "public"

    def __init__(self, senders: Source[SendMany], fan: Fan) -> None:
        """Take one function per endpoint, or what returns them: then each attempt uses the endpoints of its moment.

        Args:
            senders: functions that send several transactions in one request; ``fan.one_by_one`` makes such a function
                of one that sends single ones.
            fan: how to send.

        Raises:
            ConfigError: without any endpoint.
        """
        if not senders:
            raise ConfigError("there is no endpoint to send transactions to. Set the chain's rpc.")
        self._senders = senders
        self._fan = fan

    def submit(self, signed: SignedTx) -> Outcome:
        """Send; returns the best outcome of all endpoints, and that node's words.

        Raises:
            IntegrityError: when no endpoint is of the right chain; nothing was sent.
        """
        return self.submit_many([signed])[0]

    def submit_many(self, batch: Sequence[SignedTx]) -> list[Outcome]:
        """Send several, in this order, to every endpoint at once; the best outcome of each.

        Raises:
            IntegrityError: when no endpoint is of the right chain; nothing was sent.
        """
        return self._fan.send(batch, self.routes)

    def routes(self, _batch: Sequence[SignedTx] = ()) -> list[Route]:
        """Return the endpoints of this moment.

        Raises:
            Transient: when there is none.
            IntegrityError: when none is of the right chain.
        """
        return [Route(send) for send in now(self._senders)]
