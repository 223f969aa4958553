"""What came out of a race, lane by lane; the raw material of every score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keeper.backtest.clairvoyant import foresight
from keeper.backtest.paths import Floats
from keeper.backtest.race import never, race, thresholds
from keeper.backtest.suite import Cell
from keeper.backtest.world import Ints, World
from keeper.strategy.policies import HINDSIGHT, constant
from keeper.strategy.policy import Policy

__all__ = ["CLAIRVOYANT", "Results", "join", "replay"]

#: Name of the row of perfect foresight.
CLAIRVOYANT = "clairvoyant"


@dataclass(frozen=True, slots=True)
class Results:
    """One row for each policy, one column for each lane."""

    #: Settings, and the place of each lane's setting among them.
    cells: tuple[Cell, ...]
    cell_of: Ints
    #: Names of the rows.
    names: tuple[str, ...]
    #: Value at the end, USD.
    wealth: Floats
    harvests: Ints
    #: Sum, over the harvests, of gas over the mean gas of the lane's year.
    paid: Floats
    #: Wealth of never compounding, and how long the lane was played, years.
    never: Floats
    years: Floats


def replay(
    cells: Sequence[Cell], cell_of: Ints, world: World, policies: Sequence[Policy], *, best: bool = True
) -> Results:
    """Race the policies, and, if ``best``, every constant multiple and perfect foresight.

    Args:
        cells: settings.
        cell_of: place of each lane's setting.
        world: the lanes.
        policies: rows, in order.
        best: whether to add what is only known afterwards.
    """
    runs = [race(world, policies)]
    names = [item.name for item in policies]
    if best:
        runs.append(thresholds(world, HINDSIGHT))
        names += [constant(k).name for k in HINDSIGHT]
    wealth, harvests, paid = ([getattr(run, part) for run in runs] for part in ("wealth", "harvests", "gas_paid"))
    if best:
        perfect = foresight(world)
        names.append(CLAIRVOYANT)
        wealth.append(perfect.wealth[None])
        harvests.append(perfect.harvests[None])
        paid.append(perfect.gas_paid[None])
    return Results(
        cells=tuple(cells),
        cell_of=cell_of,
        names=tuple(names),
        wealth=np.concatenate(wealth),
        harvests=np.concatenate(harvests),
        paid=np.concatenate(paid) / np.mean(world.gas, axis=0)[world.gas_of],
        never=never(world),
        years=np.asarray(world.end * world.years, dtype=np.float64),
    )


def join(parts: Sequence[Results], cells: Sequence[Cell]) -> Results:
    """Put the lanes of several races next to each other; ``cells`` is the order that their settings get."""
    places = {cell: place for place, cell in enumerate(cells)}
    return Results(
        cells=tuple(cells),
        cell_of=np.concatenate([np.array([places[c] for c in part.cells])[part.cell_of] for part in parts]),
        names=parts[0].names,
        wealth=np.concatenate([part.wealth for part in parts], axis=1),
        harvests=np.concatenate([part.harvests for part in parts], axis=1),
        paid=np.concatenate([part.paid for part in parts], axis=1),
        never=np.concatenate([part.never for part in parts]),
        years=np.concatenate([part.years for part in parts]),
    )
