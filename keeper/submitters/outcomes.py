"""What a node's words about a raw transaction mean. The words are data; what is not in the table is MAYBE.

Clients change their words between versions and share no codes, so only lower-cased substrings count. Collected from
anvil, geth, bsc, bor, coreth, erigon, nethermind, reth, besu, hardhat (EDR), OpenEthereum, zkSync and Arbitrum.
"""

from __future__ import annotations

from typing import Final

from keeper.errors import KeeperError, RpcRejected
from keeper.ports import Submission

__all__ = ["OUTCOMES", "classify"]

#: The first row whose substring occurs decides, so rows that would be taken for another stand above it.
OUTCOMES: Final[tuple[tuple[Submission, tuple[str, ...]], ...]] = (
    (
        # The bytes could not be refused for good: a pool is full, or another of ours holds the nonce there.
        Submission.MAYBE,
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
        (
            # Another of ours holds the nonce in the pool, and these bytes pay too little to replace it.
            "replacement transaction underpriced",
            "replacementnotallowed",
            "could not replace existing tx",
            "to replace existing transaction",
            "tries to replace pending",
            # Below a floor.
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
            # Funds.
            "insufficient funds",
            "insufficientfunds",
            "doesn't have enough funds",
            "upfront cost exceeds account balance",
            "transaction overdraws from account",
            # Gas.
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
            # Fees and limits of the node.
            "higher than max fee per gas",
            "exceeds the configured cap",
            "transaction fee cap exceeded",
            "oversized data",
            # Wrong chain or signature.
            "invalid chain id",
            "invalid sender",
            "failed to recover sender",
            "only replay-protected",
            "in black list",
            # Nonce far ahead: not taken into any pool.
            "nonce too high",
            "noncegap",
            "nonce too far in",
            "exceeds next nonce",
            "gapped-nonce",
        ),
    ),
)


def classify(error: KeeperError) -> Submission:
    """Tell what a failed send amounts to: anything but a node's known refusal may have been sent."""
    if not isinstance(error, RpcRejected):
        return Submission.MAYBE
    words = str(error).lower()
    for submission, texts in OUTCOMES:
        if any(text in words for text in texts):
            return submission
    return Submission.MAYBE
