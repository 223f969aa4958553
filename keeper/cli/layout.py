"""Labelled lines with a figure and phrases, broken between phrases where the terminal ends, inside one if it must."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NEW_LINE", "Row", "head", "lay_out"]

#: Between phrases: what follows begins a line.
NEW_LINE: Final = "\n"

#: Between phrases on one line.
_BETWEEN: Final = " · "

#: Columns that phrases fill where stdout is no terminal.
_PLAIN: Final = 120

#: Columns beyond which nothing is set to the right.
_WIDEST: Final = 100

#: Room below which breaking sentences makes them worse.
_NARROW: Final = 24


#: A command in backquotes that is not broken, if it is no longer than this.
_COMMAND: Final = re.compile(r"`[^`]{1,40}`")

#: The space between a number and its unit, or around an equals sign.
_INSIDE: Final = re.compile(r"(?<=\d) (?=(?:gwei|min|[dhsy]|%|more|a year)(?:\W|$))|(?<=\*) (?==)|(?<==) (?=[\d$])")

_GLUE: Final = "\xa0"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled line; an empty label continues the one above."""

    label: str
    #: Phrases, and ``NEW_LINE`` between them.
    phrases: Sequence[str]
    #: What the label is worth, in a column of its own; the phrases begin in that column where there is none.
    figure: str = ""
    #: Whether phrases may share a line.
    packed: bool = field(default=True)


def head(left: str, right: str, width: int | None) -> list[str]:
    """Set two texts at the ends of a line; on two lines where they do not fit, side by side outside a terminal."""
    if width is None:
        return [f"{left}    {right}"]
    gap = min(width, _WIDEST) - len(left) - len(right)
    return [left + " " * gap + right] if gap >= 2 else [left, f"  {right}"]


def lay_out(rows: Sequence[Row], width: int | None, *, indent: int = 2) -> list[str]:
    """Lay rows out in lines.

    Args:
        rows: what to show.
        width: columns that there are; ``None`` outside a terminal: then no phrase is ever broken.
        indent: spaces before each label.
    """
    labels = max((len(row.label) for row in rows), default=0)
    figures = max((len(row.figure) for row in rows), default=0)
    lines: list[str] = []
    for row in rows:
        start = indent + labels + 2
        begin = f"{' ' * indent}{row.label.ljust(labels)}  "
        if row.figure:
            begin += f"{row.figure.ljust(figures)}   "
            start += figures + 3
        packed = _pack(row, (width or _PLAIN) - start, breaks=width is not None)
        lines.append((begin + (packed[0] if packed else "")).rstrip())
        lines += [" " * start + line for line in packed[1:]]
    return lines


def _pack(row: Row, room: int, *, breaks: bool) -> list[str]:
    """Put phrases on as few lines as hold them."""
    lines: list[str] = []
    fresh = True
    for phrase in row.phrases:
        if phrase == NEW_LINE:
            fresh = True
            continue
        joined = f"{lines[-1]}{_BETWEEN}{phrase}" if lines else phrase
        if not fresh and row.packed and len(joined) <= room:
            lines[-1] = joined
        else:
            lines += _broken(phrase, room) if breaks else [phrase]
        fresh = False
    return lines


def _broken(phrase: str, room: int) -> list[str]:
    """Break a phrase between words; numbers keep their units, and commands stay whole where there is room."""
    if len(phrase) <= room or room < _NARROW:
        return [phrase]
    glued = _INSIDE.sub(_GLUE, phrase)
    glued = _COMMAND.sub(lambda m: m[0].replace(" ", _GLUE) if len(m[0]) < room - 2 else m[0], glued)
    lines = textwrap.wrap(glued, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]
