"""The ops port over real sockets: answers, refusals, limits."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time

import pytest

from keeper.errors import ConfigError
from keeper.web.listen import HostCheck, Listen, parse_listen
from keeper.web.server import OpsServer
from keeper.web.status import ChainStatus, LaneStatus, Status, StatusProvider


class Daemon:
    """A daemon whose state a test can change."""

    def __init__(self):
        self.status = Status(0.0, 100.0, 1.0, {"bnb": ChainStatus(45_102_331, 3.0, ok=True)}, store_ok=True)

    def snapshot(self) -> Status:
        return self.status


def healthy(**changes):
    return Status(
        **{
            "started_at": 0.0,
            "uptime": 1000.0,
            "last_tick_age": 1.0,
            "chains": {"bnb": ChainStatus(7, 3.0, ok=True)},
            "store_ok": True,
            **changes,
        }
    )


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def server(daemon):
    with OpsServer(("127.0.0.1", 0), daemon, lambda: b"keeper_up 1\n", hosts=("keeper",), stale_after=60) as running:
        yield running


def ask(server, path="/", method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def raw(server, data, timeout=5):
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as client:
        client.sendall(data)
        received = b""
        while piece := client.recv(65_536):
            received += piece
    return received


def test_the_daemon_of_the_tests_is_a_status_provider(daemon):
    assert isinstance(daemon, StatusProvider)


def test_health_follows_the_age_of_the_last_tick(server, daemon):
    daemon.status = healthy(last_tick_age=59.0)
    assert ask(server, "/healthz")[0] == 200
    daemon.status = healthy(last_tick_age=61.0)
    status, headers, body = ask(server, "/healthz")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body) == {"status": "stale", "tick_age_s": 61.0, "bound_s": 60}


def test_a_daemon_that_never_ticks_is_alive_only_while_it_starts(server, daemon):
    daemon.status = healthy(last_tick_age=None, uptime=10.0)
    assert ask(server, "/healthz")[0] == 200
    daemon.status = healthy(last_tick_age=None, uptime=61.0)
    assert ask(server, "/healthz")[0] == 503


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"store_ok": False}, "store: "),
        ({"last_tick_age": None}, "daemon: starting"),
        ({"chains": {"bnb": ChainStatus(None, None, ok=True)}}, "chain bnb: not read yet"),
        ({"chains": {"bnb": ChainStatus(7, 3.0, ok=False)}}, "chain bnb: the last cycle failed; last read at block 7"),
        ({"lanes": {"bnb/0xab": LaneStatus(1, "journal and chain disagree")}}, "lane bnb/0xab: halted: journal"),
    ],
)
def test_readiness_names_its_reasons(server, daemon, changes, reason):
    daemon.status = healthy()
    assert ask(server, "/readyz")[0] == 200
    daemon.status = healthy(**changes)
    status, _, body = ask(server, "/readyz")
    assert status == 503
    assert len(json.loads(body)["reasons"]) == 1
    assert json.loads(body)["reasons"][0].startswith(reason)


def test_a_pause_is_told_and_is_no_failure(server, daemon):
    daemon.status = healthy(paused="checking prices; `keeper resume` goes on")
    status, _, body = ask(server, "/readyz")
    assert status == 200
    assert json.loads(body) == {"ready": True, "reasons": [], "paused": "checking prices; `keeper resume` goes on"}


def test_metrics_index_and_what_is_not_there(server):
    status, headers, body = ask(server, "/metrics?x=1")
    assert (status, body) == (200, "keeper_up 1\n")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "/healthz" in ask(server, "/")[2]
    assert ask(server, "/../etc/passwd")[0] == 404
    assert ask(server, "/<script>alert(1)</script>")[2] == "404 Not Found: see /\n"


def test_every_answer_carries_the_security_headers(server):
    for path in ("/", "/metrics", "/nothing"):
        headers = ask(server, path)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "keeper"
        assert "Python" not in str(headers)


def test_head_has_no_body_and_other_methods_are_refused(server):
    status, headers, body = ask(server, "/metrics", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "12", "")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"):
        status, headers, body = ask(server, "/healthz", method, body=b"x" * 1000)
        assert (status, headers["Allow"]) == (405, "GET, HEAD"), method
        assert "NONSENSE" not in body


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1234", 200),
        ("localhost:9464", 200),
        ("LOCALHOST", 200),
        ("[::1]:9464", 200),
        ("keeper:9464", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
        ("evil.example:9464", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.0.2.7", 421),
        ("localhost@evil.example", 421),
        ("", 421),
    ],
)
def test_only_known_names_are_served(server, host, status):
    assert ask(server, "/metrics", headers={"Host": host})[0] == status


def test_no_host_or_two_hosts_are_refused(server):
    assert b" 421 " in raw(server, b"GET /metrics HTTP/1.1\r\n\r\n").split(b"\r\n")[0]
    assert b" 421 " in raw(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n").split(b"\r\n")[0]


def test_a_wildcard_address_is_reached_by_address_but_not_by_a_foreign_name():
    check = HostCheck(Listen("0.0.0.0", 9464), ("keeper",))
    assert check.allows("10.1.2.3:9464")
    assert check.allows("[fe80::1]")
    assert check.allows("keeper")
    assert not check.allows("evil.example")


def test_nonsense_is_answered_without_repeating_it(server):
    answer = raw(server, b"<script> <b> <i> <u>\r\n\r\n")
    assert b"400" in answer
    assert b"script" not in answer
    assert b"414" in raw(server, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_a_status_that_fails_costs_one_answer_and_is_told_to_the_log(server, daemon, caplog):
    daemon.status = None
    with caplog.at_level(logging.WARNING, "keeper.web"), pytest.raises(http.client.RemoteDisconnected):
        ask(server, "/healthz")
    daemon.status = healthy()
    assert ask(server, "/healthz")[0] == 200
    assert "a request to the ops port failed" in caplog.text


def test_silent_clients_do_not_keep_others_out(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    try:
        begun = time.monotonic()
        assert ask(server, "/healthz")[0] == 200
        assert time.monotonic() - begun < 2
    finally:
        for client in silent:
            client.close()


def test_more_clients_than_places_are_turned_away_and_the_port_recovers(server):
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(24)]
    time.sleep(0.3)
    for client in many:
        client.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert ask(server, "/healthz")[0] == 200
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the port did not recover")


def test_many_at_once_get_the_same_answer(server):
    results = []
    threads = [threading.Thread(target=lambda: results.append(ask(server, "/metrics")[2])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["keeper_up 1\n"] * 8


def test_a_taken_port_is_explained(server, daemon):
    second = OpsServer(f"127.0.0.1:{server.port}", daemon, bytes)
    with pytest.raises(ConfigError, match=rf"web\.listen = \"127\.0\.0\.1:{server.port}\": another process .*ss -ltnp"):
        second.start()


def test_an_address_of_another_machine_is_explained(daemon):
    with pytest.raises(ConfigError, match=r"cannot listen there .*use an address of this machine"):
        OpsServer("192.0.2.1:9464", daemon, bytes).start()


@pytest.mark.parametrize(
    "text", ["", "9464", "localhost", ":9464", "127.0.0.1:99999", "::1:9464", "a b:1", "http://x:1"]
)
def test_a_wrong_listen_is_a_config_error(text):
    with pytest.raises(ConfigError, match=r"web\.listen"):
        parse_listen(text)


def test_listening_to_everybody_is_warned_about(daemon, caplog):
    with caplog.at_level(logging.WARNING, "keeper.web"):
        with OpsServer("127.0.0.1:0", daemon, bytes):
            assert not caplog.records
        with OpsServer("0.0.0.0:0", daemon, lambda: b"x") as open_server:
            assert ask(open_server, "/metrics")[2] == "x"
    assert "reachable from other machines" in caplog.text


def test_ipv6_loopback(daemon):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    try:
        with OpsServer("[::1]:0", daemon, lambda: b"x") as running:
            connection = http.client.HTTPConnection("::1", running.port, timeout=5)
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == b"x"
            connection.close()
            assert running.url.startswith("http://[::1]:")
    except ConfigError as error:
        pytest.skip(str(error))


def test_closing_frees_the_port(daemon):
    server = OpsServer("127.0.0.1:0", daemon, bytes)
    server.start()
    port = server.port
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    server.close()
