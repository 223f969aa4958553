"""What a race says: the captured share of what foresight would have gained, by cell, by bin and as one score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

import numpy as np

from keeper.backtest.clairvoyant import Foresight
from keeper.backtest.paths import Floats
from keeper.backtest.race import Run
from keeper.backtest.suite import BINS, Cell
from keeper.backtest.world import World

__all__ = ["GATE_BINS", "GATE_REGRET", "GATE_SCORE", "GATE_WORST", "CellScore", "Score", "cell_scores", "gate", "total"]

#: What the default policy has to reach: the score, the worst cell, and the mean of each bin of ``BINS``.
GATE_SCORE: Final = 0.955
GATE_WORST: Final = 0.60
GATE_BINS: Final = (0.82, 0.92, 0.965, 0.983, 0.995, 0.997, 0.999)

#: Most that a policy may lose against never compounding where that is best (n* <= 0.7), basis points of the wealth.
GATE_REGRET: Final = 1.0


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
    #: Mean gas at the harvests over the mean gas of the path; ``None`` without harvests.
    gas_paid: float | None
    #: (sum(W_never) - sum(W_policy)) / sum(W_never), basis points; below 0 where it gained.
    regret_bps: float


@dataclass(frozen=True, slots=True)
class Score:
    """One policy over a suite."""

    name: str
    #: Mean over the bins of the mean over their cells of clip(captured, -1, 1).
    score: float
    worst: float
    worst_cell: str
    #: (n*, mean of clip(captured, -1, 1)) for each bin that the suite has.
    bins: tuple[tuple[float, float], ...]
    wealth_ratio: float
    harvests: float
    gas_paid: float | None


def cell_scores(
    cells: Sequence[Cell], world: World, run: Run, row: int, never: Floats, best: Foresight | None
) -> list[CellScore]:
    """Score one row of a race, cell by cell; a cell's lanes are next to each other.

    Args:
        cells: in the order of the lanes.
        world: what was raced through.
        run: how it went.
        row: the policy's.
        never: wealth of never compounding, by lane.
        best: foresight; without it nothing is captured (0).
    """
    seeds = world.lanes // len(cells)
    means = np.mean(world.gas, axis=0)
    found = []
    for place, cell in enumerate(cells):
        lanes = slice(place * seeds, (place + 1) * seeds)
        wealth, idle = run.wealth[row, lanes], never[lanes]
        gained, base = fsum((wealth - idle).tolist()), fsum(idle.tolist())
        possible = 0.0 if best is None else fsum((best.wealth[lanes] - idle).tolist())
        harvests = int(run.harvests[row, lanes].sum())
        years = fsum((world.end[lanes] * world.years).tolist())
        paid = fsum((run.gas_paid[row, lanes] / means[world.gas_of[lanes]]).tolist())
        found.append(
            CellScore(
                cell,
                gained / possible if possible > 0 else 0.0,
                1.0 + gained / base,
                harvests / years,
                paid / harvests if harvests else None,
                -1e4 * gained / base,
            )
        )
    return found


def total(name: str, cells: Sequence[CellScore]) -> Score:
    """Join the cells of one policy."""
    bins = tuple((n, _clipped([c for c in cells if c.cell.optimum == n])) for n in BINS if _has(cells, n))
    worst = min(cells, key=lambda c: c.captured)
    paid = [c.gas_paid for c in cells if c.gas_paid is not None]
    return Score(
        name=name,
        score=_mean([mean for _, mean in bins]),
        worst=worst.captured,
        worst_cell=worst.cell.label,
        bins=bins,
        wealth_ratio=_mean([c.wealth_ratio for c in cells]),
        harvests=_mean([c.harvests for c in cells]),
        gas_paid=_mean(paid) if paid else None,
    )


def gate(score: Score, regret_bps: float) -> list[str]:
    """Return what the policy misses; empty when it passes.

    Args:
        score: on the core suite.
        regret_bps: the most that it lost in any cell where it should never compound.
    """
    missed = []
    if not score.score >= GATE_SCORE:
        missed.append(f"score {score.score:.4f} is below {GATE_SCORE}")
    if not score.worst >= GATE_WORST:
        missed.append(f"the worst cell ({score.worst_cell}) captures {score.worst:.3f}, below {GATE_WORST}")
    reached = dict(score.bins)
    for n, least in zip(BINS, GATE_BINS, strict=True):
        if not reached.get(n, 0.0) >= least:
            missed.append(f"n* {n:g} captures {reached.get(n, 0.0):.4f}, below {least}")
    if not regret_bps <= GATE_REGRET:
        missed.append(f"where it should never compound it loses {regret_bps:.2f} bp, more than {GATE_REGRET:g}")
    return missed


def _has(cells: Sequence[CellScore], optimum: float) -> bool:
    return any(c.cell.optimum == optimum for c in cells)


def _clipped(cells: Sequence[CellScore]) -> float:
    return _mean([min(max(c.captured, -1.0), 1.0) for c in cells])


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
