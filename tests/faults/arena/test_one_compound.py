"""A position that is looked at again while its compound is on its way is not compounded a second time beside it."""

from __future__ import annotations

import pytest

from keeper.app import open_app
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.accounts import FARMER
from keeper.engine.clock import SystemClock
from keeper.engine.lap import begin
from keeper.errors import KeeperError
from tests.faults.arena.stage import Arena
from tests.faults.arena.subjects import Keeper

pytestmark = [pytest.mark.devnet, pytest.mark.slow]


class Silent:
    def emit(self, event):
        pass


class ChainClock(SystemClock):
    """Shows the chain's time."""

    def __init__(self, arena):
        super().__init__()
        self.now = lambda: int(arena.now)


def test_a_second_compound_of_a_position_is_not_begun_beside_the_first():
    with Arena() as arena:
        config = Keeper(arena, None, 1).config
        loaded = load([config], env={}, catalogue=installed_catalogue(), dotenv=None)
        with open_app(loaded, events=Silent(), clock=ChainClock(arena)) as app:
            (context,) = app.contexts.values()
            (position,) = app.positions
            book = app.book(context.name)
            assert begin(context, book, position.id).work is not None
            try:
                again = begin(context, book, position.id).work
            except KeeperError:
                again = None
            assert again is None, "the reward is still pending on the chain, and was opened for twice"
            assert len(app.store.open_harvests(context.name, FARMER.address)) == 1
