"""The log: the shape of a line, levels, colour, libraries' loggers, and streams that nobody reads."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from keeper.domain.events import Event, EventName, Level
from keeper.notify.log import LogSink, configure
from keeper.notify.redact import Redactor

CYCLE = Event(
    EventName.CYCLE_DONE,
    fields={
        "chain": "bnb",
        "positions": 214,
        "calls": 3,
        "ms": 41,
        "due": 0,
        "next": "cake-bnb in 11 d, or gas <= 0.008 gwei",
    },
)
SENT = Event(
    EventName.HARVEST_SENT,
    fields={"position": "cake-usdt", "leg": 1, "legs": 4, "nonce": 88, "bid_gwei": "0.12", "ok": True},
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(form, *events, level="info", environ=None, stream=None):
    stream = stream if stream is not None else io.StringIO()
    sink = LogSink(form, level, stream, Redactor(), environ or {})
    for event in events:
        sink.emit(event)
    return stream.getvalue().splitlines()


def test_a_console_line_has_time_event_and_fields():
    line = lines("console", CYCLE)[0]
    assert (
        line[8:]
        == ' cycle.done      chain=bnb positions=214 calls=3 ms=41 due=0 next="cake-bnb in 11 d, or gas <= 0.008 gwei"'
    )
    time.strptime(line[:8], "%H:%M:%S")


def test_legs_are_one_word_on_the_console_and_two_numbers_in_json():
    assert lines("console", SENT)[0].endswith(
        "harvest.sent    position=cake-usdt leg=1/4 nonce=88 bid_gwei=0.12 ok=yes"
    )
    record = json.loads(lines("json", SENT)[0])
    assert (record["leg"], record["legs"], record["ok"]) == (1, 4, True)


def test_the_console_leaves_out_what_only_programs_read_and_json_has_it():
    fields = {"leg": 1, "legs": None, "plan": "0f" * 16, "cost_wei": 5, "received": "", "attempt": 1, "gas": 7}
    event = Event(EventName.HARVEST_MINED, fields=fields)
    assert lines("console", event)[0][9:] == "harvest.mined   leg=1 gas=7"
    assert {key: value for key, value in json.loads(lines("json", event)[0]).items() if key in fields} == fields
    again = Event(EventName.HARVEST_SENT, fields=fields | {"attempt": 2})
    assert lines("console", again)[0].endswith("leg=1 attempt=2 gas=7")


def test_a_json_line_has_iso_time_level_and_event_first():
    record = json.loads(lines("json", CYCLE)[0])
    assert list(record)[:3] == ["timestamp", "level", "event"]
    assert (record["level"], record["event"], record["positions"]) == ("info", "cycle.done", 214)
    assert record["timestamp"].endswith("Z")
    assert "T" in record["timestamp"]


def test_warnings_say_so_and_debug_is_left_out():
    failed = Event(EventName.RPC_FAILED, Level.WARNING, {"chain": "bnb"})
    polled = Event(EventName.GAS_POLLED, Level.DEBUG, {"chain": "bnb"})
    assert [line[9:] for line in lines("console", failed, polled)] == ["rpc.failed      level=warning chain=bnb"]
    assert len(lines("json", failed, polled, level="debug")) == 2
    assert len(lines("json", failed, CYCLE, level="warning")) == 1


def test_auto_is_console_on_a_terminal_and_json_elsewhere():
    assert lines("auto", CYCLE)[0].startswith("{")
    assert "cycle.done" in lines("auto", CYCLE, stream=Terminal())[0]
    assert not lines("auto", CYCLE, stream=Terminal())[0].startswith("{")


@pytest.mark.parametrize(
    ("environ", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_the_environment(environ, terminal, coloured):
    line = lines("console", CYCLE, environ=environ, stream=Terminal() if terminal else io.StringIO())[0]
    assert ("\x1b[" in line) is coloured


def test_json_is_never_coloured():
    assert "\x1b" not in lines("json", CYCLE, environ={"FORCE_COLOR": "1"})[0]


def test_text_from_a_chain_cannot_forge_lines_or_move_the_cursor():
    evil = Event(
        EventName.RPC_FAILED, fields={"error": "x\n12:00:00 harvest.done\x1b[2J\x9b2J\u2028\u202e", "bad\nkey": 1}
    )
    for form in ("console", "json"):
        out = lines(form, evil)
        assert len(out) == 1
        assert out[0].isprintable()


def test_odd_values_never_raise():
    odd = Event(
        EventName.RPC_FAILED,
        fields={
            "surrogate": "\ud800",
            "none": None,
            "self": 1,
            "event": "x",
            "level": 3,
            "timestamp": 4,
            "object": object(),
            "set": {1},
        },
    )
    for form in ("console", "json"):
        assert len(lines(form, odd)) == 1
    assert json.loads(lines("json", odd)[0])["event"] == "rpc.failed"


def test_library_loggers_come_out_as_lines_from_warning_up():
    stream = io.StringIO()
    with configure("json", "debug", stream):
        for name in (
            "web3.providers",
            "urllib3.connectionpool",
            "apscheduler.scheduler",
            "alembic.runtime",
            "sqlalchemy.engine",
        ):
            logging.getLogger(name).warning("%s of %s", name, "https://u:p@node.example/key")
            logging.getLogger(name).info("not for operators")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old api", UserWarning, stacklevel=1)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["logger"] for record in records[:2]] == ["web3.providers", "urllib3.connectionpool"]
    assert records[0]["message"] == "web3.providers of https://node.example/***"
    assert len(records) == 6
    assert "old api" in records[5]["message"]
    logging.getLogger("web3").warning("after close")
    assert len(stream.getvalue().splitlines()) == 6


def test_tracebacks_are_indented_on_the_console_and_redacted():
    stream = io.StringIO()
    with configure("console", stream=stream, redactor=Redactor(["correct horse"])):
        try:
            raise ValueError("correct horse\n12:00:00 harvest.done forged")
        except ValueError:
            logging.getLogger("urllib3").exception("failed")
    out = stream.getvalue().splitlines()
    assert "library.message" in out[0]
    assert all(line.startswith("    ") for line in out[1:])
    assert "    ValueError: ***" in out


def test_a_closed_stream_is_survived_and_counted():
    stream = io.StringIO()
    sink = LogSink("json", stream=stream)
    stream.close()
    sink.emit(CYCLE)
    assert sink.dropped == 1


def test_a_broken_pipe_is_survived():
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    sink = LogSink("json", stream=stream)
    os.close(reader)
    sink.emit(CYCLE)
    assert sink.dropped == 1
    stream.close()


def test_a_pipe_that_nobody_reads_costs_lines_but_no_time():
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    sink = LogSink("json", stream=stream)
    done = threading.Event()

    def flood():
        for _ in range(2000):
            sink.emit(CYCLE)
        done.set()

    threading.Thread(target=flood, daemon=True).start()
    assert done.wait(10), "the log blocked on a full pipe"
    assert 0 < sink.dropped < 2000
    received = os.read(reader, 1 << 20).decode()
    assert all(json.loads(line)["event"] == "cycle.done" for line in received.splitlines()[:-1])
    before = sink.dropped
    sink.emit(CYCLE)
    assert sink.dropped == before, "writes again once the reader is back"
    stream.close()
    os.close(reader)


def test_importing_the_log_loads_neither_structlog_nor_prometheus():
    code = "import sys, keeper.notify.log, keeper.notify.metrics, keeper.web.server; print(*{'structlog', 'prometheus_client', 'web3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
