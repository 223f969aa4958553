"""A sample of the random schedules; ``make faults`` runs as many as one likes."""

from __future__ import annotations

import pytest

from tests.faults.run import run_schedule
from tests.faults.schedule import KINDS, schedule

pytestmark = pytest.mark.devnet

#: Chosen by being the first ones; each takes seconds, and ``make faults`` runs hundreds.
SAMPLE = range(1, 13)


@pytest.mark.parametrize("seed", SAMPLE)
def test_random_schedule(nursery, seed):
    report = run_schedule(nursery, schedule(seed))
    assert report.verdict, f"\n{report}\n  repeat: make faults N=1 SEED={seed}\n{report.log[-4000:]}"


def test_a_seed_is_a_schedule():
    assert schedule(7) == schedule(7)
    assert len({str(schedule(seed)) for seed in range(50)}) == 50


def test_every_kind_of_fault_is_drawn():
    drawn = {fault.name for seed in range(500) for fault in schedule(seed).faults}
    assert drawn == set(KINDS)
