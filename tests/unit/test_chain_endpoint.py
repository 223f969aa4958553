"""One endpoint: what is an answer, what each failure is called, and that no secret of its URL is ever said."""

import json
import socket
import threading
import time

import pytest
from chain_kit import Server, stub

from keeper.chain.endpoint import Endpoint
from keeper.errors import (
    BadReply,
    ConfigError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    StaleHead,
    StatePruned,
)


def answering(payload: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Server:
    return Server(lambda *_: (status, payload, headers or {}))


def result(number: object, value: object = "0x1") -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": value}).encode()


def failure(code: int, message: str, data: object = None) -> bytes:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()


def test_a_result_comes_back():
    with stub(lambda method, params: [method, params]) as server:
        assert Endpoint(server.url).call("eth_x", [1, "a"]) == ["eth_x", [1, "a"]]


def test_encoded_parameters_go_out_as_they_are():
    with stub(lambda method, params: params) as server:
        assert Endpoint(server.url).call("eth_x", b'[{"a": 1}]') == [{"a": 1}]


def test_a_null_result_is_a_result():
    with stub(lambda *_: None) as server:
        assert Endpoint(server.url).call("eth_getTransactionReceipt", ["0x0"]) is None


@pytest.mark.parametrize(
    ("payload", "status", "kind"),
    [
        (b"", 200, BadReply),
        (b"<html>oops</html>", 200, BadReply),
        (result(1)[:-3], 200, BadReply),
        (b"\xff\xfe", 200, BadReply),
        (result(2), 200, BadReply),
        (result("1"), 200, BadReply),
        (result(None), 200, BadReply),
        (result(True), 200, BadReply),
        (b"[]", 200, BadReply),
        (b'"0x1"', 200, BadReply),
        (b'{"jsonrpc": "2.0", "id": 1}', 200, BadReply),
        (b'{"jsonrpc": "2.0", "id": 1, "error": "no"}', 200, BadReply),
        (b'{"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": ""}}', 200, BadReply),
        (b"{" * 100_000, 200, BadReply),
        (b"moved", 301, BadReply),
        (b"what", 400, BadReply),
        (b"no key", 401, RpcUnavailable),
        (b"no key", 403, RpcUnavailable),
        (b"<html>", 502, RpcUnavailable),
        (b"", 504, RpcUnavailable),
        (b"slow down", 429, RateLimited),
        (b"too large", 413, RpcRejected),
        (failure(-32005, "limit exceeded"), 200, RateLimited),
        (failure(429, "x"), 200, RateLimited),
        (failure(-32000, "Your app has exceeded its compute units per second capacity"), 200, RateLimited),
        (failure(-32000, "header not found"), 200, StaleHead),
        (failure(-32602, "BlockOutOfRangeError: block height is 0 but requested was 153"), 200, StaleHead),
        (failure(-32602, "BlockOutOfRangeError: block height is 546 but requested was 136"), 200, StatePruned),
        (failure(-32602, "BlockOutOfRangeError: block height is x but requested was y"), 200, StaleHead),
        (failure(-32601, "method not found"), 200, RpcRejected),
        (failure(3, "execution reverted"), 500, RpcRejected),
    ],
)
def test_what_is_not_an_answer_has_a_name(payload, status, kind):
    with answering(payload, status) as server, pytest.raises(kind) as caught:
        Endpoint(server.url).call("eth_x")
    assert type(caught.value) is kind


def test_revert_data_is_kept():
    with (
        answering(failure(3, "execution reverted: boom", "0x08c379a0")) as server,
        pytest.raises(RpcRejected) as caught,
    ):
        Endpoint(server.url).call("eth_call")
    assert caught.value.data.hex() == "08c379a0"
    assert caught.value.code == 3


def test_retry_after_is_kept():
    with answering(b"", 429, {"Retry-After": "7"}) as server, pytest.raises(RateLimited) as caught:
        Endpoint(server.url).call("eth_x")
    assert caught.value.retry_after == 7.0


def test_a_closed_connection_is_unavailable():
    with Server(lambda *_: None) as server, pytest.raises((RpcUnavailable, BadReply)):
        Endpoint(server.url).call("eth_x")


def test_nobody_listening_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RpcUnavailable):
        Endpoint(f"http://127.0.0.1:{port}").call("eth_x")


def test_a_silent_server_times_out():
    def late(*_):
        time.sleep(0.5)

    with Server(late) as server, pytest.raises(RpcTimeout):
        Endpoint(server.url, timeout=0.1).call("eth_x")


def test_a_drip_of_bytes_ends():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.05):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        start = time.monotonic()
        try:
            with pytest.raises(RpcTimeout):
                Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2).call("eth_x")
            assert time.monotonic() - start < 3
        finally:
            stop.set()
            thread.join()


def test_an_answer_shorter_than_announced_is_bad():
    with answering(result(1), 200, {"Content-Length": "5000"}) as server, pytest.raises((BadReply, RpcTimeout)):
        Endpoint(server.url, timeout=0.2).call("eth_x")


def test_an_answer_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("keeper.chain.endpoint.MAX_ANSWER_BYTES", 1000)
    with answering(b" " * 2000) as server, pytest.raises(BadReply, match="more than"):
        Endpoint(server.url).call("eth_x")


def test_the_connection_is_kept_and_renewed_when_the_server_closed_it():
    ports: list[int] = []
    closing = {"Connection": "close"}

    class Recorder(Server):
        pass

    with Recorder(lambda _p, headers, _b: (200, result(len(ports) + 1), {})) as server:
        endpoint = Endpoint(server.url)
        for _ in range(3):
            endpoint.call("eth_x")
            connection = endpoint._local.connection
            ports.append(connection.sock.getsockname()[1])
        assert len(set(ports)) == 1
    with stub(lambda *_: (200, result(1), closing)) as server:
        Endpoint(server.url).call("eth_x")


def test_a_batch_is_matched_by_id():
    def shuffled(_path, _headers, body):
        items = json.loads(body)
        replies = [{"jsonrpc": "2.0", "id": item["id"], "result": item["params"][0]} for item in reversed(items)]
        return 200, json.dumps(replies).encode(), {}

    with Server(shuffled) as server:
        assert Endpoint(server.url).batch([("eth_x", [n]) for n in range(250)]) == list(range(250))


def test_a_batch_is_split_at_one_hundred():
    sizes = []

    def reply(_path, _headers, body):
        items = json.loads(body)
        sizes.append(len(items))
        return 200, json.dumps([{"id": item["id"], "result": 1} for item in items]).encode(), {}

    with Server(reply) as server:
        Endpoint(server.url).batch([("eth_x", [])] * 250)
    assert sizes == [100, 100, 50]


@pytest.mark.parametrize(
    "mangle",
    [
        lambda replies: replies[:-1],
        lambda replies: [*replies[:-1], replies[0]],
        lambda replies: [*replies, replies[0]],
        lambda replies: [*replies[:-1], {"id": 999, "result": 1}],
        lambda replies: [*replies[:-1], None],
        lambda replies: replies[0],
    ],
)
def test_a_batch_with_missing_or_foreign_answers_is_bad(mangle):
    def reply(_path, _headers, body):
        replies = [{"id": item["id"], "result": 1} for item in json.loads(body)]
        return 200, json.dumps(mangle(replies)).encode(), {}

    with Server(reply) as server, pytest.raises(BadReply):
        Endpoint(server.url).batch([("eth_x", [])] * 3)


def test_a_batch_refused_as_a_whole_is_raised_and_a_refused_item_is_a_value():
    with answering(failure(-32600, "batch too large")) as server, pytest.raises(RpcRejected):
        Endpoint(server.url).batch([("eth_x", [])] * 3)
    bad = {"error": {"code": 3, "message": "execution reverted"}}
    with stub(lambda _m, params: bad if params == [1] else 7) as server:
        first, second = Endpoint(server.url).batch([("eth_x", [0]), ("eth_x", [1])])
    assert first == 7
    assert isinstance(second, RpcRejected)


SECRETS = ("hunter2", "alice-user", "k3y-in-path", "s3cret-query")


@pytest.mark.parametrize(
    "server",
    [
        lambda: answering(b"<html>k3y-in-path s3cret-query</html>"),
        lambda: answering(b"", 401),
        lambda: answering(b"", 429),
        lambda: answering(b"", 502),
        lambda: answering(result(77)),
        lambda: answering(failure(-32000, "bad key k3y-in-path for /v2/k3y-in-path?token=s3cret-query (hunter2)")),
        lambda: answering(failure(-32000, "header not found s3cret-query")),
        lambda: Server(lambda *_: None),
    ],
)
def test_no_secret_of_the_url_is_said(server):
    with server() as running:
        url = f"http://alice-user:hunter2@{running.host}/v2/k3y-in-path?token=s3cret-query"
        endpoint = Endpoint(url, timeout=1)
        with pytest.raises(Exception) as caught:
            endpoint.call("eth_x")
    said = f"{caught.value} {caught.value!r} {endpoint!r} {endpoint.redacted} {caught.value.__cause__}"
    assert not [secret for secret in SECRETS if secret in said]
    assert endpoint.redacted == f"http://{running.host}/***"


def test_userinfo_is_sent_as_basic_authorization():
    seen = {}

    def reply(path, headers, _body):
        seen.update(headers, path=path)
        return 200, result(1), {}

    with Server(reply) as server:
        Endpoint(f"http://alice:p%40ss@{server.host}/v2/key?x=1").call("eth_x")
    assert seen["Authorization"] == "Basic YWxpY2U6cEBzcw=="
    assert seen["path"] == "/v2/key?x=1"


def test_environment_proxies_are_not_trusted(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with stub(lambda *_: "0x1") as server:
        assert Endpoint(server.url).call("eth_x") == "0x1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "k3y-in-path",
        "ws://k3y-in-path",
        "http://",
        "http://h:99999999/k3y-in-path",
        "http://h/k3y-in-path\n",
        "http://h/ k3y-in-path",
    ],
)
def test_a_malformed_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError) as caught:
        Endpoint(url)
    assert "k3y-in-path" not in str(caught.value)


def test_threads_have_their_own_connections():
    with stub(lambda _m, params: params[0]) as server:
        endpoint = Endpoint(server.url)
        answers: dict[int, int] = {}

        def work(n: int) -> None:
            for _ in range(20):
                answers[n] = endpoint.call("eth_x", [n])
                assert answers[n] == n

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: n for n in range(8)}
