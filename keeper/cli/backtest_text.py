"""What ``keeper backtest`` tells: a table of policies, one sentence about money, and what is thought up in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final

from keeper.backtest.history import Cover, History
from keeper.backtest.results import CLAIRVOYANT
from keeper.backtest.standing import NEVER, REAL, Line, Standing, total
from keeper.cli.output import duration, percent, say, table, usd, usd_text
from keeper.cli.views import day, tell
from keeper.strategy.policies import DEFAULT

__all__ = ["ASSUMED", "Backtest", "print_backtest", "sentences", "tested_json"]

#: What is not from any record.
ASSUMED: Final = (
    "Rates, prices and gas are as recorded; rewards are in proportion to the stake, less what it takes from itself.",
    "Selling moves prices by the recorded depth alone. Gas is taken out of what is put back, and the end claims all.",
    "Policies see what was known at a look, and act at looks alone, never in a gap; keeper's guards are not around.",
)

_INVENTED: Final = "The stake and its yield are thought up; gas and price are the files'."

_DAY: Final = 86_400

#: Rhythms with a name, in seconds, by what a real one is told from, and how far off it may be.
_RHYTHMS: Final = (("daily", _DAY), ("weekly", 7 * _DAY))
_OFF: Final = 0.15


@dataclass(frozen=True, slots=True)
class Backtest:
    """What was tested, position by position."""

    found: tuple[tuple[History, Standing], ...]
    #: Positions that nothing can be said about, and why.
    missing: tuple[tuple[str, str], ...]

    @property
    def total(self) -> Standing:
        """All of them together."""
        standings = [standing for _, standing in self.found]
        return standings[0] if len(standings) == 1 else total(standings)

    @property
    def days(self) -> int:
        """Length of the longest history."""
        return max(round((h.cover.last - h.cover.first) / _DAY) for h, _ in self.found)

    @property
    def who(self) -> str:
        """Name the positions, as far as there is room."""
        names = [history.name for history, _ in self.found]
        return ", ".join(names) if len(names) <= 3 else f"{len(names)} positions"

    @property
    def title(self) -> str:
        """The picture's."""
        return f"Gained over never compounding: {self.who}, {self.days} days"


def sentences(result: Backtest) -> list[str]:
    """Say in words what a rhythm costs, and what really happened beside keeper's rule."""
    standing = result.total
    own, real = standing.line(DEFAULT), standing.line(REAL)
    found: list[str] = []
    if own is not None:
        found += _of_rhythm(result, own)
    if own is not None and real is not None:
        found.append(_of_real(own, real, standing.model_error))
    return found


def _of_rhythm(result: Backtest, own: Line) -> Iterator[str]:
    real = result.total.line(REAL)
    usual = _rhythm(result)
    yours = real is not None and usual != ""
    other = real if yours else result.total.line("daily")
    if other is None:
        return
    cost = own.gained - other.gained
    who = f"Your {usual} rhythm" if yours else "A daily cron"
    verb = "cost" if yours else "would have cost"
    if cost > 0:
        yield f"{who} {verb} you {usd(cost)} in these {result.days} days, beside keeper's rule."
    else:
        yield f"{who} {'did' if yours else 'would have done'} {usd(-cost)} better than keeper's rule in these days."


def _of_real(own: Line, real: Line, error: int | None) -> str:
    more = own.gained - real.gained
    if more > 0:
        text = f"keeper's rule would have gained {usd(more)} more than what really happened"
    elif more < 0:
        text = f"What really happened gained {usd(-more)} more than keeper's rule would have"
    else:
        text = "keeper's rule would have gained just what was really gained"
    if error is None:
        return f"{text}."
    within = ": the difference says nothing" if abs(more) <= abs(error) else ""
    return f"{text}; the model, put through the real compounds, is {usd(abs(error))} off{within}."


def _rhythm(result: Backtest) -> str:
    """Name the rhythm in which everything was really compounded; empty where it had none."""
    every = [gap for history, _ in result.found if history.real is not None for gap in history.real.intervals]
    if len(every) < 3 * len(result.found):
        return ""
    usual = median(every)
    return next((name for name, seconds in _RHYTHMS if abs(usual - seconds) <= _OFF * seconds), "")


# ---------------------------------------------------------------------------- for people


def print_backtest(result: Backtest) -> None:
    """Print the result, no wider than the terminal."""
    covers = [history.cover for history, _ in result.found]
    tell(f"{result.who}: {day(min(c.first for c in covers))} to {day(max(c.last for c in covers))} UTC")
    for text, names in _covers(result).items():
        tell(text if len(result.found) == len(names) else f"{text} ({', '.join(names)})", "  ")
    say()
    _print_lines(result.total)
    say()
    if len(result.found) > 1:
        _print_positions(result)
        say()
    for text in sentences(result):
        tell(text)
    say()
    invented = all(history.real is None for history, _ in result.found)
    for text in (_INVENTED, *ASSUMED[1:]) if invented else ASSUMED:
        tell(text)
    for name, why in result.missing:
        tell(f"{name} is left out: {why}")


def _print_lines(standing: Standing) -> None:
    headers = ("policy", "gained", "regret", "captured", "harvests", "gas paid", "gas/mean")
    rows = [
        (
            line.name,
            usd(line.gained),
            usd(max(standing.regret(line), 0)),
            _share(standing.captured(line)),
            str(line.harvests),
            usd(line.paid),
            "-" if line.gas_ratio is None else f"{line.gas_ratio:.2f}",
        )
        for line in _sorted(standing)
    ]
    table(headers, rows, right=range(1, len(headers)))


def _print_positions(result: Backtest) -> None:
    headers = ("position", "best policy", "gained", DEFAULT, REAL, CLAIRVOYANT)
    rows = []
    for history, standing in result.found:
        best = next(line for line in _sorted(standing) if line.name not in {CLAIRVOYANT, REAL})
        shown = [standing.line(name) for name in (DEFAULT, REAL, CLAIRVOYANT)]
        cells = ("-" if line is None else usd(line.gained) for line in shown)
        rows.append((history.name, best.name, usd(best.gained), *cells))
    table(headers, rows, right=range(2, len(headers)))


def _sorted(standing: Standing) -> list[Line]:
    """Best first; of equals perfect foresight, then keeper's rule."""
    order = {CLAIRVOYANT: 0, DEFAULT: 1, NEVER: 3}
    return sorted(standing.lines, key=lambda line: (-line.gained, order.get(line.name, 2)))


def _covers(result: Backtest) -> dict[str, list[str]]:
    """Return what is recorded, in words, and of whom."""
    found: dict[str, list[str]] = {}
    for history, _ in result.found:
        found.setdefault(_covered(history.cover), []).append(history.name)
    return found


def _covered(cover: Cover) -> str:
    whole = cover.until - cover.since
    text = f"{_days(cover.seconds)} of {_days(whole)} days recorded, {cover.looks:,} looks"
    if not cover.gaps:
        return text
    gaps = "1 gap" if cover.gaps == 1 else f"{cover.gaps} gaps, the longest"
    return f"{text}; {gaps} of {duration(cover.longest)} from {day(cover.longest_at)}"


def _days(seconds: int) -> str:
    return f"{Decimal(seconds) / _DAY:.1f}".removesuffix(".0")


def _share(value: float | None) -> str:
    return "-" if value is None else percent(Decimal(round(value, 4)).quantize(Decimal("0.0001")))


# ---------------------------------------------------------------------------- for programs


def tested_json(result: Backtest) -> dict[str, Any]:
    """The result for programs: dollars exact, ratios to six digits, as text."""
    invented = all(history.real is None for history, _ in result.found)
    return {
        "positions": [
            {"position": history.name, "recorded": _cover_json(history.cover), **_standing_json(standing)}
            for history, standing in result.found
        ],
        "total": _standing_json(result.total),
        "sentences": sentences(result),
        "assumed": [_INVENTED, *ASSUMED[1:]] if invented else list(ASSUMED),
        "left_out": [{"position": name, "why": why} for name, why in result.missing],
    }


def _cover_json(cover: Cover) -> dict[str, int | None]:
    return {
        "since": cover.since,
        "until": cover.until,
        "first": cover.first,
        "last": cover.last,
        "looks": cover.looks,
        "seconds": cover.seconds,
        "gaps": cover.gaps,
        "longest_gap_seconds": cover.longest,
        "longest_gap_at": cover.longest_at if cover.gaps else None,
    }


def _standing_json(standing: Standing) -> dict[str, Any]:
    return {
        "policies": [_line_json(standing, line) for line in _sorted(standing)],
        "model_error_usd": None if standing.model_error is None else usd_text(standing.model_error),
    }


def _line_json(standing: Standing, line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "gained_usd": usd_text(line.gained),
        "regret_usd": usd_text(standing.regret(line)),
        "captured": _ratio(standing.captured(line)),
        "harvests": line.harvests,
        "gas_paid_usd": usd_text(line.paid),
        "gas_paid_over_mean": _ratio(line.gas_ratio),
    }


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
