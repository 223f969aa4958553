"""History is thinned once a day of block time, and a store that refuses is asked again."""

from __future__ import annotations

from types import SimpleNamespace

from keeper.domain.events import EventName
from keeper.engine.upkeep import upkeep
from keeper.errors import StoreUnavailable

DAY = 86_400


class Store:
    def __init__(self) -> None:
        self.flags, self.thinned, self.broken = {}, [], False

    def get_flag(self, key):
        return self.flags.get(key)

    def set_flag(self, key, value):
        self.flags[key] = value

    def thin(self, now, keep):
        if self.broken:
            raise StoreUnavailable("disk full")
        self.thinned.append((now, keep))
        return 3


def context():
    said = []
    return SimpleNamespace(
        store=Store(),
        name="test",
        history_seconds=400 * DAY,
        emit=lambda name, *_, **fields: said.append((name, fields)),
        said=said,
    )


def test_once_a_day_and_not_more_often():
    c = context()
    for now in (1000, 1000 + DAY - 1, 1000 + DAY, 1000 + DAY + 5):
        upkeep(c, now)
    assert [at for at, _ in c.store.thinned] == [1000, 1000 + DAY]
    assert c.store.thinned[0][1] == 400 * DAY


def test_a_failure_is_said_and_tried_again():
    c = context()
    c.store.broken = True
    upkeep(c, 1000)
    assert c.said[-1][0] is EventName.CYCLE_FAILED
    c.store.broken = False
    upkeep(c, 1100)
    assert c.store.thinned == [(1100, 400 * DAY)]


def test_a_chain_whose_time_went_back_is_thinned_again():
    c = context()
    upkeep(c, 10 * DAY)
    upkeep(c, 5 * DAY)
    assert len(c.store.thinned) == 2
