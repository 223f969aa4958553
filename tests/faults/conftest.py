"""One keeper to fork for each test process, and the kept world."""

from __future__ import annotations

import pytest

from tests.faults import world
from tests.faults.stage import Knobs, Stage
from tests.faults.subject import Nursery


@pytest.fixture(scope="session")
def nursery():
    """Starts keepers."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def stage(nursery):
    """Makes a run's surroundings with given knobs; all are taken down at the end."""
    opened: list[Stage] = []

    def make(**knobs) -> Stage:
        new = Stage(nursery, world.kept(), Knobs(**knobs), seed=len(opened))
        opened.append(new)
        return new.__enter__()

    yield make
    for each in opened:
        each.__exit__()
