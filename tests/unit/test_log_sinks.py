"""Fan-out, queueing, heartbeat."""

from __future__ import annotations

import logging
import socket
import threading
import time

from keeper.domain.events import Event, EventName
from keeper.notify.fanout import Fanout, Queued
from keeper.notify.heartbeat import Heartbeat
from keeper.notify.log import LogSink
from keeper.notify.metrics import MetricsSink
from keeper.ports import EventSink


class Recorder:
    def __init__(self):
        self.seen = []

    def emit(self, event):
        self.seen.append(event.fields["n"])


class Broken:
    def emit(self, event):
        raise RuntimeError("no")


class Slow(Recorder):
    def __init__(self):
        super().__init__()
        self.gate = threading.Event()

    def emit(self, event):
        assert self.gate.wait(10)
        super().emit(event)


def event(n=0):
    return Event(EventName.CYCLE_DONE, fields={"n": n})


def test_every_sink_fits_the_port(tmp_path):
    with Queued(Recorder()) as queued:
        for sink in (Fanout(), queued, LogSink(), MetricsSink()):
            assert isinstance(sink, EventSink)


def test_a_failing_sink_harms_nobody_and_is_named_once(caplog):
    first, last = Recorder(), Recorder()
    fanout = Fanout(first, Broken(), last)
    with caplog.at_level(logging.WARNING, "keeper.notify"):
        for n in range(3):
            fanout.emit(event(n))
    assert first.seen == last.seen == [0, 1, 2]
    assert fanout.failures == {"Broken": 3}
    assert [record.message for record in caplog.records] == [
        "Broken failed on cycle.done; keeper goes on without it being told"
    ]


def test_a_slow_sink_does_not_block_and_loses_the_oldest():
    slow = Slow()
    with Queued(slow, size=3) as queued:
        begun = time.monotonic()
        for n in range(10):
            queued.emit(event(n))
            if n == 0:
                while queued._waiting:  # the thread has taken the first one and hangs in it
                    time.sleep(0.001)
        assert time.monotonic() - begun < 1
        assert queued.dropped == 6
        slow.gate.set()
        assert queued.flush()
        assert slow.seen == [0, 7, 8, 9]


def test_closing_gives_what_is_queued_and_refuses_more():
    recorder = Recorder()
    queued = Queued(recorder)
    for n in range(100):
        queued.emit(event(n))
    assert queued.close()
    assert recorder.seen == list(range(100))
    queued.emit(event(100))
    assert queued.dropped == 1


def test_closing_gives_up_on_a_stuck_sink():
    slow = Slow()
    queued = Queued(slow)
    queued.emit(event(0))
    queued.emit(event(1))
    assert not queued.close(timeout=0.1)
    assert queued.dropped >= 1
    slow.gate.set()


def test_a_failing_sink_behind_a_queue_does_not_stop_the_thread():
    with Queued(Broken()) as queued:
        for n in range(5):
            queued.emit(event(n))
        assert queued.flush()
        assert queued.close()


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_heartbeat_file_is_replaced_whole_and_not_more_than_once_a_second(tmp_path):
    clock = Time()
    heart = Heartbeat(tmp_path / "heartbeat", environ={}, wall=clock, monotonic=clock)
    assert heart.age() is None
    assert heart.beat()
    first = (tmp_path / "heartbeat").stat()
    clock.now += 0.5
    assert heart.beat()
    assert (tmp_path / "heartbeat").stat().st_ino == first.st_ino
    assert heart.age() == 0.5
    clock.now += 1
    assert heart.beat()
    assert (tmp_path / "heartbeat").read_text().startswith("1002 ")
    assert [path.name for path in tmp_path.iterdir()] == ["heartbeat"]
    assert heart.last_beat == 1001.5
    heart.stop()
    assert not list(tmp_path.iterdir())


def test_a_heartbeat_that_cannot_be_written_says_why_and_recovers(tmp_path):
    folder = tmp_path / "state"
    heart = Heartbeat(folder / "heartbeat", environ={})
    assert not heart.beat()
    assert "No such file" in heart.error
    folder.mkdir()
    assert heart.beat()
    assert heart.error == ""
    assert (folder / "heartbeat").exists()


def test_systemd_hears_ready_watchdog_and_stopping(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        heart = Heartbeat(tmp_path / "heartbeat", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        heart.beat()
        assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"
        heart.stop()
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_missing_systemd_is_no_fault(tmp_path):
    assert Heartbeat(tmp_path / "heartbeat", environ={"NOTIFY_SOCKET": str(tmp_path / "gone")}).beat()
