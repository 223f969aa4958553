"""Figures of the arena as JSON, and as the tables of docs/explanation/patterns.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.arena.cases import CASES
from tests.faults.arena.fight import VERDICTS, Outcome, verdicts
from tests.faults.arena.subjects import PATTERNS

MEASURED: Final = Path(__file__).with_name("measured.json")
PAGE: Final = Path(__file__).parents[3] / "docs" / "explanation" / "patterns.md"
BEGIN: Final = "<!-- measured by `python -m tests.faults.arena --write`; do not edit by hand -->"
END: Final = "<!-- end of what was measured -->"


def figures(outcomes: Sequence[Outcome], missing: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the tables show."""
    rows = {}
    for pattern in PATTERNS:
        if pattern.name in missing:
            rows[pattern.name] = {"not run": missing[pattern.name]}
        elif any(each.pattern == pattern.name for each in outcomes):
            total = verdicts(outcomes, pattern.name)
            rows[pattern.name] = {
                "total": {verdict: total[verdict] for verdict in VERDICTS},
                "cases": {case.name: dict(verdicts(outcomes, pattern.name, case.name)) for case in CASES},
            }
    return {
        "runs": len({each.seed for each in outcomes}),
        "spoilt": sum(bool(each.spoilt) for each in outcomes),
        "patterns": rows,
    }


def summary(measured: Mapping[str, Any]) -> str:
    """One row for each way of sending."""
    lines = ["| way of sending | executed twice | lost | stuck | right |", "|---|--:|--:|--:|--:|"]
    for pattern in PATTERNS:
        row = measured["patterns"].get(pattern.name)
        if row is None:
            continue
        if "not run" in row:
            lines.append(f"| {pattern.title} | not run: {row['not run']} | | | |")
            continue
        total = row["total"]
        lines.append(f"| {pattern.title} | " + " | ".join(str(total[verdict]) for verdict in VERDICTS) + " |")
    return "\n".join(lines)


def details(measured: Mapping[str, Any]) -> str:
    """One row for each thing that goes wrong, one column for each way of sending."""
    shown = [p for p in PATTERNS if "cases" in measured["patterns"].get(p.name, {})]
    lines = ["| what goes wrong | " + " | ".join(f"`{p.name}`" for p in shown) + " |"]
    lines.append("|---|" + "---|" * len(shown))
    for case in CASES:
        cells = [_cell(measured["patterns"][p.name]["cases"][case.name]) for p in shown]
        lines.append(f"| {case.words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(counts: Mapping[str, int]) -> str:
    if set(counts) == {"right"}:
        return "right"
    words = {"double": "twice", "lost": "lost", "stuck": "stuck", "right": "right"}
    return ", ".join(f"{words[each]} {counts[each]}" for each in VERDICTS if counts.get(each)) or "-"


def block(measured: Mapping[str, Any]) -> str:
    """What stands between the markers of the page."""
    runs = measured["runs"]
    cases = sum(case.counts for case in CASES)
    head = f"{cases} things that go wrong, {runs} runs of each: {cases * runs} runs for each way of sending."
    return f"{BEGIN}\n\n{head}\n\n{summary(measured)}\n\nBy what went wrong:\n\n{details(measured)}\n\n{END}"


def write(measured: Mapping[str, Any]) -> None:
    """Keep the figures, and put the tables into the page."""
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + block(measured) + after)
