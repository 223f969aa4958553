"""What nodes say about raw transactions, in every spelling collected, with noise around it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.transaction import Submission
from keeper.errors import RpcRejected
from keeper.submitters.outcomes import classify
from keeper.tx.refusals import TABLE, Refusal, meaning, refusal

#: Verbatim words of nodes, by client and year, with what they mean.
WORDS: dict[Submission | Refusal, list[str]] = {
    Submission.KNOWN: [
        "transaction already imported",
        "already known",
        "INTERNAL_ERROR: existing txn with same hash",
        "AlreadyKnown",
        "OwnNonceAlreadyUsed",
        "Known transaction",
        "Known transaction: 0x1234",
        "Transaction with the same hash was already imported.",
    ],
    Submission.NONCE_USED: [
        "nonce too low",
        "nonce too low: next nonce 5, tx nonce 3",
        "INTERNAL_ERROR: nonce too low",
        "OldNonce, Current nonce: 5, nonce of rejected tx: 3",
        "Transaction nonce too low. Expected nonce to be at least 1 but got 0.",
        "nonce too low. allowed nonce range: 5 - 8, actual: 3",
        "invalid transaction nonce",
        "nonce too low: address 0x12 current nonce (5) > tx nonce (3)",
        "rejected by pool: address 0x12 current nonce (5) > tx nonce (3)",
    ],
    Refusal.REPLACEMENT: [
        "replacement transaction underpriced",
        "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 12 is necessary",
        "INTERNAL_ERROR: replacement transaction underpriced",
        "future transaction tries to replace pending",
        "could not replace existing tx",
        "ReplacementNotAllowed",
        "insufficient gas price to replace existing transaction",
    ],
    Refusal.UNDERPRICED: [
        "transaction gas price below minimum: gas tip cap 1500000000, minimum needed 25000000000",
        "transaction underpriced",
        "transaction underpriced: tip needed 1, tip permitted 0",
        "transaction underpriced: gas tip cap 1, minimum needed 2",
        "tx max fee per gas 1 < pool minimum fee cap 25",
        "underpriced",
        "FeeTooLow",
        "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 2",
        "FeeTooLowToCompete",
        "fee too low",
        "transaction priority fee below minimum required priority fee",
        "Gas price below configured minimum gas price",
        "max fee per gas less than block base fee",
        "max fee per gas less than block base fee: address 0x12, maxFeePerGas: 1, baseFee: 2",
        "Transaction is outdated",
    ],
    Refusal.FUNDS: [
        "Insufficient funds for gas * price + value",
        "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1",
        "insufficient funds for gas * price + value: balance 1, queued cost 2, tx cost 3, overshot 4",
        "insufficient funds for gas * price + value: balance 1, queued cost 2, tx bumped 3, overshot 4",
        "insufficient funds for gas * price + value: address 0x12 have 1 want 2",
        "INTERNAL_ERROR: insufficient funds",
        "insufficient funds for transfer",
        "InsufficientFunds, Balance is 0 less than sending value + gas 5",
        "transaction overdraws from account",
        "Sender doesn't have enough funds to send tx. The max upfront cost is: 5 and the sender's balance is: 1.",
        "Upfront cost exceeds account balance",
    ],
    Refusal.GAS: [
        "intrinsic gas too low",
        "intrinsic gas too low: gas 20000, minimum needed 21000",
        "insufficient gas for floor data gas cost: gas 1, minimum needed 2",
        "IntrinsicGas",
        "Transaction requires at least 21000 gas but got 20000",
        "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit",
        "exceeds block gas limit",
        "transaction gas limit too high (cap: 16777216, tx: 17000000)",
        "gas limit is too high",
        "gas limit reached",
        "exceeds max transaction gas limit",
    ],
    Refusal.FEE_CAP: [
        "max priority fee per gas higher than max fee per gas",
        "max priority fee per gas higher than max fee per gas: address 0x12, maxPriorityFeePerGas: 2, maxFeePerGas: 1",
        "tx fee (1.23 ether) exceeds the configured cap (1.00 ether)",
        "tx fee (1230000000000000000 wei) exceeds the configured cap (1000000000000000000 wei)",
        "Transaction fee cap exceeded",
    ],
    Refusal.CHAIN: [
        "invalid chain id for signer",
        "invalid chain ID",
        "invalid sender",
        "invalid sender: invalid chain id for signer: have 1 want 2",
        "only replay-protected (EIP-155) transactions allowed over RPC",
        "failed to recover sender",
        "transaction type not supported",
    ],
    Refusal.NONCE_GAP: [
        "nonce too high",
        "nonce too high: address 0x12, tx nonce 9, gapped nonce",
        "gapped-nonce tx from delegated accounts",
        "NonceGap",
        "NonceGap, Future nonce. Expected nonce: 3",
        "nonce too far in the future",
        "nonce too far in future",
        "Transaction nonce exceeds next nonce",
    ],
    Refusal.OTHER: [
        "sender or to in black list",
        "oversized data",
        "oversized data: transaction size 131100, limit 131072",
    ],
    Submission.MAYBE: [
        "txpool is full",
        "account limit exceeded: pooled 80 txs",
        "in-flight transaction limit reached for delegated accounts",
        "pending sub-pool is full",
        "queued sub-pool is full",
        "baseFee sub-pool is full",
        "There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the fee.",
        "address already reserved",
        "unknown transaction",
        "internal error",
        "",
        "Transaction confirmation timeout",
        "something nobody has seen",
    ],
}
ALL = [(words, mean) for mean, spellings in WORDS.items() for words in spellings]


def what(words: str) -> Submission | Refusal:
    submission, reason = meaning(words)
    assert (reason is not None) == (submission is Submission.REFUSED)
    return reason or submission


@pytest.mark.parametrize(("words", "mean"), ALL)
def test_words_of_nodes(words: str, mean: Submission | Refusal) -> None:
    assert what(words) is mean
    assert classify(RpcRejected(words, code=-32000)) is (mean if isinstance(mean, Submission) else Submission.REFUSED)
    assert refusal(words) is (mean if isinstance(mean, Refusal) else None)


#: Additions that occur around the words: prefixes of layers, hashes, fields. None of them means anything itself.
AROUND = st.text(alphabet="0123456789 :;{}[]'\"x#-_/", max_size=30)


@given(
    st.sampled_from([pair for pair in ALL if pair[0]]),
    AROUND,
    AROUND,
    st.sampled_from([str.lower, str.upper, str.title, str]),
    st.sampled_from([" ", "  ", "\n", "\t "]),
    st.integers(-33000, 33000),
)
def test_prefix_suffix_case_white_space_and_code_change_nothing(pair, before, after, case, space, code) -> None:
    words, mean = pair
    noisy = (before + case(words) + after).replace(" ", space)
    assert what(noisy) is mean
    assert classify(RpcRejected(noisy, code=code)) is (mean if isinstance(mean, Submission) else Submission.REFUSED)


@given(st.text(max_size=200))
def test_what_nobody_has_seen_may_have_been_sent(words: str) -> None:
    if not any(text in " ".join(words.lower().split()) for _, _, texts in TABLE for text in texts):
        assert what(words) is Submission.MAYBE


#: Words of the trade, none of which says by itself what became of a transaction.
PLAIN = re.findall(
    r"\w+",
    "internal server error upstream busy missing trie node execution aborted header not found method rate limit quota "
    "exceeded gas price nonce low funds account pool full transaction fee cap sender chain id sorry overloaded",
)


@given(st.lists(st.sampled_from(PLAIN), max_size=8).filter(lambda words: len(set(words)) == len(words)))
def test_words_of_the_trade_by_themselves_mean_nothing(words: list[str]) -> None:
    # With something between, so that no known phrase comes about by chance.
    assert what(" (?) ".join(words)) is Submission.MAYBE


def test_no_row_swallows_words_of_another() -> None:
    for submission, reason, texts in TABLE:
        for text in texts:
            assert text == " ".join(text.lower().split())
            assert meaning(text) == (submission, reason), text


def test_no_text_stands_twice_in_the_table() -> None:
    texts = [text for _, _, row in TABLE for text in row]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}")
def test_every_text_of_the_table_stands_in_something_a_node_has_said(row) -> None:
    _, reason, texts = row
    said = [" ".join(words.lower().split()) for words in WORDS[reason or row[0]]]
    #: Seen in use, and kept though no client of today's list says them.
    older = {"temporarily", "timed out", "transaction pool is full", "nonce is too low", "already in mempool"}
    older |= {"already exists in pool", "nonce has already been used"}
    for text in texts:
        assert text in older or any(text in words for words in said), text


# ---------------------------------------------------------------- a chain's own words


def test_own_words_come_before_the_table() -> None:
    own = {Submission.NONCE_USED: ("stale sequence",), Submission.MAYBE: ("already known",)}

    assert meaning("Stale  SEQUENCE 5", own) == (Submission.NONCE_USED, None)
    assert meaning("already known", own) == (Submission.MAYBE, None)
    assert meaning("insufficient funds", own) == (Submission.REFUSED, Refusal.FUNDS)
    assert meaning("whatever", own) == (Submission.MAYBE, None)


def test_what_leaves_most_open_wins_among_own_words() -> None:
    own = {Submission.REFUSED: ("policy",), Submission.KNOWN: ("seen before",), Submission.MAYBE: ("try later",)}

    assert meaning("policy: seen before, try later", own)[0] is Submission.MAYBE
    assert meaning("policy: seen before", own)[0] is Submission.KNOWN


def test_own_refusals_keep_the_reason_that_the_table_knows() -> None:
    own = {Submission.REFUSED: ("txpool is full", "on our list")}

    assert refusal("txpool is full: transaction underpriced", own) is Refusal.UNDERPRICED
    assert refusal("you are on our list", own) is Refusal.OTHER
    assert refusal("insufficient funds", {Submission.MAYBE: ("funds",)}) is None
