"""What every picture has in common: SVG or PNG, the same bytes for the same figures, readable on white and on black."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from keeper.errors import KeeperError

__all__ = ["COLOURS", "INK", "OWN", "line_style", "picture"]

#: keeper's own line.
OWN: Final = "#D55E00"

#: The others': Okabe and Ito's palette for every kind of sight, without what a white or a black page would swallow.
COLOURS: Final = ("#2E86C1", "#009E73", "#CC79A7", "#D99000", "#56A4D9")

#: Axes and words; reads on white and on black.
INK: Final = "#808080"


def line_style(place: int) -> tuple[str, str]:
    """Return colour and dashes of the line at a place among the others; fifteen differ."""
    return COLOURS[place % len(COLOURS)], ("-", "--", ":")[place // len(COLOURS) % 3]


@contextmanager
def picture(file: Path, size: tuple[float, float] = (9.0, 5.4)) -> Iterator[Any]:
    """Lend axes to draw on; what was drawn is written at the end.

    Raises:
        KeeperError: the name ends in neither, or the file cannot be written.
    """
    kind = file.suffix.lower().lstrip(".")
    if kind not in {"svg", "png"}:
        raise KeeperError(f"{file}: a plot is .svg or .png; name it so")
    import matplotlib as mpl  # noqa: PLC0415 (heavy, and only needed here)

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "keeper", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure, axes = plt.subplots(figsize=size)
        try:
            yield axes
            figure.savefig(
                file, transparent=True, dpi=150, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None
            )
        except OSError as error:
            raise KeeperError(f"{file}: cannot write it ({error.strerror}); choose another place") from None
        finally:
            plt.close(figure)
