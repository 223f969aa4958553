"""Draws a benchmark: the captured share of perfect foresight against n*, one line for each policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keeper.backtest.results import CLAIRVOYANT
from keeper.errors import KeeperError
from keeper.strategy.policies import DEFAULT

if TYPE_CHECKING:
    from keeper.backtest.report import Report

__all__ = ["draw"]

#: Okabe and Ito's palette for every kind of sight, without black and yellow, which a page may swallow.
_COLOURS: Final = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: Axes and words; reads on white and on black.
_INK: Final = "#808080"

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
    kind = file.suffix.lower().lstrip(".")
    if kind not in {"svg", "png"}:
        raise KeeperError(f"{file}: a plot is .svg or .png; name it so")
    import matplotlib as mpl  # noqa: PLC0415 (heavy, and only needed here)

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "keeper", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure, axes = plt.subplots(figsize=(9, 5.4))
        _lines(axes, report)
        _frame(axes, report)
        try:
            figure.savefig(
                file, transparent=True, dpi=150, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None
            )
        except OSError as error:
            raise KeeperError(f"{file}: cannot write it ({error.strerror}); choose another place") from None
        finally:
            plt.close(figure)


def _lines(axes: Any, report: Report) -> None:
    rows = [row.score for row in report.rows if row.score.name not in _LEFT_OUT]
    ends = []
    for place, score in enumerate(sorted(rows, key=lambda s: -s.score)):
        own = score.name == DEFAULT
        xs = [float(label) for label, _ in score.bins]
        ys = [max(mean, _FLOOR - 0.05) for _, mean in score.bins]
        colour = _COLOURS[place % len(_COLOURS)]
        style = ("-", "--", ":")[place // len(_COLOURS) % 3]
        axes.plot(xs, ys, style, color=colour, linewidth=3 if own else 1.4, zorder=3 if own else 2)
        ends.append((ys[0], xs[0], f"{score.name}  {score.score:.3f}", colour, own))
    for height, (_, x, text, colour, own) in zip(_spread([e[0] for e in ends]), ends, strict=True):
        weight = "bold" if own else "normal"
        axes.annotate(
            text,
            (x, height),
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour,
            weight=weight,
            fontsize=9,
            annotation_clip=False,
        )


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
    axes.axhline(1.0, color=_INK, linewidth=0.8)
    axes.axhline(0.0, color=_INK, linewidth=0.8)
    axes.set_xlabel("n*: best number of harvests a year", color=_INK)
    axes.set_title(
        "Share of perfect foresight's gain that each policy captures (0 %: never compounding)", color=_INK, fontsize=11
    )
    axes.tick_params(colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_INK)
