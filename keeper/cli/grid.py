"""Tables that fit the terminal: addresses are shortened, then columns move to a second line, before anything folds."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["draw", "room"]

#: Spaces between two columns.
_GAP: Final = 2

#: Most spaces before what continues a row.
_INDENT: Final = 4

#: Addresses and transaction hashes.
_LONG_HEX = re.compile(r"\b0x([0-9a-fA-F]{4})[0-9a-fA-F]{32,}([0-9a-fA-F]{4})\b")

_BOLD, _FAINT, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def room() -> int | None:
    """Columns of the terminal that stdout is; ``None`` where it is none, and nothing needs to fit."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size((80, 24)).columns


def draw(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], width: int | None, *, colour: bool
) -> list[str]:
    """Lay a table out in lines.

    Args:
        headers: one for each column.
        rows: cells; control characters in them are shown as ``?``.
        right: columns that align right.
        width: columns that there are; ``None`` for as many as it takes.
        colour: whether to mark the header, and what continues a row, by more than their place.
    """
    cells = [tuple(_clean(cell) for cell in row) for row in rows]
    if width is not None and _wide(headers, cells) > width:
        cells = [tuple(_LONG_HEX.sub(r"0x\1..\2", cell) for cell in row) for row in cells]
    kept = len(headers) if width is None else _fitting(headers, cells, width)
    widths = _widths(headers, cells)[:kept]
    lines = [_line(headers, widths, right)]
    if colour:
        lines = [f"{_BOLD}{lines[0]}{_PLAIN}", f"{_FAINT}{'─' * min(_total(widths), width or _total(widths))}{_PLAIN}"]
    indent = " " * min(widths[0] + _GAP, _INDENT)
    for row in cells:
        lines.append(_line(row, widths, right))
        more = ", ".join(f"{header} {cell}" for header, cell in zip(headers[kept:], row[kept:], strict=True))
        lines += [f"{_FAINT}{line}{_PLAIN}" if colour else line for line in _flow(more, indent, width)]
    return lines


def _clean(cell: str) -> str:
    """Tokens name themselves: their symbols must not reach the terminal as commands."""
    return cell if cell.isprintable() else "".join(c if c.isprintable() else "?" for c in cell)


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _wide(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return _total(_widths(headers, rows))


def _fitting(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """Count the leading columns that fit side by side; at least one."""
    widths = _widths(headers, rows)
    return max((n for n in range(1, len(widths) + 1) if _total(widths[:n]) <= width), default=1)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=False))
    ]
    return (" " * _GAP).join(padded).rstrip()


def _flow(text: str, indent: str, width: int | None) -> list[str]:
    """Break what continues a row between its parts, where it must be broken."""
    lines: list[str] = []
    for part in text.split(", ") if text else ():
        if lines and (width is None or len(lines[-1]) + len(part) + 2 <= width):
            lines[-1] += f", {part}"
        else:
            lines.append(indent + part)
    return lines
