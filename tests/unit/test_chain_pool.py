"""The pool: right chain on every endpoint, failover, setting aside, recovery, bounded retries."""

from collections import Counter

import pytest
from chain_fakes import Time
from chain_kit import Events, stub

from keeper.chain.endpoint import Endpoint
from keeper.chain.pool import PAUSE, Pool
from keeper.chain.retry import Retry
from keeper.errors import (
    BadReply,
    ConfigError,
    IntegrityError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    StaleHead,
    StatePruned,
)


class Node:
    """A scripted node: chain id, and whether it works."""

    def __init__(self, chain_id: int = 1, name: str = "a") -> None:
        self.chain_id, self.name = chain_id, name
        self.down: tuple[int, bytes, dict[str, str]] | None = None
        self.said: dict[str, object] | None = None
        self.counts: Counter[str] = Counter()
        self.server = stub(self._answer, self.counts)

    def _answer(self, method, _params):
        if self.down:
            return self.down
        if method == "eth_chainId":
            return hex(self.chain_id)
        if self.said is not None:
            return self.said
        if method == "eth_refused":
            return {"error": {"code": -32000, "message": "no"}}
        return self.name


@pytest.fixture
def nodes():
    made = [Node(name="a"), Node(name="b")]
    yield made
    for node in made:
        node.server.__exit__()


@pytest.fixture
def clock():
    return Time()


def pool_of(nodes, clock, events=None, attempts=2) -> Pool:
    endpoints = [Endpoint(node.server.url, timeout=1) for node in nodes]
    retry = Retry(attempts=attempts, sleep=clock.sleep)
    return Pool("ethereum", 1, endpoints, events=events or Events(), retry=retry, monotonic=lambda: clock.now)


DOWN = (503, b"", {})


def test_chain_id_is_asked_of_every_endpoint_once_and_never_again(nodes, clock):
    pool = pool_of(nodes, clock)
    for _ in range(5):
        assert pool.call("eth_x") == "a"
    assert [node.counts["eth_chainId"] for node in nodes] == [1, 1]
    assert [node.counts["eth_x"] for node in nodes] == [5, 0]


def test_an_endpoint_of_another_chain_is_never_asked(nodes, clock):
    nodes[0].chain_id = 5
    events = Events()
    pool = pool_of(nodes, clock, events)
    assert pool.call("eth_x") == "b"
    assert nodes[0].counts["eth_x"] == 0
    assert events.names == ["rpc.failed"]
    assert "chain id 5" in events.seen[0].fields["error"]
    assert [endpoint.redacted for endpoint in pool.endpoints()] == [nodes[1].server.url]


def test_none_right_is_an_integrity_error(nodes, clock):
    for node in nodes:
        node.chain_id = 5
    pool = pool_of(nodes, clock)
    with pytest.raises(IntegrityError, match="chain id 1"):
        pool.call("eth_x")
    with pytest.raises(IntegrityError):
        pool.endpoints()


def test_the_wrong_one_beside_a_dead_one_is_unavailable_not_integrity(nodes, clock):
    nodes[0].chain_id = 5
    nodes[1].down = DOWN
    with pytest.raises(RpcUnavailable):
        pool_of(nodes, clock).call("eth_x")


def test_a_failing_endpoint_is_passed_over_and_told_once(nodes, clock):
    events = Events()
    pool = pool_of(nodes, clock, events)
    pool.call("eth_x")
    nodes[0].down = DOWN
    for _ in range(5):
        assert pool.call("eth_x") == "b"
    assert nodes[0].counts["eth_x"] == 4, "set aside after three failures in a row"
    assert events.names == ["rpc.failed", "rpc.failed"]
    assert [event.fields["paused_seconds"] for event in events.seen] == [0, int(PAUSE)]


def test_recovery_reads_the_chain_id_again(nodes, clock):
    events = Events()
    pool = pool_of(nodes, clock, events)
    pool.call("eth_x")
    nodes[0].down = DOWN
    for _ in range(3):
        pool.call("eth_x")
    nodes[0].down = None
    assert pool.call("eth_x") == "b", "still set aside"
    clock.now += PAUSE + 1
    assert pool.call("eth_x") == "a"
    assert nodes[0].counts["eth_chainId"] == 2
    assert events.names[-1] == "rpc.recovered"


def test_another_chain_behind_a_recovered_name_is_found_out(nodes, clock):
    pool = pool_of(nodes, clock)
    pool.call("eth_x")
    nodes[0].down = DOWN
    for _ in range(3):
        pool.call("eth_x")
    nodes[0].down, nodes[0].chain_id = None, 5
    clock.now += PAUSE + 1
    assert pool.call("eth_x") == "b"


def test_a_refusal_is_not_asked_of_another(nodes, clock):
    with pytest.raises(RpcRejected):
        pool_of(nodes, clock).call("eth_refused")
    assert [node.counts["eth_refused"] for node in nodes] == [1, 0]


def test_retries_are_bounded_and_back_off(nodes, clock):
    pool = pool_of(nodes, clock, attempts=3)
    pool.call("eth_x")
    for node in nodes:
        node.down = (200, b"garbage", {})
    with pytest.raises(RpcUnavailable, match="no endpoint of ethereum answered"):
        pool.call("eth_y")
    assert len(clock.slept) == 2
    assert all(0 <= wait <= 4 for wait in clock.slept)


def test_a_single_endpoint_keeps_its_own_words(nodes, clock):
    pool = pool_of(nodes[:1], clock)
    pool.call("eth_x")
    nodes[0].down = (200, b"garbage", {})
    with pytest.raises(BadReply):
        pool.call("eth_x")


def test_all_set_aside_still_asks_the_one_whose_time_is_up_first(nodes, clock):
    pool = pool_of(nodes[:1], clock, attempts=4)
    pool.call("eth_x")
    nodes[0].down = DOWN
    with pytest.raises(RpcUnavailable):
        pool.call("eth_x")
    nodes[0].down = None
    assert pool.call("eth_x") == "a"


PRUNED = {"error": {"code": -32602, "message": "BlockOutOfRangeError: block height is 546 but requested was 136"}}


def test_state_that_a_node_has_dropped_is_asked_of_the_others_and_not_again(nodes, clock):
    nodes[0].said = PRUNED
    pool = pool_of(nodes, clock, attempts=4)
    assert pool.call("eth_x") == "b"
    nodes[1].said = PRUNED
    with pytest.raises(StatePruned, match="546"):
        pool.call("eth_x")
    assert [node.counts["eth_x"] for node in nodes] == [2, 2]
    assert clock.slept == []
    with pytest.raises(StatePruned):
        pool.lenses()[0].call("eth_x")
    assert clock.slept == []


def test_a_block_that_has_not_arrived_is_waited_for(nodes, clock):
    nodes[0].said = nodes[1].said = {
        "error": {"code": -32602, "message": "BlockOutOfRangeError: block height is 135 but requested was 136"}
    }
    with pytest.raises(StaleHead):
        pool_of(nodes, clock, attempts=3).call("eth_x")
    assert [node.counts["eth_x"] for node in nodes] == [3, 3]


def test_a_short_retry_after_is_honoured_and_a_long_one_is_not_waited_for(nodes, clock):
    pool = pool_of(nodes, clock)
    pool.call("eth_x")
    for node in nodes:
        node.down = (429, b"", {"Retry-After": "3"})
    with pytest.raises(RateLimited):
        pool.call("eth_x")
    assert clock.slept == [3.0]
    clock.now += 3
    for node in nodes:
        node.down = (429, b"", {"Retry-After": "300"})
    with pytest.raises(RateLimited):
        pool.call("eth_x")
    assert clock.slept == [3.0]


def test_a_rate_limited_item_repeats_the_batch(nodes, clock):
    tries = Counter()

    def answer(method, params):
        if method == "eth_chainId":
            return "0x1"
        tries[params[0]] += 1
        return {"error": {"code": -32005, "message": "slow down"}} if params[0] == 1 and tries[1] == 1 else params[0]

    with stub(answer) as server:
        pool = Pool(
            "ethereum",
            1,
            [Endpoint(server.url)],
            events=Events(),
            retry=Retry(sleep=clock.sleep),
            monotonic=lambda: clock.now,
        )
        assert pool.batch([("eth_x", [n]) for n in range(3)]) == [0, 1, 2]


def test_a_time_out_is_told_as_one(nodes, clock):
    pool = pool_of(nodes, clock, attempts=1)

    def slow(_endpoint):
        raise RpcTimeout("slow")

    with pytest.raises(RpcTimeout):
        pool.ask(slow)


def test_no_endpoints_is_a_config_error():
    with pytest.raises(ConfigError):
        Pool("ethereum", 1, [], events=Events())
