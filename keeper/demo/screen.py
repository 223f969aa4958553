"""The demo's living table, its small chart, and its last lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from keeper.demo.score import Moment, Score
from keeper.demo.story import Told
from keeper.domain.decision import Decision, Verdict
from keeper.domain.money import WAD, usd_text

__all__ = ["Row", "chart", "frame", "roomy", "row", "summary"]

_STYLES: Final = {Verdict.HARVEST: "bold green", Verdict.WAIT: "cyan", Verdict.BLOCKED: "bold red"}
_MOODS: Final = {"ok": "green", "bad": "red", "quiet": "dim"}

_WIDTH: Final = 58
_HEIGHT: Final = 7

#: Columns and lines from which the table has room for reasons; below, it says only what fits 80 by 24.
_ROOMY: Final = ConsoleDimensions(130, 27)

#: Lines that the narrow table and the chart take, with the blank line between and the cursor's.
_TABLE_LINES: Final = 7
_CHART_LINES: Final = _HEIGHT + 3

Row = tuple[str, str, str, str, str, Text, str]


def roomy(size: ConsoleDimensions) -> bool:
    """Whether a terminal shows the table with reasons."""
    return size.width >= _ROOMY.width and size.height >= _ROOMY.height


def row(position: str, decision: Decision | None, doing: str | None, *, wide: bool = True) -> Row:
    """Make the table row of one position from its last decision."""
    numbers = decision.numbers if decision else None
    if decision is None or numbers is None:
        text = decision.reasons[0].text if decision else "looking"
        return (position, "-", "-", "-", "-", Text(text, "dim"), "-")
    verdict = Text(f"{decision.verdict.value:<8}", _STYLES[decision.verdict])
    why = decision.reasons[0].text.partition(";")[0] if wide else ""
    step = doing if doing is None or wide else " ".join(doing.split()[:2])
    verdict.append(step or why, "bold yellow" if step else "")
    gas = f"{numbers.gas_price_wei / 10**9:.2f} gwei = " if wide else ""
    return (
        position,
        usd_text(numbers.principal_usd),
        usd_text(numbers.reward_usd),
        f"{gas}{usd_text(numbers.cost_usd)}",
        usd_text(numbers.threshold_usd) if numbers.threshold_usd is not None else "never",
        verdict,
        _next(decision) if wide else _next(decision).partition(" or ")[0],
    )


def _next(decision: Decision) -> str:
    numbers = decision.numbers
    if numbers is None or numbers.eta_seconds is None:
        return "-"
    if decision.verdict is Verdict.HARVEST:
        return "now"
    days, hours = numbers.eta_seconds // 86_400, numbers.eta_seconds % 86_400 // 3600
    when = f"{days} d {hours} h" if days else f"{hours} h"
    cheap = numbers.fire_gas_price_wei or 0
    fire = f" or <= {cheap / 10**9:.2f} gwei" if cheap >= 10**7 else ""
    return f"{when}{fire}"


def frame(
    now: int,
    started: int,
    rows: Sequence[Row],
    lines: Sequence[Told],
    moments: Sequence[Moment],
    size: ConsoleDimensions = _ROOMY,
) -> Group:
    """Compose the whole screen, for a terminal of any size."""
    day = (now - started) / 86_400
    title = (
        f"day {day:4.1f}   {datetime.fromtimestamp(now, UTC):%a %d %b %Y %H:%M} UTC   real contracts on a local chain"
    )
    told = [Text(f"day {(line.at - started) / 86_400:4.1f}  {line.text}", _MOODS[line.mood]) for line in lines]
    if roomy(size):
        return Group(_table(rows, title), *told, Text(""), chart(moments))
    parts: list[RenderableType] = [Text(title, "italic", no_wrap=True, overflow="ellipsis"), _narrow_table(rows)]
    drawn = size.height >= _TABLE_LINES + _CHART_LINES
    left = size.height - _TABLE_LINES - (_CHART_LINES if drawn else 0)
    parts += _newest(told, left, size.width)
    if drawn:
        parts += [Text(""), chart(moments, min(_WIDTH, size.width - 13), brief=True)]
    return Group(*parts)


def _table(rows: Sequence[Row], title: str) -> Table:
    table = Table(title=title, title_justify="left", expand=True)
    for name in ("position", "staked", "pending", "a compound costs now", "threshold", "verdict", "next expected"):
        table.add_column(name, overflow="fold", ratio=3 if name == "verdict" else None)
    for cells in rows:
        table.add_row(*cells)
    return table


def _narrow_table(rows: Sequence[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, 1))
    for name in ("position", "staked", "pending", "cost now", "threshold", "verdict", "next"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for cells in rows:
        table.add_row(*cells)
    return table


def _newest(told: Sequence[Text], left: int, width: int) -> list[Text]:
    """Take the last lines that fit what is left of the screen once they are wrapped."""
    taken: list[Text] = []
    for line in reversed(told):
        left -= -(-len(line) // width)
        if left < 0:
            break
        taken.insert(0, line)
    return taken


def chart(moments: Sequence[Moment], width: int = _WIDTH, *, brief: bool = False) -> Text:
    """Draw what keeper and a daily cron are ahead of never compounding, in dollars over time."""
    if len(moments) < 2 or width < 2:
        return Text("")
    keeper = _sample([m.keeper - m.never for m in moments], width)
    daily = _sample([m.daily - m.never for m in moments], width)
    low, high = min(*keeper, *daily, 0), max(*keeper, *daily, WAD)
    out = Text("ahead of never compounding   ", "dim", no_wrap=True, overflow="ellipsis")
    replayed = "(replayed)" if brief else "(replayed on this chain's yield and gas)"
    out.append("● keeper ", "green").append(f"○ daily cron {replayed}\n", "yellow")
    for level in range(_HEIGHT - 1, -1, -1):
        label = usd_text(low + (high - low) * level // (_HEIGHT - 1))
        out.append(f"{label:>10} ┤", "dim")
        for ours, theirs in zip(keeper, daily, strict=True):
            if _level(ours, low, high) == level:
                out.append("●", "green")
            elif _level(theirs, low, high) == level:
                out.append("○", "yellow")
            else:
                out.append("─" if _level(0, low, high) == level else " ", "dim")
        out.append("\n")
    return out


def _sample(values: Sequence[int], width: int) -> list[int]:
    """Stretch or thin a series to the chart's width."""
    return [values[index * (len(values) - 1) // (width - 1)] for index in range(width)]


def _level(value: int, low: int, high: int) -> int:
    return round((value - low) * (_HEIGHT - 1) / (high - low))


def summary(score: Score, days: float, next_commands: Sequence[str]) -> list[str]:
    """Word the end in a few lines."""
    share = score.gas_paid * 1000 // score.received / 10 if score.received else 0
    against_never, against_daily = score.keeper - score.never, score.keeper - score.daily
    return [
        f"In {days:.0f} days of chain time keeper did {score.harvests} compounds, each for a reason you can ask for.",
        f"Gas paid: {usd_text(score.gas_paid)}, {share} % of the {usd_text(score.received)} that was harvested.",
        f"{usd_text(score.start)} became {usd_text(score.keeper)} after gas.",
        f"Against never compounding: ahead by {usd_text(against_never)} (a twin wallet on the same chain, measured).",
        f"Against compounding daily: ahead by {usd_text(against_daily)} (replayed on the same yield and gas).",
        "Nothing is left running. Look at what it did:",
        *(f"  {command}" for command in next_commands),
    ]
