"""Runs whole suites, on several processes where there are several; the outcome does not depend on how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from keeper.backtest.paths import HOURS
from keeper.backtest.results import Results, join, replay
from keeper.backtest.series import Year, year_world
from keeper.backtest.suite import Cell, build, groups
from keeper.strategy.policies import policy
from keeper.strategy.policy import Policy

__all__ = ["Plan", "run_cells", "run_years"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, apart from the cells."""

    #: Names of the policies, in the order of the rows.
    names: tuple[str, ...]
    #: Base seed, and paths of each cell.
    base: int = 0
    seeds: int = 8
    #: Processes.
    jobs: int = 1
    #: Steps; less than a year only in tests.
    hours: int = HOURS
    #: Whether perfect foresight and the constant multiples run too.
    best: bool = True
    #: Finds a policy by its name, in every process again: a function that can be imported.
    find: Callable[[str], Policy] = policy


def run_cells(cells: Sequence[Cell], plan: Plan) -> Results:
    """Play every cell."""
    parts = []
    for places in groups(cells).values():
        of_rhythm = [cells[place] for place in places]
        parts += [of_rhythm[first :: plan.jobs] for first in range(min(plan.jobs, len(of_rhythm)))]
    return join(_map(_play_cells, [(tuple(part), plan) for part in parts], plan.jobs), cells)


def run_years(cells: Sequence[Cell], years: Sequence[Year], plan: Plan) -> Results:
    """Play every cell once in each recorded year."""
    return join(_map(_play_year, [(tuple(cells), year, plan) for year in years], plan.jobs), cells)


def _map(work: Callable[[T], Results], tasks: Sequence[T], jobs: int) -> list[Results]:
    if jobs <= 1 or len(tasks) <= 1:
        return [work(task) for task in tasks]
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, tasks))


def _play_cells(task: tuple[tuple[Cell, ...], Plan]) -> Results:
    cells, plan = task
    world = build(cells, base=plan.base, seeds=plan.seeds, hours=plan.hours)
    lanes = np.repeat(np.arange(len(cells)), plan.seeds)
    return replay(cells, lanes, world, [plan.find(name) for name in plan.names], best=plan.best)


def _play_year(task: tuple[tuple[Cell, ...], Year, Plan]) -> Results:
    cells, year, plan = task
    world = year_world(cells, year, base=plan.base)
    return replay(cells, np.arange(len(cells)), world, [plan.find(name) for name in plan.names], best=plan.best)
