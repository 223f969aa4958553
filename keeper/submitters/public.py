"""Put a raw transaction into the public pool by giving it to every endpoint of the chain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import tenacity

from keeper.domain.transaction import SignedTx
from keeper.errors import ConfigError, KeeperError, Transient
from keeper.ports import Submission
from keeper.submitters.outcomes import classify

__all__ = ["PublicSubmitter", "SendRaw"]

#: Times the same bytes are given to all endpoints while nobody says anything certain.
_ATTEMPTS: Final = 3

#: What counts, best first: one endpoint that has it is enough; a certain refusal counts only when nobody may have it.
_RANK: Final = (
    Submission.ACCEPTED,
    Submission.KNOWN,
    Submission.NONCE_USED,
    Submission.MAYBE,
    Submission.REFUSED,
)


class SendRaw(Protocol):
    """Sends raw bytes to one endpoint, once."""

    def __call__(self, raw: bytes, /) -> str:
        """Return the hash that the node answered. Raises Transient or RpcRejected."""
        ...


class PublicSubmitter:
    """Sends the same bytes to all endpoints; never builds, signs or changes any."""

    name = "public"

    def __init__(
        self,
        senders: Sequence[SendRaw] | Callable[[], Sequence[SendRaw]],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take one function per endpoint, or what returns them: then each submission uses the endpoints of its moment.

        Raises:
            ConfigError: without any.
        """
        if not senders:
            raise ConfigError("there is no endpoint to send transactions to. Set the chain's rpc.")
        self._senders = senders
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda outcome: outcome[0] is Submission.MAYBE),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=4),
            sleep=sleep,
            retry_error_callback=_last_outcome,
        )

    def submit(self, signed: SignedTx) -> tuple[Submission, str]:
        """Send; returns the best outcome of all endpoints, and that node's words.

        Raises:
            IntegrityError: when no endpoint is of the right chain; nothing was sent.
        """
        outcome: tuple[Submission, str] = self._retrying(lambda: self._everywhere(signed))
        return outcome

    def _everywhere(self, signed: SignedTx) -> tuple[Submission, str]:
        try:
            senders = self._senders() if callable(self._senders) else self._senders
        except Transient as error:
            return Submission.MAYBE, str(error)
        outcomes = [_send(sender, signed) for sender in senders]
        return min(outcomes, key=lambda outcome: _RANK.index(outcome[0]))


def _send(sender: SendRaw, signed: SignedTx) -> tuple[Submission, str]:
    try:
        answer = sender(signed.raw)
    except KeeperError as error:
        return classify(error), str(error)
    if answer.lower() != signed.hash.lower():
        return Submission.MAYBE, f"the node answered another hash ({answer[:80]}) than ours ({signed.hash})"
    return Submission.ACCEPTED, answer


def _last_outcome(state: tenacity.RetryCallState) -> tuple[Submission, str]:
    """Say MAYBE when it stays MAYBE: the journal has the bytes, and they are sent again later."""
    assert state.outcome is not None
    outcome: tuple[Submission, str] = state.outcome.result()
    return outcome
