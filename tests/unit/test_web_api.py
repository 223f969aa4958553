"""The JSON API over real sockets: answers, strict questions, refusals, limits, and the documents that tell of it."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.errors import StoreUnavailable
from keeper.strategy.performance.windows import NAMES
from keeper.web.api import AT_ONCE, OPENAPI, Api
from keeper.web.openapi import document
from keeper.web.params import BadQuestion, read_query
from keeper.web.routes import ROUTES, ApiSource
from keeper.web.server import OpsServer
from keeper.web.status import ChainStatus, Status

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "reference" / "openapi.json"
PAGE = ROOT / "docs" / "reference" / "api.md"


class Healthy:
    def snapshot(self) -> Status:
        return Status(0.0, 100.0, 1.0, {"bnb": ChainStatus(7, 3.0, ok=True)}, store_ok=True)


class Source:
    """Answers with what it was asked."""

    def __init__(self):
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0

    def positions(self, offset, limit):
        if self.broken:
            raise StoreUnavailable("the journal /secret/place/keeper.db is damaged")
        self.inside += 1
        self.gate.wait(10)
        return {"positions": [], "count": 0, "next_offset": None, "asked": [offset, limit]}

    def position(self, name):
        return {"position": {"id": name}} if name == "cake-bnb" else None

    def report(self, window, position, offset, limit):
        return None if position == "gone" else {"asked": [window, position, offset, limit]}

    def decisions(self, position, limit):
        return {"position": position, "decisions": [], "asked": limit}


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def server(source):
    with OpsServer(("127.0.0.1", 0), Healthy(), lambda: b"keeper_up 1\n", api=Api(source)) as running:
        yield running


def ask(server, path, method="GET", headers=None, timeout=5):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def told(server, path):
    status, headers, body = ask(server, path)
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)


def test_the_source_of_the_tests_is_one(source):
    assert isinstance(source, ApiSource)


def test_questions_reach_the_source_with_their_defaults(server):
    assert told(server, "/api/v1/positions")[1]["asked"] == [0, 100]
    assert told(server, "/api/v1/positions?limit=5&offset=10")[1]["asked"] == [10, 5]
    assert told(server, "/api/v1/report")[1]["asked"] == ["30d", None, 0, 20]
    assert told(server, "/api/v1/report?window=mtd&position=cake-bnb")[1]["asked"] == ["mtd", "cake-bnb", 0, 20]
    assert told(server, "/api/v1/decisions?position=cake-bnb&limit=500")[1]["asked"] == 500
    assert told(server, "/api/v1/positions/cake-bnb")[1] == {
        "schema": "keeper.explain/1",
        "position": {"id": "cake-bnb"},
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v1/positions?limit=0", "limit must be a whole number from 1 to 200"),
        ("/api/v1/positions?limit=201", "limit must be a whole number from 1 to 200"),
        ("/api/v1/positions?limit=-1", "limit must be a whole number"),
        ("/api/v1/positions?limit=1e2", "limit must be a whole number"),
        ("/api/v1/positions?limit=%D9%A3", "limit must be a whole number"),
        ("/api/v1/positions?limit=", "limit must be a whole number"),
        ("/api/v1/positions?limit=5&limit=6", "limit is given twice"),
        ("/api/v1/positions?offset=9999999999", "offset must be a whole number"),
        ("/api/v1/positions?limits=5", "a parameter is not known; this path takes offset, limit"),
        ("/api/v1/positions/cake-bnb?live=1", "a parameter is not known; this path takes no parameters"),
        ("/api/v1/report?window=31d", "window must be one of 24h, 7d, 30d"),
        ("/api/v1/report?position=../../etc", "position must look like cake-bnb"),
        ("/api/v1/decisions", "position is needed"),
        ("/api/v1/decisions?position=", "position must look like cake-bnb"),
        ("/api/v1/positions?limit", "not of the form name=value"),
        ("/api/v1/positions?" + "&".join(f"a{n}=1" for n in range(40)), "not of the form"),
        (f"{OPENAPI}?x=1", "takes no parameters"),
    ],
)
def test_a_wrong_question_is_refused_in_a_sentence(server, path, said):
    status, found = told(server, path)
    assert status == 400
    assert found["error"]["status"] == 400
    assert said in found["error"]["text"]


def test_nothing_that_was_sent_is_repeated(server):
    for path in ("/api/v1/positions?%3Cscript%3E=1", "/api/v1/positions?limit=%3Cscript%3E", "/api/v1/%3Cscript%3E"):
        assert "script" not in ask(server, path)[2]


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/v1/",
        "/api/v1/positions/",
        "/api/v1/positions/nobody",
        "/api/v1/positions/cake%2Dbnb",
        "/api/v1/positions/../positions",
        "/api/v1/positions/CAKE",
        "/api/v1/positions/cake-bnb/x",
        "/api/v2/positions",
        "/api/v1/report?position=gone",
    ],
)
def test_what_is_not_there_is_not_found(server, path):
    assert ask(server, path)[0] == 404


def test_it_only_reads_and_is_hardened_like_the_rest_of_the_port(server):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, "/api/v1/positions", method)[0] == 405
    status, headers, body = ask(server, "/api/v1/positions", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 10
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert ask(server, "/api/v1/positions", headers={"Host": "evil.example"})[0] == 421


def test_a_journal_that_cannot_be_read_is_told_without_its_place(server, source):
    source.broken = True
    status, headers, body = ask(server, "/api/v1/positions")
    assert (status, headers["Retry-After"]) == (503, "2")
    assert "secret" not in body
    assert "`keeper doctor`" in body


def test_slow_questions_do_not_keep_probes_out_and_further_ones_are_turned_away(server, source):
    source.gate.clear()
    results = []
    slow = [
        threading.Thread(target=lambda: results.append(ask(server, "/api/v1/positions", timeout=20)[0]))
        for _ in range(AT_ONCE)
    ]
    for thread in slow:
        thread.start()
    deadline = time.monotonic() + 5
    while source.inside < AT_ONCE and time.monotonic() < deadline:
        time.sleep(0.01)
    status, found = told(server, "/api/v1/positions")
    assert status == 503
    assert "too many questions at once" in found["error"]["text"]
    assert ask(server, "/healthz")[0] == 200
    assert ask(server, OPENAPI)[0] == 200
    source.gate.set()
    for thread in slow:
        thread.join(10)
    assert results == [200] * AT_ONCE
    assert ask(server, "/api/v1/positions")[0] == 200


def test_without_a_source_there_is_no_api():
    with OpsServer(("127.0.0.1", 0), Healthy(), bytes) as bare:
        assert ask(bare, "/api/v1/positions")[0] == 404


@given(st.text(max_size=60))
def test_no_query_does_anything_but_pass_or_be_refused(query):
    for route in ROUTES:
        try:
            found = read_query(query, route.params)
        except BadQuestion:
            continue
        assert set(found) == {param.name for param in route.params}
        for param in route.params:
            if param.high is not None:
                assert param.low <= found[param.name] <= param.high


# ---------------------------------------------------------------------------- the documents


def test_the_openapi_document_is_served_and_committed_as_it_is(server):
    served = told(server, OPENAPI)[1]
    assert served.pop("schema", None) is None
    assert served == json.loads(json.dumps(document())) == json.loads(COMMITTED.read_text())


def test_every_reference_in_it_leads_somewhere():
    found = json.dumps(document())
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', found):
        place = document()
        for part in reference.split("/"):
            place = place[part]
        assert place
    operations = [path["get"]["operationId"] for path in document()["paths"].values()]
    assert sorted(operations) == sorted(set(operations))


def test_the_page_tells_every_path_and_parameter():
    page = PAGE.read_text()
    for route in ROUTES:
        section = page.partition(f"## `{route.path}`")[2].partition("\n## ")[0]
        assert route.schema in section, route.path
        for param in route.params:
            assert f"`{param.name}`" in section, (route.path, param.name)
        for key, _ in route.keys:
            assert key == "(all)" or f"`{key}`" in section, (route.path, key)
    assert all(f"`{name}`" in page for name in NAMES)
    assert OPENAPI in page


def test_every_path_stands_on_the_ports_own_page(server):
    assert OPENAPI in ask(server, "/")[2]
