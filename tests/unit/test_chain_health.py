"""Health of endpoints: pauses, limits, lag, a chain that stands still, and a wrong chain found out at any time."""

import time
from collections import Counter

import pytest
from chain_fakes import ME, Fake, Ledger, Time, chain_of, pool_of
from chain_kit import Events, Server, make_facts, stub

from keeper.chain.client import open_chain
from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.heads import Heads
from keeper.chain.health import CIRCUIT_HOUR, CIRCUIT_PAUSE, CIRCUIT_ROW, Member
from keeper.chain.reply import Answer, many, one
from keeper.errors import (
    BadReply,
    ConfigError,
    Disagreement,
    IntegrityError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    StaleHead,
)

DOWN = RpcUnavailable("cannot be reached")


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def ledger():
    return Ledger()


def number(pool):
    return int(pool.call("eth_blockNumber"), 16)


# ---------------------------------------------------------------------------- rate limits


def test_a_rate_limit_pauses_one_endpoint_for_as_long_as_it_asks(ledger, clock):
    fakes = [Fake(ledger, "a"), Fake(ledger, "b")]
    pool = pool_of(fakes, clock=clock)
    number(pool)
    fakes[0].down = RateLimited("slow down", retry_after=30.0)
    asked = fakes[0].requests
    for _ in range(10):
        assert number(pool) == 100
    assert fakes[0].requests == asked + 1
    assert [status.paused_seconds for status in pool.status()] == [30, 0]
    fakes[0].down = None
    clock.now += 31
    number(pool)
    assert fakes[0].requests == asked + 2


def test_a_lone_endpoint_is_left_alone_too(ledger, clock):
    fake = Fake(ledger, "a")
    pool = pool_of([fake], clock=clock)
    number(pool)
    fake.down = RateLimited("slow down", retry_after=300.0)
    with pytest.raises(RateLimited):
        number(pool)
    asked = fake.requests
    with pytest.raises(RateLimited, match="has asked for fewer requests") as caught:
        number(pool)
    assert fake.requests == asked
    assert caught.value.retry_after == 300.0


def test_a_limit_without_a_time_backs_off_longer_each_time(clock):
    member = Member(Fake(Ledger(), "a"))
    waits = []
    for _ in range(8):
        member.failed(RateLimited("slow down"), 0.0)
        waits.append(member.resting_until)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def body(code, message, **more):
    return Answer(200, None, b'{"id":1,"error":{"code":%d,"message":"%s"%s}}' % (code, message, more.get("data", b"")))


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, "7", b""), 7),
        (Answer(429, "999999999999", b""), 3600),
        (Answer(429, "Wed, 21 Oct 2015 07:28:00 GMT", b""), 0),
        (Answer(429, "soon", b""), None),
        (Answer(429, None, b"daily request count exceeded, upgrade your plan"), 3600),
        (body(-32005, b"daily request count exceeded"), 3600),
        (body(-32000, b"You have used up your monthly quota"), 3600),
        (body(-32005, b"limit exceeded"), None),
        (body(-32005, b"limit exceeded", data=b',"data":{"rate":{"backoff_seconds":12}}'), 12),
    ],
)
def test_how_long_a_limit_lasts(answer, wait):
    with pytest.raises(RateLimited) as caught:
        one(answer, 1, "a", str)
    assert caught.value.retry_after == wait


def test_a_contracts_words_are_no_rate_limit():
    for answer in (body(3, b"execution reverted: daily limit"), body(-32000, b"execution reverted: over quota")):
        with pytest.raises(RpcRejected):
            one(answer, 1, "a", str)


# ---------------------------------------------------------------------------- circuit


def test_many_failures_in_a_row_or_in_an_hour_set_aside_for_longer():
    member = Member(Fake(Ledger(), "a"))
    told = [member.failed(DOWN, 1.0) for _ in range(CIRCUIT_ROW + 2)]
    assert [seconds for seconds in told if seconds is not None] == [0, 60, CIRCUIT_PAUSE]
    assert member.paused_until == 1.0 + CIRCUIT_PAUSE

    member = Member(Fake(Ledger(), "a"))
    pauses = []
    for minute in range(CIRCUIT_HOUR):
        pauses.append(member.failed(DOWN, minute * 40.0))
        member.answered()
    assert pauses[-1] == CIRCUIT_PAUSE
    assert CIRCUIT_PAUSE not in pauses[:-1]

    member = Member(Fake(Ledger(), "a"))
    for minute in range(2 * CIRCUIT_HOUR):
        assert member.failed(DOWN, minute * 60.0) != CIRCUIT_PAUSE
        member.answered()


def test_the_circuit_is_told(ledger, clock):
    events = Events()
    fakes = [Fake(ledger, "a"), Fake(ledger, "b")]
    pool = pool_of(fakes, clock=clock, events=events)
    number(pool)
    fakes[0].down = DOWN
    for _ in range(CIRCUIT_ROW):
        number(pool)
        clock.now += 61
    assert [event.fields["paused_seconds"] for event in events.seen] == [0, 60, 600]


# ---------------------------------------------------------------------------- a dead one costs nobody's time


def test_a_dead_endpoint_does_not_slow_every_question():
    timeout = 0.4

    def hang(*_):
        time.sleep(2 * timeout)

    def answer(method, _params):
        return {"eth_chainId": "0x7a69", "eth_blockNumber": "0x64"}.get(method) or {
            "number": "0x64",
            "hash": "0x" + "ab" * 32,
            "timestamp": "0x1",
        }

    with Server(hang) as dead, stub(answer) as alive, stub(answer) as other:
        chain = open_chain(make_facts(), [dead.url, alive.url, other.url], events=Events(), timeout=timeout)
        began = time.monotonic()
        chain.head()
        first = time.monotonic() - began
        began = time.monotonic()
        for _ in range(20):
            chain.head()
            chain.agreed().head()
        rest = time.monotonic() - began
        chain.close()
    assert first < 3 * timeout
    assert rest < timeout, f"40 questions took {rest:.2f} s beside an endpoint that hangs {timeout} s"


def test_a_set_aside_endpoint_is_looked_after_in_the_background_not_by_a_question(ledger, clock):
    fakes = [Fake(ledger, "a"), Fake(ledger, "b")]
    events = Events()
    chain = chain_of(fakes, clock=clock, events=events, block_seconds=12.0)
    chain.head()
    fakes[0].down = RpcTimeout("did not answer")
    chain.head()
    assert [status.healthy for status in chain.status()] == [False, True]
    with pytest.raises(Disagreement, match=r"1 of 2 .* did not answer"):
        chain.sight(ME, [])
    fakes[0].down = None
    with pytest.raises(Disagreement):
        chain.sight(ME, [])
    clock.now += 6
    assert chain.sight(ME, []).head.number == 100
    assert events.names == ["rpc.failed", "rpc.recovered"]


def test_an_outage_of_our_own_line_does_not_last_longer_than_it_does(ledger, clock):
    fakes = [Fake(ledger, "a"), Fake(ledger, "b")]
    chain = chain_of(fakes, clock=clock, block_seconds=12.0)
    chain.sight(ME, [])
    for fake in fakes:
        fake.down = DOWN
    for _ in range(60):
        with pytest.raises(RpcUnavailable):
            chain.head()
        clock.now += 10
    for fake in fakes:
        fake.down = None
    clock.now += 10
    chain.head()
    chain.pool.lenses()
    assert chain.sight(ME, []).head.number == 100


# ---------------------------------------------------------------------------- lag and standstill


def test_a_lagging_endpoint_is_not_read_from_until_it_caught_up(ledger, clock):
    events = Events()
    fakes = [Fake(ledger, "a", behind=9), Fake(ledger, "b"), Fake(ledger, "c")]
    chain = chain_of(fakes, clock=clock, events=events, block_seconds=12.0)
    for _ in range(3):
        assert chain.head().number == 100
        assert chain.sight(ME, []).head.number == 100
        assert chain.agreed().head().number == 100
        clock.now += 5
    status = chain.status()[0]
    assert (status.healthy, status.head, status.lag) == (False, 91, 9)
    assert events.names == ["rpc.failed"]
    assert "9 blocks behind" in events.seen[0].fields["error"]
    fakes[0].behind = 2
    clock.now += 20
    chain.head()
    assert chain.status()[0].healthy
    assert events.names == ["rpc.failed", "rpc.recovered"]


def test_a_few_blocks_of_lag_are_allowed_by_the_chains_pace(ledger, clock):
    fakes = [Fake(ledger, "a", behind=9), Fake(ledger, "b")]
    chain = chain_of(fakes, clock=clock, block_seconds=2.0)
    assert chain.sight(ME, []).head.number == 91
    assert all(status.healthy for status in chain.status())


def test_with_two_a_laggard_leaves_too_few_to_agree(ledger, clock):
    fakes = [Fake(ledger, "a", behind=40), Fake(ledger, "b")]
    chain = chain_of(fakes, clock=clock, block_seconds=12.0)
    with pytest.raises(Disagreement, match="40 blocks behind"):
        chain.sight(ME, [])
    assert chain.head().number == 100


def test_a_lone_leader_of_three_does_not_make_the_others_laggards(ledger, clock):
    fakes = [Fake(ledger, "a", behind=-1_000_000), Fake(ledger, "b"), Fake(ledger, "c")]
    chain = chain_of(fakes, clock=clock, block_seconds=12.0)
    chain.pool.lenses()
    for _ in range(3):
        chain.pool.hear(fakes[1], 100)
        chain.pool.hear(fakes[2], 100)
    assert [status.healthy for status in chain.status()] == [True, True, True]


def test_the_first_to_be_heard_does_not_condemn_the_second():
    members = [Member(Fake(Ledger(), name)) for name in "abc"]
    heads = Heads(members, 12.0, 2)
    for member, height in zip(members, (10**6, 100, 101), strict=True):
        heads.hear(member, height, 1.0)
    assert [member.lagging for member in members] == [False, False, False]
    heads.hear(members[2], 90, 2.0)
    assert members[2].lagging


def test_a_chain_that_stands_still_is_told_once_and_so_is_its_return(ledger, clock):
    events = Events()
    chain = chain_of([Fake(ledger, "a"), Fake(ledger, "b")], clock=clock, events=events, block_seconds=3.0)
    for _ in range(40):
        chain.sight(ME, [])
        clock.now += 10
    assert events.names == ["chain.stalled"]
    assert events.seen[0].fields["chain"] == "local"
    assert 180 <= events.seen[0].fields["age_seconds"] <= 200
    ledger.head += 1
    chain.sight(ME, [])
    ledger.head += 1
    chain.head()
    assert events.names == ["chain.stalled", "chain.resumed"]
    assert events.seen[1].fields["age_seconds"] == 400


def test_one_endpoint_that_makes_up_blocks_does_not_hide_a_standstill(ledger, clock):
    events = Events()
    fakes = [Fake(ledger, "a"), Fake(Ledger(), "b")]
    chain = chain_of(fakes, clock=clock, events=events, block_seconds=3.0)
    for _ in range(40):
        fakes[1].ledger.head = min(109, fakes[1].ledger.head + 1)
        chain.sight(ME, [])
        clock.now += 10
    assert "chain.stalled" in events.names


def test_slow_chains_are_given_time(ledger, clock):
    events = Events()
    chain = chain_of([Fake(ledger, "a")], clock=clock, events=events, block_seconds=60.0)
    for _ in range(110):
        chain.head()
        clock.now += 10
    assert events.names == []


# ---------------------------------------------------------------------------- the right chain, always


class Node:
    """A real HTTP node whose chain id can change under way."""

    def __init__(self):
        self.chain_id, self.value, self.counts, self.breaks = 31337, "0x1", Counter(), 0
        self.batches = True
        self.server = stub(self._answer, self.counts)

    def _answer(self, method, _params):
        if method == "eth_chainId":
            return hex(self.chain_id)
        if self.breaks:
            self.breaks -= 1
            return 200, b"", {"Content-Length": "50"}
        return self.value


@pytest.fixture
def node():
    made = Node()
    with made.server:
        yield made


def test_the_chain_id_is_read_along_every_ten_minutes_and_a_wrong_one_is_not_believed(node, clock):
    endpoint = Endpoint(node.server.url, monotonic=lambda: clock.now)
    endpoint.expect(31337)
    endpoint.identify()
    for _ in range(5):
        assert endpoint.call("eth_x") == "0x1"
    assert node.counts["eth_chainId"] == 1
    clock.now += 601
    assert endpoint.call("eth_x") == "0x1"
    assert endpoint.call("eth_x") == "0x1"
    assert node.counts["eth_chainId"] == 2
    node.chain_id = 5
    clock.now += 601
    with pytest.raises(WrongChain) as caught:
        endpoint.call("eth_x")
    assert caught.value.chain_id == 5
    with pytest.raises(WrongChain):
        endpoint.batch([("eth_x", ()), ("eth_y", ())])
    node.chain_id = 31337
    assert endpoint.batch([("eth_x", ()), ("eth_y", ())]) == ["0x1", "0x1"]


def test_a_broken_connection_makes_the_next_answer_prove_its_chain(node):
    endpoint = Endpoint(node.server.url, timeout=0.3)
    endpoint.expect(31337)
    endpoint.identify()
    node.breaks = 1
    with pytest.raises((BadReply, RpcTimeout)):
        endpoint.call("eth_x")
    node.chain_id = 5
    with pytest.raises(WrongChain):
        endpoint.call("eth_x")


def test_sends_carry_nothing_and_are_never_repeated(node):
    endpoint = Endpoint(node.server.url)
    endpoint.expect(31337)
    assert endpoint.call("eth_sendRawTransaction", ("0x00",)) == "0x1"
    assert endpoint.send_batch([b"\0", b"\1"]) == ["0x1", "0x1"]
    assert node.counts == {"eth_sendRawTransaction": 3}
    assert endpoint.send_batch([]) == []
    with pytest.raises(ValueError, match="101 transactions"):
        endpoint.send_batch([b""] * 101)


def test_a_node_that_takes_no_batches_is_asked_one_by_one():
    def answer(_path, _headers, payload):
        if payload.startswith(b"["):
            return 400, b"no batches", {}
        import json

        item = json.loads(payload)
        result = "0x7a69" if item["method"] == "eth_chainId" else "0x2"
        return 200, json.dumps({"id": item["id"], "result": result}).encode(), {}

    with Server(answer) as server:
        endpoint = Endpoint(server.url)
        endpoint.expect(31337)
        assert [endpoint.call("eth_x"), endpoint.call("eth_x")] == ["0x2", "0x2"]


def test_a_chain_id_that_changes_under_way_takes_the_endpoint_out(node, clock):
    other = Node()
    other.value = "0x2"
    with other.server:
        events = Events()
        endpoints = [Endpoint(one.server.url, monotonic=lambda: clock.now) for one in (node, other)]
        pool = pool_of(endpoints, clock=clock, events=events, quorum=1)
        assert pool.call("eth_x") == "0x1"
        node.chain_id = 5
        clock.now += 601
        assert pool.call("eth_x") == "0x2"
        assert [status.wrong_chain_id for status in pool.status()] == [5, None]
        assert [event.level for event in events.seen] == ["error"]
        assert [endpoint.redacted for endpoint in pool.endpoints()] == [other.server.url]


def test_all_of_another_chain_is_an_integrity_error(ledger, clock):
    fakes = [Fake(ledger, "a"), Fake(ledger, "b")]
    for fake in fakes:
        fake.chain_id = 5
    chain = chain_of(fakes, clock=clock)
    with pytest.raises(IntegrityError, match="chain id 5"):
        chain.head()
    with pytest.raises(IntegrityError):
        chain.sight(ME, [])


# ---------------------------------------------------------------------------- batches and settings


@pytest.mark.parametrize(
    "payload",
    [
        b'[{"id":1,"result":1}]',
        b'[{"id":1,"result":1},{"id":1,"result":2}]',
        b'[{"id":1,"result":1},{"id":2,"result":1},{"id":2,"result":1}]',
        b'[{"id":1,"result":1},{"id":7,"result":1}]',
        b'[{"id":1,"result":1},{"id":"2","result":1}]',
        b'[{"id":1,"result":1},{"id":true,"result":1}]',
        b'[{"id":1,"result":1},{"id":2.0,"result":1}]',
        b'[{"id":1,"result":1},[2]]',
        b"[]",
        b'"no"',
    ],
)
def test_batches_with_missing_doubled_or_foreign_ids_are_no_answers(payload):
    with pytest.raises(BadReply):
        many(Answer(200, None, payload), [1, 2], "a", str)


def test_quorum_and_urls_are_checked():
    facts = make_facts()
    with pytest.raises(ConfigError, match="quorum is 3, with 2 endpoints"):
        open_chain(facts, ["http://a", "http://b"], events=Events(), quorum=3)
    with pytest.raises(ConfigError, match="quorum is 0"):
        open_chain(facts, ["http://a"], events=Events(), quorum=0)
    with pytest.raises(ConfigError, match="names an endpoint twice"):
        open_chain(facts, ["http://a", "http://a"], events=Events())
    with pytest.raises(ConfigError, match="no RPC endpoint"):
        open_chain(facts, [], events=Events())
    assert open_chain(facts, ["http://a"], events=Events()).pool.quorum == 1
    assert open_chain(facts, ["http://a", "http://b", "http://c"], events=Events()).pool.quorum == 2


def test_status_says_nothing_secret_and_asks_nothing(ledger):
    chain = open_chain(make_facts(), ["http://u:hunter2@h/k3y"], events=Events())
    (status,) = chain.status()
    assert status.endpoint == "http://h/***"
    assert (status.head, status.lag, status.failures, status.paused_seconds) == (None, None, 0, 0)


def test_a_block_that_is_not_there_yet_is_no_fault(ledger, clock):
    fake = Fake(ledger, "a")
    pool = pool_of([fake], clock=clock)
    number(pool)
    fake.down = StaleHead("does not have that block")
    for _ in range(5):
        with pytest.raises(StaleHead):
            number(pool)
    assert pool.status()[0].failures == 0
