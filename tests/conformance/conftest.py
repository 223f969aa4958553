"""The chains that the conformance suites act on: the local world with its three positions, and the whole fair."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from chain_stage import Stage
from fair_kit import put_back

from keeper.domain.position import Position


@pytest.fixture
def stage(fresh_world) -> Stage:
    return Stage(fresh_world.node, fresh_world.chain)


@pytest.fixture
def positions(fresh_world) -> Sequence[Position]:
    return fresh_world.positions


@pytest.fixture
def fair_stage(fair):
    """The fair, put back after the test."""
    with put_back(fair) as stage:
        yield stage
