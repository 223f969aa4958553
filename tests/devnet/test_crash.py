"""A process that dies between any two durable facts: the next one finishes the compound, once."""

from __future__ import annotations

import pytest
from app_kit import a_week, nonce, open_local, principal, sent_by, write_config

from keeper.domain.decision import Verdict
from keeper.domain.harvest import HarvestState
from keeper.engine.context import ChainContext
from keeper.engine.lap import resume
from keeper.errors import LaneHeld, TxPending

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

    monkeypatch.setattr("keeper.wiring._kill_point", lambda _: reach)


CASES = [("opened", 1), ("recorded", 1), *((point, leg) for point in POINTS for leg in range(1, LEGS + 1))]


@pytest.mark.parametrize(("point", "count"), CASES)
def test_killed_at_any_point_the_next_start_finishes_the_compound_once(
    fresh_world, tmp_path, monkeypatch, point, count
):
    a_week(fresh_world)
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
        if nonce(fresh_world, farmer) == first:  # nothing was signed yet: dropped, and decided afresh
            assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.CANCELLED]
            app.compound("usdc-aave")
        harvests = [h for h in app.store.harvests("usdc-aave") if h.state is not HarvestState.CANCELLED]
        assert [h.state for h in harvests] == [HarvestState.DONE]
        grown = principal(app, "usdc-aave") - before
        assert app.compound("usdc-aave").harvest is None
        assert app.store.open_harvests("local", farmer) == []

    txs = sent_by(fresh_world, farmer, start)
    assert [tx["receipt"]["status"] for tx in txs] == ["0x1"] * LEGS
    assert nonce(fresh_world, farmer) - first == LEGS
    assert len({tx["input"][:10] + tx["to"] for tx in txs}) == LEGS, "a leg went out twice"
    assert 0 <= grown - harvests[0].compounded.raw <= 2 * 10**6


def test_an_open_compound_waits_for_prices_and_then_goes_on_by_new_ones(fresh_world, tmp_path, monkeypatch):
    """Killed after the claim; meanwhile the feed contradicts the pool, and later both agree on another price."""
    a_week(fresh_world)
    config = write_config(fresh_world, tmp_path)
    farmer = fresh_world.farmer.address
    kill_at(monkeypatch, "confirmed", 1)
    with open_local(config) as app, pytest.raises(Killed):
        app.compound("usdc-aave")
    monkeypatch.undo()
    claimed = fresh_world.balance_of(fresh_world.aave, farmer).raw

    fresh_world.set_price("AAVE", 200 * 10**8)
    with open_local(config) as app:
        (pending,) = resume(app.contexts["local"], app.book("local"), farmer)
        assert isinstance(pending, TxPending)
        assert "AAVE" in str(pending)
        assert fresh_world.balance_of(fresh_world.aave, farmer).raw == claimed, "nothing was sold meanwhile"

    fresh_world.set_price("AAVE", 149 * 10**8)
    with open_local(config) as app:
        (done,) = resume(app.contexts["local"], app.book("local"), farmer)
        assert done.state is HarvestState.DONE
        assert done.compounded.raw > 0


def test_two_keepers_never_share_an_account(fresh_world, tmp_path):
    config = write_config(fresh_world, tmp_path)
    with open_local(config), pytest.raises(LaneHeld, match="stop that keeper first"):
        open_local(config)


def test_a_simulation_that_reverts_blocks_before_anything_is_sent(fresh_world, tmp_path):
    a_week(fresh_world)
    config = write_config(fresh_world, tmp_path)
    config.write_text(config.read_text().replace('id = "usdc-aave"', 'id = "usdc-aave"\nmax_slippage = 1'))
    first = nonce(fresh_world, fresh_world.farmer.address)
    with open_local(config) as app:
        outcome = app.compound("usdc-aave")
        assert app.store.harvests() == []
    assert outcome.decision.verdict is Verdict.BLOCKED
    assert "INSUFFICIENT_OUTPUT_AMOUNT" in outcome.decision.reasons[0].text
    assert nonce(fresh_world, fresh_world.farmer.address) == first
