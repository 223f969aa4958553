"""The second round: what the rework of the first round's findings, and everything around it, must withstand too."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from app_kit import Recorder, nonce, open_local
from attack_kit import alter_receipts, as_account, begin_and_die, drop_position, edit, go_on
from cli_kit import Line

from keeper.abi import Fn
from keeper.chain.client import EvmChain
from keeper.chain.endpoint import Endpoint
from keeper.domain.decision import ReasonCode
from keeper.domain.harvest import HarvestState
from keeper.domain.reads import ReadResult
from keeper.domain.transaction import IntentState, TransferLog
from keeper.engine.context import halt_key
from keeper.engine.lane import Lane
from keeper.engine.lap import resume
from keeper.engine.supervisor import Cadence, ChainWatch
from keeper.errors import IntegrityError, RpcRejected, RpcTimeout, TxPending

pytestmark = pytest.mark.devnet


def run_watch(app, seconds, **changes):
    context = replace(app.contexts["local"], **changes)
    watch = ChainWatch(context, Cadence(), book=lambda: app.book("local"))
    watch.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.1)
    app.clock.stop()
    watch.worker.stop(20)
    for lane in watch.lanes.values():
        lane.worker.stop(20)
    return watch


def at_rest(watch, seconds=30):
    """Wait until the watch and its lanes have had nothing to do for some looks at them."""
    deadline, quiet = time.monotonic() + seconds, 0
    while quiet < 10:
        assert time.monotonic() < deadline, "it does not come to rest"
        time.sleep(0.02)
        quiet = quiet + 1 if watch.idle else 0


def test_an_unblocked_halt_stays_unblocked(fresh_world, config, farmer, monkeypatch, capsys):
    dai = fresh_world.token("DAI")

    def stolen(found):
        theft = TransferLog(dai.address, farmer, fresh_world.whale.address, 700 * 10**18, 99)
        return replace(found, transfers=(*found.transfers, theft))

    with monkeypatch.context() as patch:
        alter_receipts(patch, stolen)
        with open_local(config) as app:
            lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
            lane._handle("usdc-aave")
            assert lane.halted
    shown = Line(config, capsys)("unblock", farmer, "--yes")
    assert shown.code == 0, shown
    with open_local(config) as app:
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        assert lane.halted is None
        lane._handle("")
        assert lane.halted is None, f"halted again at once: {lane.halted}"


def test_a_pending_transaction_of_the_user_makes_no_hot_loop(fresh_world, config, farmer):
    """The user's own low-fee transaction sits in the pool; the daemon must wait, not spin."""
    drop_position(config, "uni-farm")
    drop_position(config, "sushi-chef")
    fresh_world.node.rpc("evm_setAutomine", False)
    try:
        as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
        with open_local(config) as app:
            run_watch(app, 8)
            rows = app.store.harvests("usdc-aave", limit=10_000)
    finally:
        fresh_world.node.rpc("evm_setAutomine", True)
    cancelled = [h for h in rows if h.state is HarvestState.CANCELLED]
    assert len(cancelled) <= 2, (
        f"{len(cancelled)} harvests opened and dropped in 8 s, no gas tick and one position tick asked for; last: {rows[0].error}"
    )


def test_one_position_whose_pin_differs_does_not_halt_the_account(fresh_world, config, farmer, monkeypatch):
    selector, honest, lie = Fn("rewardsToken()", "address").selector, EvmChain.read, []

    def read(self, reads, block):
        bad = ReadResult(True, bytes(12) + bytes.fromhex(fresh_world.aave.address[2:]))
        return [
            bad if lie and r.data == selector else a for r, a in zip(reads, honest(self, reads, block), strict=True)
        ]

    monkeypatch.setattr(EvmChain, "read", read)
    events = Recorder()
    with open_local(config, events=events) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"), execute=lambda *_: 1 / 0)
        watch._resolve()
        for lane in watch.lanes.values():
            lane.worker.stop(10)
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        # a day later the contracts of uni-farm answer differently while it is due
        lie.append(1)
        app._books["local"] = (app._books["local"][0], app.clock.monotonic() - 90_000)
        lane._handle("uni-farm")
        assert lane.halted is None, (
            f"lane halted in memory: {lane.halted[:80]}; flag: {app.store.get_flag(halt_key('local', farmer))}"
        )
        lane._handle("usdc-aave")
        assert [h.state for h in app.store.harvests("usdc-aave")] == [HarvestState.DONE]


def test_a_position_id_given_to_another_farm_while_a_compound_is_open_does_not_kill_the_daemon(
    config, farmer, monkeypatch
):
    begin_and_die(monkeypatch, config, "confirmed")
    drop_position(config, "usdc-aave")
    edit(config, 'id = "sushi-chef"', 'id = "usdc-aave"')
    events = Recorder()
    with open_local(config, events=events) as app:
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        lane._handle("")  # a KeyError here would end the lane's thread, and with it the daemon, at every start
        assert len(app.store.open_harvests("local", farmer)) == 1
    (told,) = events.named("position.failed")
    assert "give that farm its name back" in told.fields["error"]


def test_harvest_all_finishes_what_an_earlier_run_left_open(config, farmer, monkeypatch, capsys):
    begin_and_die(monkeypatch, config, "confirmed")
    drop_position(config, "uni-farm")
    drop_position(config, "sushi-chef")
    shown = Line(config, capsys)("harvest", "--all", "--yes")
    with open_local(config) as app:
        left = app.store.open_harvests("local", farmer)
    assert not left, f"exit {shown.code}, said: {shown.out!r}; the claimed AAVE stays in the wallet"


def test_a_dropped_compound_is_not_reported_as_done(config, monkeypatch, capsys):
    begin_and_die(monkeypatch, config, "opened")
    shown = Line(config, capsys)("harvest", "usdc-aave", "--yes")
    with open_local(config) as app:
        states = [h.state for h in app.store.harvests("usdc-aave")]
    assert HarvestState.DONE in states, f"exit {shown.code}, said {shown.out!r}, journal {states}"


def test_an_open_compound_of_a_removed_position_does_not_block_one_shot_harvests(config, monkeypatch, capsys):
    begin_and_die(monkeypatch, config, "confirmed")
    drop_position(config, "usdc-aave")
    shown = Line(config, capsys)("harvest", "sushi-chef", "--yes")
    assert shown.code == 0, f"exit {shown.code}: {shown.out}"


def test_a_due_position_that_simulation_blocks_is_not_tried_again_at_every_gas_tick(config, monkeypatch):
    edit(config, 'id = "usdc-aave"', 'id = "usdc-aave"\nmax_slippage = 1')
    drop_position(config, "uni-farm")
    drop_position(config, "sushi-chef")
    count, honest = [0], EvmChain.simulate

    def simulate(self, *args, **kwargs):
        count[0] += 1
        return honest(self, *args, **kwargs)

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    with open_local(config) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"))
        watch._handle("positions")
        at_rest(watch)
        before = count[0]
        for _ in range(10):
            watch._handle("gas")
            at_rest(watch)
        for lane in watch.lanes.values():
            lane.worker.stop(5)
    assert count[0] == before, f"10 gas ticks caused {count[0] - before} simulations (first look: {before})"


def test_a_stuck_open_compound_does_not_warn_at_every_gas_tick(fresh_world, config, farmer, monkeypatch):
    """Claimed, then the deposit is refused by the chain for a day; afterwards the rest is due."""
    begin_and_die(monkeypatch, config, "confirmed")
    fresh_world.advance(7 * 86_400)
    drop_position(config, "uni-farm")
    drop_position(config, "sushi-chef")
    events, honest = Recorder(), EvmChain.simulate

    def simulate(self, owner, calls, tokens, block=None):
        found = honest(self, owner, calls, tokens, block)
        if any(c.kind.value == "swap" for c in calls):
            n = next(i for i, c in enumerate(calls) if c.kind.value == "swap")
            if n < len(found.calls):
                return replace(found, calls=(*found.calls[:n], replace(found.calls[n], success=False, error="K")))
        return found

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    with open_local(config, events=events) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"))
        watch._handle("positions")
        at_rest(watch)
        before = len([e for e in events.events if e.name.value in ("position.failed", "harvest.resumed")])
        for _ in range(10):
            watch._handle("gas")
            at_rest(watch)
        for lane in watch.lanes.values():
            lane.worker.stop(5)
    after = len([e for e in events.events if e.name.value in ("position.failed", "harvest.resumed")])
    assert after - before <= 2, f"10 gas ticks: {after - before} warnings/resumed events"


def test_two_open_compounds_that_share_a_token_do_not_strand_one_another(fresh_world, config, farmer, monkeypatch):
    """B (sushi-chef) is stuck holding WETH; A (uni-farm) begins, dies after its own WETH swap; then B ends first."""
    left = []

    def die_after(position_swaps):
        def reach(name):
            left[0] -= name == "confirmed"
            if name == "confirmed" and left[0] == 0:
                raise KeyboardInterrupt

        return reach

    for position, legs in (("sushi-chef", 3), ("uni-farm", 3)):
        left[:] = [legs]
        with monkeypatch.context() as patch:
            patch.setattr("keeper.wiring._kill_point", lambda _, legs=legs: die_after(legs))
            # `resume` of the other is what a lane would do first; here it is stuck for a reason of its own
            with open_local(config) as app, pytest.raises(KeyboardInterrupt):
                app.compound(position)
    with open_local(config) as app:
        results = go_on(app, farmer, seconds=10)
        shown = [(h.position_id, str(h.state), h.error) for h in app.store.harvests()]
    assert all(not isinstance(r, TxPending) for r in results), (results, shown)


def test_a_taken_nonce_is_released_on_a_node_without_old_state(fresh_world, config, farmer, monkeypatch):
    """A full node keeps 128 states; keeper was off for an hour and the user used the wallet."""
    begin_and_die(monkeypatch, config, "journaled")
    as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
    fresh_world.node.rpc("anvil_mine", hex(300))
    honest = EvmChain._count

    def count(self, account, number):
        if number < self.head().number - 128:
            raise RpcRejected("missing trie node", code=-32000)
        return honest(self, account, number)

    monkeypatch.setattr(EvmChain, "_count", count)
    with open_local(config) as app:
        lane_says = go_on(app, farmer, seconds=2)
    assert not isinstance(lane_says[0], TxPending), f"for ever: {lane_says[0]}"


def test_harvest_journals_what_it_found_not_what_the_views_said(config, capsys):
    edit(config, 'id = "usdc-aave"', 'id = "usdc-aave"\nmax_slippage = 1')
    shown = Line(config, capsys)("harvest", "usdc-aave", "--yes")
    with open_local(config) as app:
        latest = app.store.latest_decision("usdc-aave")
    assert latest.verdict.value == "BLOCKED", (
        f"exit {shown.code}; journal says {latest.verdict}: {latest.reasons[0].text}"
    )


def test_fees_of_a_removed_position_count_towards_the_day(config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "marked")
    drop_position(config, "usdc-aave")
    with open_local(config) as app:
        before = app.store.spent_usd("local", farmer, 0)
        go_on(app, farmer, seconds=10)
        after = app.store.spent_usd("local", farmer, 0)
    assert after > 0, f"cap in flight {before}, after mining {after}"


def test_one_position_whose_simulation_times_out_does_not_stop_the_others(config, fresh_world, monkeypatch):
    honest, started = EvmChain.simulate, []

    def simulate(self, owner, calls, tokens, block=None):
        if any(call.to == fresh_world.farm for call in calls):
            raise RpcTimeout("no answer in 10 s")
        return honest(self, owner, calls, tokens, block)

    def execute(_, work):
        started.append(work.plan.position_id)
        raise TxPending("only noted")

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    with open_local(config) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"), execute=execute)
        for _ in range(3):
            watch._handle("positions")
            at_rest(watch)
        for lane in watch.lanes.values():
            lane.worker.stop(5)
    assert set(started) == {"sushi-chef", "usdc-aave"}, started


def test_approvals_given_again_are_bounded(config, farmer, fresh_world, monkeypatch):
    """A node that shows the swap failing unless the approval is in the same simulation (lagging state)."""
    begin_and_die(monkeypatch, config, "confirmed", 2)
    honest, first = EvmChain.simulate, nonce(fresh_world, farmer)

    def simulate(self, owner, calls, tokens, block=None):
        found = honest(self, owner, calls, tokens, block)
        if calls[0].kind.value == "swap":
            return replace(found, calls=(replace(found.calls[0], success=False, error="TRANSFER_FROM_FAILED"),))
        return found

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    with open_local(config) as app:
        started = time.monotonic()
        context = replace(app.contexts["local"], stopping=lambda: time.monotonic() - started > 8, poll_seconds=0.1)
        resume(context, app.book("local"), farmer)
    sent = nonce(fresh_world, farmer) - first
    assert sent <= 3, f"{sent} approvals paid for in 8 s, stopped only by a stop"


def test_one_failing_position_does_not_resolve_everything_at_each_tick(config, monkeypatch, fresh_world):
    edit(config, f'target = "{fresh_world.chef}"', f'target = "{fresh_world.farm}"')
    import keeper.app as module

    calls, honest = [], module.resolve
    monkeypatch.setattr(module, "resolve", lambda *a: (calls.append(1), honest(*a))[1])
    with open_local(config) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"), execute=lambda *_: 1 / 0)
        for _ in range(5):
            watch._resolve()
        for lane in watch.lanes.values():
            lane.worker.stop(5)
        assert app.book("local").failures
    assert len(calls) <= 2, f"{len(calls)} full resolutions in 5 ticks (each lane turn adds one)"


def test_a_token_that_changes_its_ticker_is_no_integrity_error(config, fresh_world, monkeypatch):
    with open_local(config) as app:
        app.book("local")
    from keeper.erc20 import SYMBOL

    honest = EvmChain.read

    def read(self, reads, block):
        renamed = ReadResult(True, (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"POL".ljust(32, b"\0"))
        return [
            renamed if r.data[:4] == SYMBOL.selector and fresh_world.aave.address in repr(r) else a
            for r, a in zip(reads, honest(self, reads, block), strict=True)
        ]

    monkeypatch.setattr(EvmChain, "read", read)
    with open_local(config) as app:
        failures = app.book("local").failures
    assert not failures, failures


def test_an_lp_position_compounds_with_a_slippage_below_the_swap_fee(config):
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\nmax_slippage = 20')
    edit(config, 'id = "usdc-aave"', 'id = "usdc-aave"\nmax_slippage = 20')
    with open_local(config) as app:
        single = app.prepare("usdc-aave", forced=True).decision
        lp = app.prepare("uni-farm", forced=True).decision
    assert single.verdict.value == "HARVEST", single.reasons
    assert lp.verdict.value == "HARVEST", lp.reasons[0].text


def test_a_chain_whose_endpoint_hangs_does_not_hold_up_another(config, monkeypatch):
    import keeper.app as module

    with open_local(config) as app:
        app.book("local")  # resolved, fresh
        object.__setattr__(app, "contexts", {**app.contexts, "dead": app.contexts["local"]})
        honest, asked, answers = module.resolve, threading.Event(), threading.Event()
        monkeypatch.setattr(
            module, "resolve", lambda *a: (asked.set(), answers.wait(60), honest(*a))[-1]
        )  # a hanging endpoint
        hanging = threading.Thread(target=lambda: app.book("dead"), daemon=True)
        hanging.start()
        assert asked.wait(20)
        started = time.monotonic()
        app.book("local")
        waited = time.monotonic() - started
        assert hanging.is_alive(), "the other was waited for"
        answers.set()
        hanging.join(20)
        assert not hanging.is_alive()
    assert waited < 1, f"the healthy chain waited {waited:.1f} s for a book it already had"


def test_an_indexing_node_is_waited_for(fresh_world, config, farmer, monkeypatch):
    """geth after a restart: 'transaction indexing is in progress' for receipts, for a while (fault F21)."""
    begin_and_die(monkeypatch, config, "marked")
    honest, bad = Endpoint.batch, [3]

    def batch(self, calls):
        answers = honest(self, calls)
        if bad[0] and any(method == "eth_getTransactionReceipt" for method, _ in calls):
            bad[0] -= 1
            indexing = RpcRejected("transaction indexing is in progress", code=-32000)
            return [
                indexing if m == "eth_getTransactionReceipt" else a for (m, _), a in zip(calls, answers, strict=True)
            ]
        return answers

    monkeypatch.setattr(Endpoint, "batch", batch)
    with open_local(config) as app:
        (harvest,) = go_on(app, farmer, seconds=10)
    assert harvest.state is HarvestState.DONE


def test_the_only_position_of_an_account_failing_to_resolve_still_gets_its_lane(
    config, farmer, monkeypatch, fresh_world
):
    """In flight at the kill; at the restart the contract cannot be resolved: the daemon must still see it confirmed."""
    begin_and_die(monkeypatch, config, "marked")
    drop_position(config, "uni-farm")
    drop_position(config, "sushi-chef")
    events = Recorder()

    with monkeypatch.context() as patch:
        import keeper.app as module
        from keeper.errors import ReadFailed

        honest = module.resolve

        def broken(context, block):
            book = honest(context, block)
            return replace(book, holdings=(), failures={"usdc-aave": ReadFailed("does not answer")})

        patch.setattr(module, "resolve", broken)
        with open_local(config, events=events) as app:
            watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"))
            watch._handle("positions")
            at_rest(watch)
            for lane in watch.lanes.values():
                lane.worker.stop(5)
            ((harvest, _),) = app.store.open_harvests("local", farmer)
            states = [i.state for i in app.store.intents(harvest.id)]
    assert states == [IntentState.CONFIRMED], (
        states,
        list(watch.lanes),
        [e.fields for e in events.named("position.failed")],
    )


def test_a_reverted_approval_given_again_does_not_strand_the_claim(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed", 2)
    APPROVE = Fn("approve(address,uint256)", "bool")
    as_account(fresh_world, farmer, fresh_world.aave.address, "0x" + APPROVE.encode(fresh_world.router, 0).hex())
    bad = []

    def reverted(found):
        if not bad:
            bad.append(found.tx_hash)
        return replace(found, status=0, transfers=()) if found.tx_hash in bad else found

    alter_receipts(monkeypatch, reverted)
    with open_local(config) as app:
        (harvest,) = go_on(app, farmer, seconds=10)
    assert getattr(harvest, "state", None) is HarvestState.DONE, harvest


def test_the_fee_limit_check_knows_the_gas_ceiling(config, fresh_world):
    """Bids never pass max_gas_price, so no transaction can cost what the reason says."""
    fresh_world.set_base_fee(10 * 10**9)
    edit(config, "[limits]\n", "[limits]\nmax_gas_price_gwei = 11\n")
    edit(config, 'per_tx = "$20"', 'per_tx = "$12"')
    with open_local(config) as app:
        prepared = app.prepare("usdc-aave", forced=True)
        worst = max(c.gas_used for c in prepared.rehearsal.simulation.calls) * 130 // 100 * 11 * 10**9
        usd = prepared.assessment.case.valuation.gas_cost(worst) / 10**18
    assert prepared.decision.code is not ReasonCode.FEE_ABOVE_LIMIT, (
        prepared.decision.reasons[0].text,
        f"true worst ${usd:.2f}",
    )


def test_an_endpoint_that_names_another_chain_for_a_moment_halts_nothing_for_good(config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed")
    bad = [0]
    honest = EvmChain.fees

    def fees(self):
        bad[0] += 1
        if bad[0] == 2:  # the first is the survey's, the second the leg's
            raise IntegrityError(
                "no endpoint of local is chain id 31337: http://rpc (chain id 1). Correct chains.local.rpc."
            )
        return honest(self)

    monkeypatch.setattr(EvmChain, "fees", fees)
    with open_local(config) as app:
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        lane._handle("")
        assert app.store.get_flag(halt_key("local", farmer)) is None, app.store.get_flag(halt_key("local", farmer))


def test_a_claim_that_brought_nothing_is_worded_as_such(config, farmer, monkeypatch):
    alter_receipts(monkeypatch, lambda found: replace(found, transfers=()))
    with open_local(config) as app:
        assert app.compound("usdc-aave").harvest.state is HarvestState.FAILED
        assert app.store.open_harvests("local", farmer) == []


def test_watch_only_is_the_reason_named_for_an_open_compound(config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed")
    text = config.read_text()
    head, tail = text.split('id = "usdc-aave"')
    config.write_text(head + 'id = "usdc-aave"' + tail.replace('signer = "farm"', f'owner = "{farmer}"', 1))
    with open_local(config) as app:
        (pending,) = go_on(app, farmer)
    assert "key" in str(pending) or "signer" in str(pending), str(pending)


def test_words_of_a_failed_leg(config, farmer, monkeypatch, fresh_world):
    """Three real reverts of the swap: which leg does the event name?"""
    begin_and_die(monkeypatch, config, "confirmed", 2)
    honest = EvmChain.simulate

    def simulate(self, owner, calls, tokens, block=None):
        found = honest(self, owner, calls, tokens, block)
        # gas is under-reported, so each swap really runs out of gas
        return replace(found, calls=tuple(replace(c, gas_used=min(c.gas_used, 45_000)) for c in found.calls))

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    events = Recorder()
    with open_local(config, events=events) as app:
        go_on(app, farmer, seconds=10)
        (h,) = app.store.harvests("usdc-aave")
    (failed,) = events.named("harvest.failed")
    assert failed.fields["leg"] == 3, (failed.fields["leg"], h.error)
