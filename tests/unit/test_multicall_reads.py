"""Reading by Multicall3 and by batches: order, count, halving, re-asking, one block, few requests."""

import json
from collections import Counter

import eth_abi
import pytest
from chain_kit import MULTICALL3, Events, Server

from keeper.chain.budget import Budget
from keeper.chain.endpoint import Endpoint
from keeper.chain.multicall import Multicall
from keeper.chain.pool import Pool
from keeper.chain.retry import Retry
from keeper.domain.block import BlockRef
from keeper.domain.money import Address
from keeper.domain.reads import Read, ReadResult
from keeper.errors import BadReply, RpcRejected, StaleHead

BLOCK = BlockRef("local", 100, "0x" + "ab" * 32, 1_700_000_000)


def number_read(n: int) -> Read:
    """A read whose answer is twice its argument."""
    return Read(Address(f"0x{n:040x}"), n.to_bytes(36, "big"))


class Node:
    """Answers aggregate3 by doubling each call's argument; refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.code = "0x60"
        self.hash = BLOCK.hash
        self.counts: Counter[str] = Counter()
        self.tags: set[str] = set()
        self.sizes: list[int] = []
        self.bodies: list[str] = []
        self.refuse = lambda _size: None
        self.silent: set[int] = set()
        self.broken: set[int] = set()
        self.server = Server(self._http)

    def _http(self, _path, _headers, body):
        request = json.loads(body)
        if isinstance(request, list):
            self.counts["batch"] += 1
            refusal = self.refuse(len(request))
            if refusal is not None:
                return 200, json.dumps({"id": None, "error": refusal}).encode(), {}
            answer = [self._one(item) for item in request]
        else:
            answer = self._one(request)
        return 200, json.dumps(answer).encode(), {}

    def _one(self, item):
        self.counts[item["method"]] += 1
        outcome = getattr(self, item["method"])(*item["params"])
        return {"id": item["id"]} | (
            outcome if isinstance(outcome, dict) and "error" in outcome else {"result": outcome}
        )

    def eth_chainId(self):
        return "0x1"

    def eth_getCode(self, *_):
        return self.code

    def eth_getBlockByNumber(self, number, _full):
        return {"number": number, "hash": self.hash}

    def eth_call(self, call, tag):
        self.tags.add(tag)
        data = bytes.fromhex(call["data"][2:])
        if call["to"] != MULTICALL3:
            n = int(call["to"], 16)
            if n in self.broken:
                return {"error": {"code": 3, "message": "execution reverted: no", "data": "0xdeadbeef"}}
            return "0x" + (2 * n).to_bytes(32, "big").hex()
        ((calls),) = eth_abi.decode(["(address,bool,bytes)[]"], data[4:])
        self.sizes.append(len(calls))
        refusal = self.refuse(len(calls))
        if refusal is not None:
            return {"error": refusal}
        results = []
        for target, allow, argument in calls:
            n = int.from_bytes(argument, "big")
            assert int(target, 16) == n
            assert allow
            fails = n in self.silent or n in self.broken
            data = b"" if n in self.silent else b"\xde\xad\xbe\xef" if fails else (2 * n).to_bytes(32, "big")
            results.append((not fails, data))
        return "0x" + eth_abi.encode(["(bool,bytes)[]"], [results]).hex()


@pytest.fixture
def node():
    made = Node()
    yield made
    made.server.__exit__()


@pytest.fixture
def make(node):
    made: list[Multicall] = []

    def build(multicall3=MULTICALL3, budget=None, monotonic=lambda: 0.0):
        pool = Pool(
            "local", 1, [Endpoint(node.server.url)], events=Events(), retry=Retry(attempts=2, sleep=lambda _: None)
        )
        made.append(Multicall(pool, multicall3, budget=budget, monotonic=monotonic))
        return made[-1]

    yield build
    for multicall in made:
        multicall.close()


def doubled(count: int) -> list[ReadResult]:
    return [ReadResult(True, (2 * n).to_bytes(32, "big")) for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 585, 586, 1171, 2000])
def test_every_read_is_answered_in_order(make, count):
    assert make().read([number_read(n) for n in range(count)], BLOCK) == doubled(count)


def test_no_reads_make_no_request(make, node):
    assert make().read([], BLOCK) == []
    assert not node.counts


def test_requests_are_few_and_all_at_one_block(make, node):
    multicall = make()
    reads = [number_read(n) for n in range(3_000)]
    multicall.read(reads, BLOCK)
    node.counts.clear()
    multicall.read(reads, BLOCK)
    assert node.counts == {"eth_call": 6, "eth_getBlockByNumber": 1}
    assert node.tags == {"0x64"}


def test_an_identical_list_is_not_encoded_again(make, node, monkeypatch):
    multicall = make()
    multicall.read([number_read(n) for n in range(3_000)], BLOCK)
    monkeypatch.setattr("keeper.chain.aggregate.encode", lambda _reads: pytest.fail("encoded again"))
    assert multicall.read([number_read(n) for n in range(3_000)], BLOCK) == doubled(3_000)


def test_another_list_of_the_same_length_is(make, node):
    multicall = make()
    multicall.read([number_read(n) for n in range(50)], BLOCK)
    other = [number_read(n) for n in range(1, 51)]
    assert multicall.read(other, BLOCK)[0].data == (2).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("refusal", "field"),
    [
        ({"code": -32000, "message": "out of gas"}, "gas"),
        ({"code": -32000, "message": "call returned result of length 1 exceeding limit 100000"}, "return_bytes"),
        ({"code": -32000, "message": "request body too large"}, "body_bytes"),
    ],
)
def test_a_refusal_halves_and_is_remembered_for_an_hour(make, node, refusal, field):
    now = [0.0]
    multicall = make(monotonic=lambda: now[0])
    node.refuse = lambda size: refusal if size > 100 else None
    reads = [number_read(n) for n in range(1_000)]
    assert multicall.read(reads, BLOCK) == doubled(1_000)
    assert getattr(multicall.budget, field) < getattr(Budget(), field)
    node.sizes.clear()
    assert multicall.read(reads, BLOCK) == doubled(1_000)
    assert max(node.sizes) <= 100
    now[0] = 4_000.0
    node.refuse = lambda _size: None
    multicall.read(reads, BLOCK)
    assert multicall.budget == Budget()


def test_a_refusal_for_another_reason_is_raised(make, node):
    node.refuse = lambda _size: {"code": -32000, "message": "execution reverted"}
    with pytest.raises(RpcRejected):
        make().read([number_read(n) for n in range(10)], BLOCK)


def test_a_silent_inner_failure_is_asked_again_alone(make, node):
    node.silent = {3, 777}
    assert make().read([number_read(n) for n in range(1_000)], BLOCK) == doubled(1_000)


def test_a_failure_that_stays_one_is_believed(make, node):
    node.silent = {3}
    node.broken = {3, 4}
    results = make().read([number_read(n) for n in range(6)], BLOCK)
    assert results[3] == ReadResult(False, b"\xde\xad\xbe\xef")
    assert results[4] == ReadResult(False, b"\xde\xad\xbe\xef")
    assert results[5].success


def test_a_failure_with_words_is_not_asked_again(make, node):
    node.broken = {4}
    make().read([number_read(n) for n in range(6)], BLOCK)
    assert node.counts["batch"] == 0


@pytest.mark.parametrize("how", ["none", "no code"])
def test_batches_where_multicall3_is_missing(make, node, how):
    node.code = "0x"
    node.broken = {5}
    multicall = make(None if how == "none" else MULTICALL3)
    expected = doubled(250)
    expected[5] = ReadResult(False, b"\xde\xad\xbe\xef")
    for _ in range(2):
        assert multicall.read([number_read(n) for n in range(250)], BLOCK) == expected
    assert node.counts["eth_getCode"] == (how == "no code")
    assert node.counts["batch"] == 6


def test_batches_are_halved_too(make, node):
    node.refuse = lambda size: {"code": -32600, "message": "batch too large"} if size > 20 else None
    assert make(None).read([number_read(n) for n in range(100)], BLOCK) == doubled(100)


def test_a_replaced_block_is_stale(make, node):
    node.hash = "0x" + "cd" * 32
    with pytest.raises(StaleHead):
        make().read([number_read(1)], BLOCK)


def test_missing_answers_are_bad(make, node, monkeypatch):
    honest = node.eth_call

    def short(call, tag):
        honest(call, tag)
        return "0x" + eth_abi.encode(["(bool,bytes)[]"], [[(True, bytes(32))] * 9]).hex()

    monkeypatch.setattr(node, "eth_call", short)
    with pytest.raises(BadReply):
        make().read([number_read(n) for n in range(10)], BLOCK)
