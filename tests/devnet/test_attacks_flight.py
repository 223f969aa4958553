"""What bad luck and hostile company do to transactions in flight, and must not bring about.

Where a port or the disk is replaced by one that fails, the test says so; everything else is the real chain and code.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from app_kit import Recorder, nonce, open_local, principal, sent_by
from attack_kit import as_account, begin_and_die, edit, on_send, quick

from keeper.abi import Fn
from keeper.domain.harvest import HarvestState
from keeper.domain.journal import AddAttempt, Settle
from keeper.domain.money import UsdWad
from keeper.domain.transaction import IntentState, Purpose
from keeper.engine.context import halt_key
from keeper.engine.drive import drive
from keeper.engine.execute import next_of
from keeper.engine.flight import flight_of
from keeper.engine.lane import Lane
from keeper.engine.lap import begin, compound, resume
from keeper.engine.pause import PAUSE, paused_text
from keeper.errors import KeeperError, PolicyDenied, RpcUnavailable, StoreUnavailable, TxPending
from keeper.swaps.uniswap_v2 import SWAP

pytestmark = pytest.mark.devnet

POSITIONS = ("uni-farm", "sushi-chef", "usdc-aave")
APPROVE = Fn("approve(address,uint256)", "bool")


@pytest.fixture
def still(fresh_world):
    """The node, which mines only when it is told to."""
    fresh_world.node.rpc("evm_setAutomine", False)
    return fresh_world.node


def limit(context, **limits):
    """Give every key other limits."""
    for guard in context.signers.values():
        guard._policy = replace(guard._policy, limits=replace(guard._policy.limits, **limits))


def left_waiting(app, context, farmer):
    """Send a first leg while nothing is mined; its flight and its slot."""
    with pytest.raises(TxPending):
        compound(context, app.book("local"), "usdc-aave")
    flight = flight_of(context, farmer)
    (slot,) = flight.unmined
    return flight, slot


def look(flight, context, times):
    """Look again and again, with time between the looks."""
    for _ in range(times):
        flight.look()
        context.clock.sleep(0.12)


def leave_behind(node, wei):
    """Make a block that nothing in the pool could pay for, and forget the pool."""
    node.rpc("anvil_dropAllTransactions")
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))
    node.rpc("anvil_mine", "0x1")


def fail_once(patch, store, kind, at, words):
    """Let one commit with such a change fail: the ``at``-th."""
    honest, count = type(store).apply, [0]

    def apply(self, changes):
        if any(isinstance(change, kind) for change in changes):
            count[0] += 1
            if count[0] == at:
                raise StoreUnavailable(words)
        honest(self, changes)

    patch.setattr(type(store), "apply", apply)
    return count


# ----------------------------------------------------------------------------------------------- limits hold together


def test_what_a_window_may_cost_stays_within_what_is_left_of_the_day(config, farmer, still):
    with open_local(config) as app:
        context = quick(app, max_in_flight=8)
        works = [begin(context, app.book("local"), p).work for p in POSITIONS]
        flight = flight_of(context, farmer)
        jobs = [job for work in works for job in next_of(context.sure(), work, flight, 1).jobs]
        caps = [j.work.valuation.gas_cost(int(j.simulation.gas_used * 1.3) * j.bid.max_fee_wei) for j in jobs]
        left = UsdWad(max(caps) * 3 // 2)  # enough for each, not for all
        limit(context, per_day_usd=left)
        denied = [error for error in flight.launch(jobs) if error is not None]
        with sqlite3.connect(app.store.path) as db:
            signed = [int(row[0]) for row in db.execute("SELECT max_fee_usd FROM attempts")]
    assert signed
    assert sum(signed) <= left
    assert denied
    assert all(isinstance(error, PolicyDenied) and "per-day cap" in str(error) for error in denied)


def test_a_position_has_one_open_compound_though_it_looks_due_while_its_claim_waits(config, farmer, still):
    with open_local(config) as app:
        context = quick(app, max_in_flight=4)
        lane = Lane(context, lambda: app.book("local"), farmer)
        for _ in range(4):
            lane._handle("sushi-chef")
        assert len(app.store.open_harvests("local", farmer)) == 1
        assert len(flight_of(context, farmer).unmined) == 1
        still.rpc("evm_setAutomine", True)
        still.rpc("anvil_mine", "0x2")
        for _ in range(4):
            lane._handle("")
        assert [h.state for h in app.store.harvests("sushi-chef")] == [HarvestState.DONE]


def test_a_first_bid_that_the_gas_price_limit_cut_can_be_cancelled(fresh_world, config, farmer, still):
    """A replacement must bid more, so the limit on the gas price would keep it from ever being cancelled."""
    edit(config, "[limits]\n", "[limits]\nmax_gas_price_gwei = '1.2'\n")
    with open_local(config) as app:
        context = quick(app)
        flight, slot = left_waiting(app, context, farmer)
        most = context.limits.max_gas_price_wei
        assert slot.top.max_fee_wei == most == 12 * 10**8, "the bid was not cut: the test tests nothing"
        flight.ask(slot.track.intent.id, "asked to be cancelled")
        (slot,) = flight.unmined
        assert [a.purpose for a in slot.track.attempts] == [Purpose.WORK, Purpose.CANCEL]
        assert slot.top.max_fee_wei * 8 >= most * 9
        still.rpc("evm_setAutomine", True)
        still.rpc("anvil_mine", "0x2")
        look(flight, context, 3)
        assert app.store.track(slot.track.intent.id).intent.state is IntentState.CANCELLED
    last = sent_by(fresh_world, farmer, 0)[-1]
    assert (last["to"].lower(), last["input"], int(last["nonce"], 16)) == (farmer, "0x", slot.nonce)


# -------------------------------------------------------------------------------------------- the disk and the journal


def test_a_disk_that_is_full_between_the_two_commits_of_a_launch_strands_nothing(config, farmer, monkeypatch):
    with open_local(config) as app:
        with monkeypatch.context() as patch:
            fail_once(patch, app.store, AddAttempt, 2, "the disk is full")
            with pytest.raises(StoreUnavailable):
                compound(quick(app), app.book("local"), "usdc-aave")
        for _ in range(4):
            resume(quick(app), app.book("local"), farmer)
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]


def test_a_journal_that_is_locked_at_the_first_look_after_a_kill_strands_nothing(config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "planned", 2)
    with open_local(config) as app:
        with monkeypatch.context() as patch:
            fail_once(patch, app.store, Settle, 1, "the database is locked")
            with pytest.raises(StoreUnavailable):
                resume(quick(app), app.book("local"), farmer)
        for _ in range(4):
            resume(quick(app), app.book("local"), farmer)
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]


def test_memory_follows_the_journal_when_one_of_two_replacements_is_not_taken_down(config, farmer, monkeypatch, still):
    with open_local(config) as app:
        context = quick(app, max_in_flight=4)
        works = [begin(context, app.book("local"), p).work for p in ("sushi-chef", "usdc-aave")]
        works = [replace(work, budget_wei=None) for work in works]
        flight = flight_of(context, farmer)
        flight.context = replace(flight.context, bump_seconds=1_000.0)
        drive(context.sure(), flight, works)
        flight.works |= {work.harvest.id: work for work in works}
        flight.context = replace(flight.context, bump_seconds=0.1)
        asked = fail_once(monkeypatch, app.store, AddAttempt, 2, "the disk is full")
        leave_behind(still, 2 * flight.unmined[0].top.max_fee_wei)
        failures = []
        for _ in range(12):
            try:
                flight.look()
            except StoreUnavailable as error:
                failures.append(error)
            context.clock.sleep(0.12)
        assert len(failures) == 1
        assert asked[0] > 2, "nothing was tried again"
        counts = [(len(s.track.attempts), len(app.store.track(s.track.intent.id).attempts)) for s in flight.unmined]
    assert counts == [(2, 2), (2, 2)]


def test_what_the_wallet_held_is_kept_when_an_endpoint_fails_at_the_closing(config, farmer, monkeypatch):
    def gone(self, number):
        raise RpcUnavailable("gone for a moment")

    with open_local(config) as app:
        context = quick(app)
        with monkeypatch.context() as patch:
            patch.setattr(type(context.sure().chain), "block", gone)
            with pytest.raises(KeeperError):
                compound(context, app.book("local"), "usdc-aave")
        ((harvest, _),) = app.store.open_harvests("local", farmer)
        assert list(app.store.flags("own:")) == [f"own:{harvest.id}"]
        resume(context, app.book("local"), farmer)
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]


# ------------------------------------------------------------------------------------------------ reorganisations


def test_what_the_wallet_held_is_known_when_a_reorg_opens_a_compound_again(config, farmer, fresh_world):
    with open_local(config) as app:
        done = app.compound("usdc-aave").harvest
        fresh_world.node.rpc("evm_setAutomine", False)
        fresh_world.node.rpc("anvil_reorg", 3, [])
        flight = flight_of(app.contexts["local"], farmer)
        for _ in range(4):
            flight.look()
        assert [h.id for h, _ in app.store.open_harvests("local", farmer)] == [done.id]
        assert list(app.store.flags("own:")) == [f"own:{done.id}"]


def test_a_reorg_that_puts_our_transaction_in_a_strangers_place_is_seen(fresh_world, config, farmer, still):
    """The nonce was released on the proof of a stranger's transaction; then ours is executed after all."""
    with open_local(config) as app:
        context = quick(app)
        flight, slot = left_waiting(app, context, farmer)
        intent, first = slot.track.intent.id, slot.track.attempts[0]
        still.rpc("anvil_dropAllTransactions")
        as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
        still.rpc("anvil_mine", "0x1")
        app.store.set_flag(PAUSE, paused_text("so that the leg is not done again at once", 0))
        look(flight, context, 8)
        assert app.store.track(intent).intent.state is IntentState.CANCELLED
        still.rpc("anvil_reorg", 1, [["0x" + first.raw.hex(), 0]])
        assert still.rpc("eth_getTransactionReceipt", first.hash)["status"] == "0x1"
        still.rpc("anvil_mine", "0x3")
        look(flight, context, 8)
        track = app.store.track(intent)
        assert track.intent.state in (IntentState.MINED, IntentState.CONFIRMED)
        assert track.receipt.tx_hash == first.hash
        app.store.set_flag(PAUSE, None)
        still.rpc("evm_setAutomine", True)
        for _ in range(4):
            resume(context, app.book("local"), farmer)
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]
    claims = [
        tx for tx in sent_by(fresh_world, farmer, 0) if tx["input"].startswith("0x" + track.intent.data[:4].hex())
    ]
    assert len([tx for tx in claims if int(tx["nonce"], 16) >= slot.nonce]) == 1, "it was claimed twice"


def test_a_reverted_leg_that_was_done_again_is_not_sent_again_by_a_reorg(fresh_world, config, farmer, monkeypatch):
    node, sent, code = fresh_world.node, [], {}
    with open_local(config) as app:
        context = quick(app)

        def break_the_first(batch):
            sent.extend(batch)
            if not code:
                to = batch[0].request.to
                code[to] = node.rpc("eth_getCode", to, "latest")
                node.rpc("anvil_setCode", to, "0x5f5ffd")

        on_send(monkeypatch, context, break_the_first)
        with pytest.raises(KeeperError):
            compound(context, app.book("local"), "sushi-chef")
        flight = flight_of(context, farmer)
        (slot,) = flight.slots.values()
        assert slot.state is IntentState.REVERTED
        for to, whole in code.items():
            node.rpc("anvil_setCode", to, whole)
        app.store.set_flag(PAUSE, None)
        until_done_again = replace(context, stopping=lambda: len(sent) >= 2, drain_seconds=1.0)
        resume(until_done_again, app.book("local"), farmer)
        old, new = (t for t in app.store.tracks_of(slot.track.intent.harvest_id) if t.intent.leg_index == 0)
        assert [old.intent.state, new.intent.state] == [IntentState.REVERTED, IntentState.CONFIRMED]
        sent.clear()
        node.rpc("evm_setAutomine", False)
        node.rpc("anvil_reorg", fresh_world.block_number - old.receipt.block_number + 1, [])
        assert node.rpc("eth_getTransactionReceipt", old.attempts[0].hash) is None
        for _ in range(4):
            flight.look()
        assert old.attempts[0].hash not in [signed.hash for signed in sent]
        (instead,) = (signed.request for signed in sent if signed.request.nonce == old.intent.nonce)
        assert (instead.to, instead.data, instead.value) == (farmer, b"", 0), "its nonce has to be used up by a cancel"


# ------------------------------------------------------------------------------------------------------- nonces


def lose_the_middle_of_three(config, farmer, node):
    """Three transactions wait, and the journal loses the second; nobody has its bytes any more. Its nonce."""
    with open_local(config) as app:
        context = quick(app, max_in_flight=4)
        works = [begin(context, app.book("local"), p).work for p in POSITIONS]
        flight = flight_of(context, farmer)
        drive(context.sure(), flight, works)
        middle, journal = flight.unmined[1], app.store.path
    with sqlite3.connect(journal) as db:
        for trigger in ("intents_kept", "attempts_kept"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("DELETE FROM attempts WHERE intent_id = ?", (middle.track.intent.id,))
        db.execute("DELETE FROM intents WHERE id = ?", (middle.track.intent.id,))
    node.rpc("anvil_dropAllTransactions")
    return middle.nonce


def blocks_and_looks(flight, node, wei, count=6):
    """Looks at new blocks, all at one price."""
    for _ in range(count):
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))
        node.rpc("anvil_mine", "0x1")
        flight.look()


def gap_flight(app, farmer, **changes):
    """The flight of the account, taken up while nothing new is signed."""
    app.store.set_flag(PAUSE, paused_text("so that no leg takes the nonce first", 0))
    context = quick(app, max_in_flight=4, **changes)
    resume(context, app.book("local"), farmer)
    return flight_of(context, farmer)


@pytest.mark.parametrize(("l1_fee", "base_fees"), [(0, 1.5), (4 * 10**12, 1.7)], ids=["plain", "with an L1 fee"])
def test_a_gap_is_filled_by_as_high_a_bid_as_a_cancel_may_cost(config, farmer, monkeypatch, still, l1_fee, base_fees):
    """An ordinary first bid is twice the base fee; here that is more than the limit."""
    lost, events = lose_the_middle_of_three(config, farmer, still), Recorder()
    with open_local(config, events=events) as app:
        flight = gap_flight(app, farmer)
        chain, native = flight.context.chain, flight.context.prices_seen["native"]
        price = chain.fees().base_fee_wei
        most = UsdWad(int(base_fees * price) * 27_300 * native // 10**18)
        flight.context = replace(flight.context, cancel_max_usd=most)
        limit(flight.context, cancel_usd=most)
        monkeypatch.setattr(type(chain), "l1_fee_wei", lambda self, data: l1_fee)
        blocks_and_looks(flight, still, price)
        (filled,) = events.named("gap.filled")
        assert not events.named("policy.denied")
        assert filled.fields["nonce"] == lost
        (bid,) = [slot.top.max_fee_wei for slot in flight.slots.values() if slot.track.intent.label.startswith("fill")]
    assert price < bid < 2 * price
    assert (bid * 27_300 + l1_fee) * native <= most * 10**18


def test_a_gap_that_may_not_be_filled_is_said_once_and_filled_when_it_may(config, farmer, monkeypatch, still):
    lost, events = lose_the_middle_of_three(config, farmer, still), Recorder()
    with open_local(config, events=events) as app:
        flight = gap_flight(app, farmer)
        limit(flight.context, per_day_usd=UsdWad(1))
        blocks_and_looks(flight, still, 10**9, 8)
        assert len(events.named("policy.denied")) == 1
        (stuck,) = [event for event in events.named("tx.stuck") if event.fields["nonce"] == lost]
        assert "per-day cap" in stuck.fields["why"]
        limit(flight.context, per_day_usd=None)
        blocks_and_looks(flight, still, 10**9, 2)
        assert not events.named("gap.filled"), "the policy is asked again only after a while"
        monkeypatch.setattr("keeper.engine.launch._DENIED_SECONDS", 0.0)
        blocks_and_looks(flight, still, 10**9, 2)
        assert events.named("gap.filled")


def test_a_gap_that_gas_is_too_dear_for_is_said_once(config, farmer, still):
    lost, events = lose_the_middle_of_three(config, farmer, still), Recorder()
    with open_local(config, events=events) as app:
        flight = gap_flight(app, farmer, cancel_max_usd=UsdWad(10**15))
        blocks_and_looks(flight, still, 10**9, 8)
        (stuck,) = [event for event in events.named("tx.stuck") if event.fields["nonce"] == lost]
        assert "gwei" in stuck.fields["why"]
        assert not events.named("gap.filled")


def test_more_missing_nonces_than_could_be_lost_halt_the_account(config, farmer, monkeypatch, still):
    lose_the_middle_of_three(config, farmer, still)
    monkeypatch.setattr("keeper.engine.flight._MAX_HOLES", 0)
    events = Recorder()
    with open_local(config, events=events) as app:
        lane = Lane(quick(app, max_in_flight=4), lambda: app.book("local"), farmer)
        for _ in range(5):
            lane._handle("")
        assert "neither mined nor in the" in app.store.get_flag(halt_key("local", farmer))
    assert len(events.named("lane.halted")) == 1


def test_no_nonce_below_the_recovered_floor_is_given_out_or_filled(fresh_world, config, farmer, still):
    """The journal was rebuilt, and a lagging endpoint does not count its last five transactions any more."""
    mined, events = nonce(fresh_world, farmer), Recorder()
    with open_local(config, events=events) as app:
        app.store.raise_floor(31337, farmer, mined + 5)
        assert app.store.get_flag(f"floor:31337:{farmer}") == str(mined + 5)
        flight, slot = left_waiting(app, quick(app), farmer)
        assert slot.nonce == mined + 5
        blocks_and_looks(flight, still, 10**9, 8)
        assert not events.named("gap.filled")
        assert app.store.nonces_used(31337, farmer, 0) == {mined + 5}


# -------------------------------------------------------------------------------- what is said, and how often


def test_a_nonce_that_nobody_can_prove_any_more_is_told_once(fresh_world, config, farmer, monkeypatch, still):
    """A stranger took it before the oldest block that the endpoints look through."""
    events = Recorder()
    with open_local(config, events=events) as app:
        context = quick(app)
        flight, slot = left_waiting(app, context, farmer)
        still.rpc("anvil_dropAllTransactions")
        as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
        still.rpc("anvil_mine", "0x5")
        monkeypatch.setattr(type(flight.context.chain), "used_by", lambda self, account, used: None)
        for _ in range(60):
            flight.look()
        (told,) = events.named("tx.stuck")
        assert told.fields["nonce"] == slot.nonce
        assert app.store.track(slot.track.intent.id).intent.state is IntentState.BROADCAST, "nothing was proved"


def test_a_pause_outbids_nothing_and_the_log_stays_quiet(config, farmer, still):
    events = Recorder()
    with open_local(config, events=events) as app:
        context = quick(app)
        flight, slot = left_waiting(app, context, farmer)
        app.store.set_flag(PAUSE, paused_text("night", 0))
        harvest = slot.track.intent.harvest_id
        flight.works[harvest] = replace(flight.works[harvest], budget_wei=None)
        for _ in range(8):
            leave_behind(still, 3 * slot.top.max_fee_wei)
            look(flight, context, 1)
        assert len(flight.unmined[0].track.attempts) == 1
        assert not events.named("policy.denied")
        assert len(events.named("tx.stuck")) <= 1
        app.store.set_flag(PAUSE, None)
        leave_behind(still, 3 * slot.top.max_fee_wei)
        look(flight, context, 2)
        assert len(flight.unmined[0].track.attempts) == 2, "no bump was due: the test tests nothing"


def test_why_a_compound_waits_is_said_once_though_gas_moves(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed", 1)
    events = Recorder()
    with open_local(config, events=events) as app:
        context = quick(app)
        context = replace(context, limits=replace(context.limits, max_gas_price_wei=10**9))
        lane = Lane(context, lambda: app.book("local"), farmer)
        for step in range(6):
            fresh_world.set_base_fee(20 * 10**9 + step * 10**8)
            lane._handle("")
    (said,) = events.named("position.failed")
    assert "gwei" in said.fields["error"]


# ------------------------------------------------------------------------------------------------------ a sandwich


def sell_into_the_pool(world, seller, path, sold, max_fee, tip):
    """Swap as somebody else, bidding this (the node orders a block by the fee cap, others by the tip)."""
    data = SWAP.encode(sold, 1, path, seller, world.now + 86_400)
    fees = {"maxFeePerGas": hex(max_fee), "maxPriorityFeePerGas": hex(tip), "gas": hex(400_000)}
    return world.node.rpc(
        "eth_sendTransaction", {"from": seller, "to": world.router, "data": "0x" + data.hex(), **fees}
    )


def proceeds(world, path, sold):
    """What the router would pay now."""
    data = Fn("getAmountsOut(uint256,address[])").encode(sold, path)
    answer = world.node.rpc("eth_call", {"to": world.router, "data": "0x" + data.hex()}, "latest")
    return int(answer[-64:], 16)


@pytest.mark.parametrize("sells_back", [True, False], ids=["closed", "left open"])
def test_a_sandwiched_swap_reverts_and_loses_nothing_but_its_gas(fresh_world, config, farmer, monkeypatch, sells_back):
    """Reserves are moved before our swap, in its block, by a transaction that pays more."""
    w, attacker, hashes = fresh_world, fresh_world.deployer.address, []
    reward, bought = w.aave, w.weth
    there, back = (reward.address, bought.address), (bought.address, reward.address)
    sold = 5_000 * 10**18
    gained = proceeds(w, there, sold)
    w.node.rpc("anvil_impersonateAccount", attacker)
    for token in (reward, bought):
        as_account(w, attacker, token.address, "0x" + APPROVE.encode(w.router, 10**30).hex())
    loose = {token.symbol: w.balance_of(token, farmer).raw for token in (reward, bought)}

    def attack(batch):
        if any(s.request.data[:4] == SWAP.selector for s in batch) and not hashes:
            w.node.rpc("evm_setAutomine", False)
            hashes.append(sell_into_the_pool(w, attacker, there, sold, 10 * 10**9, 3 * 10**9))
            if sells_back:
                hashes.append(sell_into_the_pool(w, attacker, back, gained, 15 * 10**8, 10**6))

    with open_local(config) as app:
        context = quick(app, confirm_timeout=0.5)
        staked = principal(app, "usdc-aave")
        on_send(monkeypatch, context, attack)
        with pytest.raises(TxPending):
            compound(context, app.book("local"), "usdc-aave")
        flight = flight_of(context, farmer)
        (swap,) = flight.unmined
        assert len(hashes) == 1 + sells_back
        w.node.rpc("anvil_mine", "0x1")
        w.node.rpc("evm_setAutomine", True)
        receipts = [w.node.rpc("eth_getTransactionReceipt", h) for h in (hashes[0], swap.top.hash, *hashes[1:])]
        assert [r["status"] for r in receipts] == ["0x1", "0x0", "0x1"][: len(receipts)]
        assert len({r["blockHash"] for r in receipts}) == 1
        assert [int(r["transactionIndex"], 16) for r in receipts] == list(range(len(receipts)))
        harvest = swap.track.intent.harvest_id
        claimed = next(t for t in app.store.tracks_of(harvest) if t.intent.leg_index == 0).receipt
        assert w.balance_of(reward, farmer).raw == loose["AAVE"] + claimed.delta(reward, farmer).raw
        assert w.balance_of(bought, farmer).raw == loose["WETH"]

        if not sells_back:
            (waits,) = resume(context, app.book("local"), farmer)
            assert isinstance(waits, TxPending)
            assert len(app.store.tracks_of(harvest)) == 3, "a swap that would revert was signed again"
            assert w.balance_of(reward, farmer).raw == loose["AAVE"] + claimed.delta(reward, farmer).raw
            hashes.append(sell_into_the_pool(w, attacker, back, gained, 10 * 10**9, 10**9))
        for _ in range(3):
            resume(quick(app, confirm_timeout=10.0), app.book("local"), farmer)
        (done,) = app.store.harvests("usdc-aave")
        assert done.state is HarvestState.DONE
        assert abs(principal(app, "usdc-aave") - staked - done.compounded.raw) <= 3 * 10**6
        assert w.balance_of(reward, farmer).raw == loose["AAVE"]
