"""The local chain as the conformance suites see it: a stage, and the positions that it holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from chain_stage import Stage

from keeper.domain.position import Position


@pytest.fixture
def stage(fresh_world) -> Stage:
    return Stage(fresh_world.node, fresh_world.chain)


@pytest.fixture
def positions(fresh_world) -> Sequence[Position]:
    return fresh_world.positions
