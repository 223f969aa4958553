"""What nodes say about raw transactions, in every spelling collected; and that sending is bounded and never changes bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import BadReply, ConfigError, RateLimited, RpcRejected, RpcTimeout, RpcUnavailable
from keeper.ports import Submission, Submitter
from keeper.submitters.outcomes import classify
from keeper.submitters.public import PublicSubmitter
from keeper.submitters.record_only import RecordOnlySubmitter

#: Verbatim words of nodes, by client and year, with what they mean.
WORDS = {
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
    ],
    Submission.REFUSED: [
        "replacement transaction underpriced",
        "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 12 is necessary",
        "future transaction tries to replace pending",
        "could not replace existing tx",
        "ReplacementNotAllowed",
        "insufficient gas price to replace existing transaction",
        "transaction gas price below minimum: gas tip cap 1500000000, minimum needed 25000000000",
        "transaction underpriced: tip needed 1, tip permitted 0",
        "tx max fee per gas 1 < pool minimum fee cap 25",
        "FeeTooLow",
        "FeeTooLowToCompete",
        "fee too low",
        "transaction priority fee below minimum required priority fee",
        "Gas price below configured minimum gas price",
        "max fee per gas less than block base fee",
        "Insufficient funds for gas * price + value",
        "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1",
        "InsufficientFunds, Balance is 0",
        "transaction overdraws from account",
        "Sender doesn't have enough funds to send tx.",
        "Upfront cost exceeds account balance",
        "intrinsic gas too low",
        "intrinsic gas too low: gas 20000, minimum needed 21000",
        "insufficient gas for floor data gas cost: gas 1, minimum needed 2",
        "IntrinsicGas",
        "Transaction requires at least 21000 gas but got 20000",
        "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit",
        "exceeds block gas limit",
        "transaction gas limit too high (cap: 16777216, tx: 17000000)",
        "gas limit is too high",
        "exceeds max transaction gas limit",
        "max priority fee per gas higher than max fee per gas",
        "tx fee (1.23 ether) exceeds the configured cap (1.00 ether)",
        "Transaction fee cap exceeded",
        "invalid chain id for signer",
        "invalid sender: invalid chain id for signer",
        "only replay-protected (EIP-155) transactions allowed over RPC",
        "failed to recover sender",
        "sender or to in black list",
        "nonce too high: address 0x12, tx nonce 9, gapped nonce",
        "gapped-nonce tx from delegated accounts",
        "NonceGap",
        "nonce too far in the future",
        "nonce too far in future",
    ],
    Submission.MAYBE: [
        "txpool is full",
        "account limit exceeded: pooled 80 txs",
        "in-flight transaction limit reached for delegated accounts",
        "pending sub-pool is full",
        "queued sub-pool is full",
        "There are too many transactions in the queue.",
        "address already reserved",
        "unknown transaction",
        "internal error",
        "",
        "Transaction confirmation timeout",
        "something nobody has seen",
    ],
}
ALL = [(words, meaning) for meaning, spellings in WORDS.items() for words in spellings]


def signed() -> SignedTx:
    owner = Address("0x" + "11" * 20)
    request = TxRequest(1, owner, 0, owner, b"", 0, 21_000, 2, 1)
    return SignedTx(request, b"\x02raw", "0x" + "ab" * 32)


@pytest.mark.parametrize(("words", "meaning"), ALL)
def test_words_of_nodes(words, meaning):
    assert classify(RpcRejected(words, code=-32000)) is meaning


#: Additions that occur around the words: prefixes of layers, hashes, fields. None of them means anything itself.
AROUND = st.text(alphabet="0123456789 :;{}[]'\"x#-_/", max_size=30)


@given(
    st.sampled_from([pair for pair in ALL if pair[0]]),
    AROUND,
    AROUND,
    st.sampled_from([str.lower, str.upper, str.title, str]),
    st.integers(-33000, 33000),
)
def test_prefix_suffix_case_and_code_change_nothing(pair, before, after, case, code):
    words, meaning = pair
    assert classify(RpcRejected(before + case(words) + after, code=code)) is meaning


@pytest.mark.parametrize(
    "error", [RpcTimeout("t"), RpcUnavailable("nonce too low"), BadReply("already known"), RateLimited("x")]
)
def test_whatever_is_not_a_refusal_is_maybe(error):
    assert classify(error) is Submission.MAYBE


class Wire:
    """One endpoint: says or raises its script's next line, the last one for ever."""

    def __init__(self, *script):
        self.script = list(script)
        self.sent: list[bytes] = []

    def __call__(self, raw: bytes) -> str:
        self.sent.append(raw)
        line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(line, Exception):
            raise line
        return line


OK = "0x" + "AB" * 32


def test_accepted_by_one_is_accepted():
    wires = [Wire(RpcTimeout("slow")), Wire(OK)]
    assert PublicSubmitter(wires, sleep=pytest.fail).submit(signed()) == (Submission.ACCEPTED, OK)
    assert all(wire.sent == [b"\x02raw"] for wire in wires), "every endpoint gets the bytes"


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("already known", "nonce too low", Submission.KNOWN),
        ("insufficient funds", "nonce too low", Submission.NONCE_USED),
        ("insufficient funds", "insufficient funds", Submission.REFUSED),
    ],
)
def test_the_best_outcome_counts(first, second, outcome):
    submitter = PublicSubmitter([Wire(RpcRejected(first)), Wire(RpcRejected(second))], sleep=pytest.fail)
    assert submitter.submit(signed())[0] is outcome


def test_a_refusal_beside_a_maybe_stays_maybe():
    wires = [Wire(RpcRejected("insufficient funds")), Wire(BadReply("html"))]
    assert PublicSubmitter(wires, sleep=lambda _: None).submit(signed())[0] is Submission.MAYBE


def test_maybe_sends_the_same_bytes_again_a_bounded_number_of_times():
    wire, waits = Wire(RpcTimeout("slow")), []
    outcome, words = PublicSubmitter([wire], sleep=waits.append).submit(signed())
    assert (outcome, words) == (Submission.MAYBE, "slow")
    assert wire.sent == [b"\x02raw"] * 3
    assert len(waits) == 2


def test_a_repeat_that_is_known_is_known():
    wire = Wire(RpcTimeout("slow"), RpcRejected("already known"))
    assert PublicSubmitter([wire], sleep=lambda _: None).submit(signed())[0] is Submission.KNOWN


def test_another_hash_than_ours_is_maybe():
    assert PublicSubmitter([Wire("0x" + "cd" * 32)], sleep=lambda _: None).submit(signed())[0] is Submission.MAYBE


def test_the_endpoints_of_the_moment_are_used():
    wires = [Wire(OK)]
    submitter = PublicSubmitter(lambda: wires, sleep=pytest.fail)
    wires.append(Wire(OK))
    submitter.submit(signed())
    assert [len(wire.sent) for wire in wires] == [1, 1]


def test_no_endpoint_at_the_moment_is_maybe():
    def nobody():
        raise RpcUnavailable("all down")

    assert PublicSubmitter(nobody, sleep=lambda _: None).submit(signed()) == (Submission.MAYBE, "all down")


def test_no_endpoint_is_a_config_error():
    with pytest.raises(ConfigError):
        PublicSubmitter([])


def test_record_only_keeps_and_refuses():
    submitter = RecordOnlySubmitter()
    assert submitter.submit(signed())[0] is Submission.REFUSED
    assert submitter.recorded == (signed(),)
    assert isinstance(submitter, Submitter)
    assert isinstance(PublicSubmitter([Wire(OK)]), Submitter)
