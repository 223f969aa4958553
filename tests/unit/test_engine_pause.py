"""What a pause is: a flag or a file, whatever stands in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.engine.pause import PAUSE, kill_pause, pause_of, paused_text, stop_of
from keeper.store import open_store


@given(st.text(), st.integers(0, 4_000_000_000))
def test_reason_and_time_come_back(reason, moment):
    stop = pause_of(paused_text(reason, moment))
    assert stop.since == moment
    assert stop.reason == (" ".join(reason.split()) or "no reason given")
    assert "`keeper resume`" in stop.text


@given(st.text())
def test_whatever_stands_in_the_flag_pauses(value):
    stop = pause_of(value)
    assert stop is not None
    assert stop.reason


def test_no_flag_and_no_file_stop_nothing(tmp_path):
    assert pause_of(None) is None
    assert kill_pause(None) is None
    assert kill_pause(tmp_path / "PAUSE") is None
    assert kill_pause(tmp_path / "a-file-in-the-way" / "PAUSE") is None


def test_a_file_stops_whatever_is_in_it(tmp_path):
    file = tmp_path / "PAUSE"
    file.touch()
    assert kill_pause(file).text == f"the file {file} stops it; remove it to go on"
    file.write_bytes(b"\xff\x00odd \x1b[2J price\nsecond line" + b"x" * 5_000)
    assert "odd [2J price second line" in kill_pause(file).reason
    assert len(kill_pause(file).text) < 500
    file.unlink()
    file.mkdir()  # a folder of that name was meant as well
    assert kill_pause(file).file == file


def test_the_file_comes_before_the_flag(tmp_path):
    store, file = open_store(tmp_path / "keeper.db"), tmp_path / "PAUSE"
    try:
        assert stop_of(store, file) is None
        store.set_flag(PAUSE, paused_text("by hand", 1_700_000_000))
        assert stop_of(store, file).reason == "by hand"
        file.write_text("by file")
        assert stop_of(store, file).reason == "by file"
    finally:
        store.close()
