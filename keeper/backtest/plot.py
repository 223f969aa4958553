"""Draws a benchmark: the captured share of perfect foresight against n*, one line for each policy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keeper.backtest.canvas import INK, OWN, line_style, picture
from keeper.backtest.results import CLAIRVOYANT
from keeper.strategy.policies import DEFAULT

if TYPE_CHECKING:
    from keeper.backtest.report import Report

__all__ = ["draw"]

#: What is not worth a line: both ends of the scale, which the axis shows.
_LEFT_OUT: Final = frozenset({CLAIRVOYANT, "never"})

#: Lowest share that is drawn; what lies below loses more than compounding could gain.
_FLOOR: Final = -0.5

#: Least distance between two labels, in shares.
_APART: Final = 0.062


def draw(report: Report, file: Path) -> None:
    """Write the picture, SVG or PNG by the name's ending; the same bytes for the same report.

    Raises:
        KeeperError: the ending is neither, or the file cannot be written.
    """
    with picture(file) as axes:
        _lines(axes, report)
        _frame(axes, report)


def _lines(axes: Any, report: Report) -> None:
    """Draw and name every line: where it begins, or, if that is below the picture, where it comes in."""
    rows = sorted((row.score for row in report.rows if row.score.name not in _LEFT_OUT), key=lambda s: -s.score)
    begin: list[tuple[list[tuple[float, float]], dict[str, str]]] = []
    enter: list[tuple[list[tuple[float, float]], dict[str, str]]] = []
    for place, score in enumerate(rows):
        own = score.name == DEFAULT
        colour, style = (OWN, "-") if own else line_style(place)
        points = [(float(label), mean) for label, mean in score.bins]
        axes.plot(*zip(*points, strict=True), style, color=colour, linewidth=3 if own else 1.4, zorder=3 if own else 2)
        name = {"text": f"{score.name}  {score.score:.3f}", "color": colour, "weight": "bold" if own else "normal"}
        (begin if points[0][1] >= _FLOOR else enter).append((points, name))
    for (points, name), height in zip(begin, _spread([points[0][1] for points, _ in begin]), strict=True):
        _name(axes, name, (points[0][0], height), (-8, 0), "right")
    for place, (points, name) in enumerate(enter):
        height = _FLOOR + 0.04 + 0.08 * (len(enter) - 1 - place)
        _name(axes, name, (_reaches(points, height), height), (5, 0), "left")


def _name(axes: Any, name: dict[str, str], at: tuple[float, float], offset: tuple[int, int], side: str) -> None:
    axes.annotate(
        xy=at,
        xytext=offset,
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=9,
        annotation_clip=False,
        **name,
    )


def _reaches(points: list[tuple[float, float]], height: float) -> float:
    """Return where on the (logarithmic) axis a line comes up to a height for the first time; its end if it does not."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 < height <= y1:
            return float(x0 * (x1 / x0) ** ((height - y0) / (y1 - y0)))
    return points[-1][0]


def _spread(heights: list[float]) -> list[float]:
    """Move labels apart, in their order, so that none covers another and none falls below the picture."""
    order = sorted(range(len(heights)), key=lambda place: (heights[place], -place))
    placed = [0.0] * len(heights)
    last = _FLOOR - _APART
    for place in order:
        last = placed[place] = max(heights[place], last + _APART)
    return placed


def _frame(axes: Any, report: Report) -> None:
    labels = [label for label, _ in report.rows[0].score.bins]
    axes.set_xscale("log")
    axes.set_xticks([float(label) for label in labels], labels)
    axes.minorticks_off()
    axes.set_ylim(_FLOOR, 1.03)
    axes.yaxis.tick_right()
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.axhline(1.0, color=INK, linewidth=0.8)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xlabel("n*: best number of harvests a year", color=INK)
    axes.set_title(
        "Share of perfect foresight's gain that each policy captures (0 %: never compounding)", color=INK, fontsize=11
    )
    axes.tick_params(colors=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(INK)
