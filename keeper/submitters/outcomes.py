"""What a failed attempt to send bytes amounts to, and which of several endpoints' answers counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from keeper.domain.transaction import SignedTx
from keeper.errors import KeeperError, RpcRejected
from keeper.ports import Submission
from keeper.tx.refusals import NO_WORDS, Refusal, Words, meaning, refusal

__all__ = ["Outcome", "Refusal", "best", "classify", "outcome_of", "refusal"]

#: What became of a transaction, and the words that say so.
Outcome: TypeAlias = tuple[Submission, str]

#: What counts, best first: one endpoint that has it is enough; a certain refusal counts only when nobody may have it.
_RANK: Final = (
    Submission.ACCEPTED,
    Submission.KNOWN,
    Submission.NONCE_USED,
    Submission.MAYBE,
    Submission.REFUSED,
)


def classify(error: KeeperError, own: Words = NO_WORDS) -> Submission:
    """Tell what a failed send amounts to: anything but a node's known refusal may have been sent.

    Args:
        error: what was raised instead of an answer.
        own: the chain's own error words; they come before the shipped table.
    """
    return meaning(str(error), own)[0] if isinstance(error, RpcRejected) else Submission.MAYBE


def outcome_of(signed: SignedTx, answer: str | KeeperError, own: Words = NO_WORDS) -> Outcome:
    """Judge one endpoint's answer to one transaction; only our own hash is an acceptance."""
    if isinstance(answer, KeeperError):
        return classify(answer, own), str(answer)
    if answer.lower() != signed.hash.lower():
        return Submission.MAYBE, f"the node answered another hash ({answer[:80]}) than ours ({signed.hash})"
    return Submission.ACCEPTED, answer


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome that counts among those of several endpoints; the first of equals."""
    return min(outcomes, key=lambda outcome: _RANK.index(outcome[0]))
