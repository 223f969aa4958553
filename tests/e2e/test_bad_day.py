"""The page about a bad day is a recording: its marks are whole, its commands exist, and the tool still plays."""

from __future__ import annotations

import re
import shlex
import signal

import click
import pytest

from keeper.cli import cli
from tools import bad_day
from tools.bad_day_page import fill, parts_of
from tools.bad_day_stage import Place

PAGE = bad_day.PAGE.read_text()


def test_every_part_of_the_page_is_filled_and_the_tool_would_fill_it_again():
    parts = parts_of(PAGE)
    assert parts == [
        "start",
        "lie",
        "dies",
        "back",
        "spike",
        "kill",
        "reorg",
        "ride",
        "calm",
        "stuck",
        "cancel",
        "resume",
        "books",
        "chain",
    ]
    assert PAGE.count("<!-- bad-day: ") == PAGE.count("<!-- end -->") == len(parts)
    empty = fill(PAGE, {part: ["nothing"] for part in parts})
    assert empty.count("```text\nnothing\n```") == len(parts)
    with pytest.raises(SystemExit, match="the page has room for"):
        fill(PAGE, {"start": []})


def test_every_command_that_was_typed_exists_with_its_options():
    typed = re.findall(r"^\$ keeper (.*)$", PAGE, re.MULTILINE)
    assert len(typed) >= 8
    for line in typed:
        command, words = cli, shlex.split(line)
        while isinstance(command, click.Group):
            command, words = command.get_command(click.Context(command), words[0]), words[1:]
            assert command is not None, line
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_the_page_shows_what_it_promises_and_nothing_of_one_machine():
    for event in (
        "rpc.failed",
        "rpc.recovered",
        "rpc.disagreed",
        "harvest.resumed",
        "tx.reorged",
        "tx.stuck",
        "tx.cancelled",
        "lane.paused",
        "lane.resumed",
    ):
        assert f" {event} " in PAGE, event
    assert "each executed exactly once" in PAGE
    assert "127.0.0.1" not in PAGE
    assert not re.search(r"0x[0-9a-f]{64}", PAGE)
    assert "***" not in PAGE, "a transaction that a person has to look for was hidden"


@pytest.mark.devnet
@pytest.mark.slow
def test_the_day_begins_with_a_liar_and_survives_kill_9(tmp_path):
    with Place(tmp_path) as place:
        day = bad_day.Day(place)
        try:
            bad_day.ordinary(day)
            bad_day.lie(day)
            killed = bad_day.kill(day)
        finally:
            for daemon in day.daemons:
                daemon.end(signal.SIGKILL)
        assert len(place.times_sent(killed)) > len(place.proxies), "it went out again after the restart"
        (mined,) = [tx for tx in place.executed() if tx["hash"] == killed]
        assert mined["receipt"]["status"] == "0x1"
    (told,) = [line.text for line in day.parts["lie"] if "rpc.disagreed" in line.text]
    assert "***" not in told
    assert "outvote" in told
    assert any("harvest.resumed" in line.text for line in day.parts["kill"])
