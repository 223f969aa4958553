"""A whole benchmark as data: what the command prints, writes as JSON and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any, Final

from keeper.backtest import batches
from keeper.backtest.results import CLAIRVOYANT, Results
from keeper.backtest.runner import Plan, run_cells, run_years
from keeper.backtest.score import (
    BEST_CONSTANT,
    GATE_BINS,
    GATE_REGRET,
    GATE_SCORE,
    GATE_WORST,
    CellScore,
    Score,
    best_constant,
    cell_scores,
    gate,
    regrets,
    total,
)
from keeper.backtest.series import Year, recorded
from keeper.backtest.suite import BINS, core, idle, stress
from keeper.strategy.policies import DEFAULT

__all__ = ["Report", "Row", "on_core", "on_record", "on_stress"]

#: Digits of every figure in JSON: more than any figure means, fewer than machines differ in.
_DIGITS: Final = 6

#: The trouble in which positions share transactions.
_BATCH: Final = f"batches of {batches.SIZE}"


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in one suite."""

    score: Score
    cells: tuple[CellScore, ...]
    #: Basis points lost against never compounding, by n* where that is best; empty where it was not measured.
    regret: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """One suite."""

    #: ``core``, ``stress`` or ``recorded``.
    suite: str
    plan: Plan
    cells: int
    lanes: int
    rows: tuple[Row, ...]
    #: What the default policy misses; ``None`` where there is no gate, or it did not race.
    missed: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data; the same for the same arguments, byte for byte."""
        return {
            "suite": self.suite,
            "base_seed": self.plan.base,
            "seeds": self.plan.seeds,
            "cells": self.cells,
            "years": self.lanes,
            "gate": None if self.missed is None else _gate_json(self.missed),
            "policies": [_row_json(row) for row in self.rows],
        }


def on_core(plan: Plan) -> Report:
    """Run the core suite, and the cells where nobody should compound."""
    cells = core()
    results = run_cells(cells, plan)
    waiting = run_cells(idle(), replace(plan, best=False))
    rows = _rows(results, plan.names, {name: regrets(waiting, name) for name in plan.names})
    own = next((row for row in rows if row.score.name == DEFAULT and DEFAULT in plan.names), None)
    missed = None if own is None else tuple(gate(own.score, own.regret))
    return Report("core", plan, len(cells), len(results.cell_of), rows, missed)


def on_stress(plan: Plan) -> Report:
    """Run the stress suite; its bins are the troubles, and its score is their mean."""
    cells = stress()
    results = run_cells(cells, plan)
    rows = []
    batch = batches.batch_of(plan.base, plan.seeds)
    for name, found in _scored(results, plan.names):
        score = total(name, found, lambda cell: cell.stress)
        if name in plan.names:
            played = batches.shared(batch) if name == DEFAULT else batches.alone(batch, plan.find(name))
            share = batches.captured(batch, played)
            bins = (*score.bins, (_BATCH, share))
            score = replace(score, bins=bins, score=fsum(min(max(m, -1.0), 1.0) for _, m in bins) / len(bins))
        rows.append(Row(score, tuple(found), {}))
    return Report("stress", plan, len(cells), len(results.cell_of), tuple(rows))


def on_record(years: Sequence[Year], plan: Plan) -> Report:
    """Run recorded years."""
    cells = recorded()
    results = run_years(cells, years, plan)
    return Report(
        "recorded", replace(plan, seeds=len(years)), len(cells), len(results.cell_of), _rows(results, plan.names, {})
    )


def _rows(results: Results, names: Sequence[str], regret: Mapping[str, Mapping[str, float]]) -> tuple[Row, ...]:
    return tuple(Row(total(name, cells), tuple(cells), regret.get(name, {})) for name, cells in _scored(results, names))


def _scored(results: Results, names: Sequence[str]) -> list[tuple[str, list[CellScore]]]:
    """Score the policies that were asked for, then what is only known afterwards."""
    found = [(name, cell_scores(results, name)) for name in names]
    return [*found, (BEST_CONSTANT, best_constant(results)), (CLAIRVOYANT, cell_scores(results, CLAIRVOYANT))]


def _gate_json(missed: Sequence[str]) -> dict[str, Any]:
    return {
        "policy": DEFAULT,
        "passed": not missed,
        "missed": list(missed),
        "wanted": {
            "score": GATE_SCORE,
            "worst": GATE_WORST,
            "bins": {f"{n:g}": least for n, least in zip(BINS, GATE_BINS, strict=True)},
            "regret_bps": GATE_REGRET,
        },
    }


def _row_json(row: Row) -> dict[str, Any]:
    score = row.score
    return {
        "name": score.name,
        "score": _figure(score.score),
        "worst": _figure(score.worst),
        "worst_cell": score.worst_cell,
        "bins": {label: _figure(mean) for label, mean in score.bins},
        "wealth_ratio": _figure(score.wealth_ratio),
        "harvests_per_year": _figure(score.harvests),
        "gas_paid_over_mean": _figure(score.gas_paid),
        "regret_bps": {n: _figure(lost) for n, lost in row.regret.items()},
        "cells": [_cell_json(cell) for cell in row.cells],
    }


def _cell_json(found: CellScore) -> dict[str, Any]:
    cell = found.cell
    return {
        "stake_over_cost": cell.ratio,
        "optimum": cell.optimum,
        "gas": cell.gas,
        "rate": cell.rate,
        **({"stress": cell.stress} if cell.stress else {}),
        "captured": _figure(found.captured),
        "wealth_ratio": _figure(found.wealth_ratio),
        "harvests_per_year": _figure(found.harvests),
        "gas_paid_over_mean": _figure(found.gas_paid),
        **({"multiple": found.multiple} if found.multiple is not None else {}),
    }


def _figure(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS) + 0.0  # no -0.0
