"""Turn what a terminal showed into parts of a page: nothing of one machine, lines of a bearable width."""

# ruff: noqa: INP001
from __future__ import annotations

import re
import socket
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["Plain", "fill", "parts_of"]

#: When the day begins on the page.
_BEGIN: Final = datetime(2030, 1, 7, 3, 0, 0, tzinfo=UTC)

#: Characters of a line on the page, and the column at which a broken one goes on.
_WIDTH: Final = 116
_INDENT: Final = " " * 18

_MARKED: Final = re.compile(r"(<!-- bad-day: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_STAMP: Final = re.compile(r"^(\d\d):(\d\d):(\d\d) ")
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d)(:\d\d)?")
_HASH: Final = re.compile(r"(?<![0-9a-f])(0x[0-9a-f]{6})[0-9a-f]{54}([0-9a-f]{4})\b")
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Plain:
    """Takes out of a line what another machine, or another run at another hour, would have differently."""

    def __init__(self, begun: datetime, names: Mapping[str, str]) -> None:
        """``begun`` is when the day really began (UTC), ``names`` what is to be called otherwise."""
        self._shift = _BEGIN - begun
        self._names = dict(names) | {f" on {socket.gethostname()}": " on this-host"}
        self._processes: list[str] = []

    def __call__(self, line: str) -> str:
        """Return the line as the page has it."""
        for real, shown in self._names.items():
            line = line.replace(real, shown)
        line = _DATE.sub(self._date, line)
        line = re.sub(r"\bprocess (\d+)\b", self._process, line)
        colour, _, rest = line.partition("m") if line.startswith("\x1b[") else ("", "", line)
        rest = _STAMP.sub(self._clock, rest) if not colour else re.sub(r"^\d\d:\d\d:\d\d", self._clock, rest)
        return _HASH.sub(r"\1..\2", f"{colour}m{rest}" if colour else rest).rstrip()

    def _clock(self, match: re.Match[str]) -> str:
        hours, minutes, seconds = (int(part) for part in match[0].strip().split(":"))
        moment = datetime(2000, 1, 2, hours, minutes, seconds, tzinfo=UTC) + self._shift
        return f"{moment:%H:%M:%S}" + " " * match[0].endswith(" ")

    def _date(self, match: re.Match[str]) -> str:
        form = "%Y-%m-%d %H:%M:%S" if match[2] else "%Y-%m-%d %H:%M"
        moment = datetime.strptime(match[0], form).replace(tzinfo=UTC) + self._shift
        return (moment + timedelta(seconds=0)).strftime(form)

    def _process(self, match: re.Match[str]) -> str:
        if match[1] not in self._processes:
            self._processes.append(match[1])
        return f"process {4001 + self._processes.index(match[1])}"


def parts_of(page: str) -> list[str]:
    """Name the parts that a page has room for, in order."""
    return [match[2] for match in _MARKED.finditer(page)]


def fill(page: str, parts: Mapping[str, Sequence[str]]) -> str:
    """Put each part between its markers; what stood there goes. Every part must have its place, and the other way."""
    if parts_of(page) != list(parts):
        raise SystemExit(f"the page has room for {parts_of(page)}, and the day has {list(parts)}")
    return _MARKED.sub(lambda m: f"{m[1]}\n```text\n{_block(parts[m[2]])}\n```\n\n{m[4]}", page)


def _block(lines: Sequence[str]) -> str:
    return "\n".join(_broken(_ANSI.sub("", line)) for line in lines)


def _broken(line: str) -> str:
    """Break a log line that is too long; tables are left as they are."""
    if len(line) <= _WIDTH or not _STAMP.match(line):
        return line
    return "\n".join(
        textwrap.wrap(
            line,
            _WIDTH,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    )
