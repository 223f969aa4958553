"""Draws what each policy had gained over never compounding, day by day, in dollars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from keeper.backtest.canvas import INK, OWN, line_style, picture
from keeper.backtest.results import CLAIRVOYANT
from keeper.backtest.standing import NEVER, REAL, Line, Standing
from keeper.domain.money import WAD
from keeper.strategy.policies import DEFAULT

__all__ = ["draw_money"]

#: Points of a line: more than the picture has columns.
_POINTS: Final = 900

#: Least distance between two labels, in heights of the picture.
_APART: Final = 0.048

#: Whose lines are seen whole, if they do not lead too far down.
_SHOWN: Final = frozenset({DEFAULT, CLAIRVOYANT, REAL})

#: How far below never the picture reaches, in heights above it: what lies deeper only burns money.
_DEPTH: Final = 0.6


def draw_money(standing: Standing, file: Path, title: str) -> None:
    """Write the picture, SVG or PNG by the name's ending; the same bytes for the same standing.

    Raises:
        KeeperError: the ending is neither, or the file cannot be written.
    """
    every = max(len(standing.times) // _POINTS, 1)
    places = sorted({*range(0, len(standing.times), every), len(standing.times) - 1})
    times = [datetime.fromtimestamp(standing.times[place], UTC) for place in places]
    lines = sorted((line for line in standing.lines if line.name != NEVER), key=lambda line: -line.gained)
    with picture(file) as axes:
        low, high = _span(lines)
        axes.set_ylim(low, high)
        others = 0
        for line, height in zip(lines, _heights(lines, low, high), strict=True):
            colour, style, width = _look(line.name, others)
            others += line.name not in {DEFAULT, CLAIRVOYANT, REAL}
            own = line.name == DEFAULT
            axes.plot(
                times, [line.marks[p] / WAD for p in places], style, color=colour, linewidth=width, zorder=2 + own
            )
            mark = "↓ " if line.gained / WAD < low else ""  # where it ends is not in the picture
            text = f"{mark}{line.name}  {_dollars(line.gained / WAD)}"
            _label(axes, text, colour, height, bold=line.name in {DEFAULT, REAL})
        _frame(axes, title)


def _span(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the least and the highest dollars that are drawn."""
    best = max((line.gained for line in lines), default=0) / WAD
    lowest = min((mark for line in lines for mark in line.marks), default=0) / WAD
    if best <= 0:
        return (lowest * 1.05, -lowest * 0.1) if lowest < 0 else (-1.0, 1.0)
    own = min((mark for line in lines if line.name in _SHOWN for mark in line.marks), default=0) / WAD
    floor = min(-_DEPTH * best, max(1.05 * own, -2.0 * best))
    return max(lowest * 1.05, floor) if lowest < 0 else -0.04 * best, 1.06 * best


def _look(name: str, place: int) -> tuple[str, str, float]:
    """Return colour, dashes and width of a line."""
    if name == DEFAULT:
        return OWN, "-", 3.0
    if name == CLAIRVOYANT:
        return INK, "--", 1.4
    if name == REAL:
        return INK, "-", 3.0
    return (*line_style(place), 1.4)


def _heights(lines: Sequence[Line], low: float, high: float) -> list[float]:
    """Return where each label stands, 0 to 1, for lines from the highest down: near its end, and none upon another."""
    wanted = [min(max((line.gained / WAD - low) / (high - low), 0.0), 1.0) for line in lines]
    placed: list[float] = []
    for height in reversed(wanted):  # from below up
        placed.append(max(height, placed[-1] + _APART) if placed else height)
    placed.reverse()
    top = 1.0
    for place, height in enumerate(placed):  # and back down where they were pushed out above
        placed[place] = top = min(height, top)
        top -= _APART
    return placed


def _label(axes: Any, text: str, colour: str, height: float, *, bold: bool) -> None:
    axes.annotate(
        text,
        xy=(1.0, height),
        xycoords="axes fraction",
        xytext=(6, 0),
        textcoords="offset points",
        color=colour,
        weight="bold" if bold else "normal",
        ha="left",
        va="center",
        fontsize=9,
        annotation_clip=False,
    )


def _frame(axes: Any, title: str) -> None:
    from matplotlib import dates as stubless  # noqa: PLC0415 (heavy, and only needed here)

    dates: Any = stubless
    locator = dates.AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    axes.xaxis.get_offset_text().set_color(INK)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(lambda value, _: _dollars(value))
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_title(title, color=INK, fontsize=11)
    axes.tick_params(colors=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(INK)


def _dollars(value: float) -> str:
    text = f"{abs(value):,.0f}" if abs(value) >= 100 else f"{abs(value):,.2f}"
    return f"-${text}" if value < 0 and text.strip("0.,") else f"${text}"
