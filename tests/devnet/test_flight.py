"""What is in flight on a real chain: windows, cancels, reorganisations, missing nonces, pauses."""

from __future__ import annotations

import sqlite3
import time
from functools import partial

import pytest
from app_kit import Recorder, nonce, open_local, principal, sent_by
from attack_kit import as_account, begin_and_die, on_send
from attack_kit import quick as quick_context

from keeper.abi import Fn
from keeper.domain.harvest import HarvestState
from keeper.domain.journal import AddAttempt
from keeper.domain.transaction import IntentState, Purpose
from keeper.engine.context import ask_key
from keeper.engine.drive import drive
from keeper.engine.flight import flight_of
from keeper.engine.lap import begin, compound, resume
from keeper.engine.pause import PAUSE, paused_text
from keeper.errors import LaneHeld, TxPending

pytestmark = pytest.mark.devnet

quick = partial(quick_context, confirm_timeout=2.0, bump_seconds=0.2)

POSITIONS = ("uni-farm", "sushi-chef", "usdc-aave")


def test_three_compounds_go_together_and_each_grows_its_own_stake(fresh_world, config, farmer, monkeypatch):
    first, batches = nonce(fresh_world, farmer), []
    with open_local(config) as app:
        context = quick(app, max_in_flight=8, confirm_timeout=20.0)
        on_send(monkeypatch, context, lambda batch: batches.append([s.request.nonce for s in batch]))
        before = {p: principal(app, p) for p in POSITIONS}
        works = [begin(context, app.book("local"), p).work for p in POSITIONS]
        endings = drive(context.sure(), flight_of(context, farmer), works)
        grown = {p: principal(app, p) - before[p] for p in POSITIONS}
    assert [getattr(e, "state", e) for e in endings] == [HarvestState.DONE] * 3
    assert all(0 <= grown[e.position_id] - e.compounded.raw <= 3 * 10**6 for e in endings), grown
    assert max(map(len, batches)) >= 3, "the window was never used"
    sent = sent_by(fresh_world, farmer, 0)[-(nonce(fresh_world, farmer) - first) :]
    assert {tx["receipt"]["status"] for tx in sent} == {"0x1"}
    assert sorted(n for batch in batches for n in batch) == list(range(first, nonce(fresh_world, farmer)))


def test_a_reorg_behind_a_finished_compound_is_noticed_and_done_again_by_the_same_bytes(fresh_world, config, farmer):
    events = Recorder()
    with open_local(config, events=events) as app:
        harvest = app.compound("usdc-aave").harvest
        ledger = app.store.ledger()
        grown = principal(app, "usdc-aave")
        hashes = [a.hash for t in app.store.tracks_of(harvest.id) for a in t.attempts]
        fresh_world.node.rpc("anvil_reorg", 3, [])
        gone = [h for h in hashes if fresh_world.node.rpc("eth_getTransactionReceipt", h) is None]
        assert gone
        again = []
        for _ in range(4):  # mined in new blocks, or a chain that is shorter for a while: looks tell
            again += resume(quick(app), app.book("local"), farmer)
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]
        assert {e.fields["tx"] for e in events.named("tx.reorged")} == set(gone)
        assert [a.hash for t in app.store.tracks_of(harvest.id) for a in t.attempts] == hashes
        assert {(e.tx_hash, e.amount.token.symbol, e.kind) for e in app.store.ledger()} == {
            (e.tx_hash, e.amount.token.symbol, e.kind) for e in ledger
        }
        assert abs(principal(app, "usdc-aave") - grown) <= 3 * 10**6
    assert all(fresh_world.node.rpc("eth_getTransactionReceipt", h)["status"] == "0x1" for h in hashes)


def test_a_cancel_takes_the_nonce_and_the_leg_is_done_afresh(fresh_world, config, farmer):
    """Nothing is mined for a while; a person gives up; then blocks come again."""
    first, node = nonce(fresh_world, farmer), fresh_world.node
    node.rpc("evm_setAutomine", False)
    try:
        with open_local(config) as app:
            context = quick(app)
            with pytest.raises(TxPending):
                compound(context, app.book("local"), "usdc-aave")
            flight = flight_of(context, farmer)
            (slot,) = flight.unmined
            app.store.set_flag(ask_key("cancel", slot.track.intent.id), "1")
            flight.look()
            (slot,) = flight.unmined
            assert [a.purpose for a in slot.track.attempts] == [Purpose.WORK, Purpose.CANCEL]
            assert len({a.nonce for a in slot.track.attempts}) == 1
            node.rpc("evm_setAutomine", True)
            node.rpc("anvil_mine", "0x2")
            (ending,) = resume(context, app.book("local"), farmer)
            track = app.store.track(slot.track.intent.id)
            assert track.intent.state is IntentState.CANCELLED
            assert ending.state is HarvestState.DONE
            assert [t.intent.state for t in app.store.tracks_of(ending.id) if t.intent.leg_index == 0] == [
                IntentState.CANCELLED,
                IntentState.CONFIRMED,
            ]
    finally:
        node.rpc("evm_setAutomine", True)
    assert nonce(fresh_world, farmer) == first + 6


def test_a_cancel_that_loses_the_race_ends_as_done(fresh_world, config, farmer, monkeypatch):
    node = fresh_world.node
    node.rpc("evm_setAutomine", False)
    try:
        with open_local(config) as app:
            context = quick(app)
            with pytest.raises(TxPending):
                compound(context, app.book("local"), "usdc-aave")
            flight = flight_of(context, farmer)
            (slot,) = flight.unmined
            # The original is mined in the moment in which the cancel leaves.
            on_send(monkeypatch, flight.context, lambda _: node.rpc("anvil_mine", "0x1"))
            flight.ask(slot.track.intent.id, "asked to be cancelled")
            monkeypatch.undo()
            node.rpc("evm_setAutomine", True)
            (ending,) = resume(context, app.book("local"), farmer)
            assert ending.state is HarvestState.DONE
            assert app.store.track(slot.track.intent.id).intent.state is IntentState.CONFIRMED
    finally:
        node.rpc("evm_setAutomine", True)


def test_a_missing_nonce_is_filled_when_something_waits_above_it(fresh_world, config, farmer, monkeypatch):
    """The journal's row of the middle one is gone, and so are its bytes: what is above would wait for ever."""
    first, node, events = nonce(fresh_world, farmer), fresh_world.node, Recorder()
    node.rpc("evm_setAutomine", False)
    try:
        with open_local(config, events=events) as app:
            context = quick(app, max_in_flight=4)
            works = [begin(context, app.book("local"), p).work for p in POSITIONS]
            flight = flight_of(context, farmer)
            endings = drive(context.sure(), flight, works)
            assert all(isinstance(e, TxPending) for e in endings)
            middle = flight.unmined[1]
            journal = app.store.path
        with sqlite3.connect(journal) as db:
            for trigger in ("intents_kept", "attempts_kept"):
                db.execute(f"DROP TRIGGER {trigger}")
            db.execute("DELETE FROM attempts WHERE intent_id = ?", (middle.track.intent.id,))
            db.execute("DELETE FROM intents WHERE id = ?", (middle.track.intent.id,))
        node.rpc("anvil_dropAllTransactions")
        node.rpc("evm_setAutomine", True)
        with open_local(config, events=events) as app:
            app.store.set_flag(PAUSE, paused_text("so that no leg takes the nonce first", 0))
            context = quick(app, max_in_flight=4)
            flight = flight_of(context, farmer)
            for _ in range(8):
                resume(context, app.book("local"), farmer)
            assert events.named("gap.filled")
            assert not flight.unmined
            mined = sent_by(fresh_world, farmer, 0)
            assert sorted(int(tx["nonce"], 16) for tx in mined)[-3:] == [first, first + 1, first + 2]
            filled = next(tx for tx in mined if int(tx["nonce"], 16) == middle.nonce)
            assert (filled["to"].lower(), filled["input"], filled["value"]) == (farmer, "0x", "0x0")
    finally:
        node.rpc("evm_setAutomine", True)


def test_a_pause_signs_nothing_new_and_watches_what_is_in_flight(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "journaled", 2)
    first = nonce(fresh_world, farmer)
    with open_local(config) as app:
        app.store.set_flag(PAUSE, paused_text("maintenance", 0))
        context = quick(app)
        (waiting,) = resume(context, app.book("local"), farmer)
        assert isinstance(waiting, TxPending)
        assert "maintenance" in str(waiting)
        assert nonce(fresh_world, farmer) == first + 1, "what was signed before is seen through, and no more"
        app.store.set_flag(PAUSE, None)
        (done,) = resume(context, app.book("local"), farmer)
        assert done.state is HarvestState.DONE


def test_a_lost_lease_signs_nothing(fresh_world, config, farmer):
    first = nonce(fresh_world, farmer)
    with open_local(config) as app:
        with sqlite3.connect(app.store.path) as db:
            db.execute("UPDATE leases SET token = token + 1, holder = 'another host'")
        with pytest.raises(LaneHeld, match="another host"):
            app.compound("usdc-aave")
    assert nonce(fresh_world, farmer) == first


def test_a_foreign_transaction_in_the_middle_is_named_and_the_leg_done_again(fresh_world, config, farmer, monkeypatch):
    events = Recorder()
    begin_and_die(monkeypatch, config, "journaled", 3)
    as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
    fresh_world.node.rpc("anvil_mine", hex(4))
    with open_local(config, events=events) as app:
        (done,) = resume(quick(app, confirm_timeout=10.0), app.book("local"), farmer)
        assert done.state is HarvestState.DONE
    (named,) = events.named("tx.foreign")
    theirs = fresh_world.node.rpc("eth_getTransactionByHash", named.fields["tx"])
    assert theirs["to"].lower() == fresh_world.whale.address.lower()


def test_no_byte_leaves_before_the_journal_has_it(fresh_world, config, farmer, monkeypatch):
    """Seen by another connection, at the moment of each send."""
    seen = []
    with open_local(config) as app:
        context = quick(app, confirm_timeout=20.0)
        path = app.store.path

        def look(batch):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                known = {row[0] for row in db.execute("SELECT raw FROM attempts")}
            seen.extend(signed.raw in known for signed in batch)

        on_send(monkeypatch, context, look)
        assert compound(context, app.book("local"), "sushi-chef").harvest.state is HarvestState.DONE
    assert len(seen) >= 3
    assert all(seen)


def test_a_commit_that_fails_sends_nothing(fresh_world, config, farmer, monkeypatch):
    from keeper.errors import StoreUnavailable

    first = nonce(fresh_world, farmer)
    with open_local(config) as app:
        honest = type(app.store).apply

        def full(self, changes):
            if any(isinstance(change, AddAttempt) for change in changes):
                raise StoreUnavailable("the disk is full")
            honest(self, changes)

        monkeypatch.setattr(type(app.store), "apply", full)
        with pytest.raises(StoreUnavailable):
            app.compound("usdc-aave")
    assert nonce(fresh_world, farmer) == first
    assert int(fresh_world.node.rpc("eth_getTransactionCount", farmer, "pending"), 16) == first


def test_a_window_counts_against_the_day_what_is_signed_together(config, farmer, monkeypatch):
    """The journal knows none of a window while it is signed; the policy must all the same."""
    from keeper.signers.policy import GuardedSigner

    honest, warrants = GuardedSigner.sign, []

    def sign(self, request, warrant):
        warrants.append(warrant)
        return honest(self, request, warrant)

    monkeypatch.setattr(GuardedSigner, "sign", sign)
    with open_local(config) as app:
        context = quick(app, max_in_flight=8)
        works = [begin(context, app.book("local"), p).work for p in POSITIONS]
        drive(context.sure(), flight_of(context, farmer), works)
    one, two = warrants[:2]
    assert (one.beside_usd, two.beside_usd) == (0, one.max_fee_usd)


def test_a_reward_that_is_gone_before_the_first_send_is_not_sent_for(fresh_world, config, farmer):
    """Decided and opened; then somebody else's transaction harvests; the first leg is not signed for a crumb."""
    with open_local(config) as app:
        context = quick(app)
        work = begin(context, app.book("local"), "uni-farm").work
        before = nonce(fresh_world, farmer)
        as_account(fresh_world, farmer, fresh_world.farm, "0x" + Fn("getReward()").selector.hex())
        while (first := nonce(fresh_world, farmer)) == before:
            time.sleep(0.02)
        (ending,) = drive(context.sure(), flight_of(context, farmer), [work])
    assert ending.state is HarvestState.CANCELLED, ending
    assert "when it was decided" in ending.error or "bring" in ending.error
    assert nonce(fresh_world, farmer) == first
