"""Sending several transactions to several endpoints at once: nobody waits for the dead, nothing is sent out of order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, Submission, TxRequest
from keeper.errors import BadReply, ConfigError, IntegrityError, KeeperError, RpcRejected, RpcTimeout, RpcUnavailable
from keeper.ports import Submitter
from keeper.submitters.fan import Fan, one_by_one
from keeper.submitters.opening import open_submitter
from keeper.submitters.public import PublicSubmitter
from keeper.submitters.workers import Workers

ME = Address("0x" + "11" * 20)
Say = Callable[[int, bytes], str | KeeperError]


def tx(nonce: int) -> SignedTx:
    request = TxRequest(1, ME, nonce, ME, b"", 0, 21_000, 2, 1)
    return SignedTx(request, bytes([2, nonce]), f"0x{nonce:064x}")


BATCH = [tx(nonce) for nonce in range(3)]
RAWS = [each.raw for each in BATCH]


def ok(_time: int, raw: bytes) -> str:
    return f"0x{raw[1]:064X}".replace("0X", "0x")


class Endpoint:
    """Answers each transaction by a function of how often it was asked; remembers every request."""

    def __init__(self, say: Say = ok, *, wait: threading.Event | None = None, seconds: float = 0.0) -> None:
        self.say, self.wait, self.seconds = say, wait, seconds
        self.requests: list[list[bytes]] = []

    def __call__(self, raws: Sequence[bytes]) -> list[str | KeeperError]:
        self.requests.append(list(raws))
        if self.wait is not None:
            assert self.wait.wait(20)
        time.sleep(self.seconds)
        return [self.say(len(self.requests), raw) for raw in raws]


def refuse(words: str) -> Say:
    return lambda _time, _raw: RpcRejected(words)


def public(
    *endpoints: Endpoint, grace: float = 0.2, patience: float = 10.0, workers: Workers | None = None
) -> Submitter:
    fan = Fan(sleep=lambda _: None, grace=grace, patience=patience, workers=workers)
    return PublicSubmitter(endpoints, fan)


def kinds(outcomes: Sequence[tuple[Submission, str]]) -> list[Submission]:
    return [outcome for outcome, _ in outcomes]


def sending() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("send-")]


# ---------------------------------------------------------------- what is sent


def test_each_endpoint_gets_the_whole_batch_in_one_request_in_order() -> None:
    endpoints = Endpoint(), Endpoint()

    assert kinds(public(*endpoints).submit_many(BATCH)) == [Submission.ACCEPTED] * 3
    assert [endpoint.requests for endpoint in endpoints] == [[RAWS], [RAWS]]


def test_nothing_to_send_asks_nobody() -> None:
    endpoint = Endpoint()

    assert public(endpoint).submit_many([]) == []
    assert endpoint.requests == []


def test_more_than_a_request_holds_go_in_several_in_order() -> None:
    endpoint, batch = Endpoint(), [tx(nonce) for nonce in range(250)]

    assert kinds(public(endpoint).submit_many(batch)) == [Submission.ACCEPTED] * 250
    assert [len(request) for request in endpoint.requests] == [100, 100, 50]
    assert [raw for request in endpoint.requests for raw in request] == [each.raw for each in batch]


def test_one_is_many_of_one() -> None:
    endpoint = Endpoint()

    assert public(endpoint).submit(BATCH[1])[0] is Submission.ACCEPTED
    assert endpoint.requests == [[RAWS[1]]]


def test_endpoints_are_asked_side_by_side() -> None:
    meeting = threading.Barrier(3)

    def meet(_time: int, raw: bytes) -> str:
        if raw == RAWS[0]:
            meeting.wait(5)  # breaks unless all three are here at once
        return ok(0, raw)

    assert kinds(public(*(Endpoint(meet) for _ in range(3))).submit_many(BATCH)) == [Submission.ACCEPTED] * 3


def test_single_senders_are_called_in_order_and_stop_when_the_line_is_cut() -> None:
    asked: list[bytes] = []

    def send(raw: bytes) -> str:
        asked.append(raw)
        if raw == RAWS[0]:
            raise RpcRejected("already known")
        raise RpcTimeout("slow")

    first, *others = one_by_one(send)(RAWS)

    assert asked == RAWS[:2]
    assert isinstance(first, RpcRejected)
    assert [type(other) for other in others] == [RpcTimeout, RpcTimeout]


# ---------------------------------------------------------------- what counts


def test_the_best_outcome_of_each_transaction_counts() -> None:
    said = {
        "a": ["already known", "insufficient funds", "nonce too low"],
        "b": ["nonce too low", None, "insufficient funds"],
    }

    def by(name: str) -> Endpoint:
        def say(_time: int, raw: bytes) -> str | KeeperError:
            words = said[name][raw[1]]
            return RpcRejected(words) if words else ok(0, raw)

        return Endpoint(say)

    outcomes = public(by("a"), by("b")).submit_many(BATCH)

    assert kinds(outcomes) == [Submission.KNOWN, Submission.ACCEPTED, Submission.NONCE_USED]


_SAID = {
    "ok": Submission.ACCEPTED,
    "already known": Submission.KNOWN,
    "nonce too low": Submission.NONCE_USED,
    "what?": Submission.MAYBE,
    "insufficient funds": Submission.REFUSED,
}
_RANK = list(_SAID.values())


@given(st.lists(st.lists(st.sampled_from(list(_SAID)), min_size=3, max_size=3), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_mixture_of_answers_gives_the_best_of_each(answers: list[list[str]]) -> None:
    def endpoint(words: list[str]) -> Endpoint:
        return Endpoint(lambda _, raw: ok(0, raw) if words[raw[1]] == "ok" else RpcRejected(words[raw[1]]))

    outcomes = public(*(endpoint(words) for words in answers)).submit_many(BATCH)

    for place, outcome in enumerate(kinds(outcomes)):
        assert outcome is min((_SAID[words[place]] for words in answers), key=_RANK.index)


def test_a_refusal_waits_for_whoever_may_accept() -> None:
    endpoints = Endpoint(refuse("insufficient funds")), Endpoint(seconds=0.1)

    assert kinds(public(*endpoints, grace=0.0).submit_many(BATCH)) == [Submission.ACCEPTED] * 3


def test_others_are_heard_for_a_moment_after_the_first_said_enough() -> None:
    endpoints = Endpoint(refuse("already known")), Endpoint(seconds=0.05)

    assert kinds(public(*endpoints, grace=5.0).submit_many(BATCH)) == [Submission.ACCEPTED] * 3


def test_a_hash_that_is_not_ours_is_no_acceptance() -> None:
    endpoint = Endpoint(lambda _, __: "0x" + "cd" * 32)

    outcome, words = public(endpoint).submit(BATCH[0])

    assert outcome is Submission.MAYBE
    assert "another hash" in words


@pytest.mark.parametrize("count", [0, 2, 4])
def test_answers_that_do_not_fit_the_question_are_none(count: int) -> None:
    outcomes = PublicSubmitter([lambda _: ["0x" + "ab" * 32] * count], Fan(sleep=lambda _: None)).submit_many(BATCH)

    assert kinds(outcomes) == [Submission.MAYBE] * 3


# ---------------------------------------------------------------- the dead and the slow


def test_a_dead_endpoint_does_not_delay_what_another_accepts() -> None:
    release = threading.Event()
    dead, workers = Endpoint(wait=release), Workers(idle_seconds=0.05)
    submitter = public(dead, Endpoint(), grace=0.05, workers=workers)
    try:
        began = time.monotonic()
        outcomes = submitter.submit_many(BATCH)
        assert time.monotonic() - began < 2
        assert kinds(outcomes) == [Submission.ACCEPTED] * 3
        again = submitter.submit_many([tx(7)])
        assert kinds(again) == [Submission.ACCEPTED]
    finally:
        release.set()
    assert dead.requests == [RAWS, [tx(7).raw]], "it was given everything all the same"


def test_late_answers_change_nothing() -> None:
    release = threading.Event()
    late = Endpoint(refuse("insufficient funds"), wait=release)
    submitter = public(late, Endpoint(), grace=0.0)

    outcomes = submitter.submit_many(BATCH)
    release.set()
    _until(lambda: len(late.requests) == 1)

    assert kinds(outcomes) == [Submission.ACCEPTED] * 3
    assert kinds(submitter.submit_many([tx(9)])) == [Submission.ACCEPTED]


def test_threads_end_when_there_is_nothing_to_do() -> None:
    before = set(sending())
    submitter = public(*(Endpoint() for _ in range(3)), grace=5.0, workers=Workers(idle_seconds=0.05))
    for _ in range(20):
        submitter.submit_many(BATCH)
    assert len(set(sending()) - before) <= 3, "threads are used again"

    _until(lambda: not set(sending()) - before)


def test_an_endpoint_that_hangs_for_ever_holds_few_threads() -> None:
    before, release = set(sending()), threading.Event()
    dead, workers = Endpoint(wait=release), Workers(most=2, idle_seconds=0.05)
    submitter = public(dead, Endpoint(), grace=0.01, workers=workers)
    try:
        for _ in range(10):
            assert kinds(submitter.submit_many(BATCH)) == [Submission.ACCEPTED] * 3
        assert len(dead.requests) == 2
        assert len(set(sending()) - before) <= 3
    finally:
        release.set()
    _until(lambda: not set(sending()) - before)
    submitter.submit_many(BATCH)
    _until(lambda: len(dead.requests) == 3)


def test_nobody_is_waited_for_without_end() -> None:
    release = threading.Event()
    try:
        began = time.monotonic()
        outcomes = public(Endpoint(wait=release), patience=0.05).submit_many(BATCH)
        assert time.monotonic() - began < 3
    finally:
        release.set()

    assert kinds(outcomes) == [Submission.MAYBE] * 3
    assert "answered in time" in outcomes[0][1]


def test_a_refusal_beside_silence_stays_maybe() -> None:
    release = threading.Event()
    try:
        outcomes = public(Endpoint(refuse("insufficient funds")), Endpoint(wait=release), patience=0.05).submit_many(
            BATCH
        )
    finally:
        release.set()

    assert kinds(outcomes) == [Submission.MAYBE] * 3


def test_everything_dead_is_maybe() -> None:
    def dead(_raws: Sequence[bytes]) -> list[str | KeeperError]:
        raise RpcUnavailable("connection refused")

    outcomes = PublicSubmitter([dead, dead], Fan(sleep=lambda _: None)).submit_many(BATCH)

    assert outcomes == [(Submission.MAYBE, "connection refused")] * 3


def test_a_defect_in_a_sender_is_told_and_counts_as_maybe(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    def broken(_raws: Sequence[bytes]) -> list[str | KeeperError]:
        raise ZeroDivisionError

    outcomes = PublicSubmitter([broken], Fan(sleep=lambda _: None)).submit_many(BATCH)

    assert kinds(outcomes) == [Submission.MAYBE] * 3
    _until(lambda: told == [ZeroDivisionError] * 3)


# ---------------------------------------------------------------- again


def test_only_what_is_unsure_goes_out_again_with_the_same_bytes_one_at_a_time() -> None:
    def say(time_: int, raw: bytes) -> str | KeeperError:
        return ok(0, raw) if raw == RAWS[1] or time_ > 1 else RpcRejected("what?")

    endpoint = Endpoint(say)

    assert kinds(public(endpoint).submit_many(BATCH)) == [Submission.ACCEPTED] * 3
    assert endpoint.requests == [RAWS, [RAWS[0]], [RAWS[2]]]


def test_an_endpoint_that_takes_no_batches_gets_them_one_by_one() -> None:
    taken: list[bytes] = []

    def no_batches(raws: Sequence[bytes]) -> list[str | KeeperError]:
        if len(raws) > 1:
            raise BadReply("batches are not supported")
        taken.extend(raws)
        return [ok(0, raws[0])]

    outcomes = PublicSubmitter([no_batches], Fan(sleep=lambda _: None)).submit_many(BATCH)

    assert kinds(outcomes) == [Submission.ACCEPTED] * 3
    assert taken == RAWS


def test_a_refusal_after_silence_stays_maybe_because_the_first_bytes_may_have_arrived() -> None:
    endpoint = Endpoint(lambda time_, _: RpcTimeout("slow") if time_ == 1 else RpcRejected("insufficient funds"))

    outcome, words = public(endpoint).submit(BATCH[0])

    assert (outcome, words) == (Submission.MAYBE, "slow")
    assert len(endpoint.requests) == 2, "the second answer was certain: no third attempt"


def test_attempts_are_bounded() -> None:
    endpoint, waits = Endpoint(refuse("what?")), []
    fan = Fan(sleep=waits.append)

    PublicSubmitter([endpoint], fan).submit(BATCH[0])

    assert endpoint.requests == [[RAWS[0]]] * 3
    assert len(waits) == 2
    assert all(0 <= wait <= 4 for wait in waits)


def test_endpoints_that_turn_out_to_be_of_another_chain_after_a_send_leave_it_maybe() -> None:
    rounds: list[int] = []

    def senders() -> list[Endpoint]:
        rounds.append(1)
        if len(rounds) > 1:
            raise IntegrityError("chain id 5")
        return [Endpoint(refuse("what?"))]

    outcome, words = PublicSubmitter(senders, Fan(sleep=lambda _: None)).submit(BATCH[0])

    assert outcome is Submission.MAYBE
    assert len(rounds) == 3
    assert words == "chain id 5"


# ---------------------------------------------------------------- the factory


def test_the_factory_knows_three_ways() -> None:
    names = [
        open_submitter(kind, [Endpoint()], [lambda raw: ok(0, raw)]).name
        for kind in ("public", "private", "private_then_public")
    ]

    assert names == ["public", "private", "private_then_public"]


@pytest.mark.parametrize("kind", ["private", "private_then_public"])
def test_private_kinds_need_relays(kind: str) -> None:
    with pytest.raises(ConfigError, match="private_rpc"):
        open_submitter(kind, [Endpoint()])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="no way to send"):
        open_submitter("carrier pigeon", [Endpoint()])


def test_the_factory_hands_on_the_chains_own_words() -> None:
    own = {Submission.KNOWN: ("seen before",)}
    submitter = open_submitter("public", [Endpoint(refuse("Seen before"))], overrides=own, sleep=pytest.fail)

    assert submitter.submit(BATCH[0]) == (Submission.KNOWN, "Seen before")


def _until(done: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)
