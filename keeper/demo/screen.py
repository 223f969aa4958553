"""The demo's living table, its small chart, and its last lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from keeper.demo.score import Moment, Score
from keeper.demo.story import Told
from keeper.domain.decision import Decision, Verdict
from keeper.domain.money import WAD, usd_text

__all__ = ["Row", "chart", "frame", "row", "summary"]

_STYLES: Final = {Verdict.HARVEST: "bold green", Verdict.WAIT: "cyan", Verdict.BLOCKED: "bold red"}
_MOODS: Final = {"ok": "green", "bad": "red", "quiet": "dim"}

_WIDTH: Final = 58
_HEIGHT: Final = 7

Row = tuple[str, str, str, str, str, Text, str]


def row(position: str, decision: Decision | None, doing: str | None) -> Row:
    """Make the table row of one position from its last decision."""
    numbers = decision.numbers if decision else None
    if decision is None or numbers is None:
        text = decision.reasons[0].text if decision else "looking"
        return (position, "-", "-", "-", "-", Text(text, "dim"), "-")
    verdict = Text(f"{decision.verdict.value:<8}", _STYLES[decision.verdict])
    verdict.append(doing or decision.reasons[0].text.partition(";")[0], "bold yellow" if doing else "")
    return (
        position,
        usd_text(numbers.principal_usd),
        usd_text(numbers.reward_usd),
        f"{numbers.gas_price_wei / 10**9:.2f} gwei = {usd_text(numbers.cost_usd)}",
        usd_text(numbers.threshold_usd) if numbers.threshold_usd is not None else "never",
        verdict,
        _next(decision),
    )


def _next(decision: Decision) -> str:
    numbers = decision.numbers
    if numbers is None or numbers.eta_seconds is None:
        return "-"
    if decision.verdict is Verdict.HARVEST:
        return "now"
    days, hours = numbers.eta_seconds // 86_400, numbers.eta_seconds % 86_400 // 3600
    cheap = numbers.fire_gas_price_wei or 0
    fire = f" or <= {cheap / 10**9:.2f} gwei" if cheap >= 10**7 else ""
    return f"{days} d {hours} h{fire}"


def frame(now: int, started: int, rows: Sequence[Row], lines: Sequence[Told], moments: Sequence[Moment]) -> Group:
    """Compose the whole screen."""
    day = (now - started) / 86_400
    title = (
        f"day {day:4.1f}   {datetime.fromtimestamp(now, UTC):%a %d %b %Y %H:%M} UTC   real contracts on a local chain"
    )
    table = Table(title=title, title_justify="left", expand=True)
    for name in ("position", "staked", "pending", "a compound costs now", "threshold", "verdict", "next expected"):
        table.add_column(name, overflow="fold", ratio=3 if name == "verdict" else None)
    for cells in rows:
        table.add_row(*cells)
    told = [Text(f"day {(line.at - started) / 86_400:4.1f}  {line.text}", _MOODS[line.mood]) for line in lines]
    return Group(table, *told, Text(""), chart(moments))


def chart(moments: Sequence[Moment]) -> Text:
    """Draw what keeper and a daily cron are ahead of never compounding, in dollars over time."""
    if len(moments) < 2:
        return Text("")
    keeper = _sample([m.keeper - m.never for m in moments])
    daily = _sample([m.daily - m.never for m in moments])
    low, high = min(*keeper, *daily, 0), max(*keeper, *daily, WAD)
    out = Text("ahead of never compounding   ", "dim")
    out.append("● keeper ", "green").append("○ daily cron (replayed on this chain's yield and gas)\n", "yellow")
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


def _sample(values: Sequence[int]) -> list[int]:
    """Stretch or thin a series to the chart's width."""
    return [values[index * (len(values) - 1) // (_WIDTH - 1)] for index in range(_WIDTH)]


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
