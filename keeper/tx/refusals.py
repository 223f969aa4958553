"""What a node's words about a raw transaction mean: data. What is not in the table may have been sent.

Clients change their words between versions and share no codes, so only lower-cased substrings count. Collected from
anvil, geth, bsc, bor, coreth, erigon, nethermind, reth, besu, hardhat (EDR), OpenEthereum, zkSync and Arbitrum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from keeper.domain.transaction import Submission

__all__ = ["NO_WORDS", "TABLE", "Refusal", "Words", "meaning", "refusal"]

#: A chain's own table, which comes before the shipped one: lower-case substrings by meaning.
Words: TypeAlias = Mapping[Submission, Sequence[str]]

#: A chain whose nodes say nothing special.
NO_WORDS: Final[Words] = MappingProxyType({})


class Refusal(StrEnum):
    """Why bytes were refused for certain."""

    #: The account cannot pay for it at its caps.
    FUNDS = "funds"
    #: Its price is below what the node or the next block asks for.
    UNDERPRICED = "underpriced"
    #: Another transaction with the nonce is in the pool, and these bytes pay too little to replace it.
    REPLACEMENT = "replacement"
    #: Its gas limit is too small for it, or too large for a block or a transaction.
    GAS = "gas"
    #: Its nonce is too far ahead.
    NONCE_GAP = "nonce_gap"
    #: Its fees contradict each other, or pass the node's own ceiling.
    FEE_CAP = "fee_cap"
    #: It is signed for another chain, or in a form that this chain does not take.
    CHAIN = "chain"
    #: Something else, or what only the chain's own table knows.
    OTHER = "other"


#: The first row whose substring occurs decides: what leaves most open comes first, so a message that says two things
#: is taken for the one that risks less; among refusals, a row that would be taken for another stands above it.
TABLE: Final[tuple[tuple[Submission, Refusal | None, tuple[str, ...]], ...]] = (
    (
        # The bytes could not be refused for good: a pool is full, or another of ours holds a place there.
        Submission.MAYBE,
        None,
        (
            "txpool is full",
            "transaction pool is full",
            "account limit exceeded",
            "in-flight transaction limit",
            "sub-pool is full",
            "too many transactions in the queue",
            "address already reserved",
            "unknown transaction",
            "temporarily",
            "timeout",
            "timed out",
        ),
    ),
    (
        Submission.KNOWN,
        None,
        (
            "already known",
            "alreadyknown",
            "already imported",
            "known transaction",
            "existing txn with same hash",
            "same hash was already imported",
            "already in mempool",
            "already exists in pool",
            "ownnoncealreadyused",
        ),
    ),
    (
        Submission.NONCE_USED,
        None,
        (
            "nonce too low",
            "nonce is too low",
            "oldnonce",
            "invalid transaction nonce",
            "> tx nonce",
            "nonce has already been used",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.REPLACEMENT,
        (
            "replacement transaction underpriced",
            "replacementnotallowed",
            "could not replace existing tx",
            "to replace existing transaction",
            "tries to replace pending",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.FUNDS,
        (
            "insufficient funds",
            "insufficientfunds",
            "doesn't have enough funds",
            "upfront cost exceeds account balance",
            "transaction overdraws from account",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.CHAIN,
        (
            "invalid chain id",
            "invalid sender",
            "failed to recover sender",
            "only replay-protected",
            "transaction type not supported",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.GAS,
        (
            "intrinsic gas too low",
            "intrinsic gas too high",
            "intrinsicgas",
            "insufficient gas for floor data gas cost",
            "transaction requires at least",
            "exceeds block gas limit",
            "exceeds max transaction gas limit",
            "gas limit too high",
            "gas limit is too high",
            "gas limit reached",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.FEE_CAP,
        (
            "higher than max fee per gas",
            "exceeds the configured cap",
            "transaction fee cap exceeded",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.UNDERPRICED,
        (
            "gas price below minimum",
            "below configured minimum gas price",
            "transaction underpriced",
            "pool minimum fee cap",
            "feetoolow",
            "fee too low",
            "underpriced",
            "priority fee below minimum",
            "less than block base fee",
            "transaction is outdated",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.NONCE_GAP,
        (
            "nonce too high",
            "noncegap",
            "nonce too far in",
            "exceeds next nonce",
            "gapped-nonce",
        ),
    ),
    (
        Submission.REFUSED,
        Refusal.OTHER,
        (
            "oversized data",
            "in black list",
        ),
    ),
)

#: Order in which a chain's own table is looked through: what leaves most open first, as above.
_ORDER: Final = (Submission.MAYBE, Submission.KNOWN, Submission.NONCE_USED, Submission.REFUSED)


def meaning(words: str, own: Words = NO_WORDS) -> tuple[Submission, Refusal | None]:
    """Tell what a node's refusal amounts to, and why it refused when it did so for certain.

    Args:
        words: the node's message, as it came.
        own: the chain's own table; it comes first.
    """
    said = " ".join(words.lower().split())
    for submission in _ORDER:
        if any(text in said for text in own.get(submission, ())):
            return submission, _reason(said) if submission is Submission.REFUSED else None
    for submission, reason, texts in TABLE:
        if any(text in said for text in texts):
            return submission, reason
    return Submission.MAYBE, None


def refusal(words: str, own: Words = NO_WORDS) -> Refusal | None:
    """Tell why a node refused for certain; ``None`` for words that are no such refusal."""
    return meaning(words, own)[1]


def _reason(said: str) -> Refusal:
    """Find the reason in words that only the chain's own table calls a refusal."""
    named = (reason for _, reason, texts in TABLE if reason is not None and any(text in said for text in texts))
    return next(named, Refusal.OTHER)
