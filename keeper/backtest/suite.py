"""The cells of the benchmark: the core suite, the cells where nobody should compound, and the stress suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keeper.backtest.paths import HOURS, KINDS, REGIMES, Floats, gas_path, rate_path, uniforms
from keeper.backtest.world import Errors, World

__all__ = ["BINS", "COST", "PAIRS", "SEEDS", "Cell", "build", "core", "groups", "idle", "stress"]

#: Cost of one compound at the gas path's median, USD.
COST: Final = 5.0

#: (S/g; n*): the stake over that cost, and the optimal harvests a year. 13 pairs.
PAIRS: Final = (
    *((2e2, n) for n in (1.5, 3.0, 7.0, 20.0)),
    *((2e4, n) for n in (3.0, 7.0, 20.0, 60.0, 200.0)),
    *((2e6, n) for n in (20.0, 60.0, 200.0, 700.0)),
)

#: n* of the bins that the score is the mean of.
BINS: Final = (1.5, 3.0, 7.0, 20.0, 60.0, 200.0, 700.0)

#: Paths of each cell.
SEEDS: Final = 8

_GAS: Final = ("main", "calm", "wild", "trend", "l2")
_RATES: Final = ("const", "ou", "decay", "epoch")

#: Pairs, gas and rate that stress is put on: from few harvests to many.
_STRESSED: Final = ((2e2, 3.0), (2e4, 7.0), (2e4, 60.0), (2e6, 20.0))


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting; it is played once for each seed."""

    #: S/g and n*.
    ratio: float
    optimum: float
    #: Names of the gas regime and of the reward-rate kind.
    gas: str = "main"
    rate: str = "const"
    #: What is stressed; empty in the core suite.
    stress: str = ""
    #: Drift of the reward price a year (log), and whether the policy is told.
    drift: float = 0.0
    told: bool = True
    #: L/S at the start.
    depth: float = float("inf")
    #: Steps between two looks.
    poll: int = 1
    #: Factors by which the policy sees gas, reward price and principal wrong.
    errors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    #: Whether the position is left at a random time that the policy does not know.
    exits: bool = False

    @property
    def label(self) -> str:
        """Spell it: ``S/g 20000, n* 7, main, ou``."""
        text = f"S/g {self.ratio:g}, n* {self.optimum:g}, {self.gas}, {self.rate}"
        return f"{text}, {self.stress}" if self.stress else text


def core() -> tuple[Cell, ...]:
    """Return the core suite: 13 pairs x 5 gas regimes x 4 reward rates = 260 cells."""
    return tuple(Cell(s, n, gas, rate) for s, n in PAIRS for gas in _GAS for rate in _RATES)


def idle() -> tuple[Cell, ...]:
    """Return the cells in which compounding cannot pay: n* of 0.3, 0.5 and 0.7, below the break-even of sqrt(2).

    Only the smallest stake, where one harvest too many weighs most (50 basis points): larger ones would dilute it.
    """
    return tuple(Cell(2e2, n, gas, rate) for n in (0.3, 0.5, 0.7) for gas in _GAS for rate in _RATES)


def stress() -> tuple[Cell, ...]:
    """Return the stress suite: one trouble at a time, on four pairs."""
    found: list[Cell] = []
    for ratio, n in _STRESSED:
        for drift in (-1.0, -2.0):
            found += (
                Cell(
                    ratio,
                    n,
                    stress=f"price {drift:+.0%} a year, {'told' if told else 'not told'}",
                    drift=drift,
                    told=told,
                )
                for told in (True, False)
            )
        found += (Cell(ratio, n, stress=f"pool L/S {depth:g}", depth=depth) for depth in (1.0, 0.1))
        found.append(Cell(ratio, n, rate="stop", stress="rewards stop"))
        for place, what in enumerate(("gas", "price", "principal")):
            for factor in (0.5, 2.0):
                wrong = tuple(factor if at == place else 1.0 for at in range(3))
                found.append(Cell(ratio, n, stress=f"{what} seen x{factor:g}", errors=(wrong[0], wrong[1], wrong[2])))
        found += (Cell(ratio, n, stress=f"a look every {hours} h", poll=hours) for hours in (6, 24))
        found.append(Cell(ratio, n, stress="exit at a time unknown", exits=True))
    return tuple(found)


def groups(cells: Sequence[Cell]) -> dict[int, list[int]]:
    """Return the places of the cells by how often they are looked at: a world has one rhythm."""
    found: dict[int, list[int]] = {}
    for place, cell in enumerate(cells):
        found.setdefault(cell.poll, []).append(place)
    return found


def build(cells: Sequence[Cell], *, base: int, seeds: int = SEEDS, hours: int = HOURS) -> World:
    """Return the world of these cells: ``seeds`` lanes for each, next to each other.

    Args:
        cells: all looked at equally often.
        base: base seed.
        seeds: paths of each cell, 0 to seeds-1; every cell of a regime meets the same ones.
        hours: steps.
    """
    lanes = [(cell, seed) for cell in cells for seed in range(seeds)]
    gas_names = [name for name in REGIMES if any(cell.gas == name for cell in cells)]
    kinds = [kind for kind in KINDS if any(cell.rate == kind for cell in cells)]
    drifts = sorted({0.0, *(cell.drift for cell in cells)})
    spread = np.array([cell.ratio for cell, _ in lanes]) * COST
    return World(
        gas=np.column_stack([gas_path(base, seed, name, hours) for name in gas_names for seed in range(seeds)]),
        rates=np.column_stack([rate_path(base, seed, kind, hours) for kind in kinds for seed in range(seeds)]),
        prices=np.column_stack([np.exp(drift * np.arange(hours + 1) / HOURS) for drift in drifts]),
        principal=spread,
        cost=np.full(len(lanes), COST),
        scale=np.array([cell.optimum * (2.0 / cell.ratio) ** 0.5 for cell, _ in lanes]),
        gas_of=np.array([gas_names.index(cell.gas) * seeds + seed for cell, seed in lanes]),
        rate_of=np.array([kinds.index(cell.rate) * seeds + seed for cell, seed in lanes]),
        price_of=np.array([drifts.index(cell.drift) for cell, _ in lanes]),
        end=np.array([_exit(base, seed, hours) if cell.exits else hours for cell, seed in lanes]),
        depth=np.array([cell.depth for cell, _ in lanes]) * spread,
        drift=np.array([cell.drift if cell.told else 0.0 for cell, _ in lanes]),
        errors=Errors(*_errors(lanes)),
        poll=cells[0].poll,
    )


def _errors(lanes: Sequence[tuple[Cell, int]]) -> tuple[Floats, Floats, Floats]:
    gas, price, principal = (np.array([cell.errors[place] for cell, _ in lanes]) for place in range(3))
    return gas, price, principal


def _exit(base: int, seed: int, hours: int) -> int:
    """Leave between a tenth of the year and its end."""
    return int(hours * (0.1 + 0.9 * float(uniforms(base, seed, 1, 1)[0])))
