"""Sending one transaction: the best answer counts, attempts are bounded, and the bytes never change."""

import time

import pytest

from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import BadReply, ConfigError, IntegrityError, RateLimited, RpcRejected, RpcTimeout, RpcUnavailable
from keeper.ports import Submission, Submitter
from keeper.submitters.fan import Fan, one_by_one
from keeper.submitters.outcomes import classify
from keeper.submitters.public import PublicSubmitter
from keeper.submitters.record_only import RecordOnlySubmitter


def signed() -> SignedTx:
    owner = Address("0x" + "11" * 20)
    request = TxRequest(1, owner, 0, owner, b"", 0, 21_000, 2, 1)
    return SignedTx(request, b"\x02raw", "0x" + "ab" * 32)


@pytest.mark.parametrize(
    "error", [RpcTimeout("t"), RpcUnavailable("nonce too low"), BadReply("already known"), RateLimited("x")]
)
def test_whatever_is_not_a_refusal_is_maybe(error):
    assert classify(error) is Submission.MAYBE
    assert classify(error, {Submission.REFUSED: ("nonce too low", "already known")}) is Submission.MAYBE


def test_a_chains_own_words_come_first():
    error = RpcRejected("your quota: nonce too low")
    assert classify(error) is Submission.NONCE_USED
    assert classify(error, {Submission.MAYBE: ("your quota",)}) is Submission.MAYBE


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


def submitter_of(*wires, sleep=time.sleep):
    return PublicSubmitter([one_by_one(wire) for wire in wires], Fan(sleep=sleep))


OK = "0x" + "AB" * 32


def test_accepted_by_one_is_accepted():
    wires = [Wire(RpcTimeout("slow")), Wire(OK)]
    assert submitter_of(*wires, sleep=pytest.fail).submit(signed()) == (Submission.ACCEPTED, OK)
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
    submitter = submitter_of(Wire(RpcRejected(first)), Wire(RpcRejected(second)), sleep=pytest.fail)
    assert submitter.submit(signed())[0] is outcome


def test_a_refusal_beside_a_maybe_stays_maybe():
    wires = [Wire(RpcRejected("insufficient funds")), Wire(BadReply("html"))]
    assert submitter_of(*wires, sleep=lambda _: None).submit(signed())[0] is Submission.MAYBE


def test_maybe_sends_the_same_bytes_again_a_bounded_number_of_times():
    wire, waits = Wire(RpcTimeout("slow")), []
    outcome, words = submitter_of(wire, sleep=waits.append).submit(signed())
    assert (outcome, words) == (Submission.MAYBE, "slow")
    assert wire.sent == [b"\x02raw"] * 3
    assert len(waits) == 2


def test_a_repeat_that_is_known_is_known():
    wire = Wire(RpcTimeout("slow"), RpcRejected("already known"))
    assert submitter_of(wire, sleep=lambda _: None).submit(signed())[0] is Submission.KNOWN


def test_another_hash_than_ours_is_maybe():
    assert submitter_of(Wire("0x" + "cd" * 32), sleep=lambda _: None).submit(signed())[0] is Submission.MAYBE


def test_the_endpoints_of_the_moment_are_used():
    wires = [Wire(OK)]
    submitter = PublicSubmitter(lambda: [one_by_one(wire) for wire in wires], Fan(sleep=pytest.fail))
    wires.append(Wire(OK))
    submitter.submit(signed())
    assert [len(wire.sent) for wire in wires] == [1, 1]


def test_no_endpoint_at_the_moment_is_maybe():
    def nobody():
        raise RpcUnavailable("all down")

    assert PublicSubmitter(nobody, Fan(sleep=lambda _: None)).submit(signed()) == (Submission.MAYBE, "all down")


def test_no_endpoint_is_a_config_error():
    with pytest.raises(ConfigError):
        PublicSubmitter([], Fan())


def test_endpoints_of_another_chain_are_told_before_anything_is_sent():
    def wrong():
        raise IntegrityError("chain id 5")

    with pytest.raises(IntegrityError):
        PublicSubmitter(wrong, Fan(sleep=pytest.fail)).submit(signed())


def test_record_only_keeps_and_refuses():
    submitter = RecordOnlySubmitter()
    assert submitter.submit(signed())[0] is Submission.REFUSED
    assert [outcome for outcome, _ in submitter.submit_many([signed(), signed()])] == [Submission.REFUSED] * 2
    assert submitter.recorded == (signed(),) * 3
    assert isinstance(submitter, Submitter)
    assert isinstance(submitter_of(Wire(OK)), Submitter)
