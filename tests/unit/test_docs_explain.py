"""The screens of docs/how-to/read-explain.md are what the command prints; with KEEPER_WRITE_DOCS=1 they are written anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from explain_kit import SITUATIONS, Situation, explained, stage

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-explain.md"
BLOCK = re.compile(r"(<!-- explain ([a-z-]+) -->\n```text\n)(.*?)(```\n)", re.DOTALL)

#: Columns of the terminal that the page shows.
WIDTH = 100


def rows(out: str) -> list[tuple[str, list[str]]]:
    """The printed lines by label; the first line's label is empty."""
    found: list[tuple[str, list[str]]] = []
    for line in out.splitlines():
        label = re.match(r"  (\w+(?: \w+)?)  ", line)
        if not found:
            found.append(("", [line]))
        elif label:
            found.append((label[1], [line]))
        else:
            found[-1][1].append(line)
    return found


def screen(situation: Situation, out: str) -> str:
    """What the page shows of it: everything, or the named lines with dots for what is left out."""
    wanted = None if situation.shows is None else {"", "why", "next", "and", *situation.shows}
    lines: list[str] = []
    for label, printed in rows(out):
        if wanted is None or label in wanted:
            lines += printed
        elif lines[-1] != "  ...":
            lines.append("  ...")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("situation", SITUATIONS, ids=[situation.name for situation in SITUATIONS])
def test_the_page_shows_what_the_command_prints(situation, tmp_path, capsys, monkeypatch):
    stage(situation, tmp_path, monkeypatch)
    printed = screen(situation, explained(capsys, monkeypatch, WIDTH))
    text = PAGE.read_text()
    shown = {match[2]: match[3] for match in BLOCK.finditer(text)}
    if os.environ.get("KEEPER_WRITE_DOCS"):
        PAGE.write_text(BLOCK.sub(lambda m: m[1] + (printed if m[2] == situation.name else m[3]) + m[4], text))
        return
    assert shown[situation.name] == printed, "KEEPER_WRITE_DOCS=1 pytest tests/unit/test_docs_explain.py writes it anew"


def test_every_situation_has_its_place_on_the_page_and_every_place_its_situation():
    assert [match[2] for match in BLOCK.finditer(PAGE.read_text())] != []
    assert {match[2] for match in BLOCK.finditer(PAGE.read_text())} == {situation.name for situation in SITUATIONS}
