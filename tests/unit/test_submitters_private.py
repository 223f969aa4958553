"""Private relays over real HTTP: they are given transactions and asked nothing, and nobody else sees any too early."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from keeper.chain.client import raw_sender
from keeper.chain.endpoint import Endpoint
from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, Submission, TxRequest
from keeper.errors import IntegrityError, RpcUnavailable
from keeper.ports import Submitter
from keeper.submitters.fan import Fan, one_by_one
from keeper.submitters.opening import open_submitter
from keeper.submitters.private import PrivateSubmitter, PrivateThenPublic
from keeper.submitters.public import PublicSubmitter

ME = Address("0x" + "11" * 20)
BLOCKS = 25

#: What a server answers to raw bytes: a result, an error's words, or a raw HTTP status.
Say = Callable[[str], dict[str, Any] | int]


def tx(nonce: int, waited: int = 0) -> SignedTx:
    request = TxRequest(1, ME, nonce, ME, b"", 0, 21_000, 2, 1)
    return SignedTx(request, bytes([2, nonce]), f"0x{nonce:064x}", waited)


def accept(raw: str) -> dict[str, Any]:
    return {"result": f"0x{int(raw[4:], 16):064x}"}


def refuse(words: str) -> Say:
    return lambda _: {"error": {"code": -32000, "message": words}}


class Server:
    """A JSON-RPC server on a free port that records every request and answers by its script."""

    def __init__(self) -> None:
        self.say: Say = accept
        self.asked: list[tuple[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert isinstance(question, dict), "relays need take no batches"
                server.asked.append((question["method"], question["params"][0]))
                said = server.say(question["params"][0])
                body = b"<html>" if isinstance(said, int) else json.dumps(_reply(question, said)).encode()
                self.send_response(said if isinstance(said, int) else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/secret-path"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def raws(self) -> list[str]:
        """Raw transactions it was given, in order."""
        return [raw for _, raw in self.asked]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def _reply(question: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": question["id"], **said}


@pytest.fixture
def relay() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def node() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def opened(kind: str, relay: Server, node: Server, **more: Any) -> Submitter:
    return open_submitter(
        kind,
        [one_by_one(raw_sender(Endpoint(node.url, timeout=5)))],
        [raw_sender(Endpoint(relay.url, timeout=5))],
        blocks=BLOCKS,
        sleep=lambda _: None,
        **more,
    )


def kinds(outcomes: list[tuple[Submission, str]]) -> list[Submission]:
    return [outcome for outcome, _ in outcomes]


# ---------------------------------------------------------------- private


def test_private_sends_to_the_relay_and_to_nobody_else(relay: Server, node: Server) -> None:
    batch = [tx(0), tx(1, waited=1_000), tx(2)]

    assert kinds(opened("private", relay, node).submit_many(batch)) == [Submission.ACCEPTED] * 3
    assert relay.raws == ["0x0200", "0x0201", "0x0202"]
    assert node.asked == []


@pytest.mark.parametrize("kind", ["private", "private_then_public"])
def test_a_relay_is_never_asked_anything(kind: str, relay: Server, node: Server) -> None:
    submitter = opened(kind, relay, node)
    for waited in range(0, 60, 5):
        submitter.submit_many([tx(0, waited), tx(1, max(0, waited - 7))])

    assert {method for method, _ in relay.asked} == {"eth_sendRawTransaction"}


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (refuse("nonce too low"), Submission.NONCE_USED),
        (refuse("already known"), Submission.KNOWN),
        (refuse("insufficient funds for gas * price + value"), Submission.REFUSED),
        (refuse("simulation failed: execution reverted"), Submission.MAYBE),
        (refuse("method eth_sendRawTransaction not supported"), Submission.MAYBE),
        (lambda _: {"result": "0x" + "cd" * 32}, Submission.MAYBE),
        (lambda _: {"result": None}, Submission.MAYBE),
        (lambda _: 502, Submission.MAYBE),
        (lambda _: 429, Submission.MAYBE),
    ],
)
def test_a_relays_words_mean_what_a_nodes_words_mean(
    say: Say, outcome: Submission, relay: Server, node: Server
) -> None:
    relay.say = say

    assert opened("private", relay, node).submit(tx(0))[0] is outcome
    assert node.asked == []


def test_a_relays_own_words_can_be_configured(relay: Server, node: Server) -> None:
    relay.say = refuse("bundle Rejected by policy")
    submitter = opened("private", relay, node, overrides={Submission.REFUSED: ("rejected by policy",)})

    assert submitter.submit(tx(0))[0] is Submission.REFUSED


def test_a_relay_is_given_the_same_bytes_again_while_it_is_silent(relay: Server, node: Server) -> None:
    answers = iter([502, 503])
    relay.say = lambda raw: next(answers, None) or accept(raw)

    assert opened("private", relay, node).submit(tx(4))[0] is Submission.ACCEPTED
    assert relay.raws == ["0x0204"] * 3


def test_dead_relays_leave_it_maybe_and_tell_no_secret(relay: Server, node: Server) -> None:
    relay.close()

    outcome, words = opened("private", relay, node).submit(tx(0))

    assert outcome is Submission.MAYBE
    assert "secret-path" not in words
    assert node.asked == []


# ---------------------------------------------------------------- private, then public


@pytest.mark.parametrize("waited", [0, 1, BLOCKS - 1])
@pytest.mark.parametrize("say", [accept, refuse("insufficient funds"), refuse("what?"), lambda _: 502])
def test_before_its_block_nothing_goes_public_whatever_the_relay_says(
    waited: int, say: Say, relay: Server, node: Server
) -> None:
    relay.say = say
    _, words = opened("private_then_public", relay, node).submit(tx(0, waited))

    assert node.asked == []
    assert "public" not in words


@pytest.mark.parametrize("waited", [BLOCKS, BLOCKS + 1, 10_000])
def test_from_its_block_on_both_get_it_and_the_words_say_so(waited: int, relay: Server, node: Server) -> None:
    outcome, words = opened("private_then_public", relay, node).submit(tx(5, waited))

    assert outcome is Submission.ACCEPTED
    assert words.startswith(f"public after {waited} blocks: ")
    assert (relay.raws, node.raws) == (["0x0205"], ["0x0205"])


def test_each_of_a_batch_goes_by_its_own_age(relay: Server, node: Server) -> None:
    batch = [tx(0, 30), tx(1, 24), tx(2, 25), tx(3, 0)]

    outcomes = opened("private_then_public", relay, node).submit_many(batch)

    assert kinds(outcomes) == [Submission.ACCEPTED] * 4
    assert ["public" in words for _, words in outcomes] == [True, False, True, False]
    assert relay.raws == ["0x0200", "0x0201", "0x0202", "0x0203"]
    assert node.raws == ["0x0200", "0x0202"]


def test_a_bump_or_cancel_of_what_waited_goes_where_the_first_went(relay: Server, node: Server) -> None:
    submitter = opened("private_then_public", relay, node)
    early, late = tx(0, 3), tx(1, 40)

    for original in (early, late):
        cancel = replace(
            original, raw=bytes([2, 100 + original.request.nonce]), hash=f"0x{100 + original.request.nonce:064x}"
        )
        submitter.submit(cancel)

    assert relay.raws == ["0x0264", "0x0265"]
    assert node.raws == ["0x0265"]


def test_a_relay_that_swallows_everything_does_not_hide_that_the_node_is_silent(relay: Server, node: Server) -> None:
    answers = iter([502])
    node.say = lambda raw: next(answers, None) or accept(raw)

    outcome, _ = opened("private_then_public", relay, node).submit(tx(0, 25))

    assert outcome is Submission.ACCEPTED
    assert node.raws == ["0x0200"] * 2, "the relay's yes was not enough"


def test_a_nodes_refusal_beside_a_relays_yes_is_no_refusal(relay: Server, node: Server) -> None:
    node.say = refuse("insufficient funds")

    assert opened("private_then_public", relay, node).submit(tx(0, 25))[0] is Submission.ACCEPTED


def test_a_dead_relay_does_not_keep_it_from_going_public(relay: Server, node: Server) -> None:
    relay.close()

    assert opened("private_then_public", relay, node).submit(tx(0, 25))[0] is Submission.ACCEPTED
    assert node.raws == ["0x0200"]


def test_everything_dead_is_maybe(relay: Server, node: Server) -> None:
    relay.close()
    node.close()

    outcomes = opened("private_then_public", relay, node).submit_many([tx(0, 25), tx(1)])

    assert kinds(outcomes) == [Submission.MAYBE] * 2


def sender(answer: Submission) -> Callable[[bytes], str]:
    assert answer is Submission.ACCEPTED
    return lambda raw: f"0x{raw[1]:064x}"


def test_no_public_endpoint_at_the_moment_is_not_called_public() -> None:
    def nobody() -> list[Any]:
        raise RpcUnavailable("all down")

    fan = Fan(sleep=lambda _: None)
    private = PrivateSubmitter([sender(Submission.ACCEPTED)], fan)
    submitter = PrivateThenPublic(private, PublicSubmitter(nobody, fan), BLOCKS)

    outcome, words = submitter.submit(tx(0, 25))

    assert outcome is Submission.ACCEPTED
    assert "public" not in words


def test_public_endpoints_are_not_even_looked_for_before_the_time() -> None:
    def wrong() -> list[Any]:
        raise IntegrityError("chain id 5")

    fan = Fan(sleep=lambda _: None)
    private = PrivateSubmitter([sender(Submission.ACCEPTED)], fan)
    submitter = PrivateThenPublic(private, PublicSubmitter(wrong, fan), BLOCKS)

    assert submitter.submit(tx(0, 24))[0] is Submission.ACCEPTED
    with pytest.raises(IntegrityError):
        submitter.submit(tx(0, 25))


def test_all_three_are_submitters(relay: Server, node: Server) -> None:
    for kind in ("public", "private", "private_then_public"):
        assert opened(kind, relay, node).name == kind
