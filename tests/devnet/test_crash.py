"""A process that dies between any two durable facts: the next one finishes the compound, once."""

from __future__ import annotations

import pytest
from app_kit import nonce, open_local, principal, sent_by, write_config

from keeper.domain.harvest import HarvestState
from keeper.engine.context import ChainContext
from keeper.engine.lap import resume

pytestmark = pytest.mark.devnet

#: Points between two durable facts of a leg, in order.
POINTS = ("planned", "signed", "journaled", "sent", "marked", "mined", "confirmed")
LEGS = 5


class Killed(BaseException):
    """Stands for SIGKILL: nothing in keeper may catch it."""


def kill_at(monkeypatch, point: str, count: int) -> None:
    """Let the process 'die' when it reaches a point for the ``count``-th time."""
    left = [count]

    def reach(name: str) -> None:
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(point)

    monkeypatch.setattr("keeper.app._kill_point", lambda _: reach)


CASES = [("opened", 1), ("recorded", 1), *((point, leg) for point in POINTS for leg in range(1, LEGS + 1))]


@pytest.mark.parametrize(("point", "count"), CASES)
def test_killed_at_any_point_the_next_start_finishes_the_compound_once(
    fresh_world, tmp_path, monkeypatch, point, count
):
    fresh_world.advance(7 * 86_400)
    config = write_config(fresh_world, tmp_path)
    farmer = fresh_world.farmer.address
    start, first = fresh_world.block_number, nonce(fresh_world, farmer)
    kill_at(monkeypatch, point, count)
    with open_local(config) as app:
        before = principal(app, "usdc-aave")
        with pytest.raises(Killed):
            app.compound("usdc-aave")
    monkeypatch.undo()

    with open_local(config) as app:
        context: ChainContext = app.contexts["local"]
        resume(context, app.book("local"), farmer)
        harvests = app.store.harvests("usdc-aave")
        assert [h.state for h in harvests] == [HarvestState.DONE]
        grown = principal(app, "usdc-aave") - before
        assert app.compound("usdc-aave").harvest is None
        assert app.store.open_harvests("local", farmer) == []

    txs = sent_by(fresh_world, farmer, start)
    assert [tx["receipt"]["status"] for tx in txs] == ["0x1"] * LEGS
    assert nonce(fresh_world, farmer) - first == LEGS
    assert len({tx["input"][:10] + tx["to"] for tx in txs}) == LEGS, "a leg went out twice"
    assert 0 <= grown - harvests[0].compounded.raw <= 2 * 10**6
