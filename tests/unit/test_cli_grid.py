"""Tables on narrow and wide terminals: nothing folds, nothing is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.cli.grid import draw

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
HEADERS = ("position", "chain", "owner", "target", "signer")
ROWS = [("uni-farm", "local", ADDRESS, ADDRESS, "farm"), ("b", "bnb", ADDRESS, "-", "-")]
LEDGER = ("time (UTC)", "position", "state", "received", "worth", "compounded", "cost", "predicted")
DONE = ("2026-12-01 00:01", "sushi-chef", "done", "674.658 SUSHI", "$674.66", "6.13905 UNI-V2", "$1.55", "$673.57")


def test_a_pipe_gets_all_of_it():
    lines = draw(HEADERS, ROWS, (), None, colour=False)
    assert len(lines) == 3
    assert lines[1].count(ADDRESS) == 2
    assert lines[1].startswith("uni-farm  local  0x70997970C51812dc3A010C7d01b50e0d17dc79C8")


def test_addresses_are_shortened_before_anything_moves():
    lines = draw(HEADERS, ROWS, (), 80, colour=False)
    assert len(lines) == 3
    assert "0x7099..79C8" in lines[1]
    assert max(map(len, lines)) <= 80
    assert draw(HEADERS, ROWS, (), 200, colour=False) == draw(HEADERS, ROWS, (), None, colour=False)


def test_columns_that_do_not_fit_continue_the_row_by_name():
    lines = draw(LEDGER, [DONE], (4, 6), 80, colour=False)
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[0] == "time"
    assert "cost $1.55" in lines[2]
    assert "predicted $673.57" in " ".join(lines[2:])


def test_a_token_cannot_command_the_terminal():
    (_, line) = draw(("token",), [("\x1b[2JEVIL\n",)], (), 80, colour=False)
    assert line == "?[2JEVIL?"


def test_colour_marks_the_header():
    lines = draw(("a", "b"), [("1", "2")], (), 80, colour=True)
    assert lines[0] == "\x1b[1ma  b\x1b[0m"
    assert "─" in lines[1]


CELLS = st.text(st.characters(codec="ascii", exclude_categories=("C",)), max_size=12).map(lambda s: s.replace(",", ";"))


@given(st.data(), st.integers(1, 6), st.integers(30, 140))
def test_every_cell_is_there_and_a_line_is_never_wider_than_it_must_be(data, columns, width):
    headers = [f"h{n}" for n in range(columns)]
    rows = data.draw(st.lists(st.tuples(*[CELLS] * columns), max_size=4))
    lines = draw(headers, rows, (), width, colour=False)
    text = re.sub(r"\s+", "", "".join(lines))
    assert all(re.sub(r"\s+", "", cell) in text for row in rows for cell in row)
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_rows_of_real_tables_fit(width):
    for headers, rows in ((HEADERS, ROWS), (LEDGER, [DONE])):
        assert all(len(line) <= width for line in draw(headers, rows, (), width, colour=False))
