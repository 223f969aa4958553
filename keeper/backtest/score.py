"""What a race says: the captured share of what foresight would have gained, by cell, by bin and as one score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

import numpy as np

from keeper.backtest.results import CLAIRVOYANT, Results
from keeper.backtest.suite import BINS, Cell
from keeper.strategy.policies import HINDSIGHT, constant

__all__ = [
    "BEST_CONSTANT",
    "GATE_BINS",
    "GATE_REGRET",
    "GATE_SCORE",
    "GATE_WORST",
    "CellScore",
    "Score",
    "best_constant",
    "cell_scores",
    "gate",
    "regrets",
    "total",
]

#: What the default policy has to reach: the score, the worst cell, and the mean of each bin of ``BINS``.
GATE_SCORE: Final = 0.955
GATE_WORST: Final = 0.60
GATE_BINS: Final = (0.82, 0.92, 0.965, 0.983, 0.995, 0.997, 0.999)

#: Most that a policy may lose against never compounding where that is best (n* <= 0.7), basis points of the wealth.
GATE_REGRET: Final = 1.0

#: Name of the row "best constant k in hindsight".
BEST_CONSTANT: Final = "best-k"


@dataclass(frozen=True, slots=True)
class CellScore:
    """One policy in one cell, over all its seeds."""

    cell: Cell
    #: sum(W_policy - W_never) / sum(W_clairvoyant - W_never): a ratio of sums, not a mean of ratios.
    captured: float
    #: sum(W_policy) / sum(W_never).
    wealth_ratio: float
    #: Harvests a year.
    harvests: float
    #: Mean gas at the harvests over the mean gas of the year; ``None`` without harvests.
    gas_paid: float | None
    #: The multiple, where the cell chose one in hindsight.
    multiple: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One policy over a suite."""

    name: str
    #: Mean over the bins of the mean over their cells of clip(captured, -1, 1).
    score: float
    worst: float
    worst_cell: str
    #: Bin and mean of clip(captured, -1, 1), for each bin that the suite has.
    bins: tuple[tuple[str, float], ...]
    wealth_ratio: float
    harvests: float
    gas_paid: float | None


def cell_scores(results: Results, name: str) -> list[CellScore]:
    """Score one policy cell by cell, in the order of the cells.

    Raises:
        ValueError: it did not race, or perfect foresight did not.
    """
    row, best = results.names.index(name), results.names.index(CLAIRVOYANT)
    found = []
    for place, cell in enumerate(results.cells):
        lanes = np.flatnonzero(results.cell_of == place)
        idle = results.never[lanes]
        gained = fsum((results.wealth[row, lanes] - idle).tolist())
        possible = fsum((results.wealth[best, lanes] - idle).tolist())
        harvests = int(results.harvests[row, lanes].sum())
        found.append(
            CellScore(
                cell,
                gained / possible if possible > 0 else 0.0,
                1.0 + gained / fsum(idle.tolist()),
                harvests / fsum(results.years[lanes].tolist()),
                fsum(results.paid[row, lanes].tolist()) / harvests if harvests else None,
            )
        )
    return found


def best_constant(results: Results) -> list[CellScore]:
    """Score the constant multiple of the cost that turns out best, chosen for each cell."""
    every = [
        [CellScore(c.cell, c.captured, c.wealth_ratio, c.harvests, c.gas_paid, k) for c in cell_scores(results, name)]
        for k, name in ((k, constant(k).name) for k in HINDSIGHT)
    ]
    return [max(choices, key=lambda c: c.captured) for choices in zip(*every, strict=True)]


def total(name: str, cells: Sequence[CellScore], bin_of: Callable[[Cell], str] | None = None) -> Score:
    """Join the cells of one policy.

    Args:
        name: of the policy.
        cells: its scores.
        bin_of: what a cell counts under; its n* unless told otherwise.
    """
    label = bin_of or (lambda cell: f"{cell.optimum:g}")
    bins: dict[str, list[float]] = {}
    for c in cells:
        bins.setdefault(label(c.cell), []).append(min(max(c.captured, -1.0), 1.0))
    worst = min(cells, key=lambda c: c.captured)
    paid = [c.gas_paid for c in cells if c.gas_paid is not None]
    order = [f"{n:g}" for n in BINS]
    means = sorted(((key, _mean(values)) for key, values in bins.items()), key=lambda item: _place(order, item[0]))
    return Score(
        name=name,
        score=_mean([mean for _, mean in means]),
        worst=worst.captured,
        worst_cell=worst.cell.label,
        bins=tuple(means),
        wealth_ratio=_mean([c.wealth_ratio for c in cells]),
        harvests=_mean([c.harvests for c in cells]),
        gas_paid=_mean(paid) if paid else None,
    )


def regrets(results: Results, name: str) -> dict[str, float]:
    """Return what a policy loses against never compounding, for each n*, basis points: a ratio of sums over its cells.

    Below 0 where it gained: the best schedule may find something even there.
    """
    row = results.names.index(name)
    optima = np.array([cell.optimum for cell in results.cells])[results.cell_of]
    found = {}
    for n in sorted(set(optima.tolist())):
        lanes = np.flatnonzero(optima == n)
        lost = fsum((results.never[lanes] - results.wealth[row, lanes]).tolist())
        found[f"{n:g}"] = 1e4 * lost / fsum(results.never[lanes].tolist())
    return found


def gate(score: Score, regret: Mapping[str, float]) -> list[str]:
    """Return what the policy misses, in words; empty when it passes.

    Args:
        score: on the core suite.
        regret: by n*, where it should never compound, basis points.
    """
    missed = []
    if not score.score >= GATE_SCORE:
        missed.append(f"the score {score.score:.4f} is below {GATE_SCORE}")
    if not score.worst >= GATE_WORST:
        missed.append(f"the worst cell ({score.worst_cell}) captures {score.worst:.3f}, below {GATE_WORST}")
    reached = dict(score.bins)
    for n, least in zip((f"{n:g}" for n in BINS), GATE_BINS, strict=True):
        if not reached.get(n, 0.0) >= least:
            missed.append(f"n* {n} captures {reached.get(n, 0.0):.4f}, below {least}")
    missed += [
        f"at n* {n} it loses {lost:.2f} bp, above {GATE_REGRET:g}" for n, lost in regret.items() if lost > GATE_REGRET
    ]
    return missed


def _place(order: Sequence[str], key: str) -> int:
    return order.index(key) if key in order else len(order)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
