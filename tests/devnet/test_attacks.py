"""What an attacker, a lying endpoint, a hostile token or bad luck tried, and must not get.

Where a port is replaced by one that lies, the test says so; everything else is the real chain and the real code.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from app_kit import Recorder, nonce, open_local, principal
from attack_kit import Hook, alter_receipts, as_account, begin_and_die, drop_position, edit, go_on, on_send

from keeper.abi import Fn
from keeper.chain.client import EvmChain
from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.reads import ReadResult
from keeper.domain.transaction import TransferLog
from keeper.engine.clock import SystemClock
from keeper.engine.lane import Lane
from keeper.engine.lap import compound, resume
from keeper.engine.supervisor import Cadence, ChainWatch
from keeper.errors import IntegrityError, Refused, RpcRejected, StaleHead, TxPending
from keeper.ports import Nonces

pytestmark = pytest.mark.devnet

APPROVE = Fn("approve(address,uint256)", "bool")
ADD_LIQUIDITY = Fn("addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)")


# ------------------------------------------------------------------------------------- what is signed, and by whom


def test_an_open_compound_is_never_signed_by_another_account(fresh_world, config, farmer, monkeypatch, tmp_path):
    from eth_account import Account

    begin_and_die(monkeypatch, config, "confirmed")
    twin = fresh_world.twin
    keystore = tmp_path / "keys" / "twin.json"
    keystore.touch(mode=0o600)
    key = Account.encrypt(bytes.fromhex(twin.private_key[2:]), "local world", kdf="pbkdf2", iterations=1000)
    keystore.write_text(json.dumps(key))
    head, tail = config.read_text().split('id = "usdc-aave"')
    signer = f'\n[signers.twin]\nkind = "keystore"\npath = "{keystore}"\naddress = "{twin.address}"\n'
    signer += f'password_file = "{tmp_path}/keys/farm.password"\n'
    config.write_text(head + 'id = "usdc-aave"' + tail.replace('signer = "farm"', 'signer = "twin"') + signer)
    before = nonce(fresh_world, twin.address)
    with open_local(config) as app:
        (pending,) = go_on(app, farmer)
    assert isinstance(pending, TxPending)
    assert "give it back its signer" in str(pending)
    assert nonce(fresh_world, twin.address) == before


def test_a_lie_about_the_reward_token_does_not_widen_what_may_be_signed(fresh_world, config, monkeypatch):
    """One endpoint says at the second start that the farm pays AAVE; the key may still not touch AAVE for this farm."""
    with open_local(config) as app:
        app.book("local")
        known = {(p.to, p.selector) for p in app._permissions["uni-farm"]}
    selector, honest = Fn("rewardsToken()", "address").selector, EvmChain.read

    def read(self, reads, block):
        lie = ReadResult(True, bytes(12) + bytes.fromhex(fresh_world.aave.address[2:]))
        return [lie if r.data == selector else a for r, a in zip(reads, honest(self, reads, block), strict=True)]

    monkeypatch.setattr(EvmChain, "read", read)
    with open_local(config) as app:
        book = app.book("local")
        assert {(p.to, p.selector) for p in app._permissions.get("uni-farm", ())} <= known
        assert isinstance(book.failures["uni-farm"], Refused)
        assert "keeper unblock" in str(book.failures["uni-farm"])
        assert {h.position.id for h in book.holdings} == {"sushi-chef", "usdc-aave"}


def test_transfer_logs_that_say_too_much_do_not_spend_the_wallets_own_tokens(fresh_world, config, farmer, monkeypatch):
    """A token that logs more than it moves, or one false receipt: the wallet's own AAVE stays where it is."""
    own = fresh_world.balance_of(fresh_world.aave, farmer).raw

    def more(found):
        inflated = [
            replace(t, raw=t.raw + own // 2) if (t.token, t.recipient) == (fresh_world.aave.address, farmer) else t
            for t in found.transfers
        ]
        return replace(found, transfers=tuple(inflated))

    alter_receipts(monkeypatch, more)
    with open_local(config) as app:
        app.compound("usdc-aave")
    assert own
    assert fresh_world.balance_of(fresh_world.aave, farmer).raw >= own


def test_an_integrity_halt_outlives_restarts(fresh_world, config, farmer, monkeypatch):
    """A receipt shows DAI leaving the wallet: the account sends nothing more, also after a restart."""
    dai = fresh_world.token("DAI")

    def stolen(found):
        theft = TransferLog(dai.address, farmer, fresh_world.whale.address, 700 * 10**18, 99)
        return replace(found, transfers=(*found.transfers, theft))

    with monkeypatch.context() as patch:
        alter_receipts(patch, stolen)
        events = Recorder()
        with open_local(config, events=events) as app:
            lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
            lane._handle("usdc-aave")
            assert "out of the wallet unasked" in lane.halted
        assert events.named("lane.halted")
    sent = nonce(fresh_world, farmer)
    with open_local(config) as app:
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        assert lane.halted
        lane._handle("uni-farm")
        with pytest.raises(IntegrityError, match="keeper unblock"):
            app.compound("sushi-chef")
    assert nonce(fresh_world, farmer) == sent


# --------------------------------------------------------------------------------------------- when it is not worth it


def test_an_opened_compound_is_decided_again_before_its_first_leg(fresh_world, config, farmer, monkeypatch):
    """Killed before anything was signed; at the restart gas costs more than the reward is worth."""
    edit(config, '"$20"', '"$5000"')
    edit(config, '"$200"', '"$9000"')
    first = nonce(fresh_world, farmer)
    begin_and_die(monkeypatch, config, "opened")
    fresh_world.set_base_fee(1000 * 10**9)
    with open_local(config) as app:
        (dropped,) = go_on(app, farmer)
        assert dropped.state is HarvestState.CANCELLED
        assert app.compound("usdc-aave").decision.verdict is Verdict.WAIT
    assert nonce(fresh_world, farmer) == first


def test_gas_that_rises_before_the_first_leg_is_no_failure(fresh_world, config, farmer):
    first = nonce(fresh_world, farmer)
    events = Hook("harvest.simulated", lambda: fresh_world.set_base_fee(40 * 10**9))
    with open_local(config, events=events) as app:
        for _ in range(3):
            assert app.compound("usdc-aave").harvest.state is HarvestState.CANCELLED
            fresh_world.set_base_fee(10**9)
        assert nonce(fresh_world, farmer) == first
        events.act = lambda: None
        assert app.compound("usdc-aave").harvest.state is HarvestState.DONE


def test_a_day_cap_that_would_be_met_midway_is_seen_before_the_start(fresh_world, config):
    edit(config, 'per_tx = "$20"', 'per_tx = "$2"')
    edit(config, 'per_day = "$200"', 'per_day = "$2"')
    with open_local(config) as app:
        outcome = app.compound("usdc-aave")
    assert outcome.harvest is None
    assert outcome.decision.code is ReasonCode.DAY_LIMIT_REACHED


# ----------------------------------------------------------------------------------- a claim is never stranded for long


def test_an_hour_above_the_gas_ceiling_does_not_strand_the_claim(fresh_world, config, farmer, monkeypatch):
    edit(config, "[limits]\n", "[limits]\nmax_gas_price_gwei = 5\n")
    begin_and_die(monkeypatch, config, "confirmed")
    with open_local(config) as app:
        fresh_world.set_base_fee(20 * 10**9)
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        for _ in range(7):
            lane._handle("")
        fresh_world.set_base_fee(10**9)
        go_on(app, farmer)
        (harvest,) = app.store.harvests("usdc-aave")
    assert harvest.state is HarvestState.DONE, harvest.error


def test_an_allowance_that_was_revoked_meanwhile_is_given_again(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed", 2)
    as_account(fresh_world, farmer, fresh_world.aave.address, "0x" + APPROVE.encode(fresh_world.router, 0).hex())
    with open_local(config) as app:
        (harvest,) = go_on(app, farmer, seconds=10)
    assert harvest.state is HarvestState.DONE, harvest


def test_a_better_path_at_the_restart_does_not_strand_the_claim(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "confirmed")
    w, deployer = fresh_world, fresh_world.deployer.address
    aave, usdc = 20_000 * 10**18, 3_000_000 * 10**6
    for token, raw in ((w.aave, aave), (w.usdc, usdc)):
        as_account(w, deployer, token.address, "0x" + APPROVE.encode(w.router, raw).hex())
    data = ADD_LIQUIDITY.encode(w.aave.address, w.usdc.address, aave, usdc, 0, 0, deployer, 2**63)
    as_account(w, deployer, w.router, "0x" + data.hex())
    with open_local(config) as app:
        (harvest,) = go_on(app, farmer, seconds=10)
    assert harvest.state is HarvestState.DONE, harvest


# --------------------------------------------------------------------------------------------------- nothing is stuck


def test_a_position_removed_while_in_flight_does_not_block_the_account(fresh_world, config, farmer, monkeypatch):
    begin_and_die(monkeypatch, config, "marked")
    drop_position(config, "usdc-aave")
    with open_local(config) as app:
        lane = Lane(app.contexts["local"], lambda: app.book("local"), farmer)
        lane._handle("uni-farm")
        assert [h.state for h in app.store.harvests("uni-farm")] == [HarvestState.DONE]


def test_a_nonce_that_another_transaction_took_is_released_on_proof(fresh_world, config, farmer, monkeypatch):
    """Journaled and never sent; the user pays somebody from the same wallet; the leg is done again, once."""
    begin_and_die(monkeypatch, config, "journaled")
    with open_local(config) as app:
        before = principal(app, "usdc-aave")
    as_account(fresh_world, farmer, fresh_world.whale.address, value=1)
    fresh_world.node.rpc("anvil_mine", hex(8))
    with open_local(config) as app:
        (harvest,) = go_on(app, farmer, seconds=10)
        assert harvest.state is HarvestState.DONE
        assert principal(app, "usdc-aave") - before >= harvest.compounded.raw
        assert app.compound("usdc-aave").harvest is None


def test_a_ghost_in_the_pool_leaves_no_nonce_gap(fresh_world, config, monkeypatch):
    """An endpoint counts three pending transactions that nobody sent; keeper waits, then goes on without a gap."""
    honest, lies = EvmChain.sight, [3, 3]

    def sight(self, account, hashes, heights=()):
        true = honest(self, account, hashes, heights)
        ghosts = lies.pop() if lies else 3
        return replace(true, nonces=Nonces(true.nonces.latest, true.nonces.latest + ghosts))

    monkeypatch.setattr(EvmChain, "sight", sight)
    with open_local(config) as app:
        refused = app.compound("usdc-aave").harvest
        assert refused.state is HarvestState.CANCELLED
        assert "keeper knows nothing of" in refused.error
        patient = replace(app.contexts["local"], foreign_seconds=0.0)
        app.contexts["local"].flights.clear()
        assert compound(patient, app.book("local"), "usdc-aave").harvest.state is HarvestState.DONE


def test_one_position_that_cannot_be_simulated_does_not_stop_the_others(config, fresh_world, monkeypatch):
    """A reward token whose balanceOf stops answering makes the node refuse the simulation."""
    honest, started = EvmChain.simulate, []

    def simulate(self, owner, calls, tokens, block=None):
        if any(call.to == fresh_world.farm for call in calls):
            raise RpcRejected("balanceOf does not answer", code=3)
        return honest(self, owner, calls, tokens, block)

    def execute(_, work):
        started.append(work.plan.position_id)
        raise TxPending("only noted")

    monkeypatch.setattr(EvmChain, "simulate", simulate)
    events = Recorder()
    with open_local(config, events=events) as app:
        watch = ChainWatch(app.contexts["local"], Cadence(), book=lambda: app.book("local"), execute=execute)
        watch._handle("positions")
        deadline = time.monotonic() + 20
        while not watch.idle and time.monotonic() < deadline:
            time.sleep(0.05)
        for lane in watch.lanes.values():
            lane.worker.stop(5)
    assert set(started) == {"sushi-chef", "usdc-aave"}
    blocked = [e.fields for e in events.named("decision.changed") if e.fields["position"] == "uni-farm"]
    assert blocked[-1]["code"] == "simulation_reverted"


def test_a_due_position_that_cannot_be_simulated_does_not_flood_the_journal(config):
    edit(config, 'id = "usdc-aave"', 'id = "usdc-aave"\nmax_slippage = 1')
    events = Recorder()
    with open_local(config, events=events) as app:
        for _ in range(10):
            app.compound("usdc-aave")
        assert len(app.store.decisions("usdc-aave", limit=100)) == 1
    assert len(events.named("decision.changed")) == 1


def test_a_node_that_stands_still_is_not_decided_by(config):
    class Later(SystemClock):
        def now(self):
            return super().now() + 30 * 86_400

    with open_local(config, clock=Later()) as app, pytest.raises(StaleHead, match="stands still"):
        app.survey(["usdc-aave"])


def test_an_account_with_a_transaction_in_flight_starts_no_other(fresh_world, config, farmer, monkeypatch):
    """Sent and not mined: a one-shot harvest of another position waits instead of queueing behind it."""
    fresh_world.node.rpc("evm_setAutomine", False)
    try:
        with open_local(config) as app:
            hasty = replace(app.contexts["local"], confirm_timeout=0.5, poll_seconds=0.1)
            with pytest.raises(TxPending):
                compound(hasty, app.book("local"), "usdc-aave")
            other = compound(hasty, app.book("local"), "sushi-chef").harvest
            assert other.state is HarvestState.CANCELLED
            assert "not mined yet" in other.error
    finally:
        fresh_world.node.rpc("evm_setAutomine", True)


def test_a_leg_that_gas_has_left_behind_is_outbid_once_with_the_same_nonce(fresh_world, config, farmer, monkeypatch):
    """Gas rises tenfold while the second leg is on its way; the claim is done, so the rest must follow."""
    first = nonce(fresh_world, farmer)
    with open_local(config) as app:
        context = replace(app.contexts["local"], confirm_timeout=20, poll_seconds=0.1, resend_seconds=0.3)
        sent = []

        def dearer(batch):
            sent.extend(batch)
            if len(sent) == 2:
                fresh_world.set_base_fee(10 * 10**9)

        on_send(monkeypatch, context, dearer)
        harvest = compound(context, app.book("local"), "usdc-aave").harvest
        assert harvest.state is HarvestState.DONE, harvest
        legs = [app.store.attempts(i.id) for i in app.store.intents(harvest.id)]
    assert [len(attempts) for attempts in legs] == [1, 2, 1, 1, 1]
    assert {a.nonce for a in legs[1]} == {first + 1}
    assert nonce(fresh_world, farmer) - first == 5


def test_a_first_leg_is_never_outbid_beyond_what_the_harvest_is_worth(fresh_world, config, farmer, monkeypatch):
    first = nonce(fresh_world, farmer)
    with open_local(config) as app:
        context = replace(
            app.contexts["local"], confirm_timeout=2, poll_seconds=0.1, resend_seconds=0.3, bump_seconds=0.3
        )
        with monkeypatch.context() as patch:
            on_send(patch, context, lambda _: fresh_world.set_base_fee(200 * 10**9))
            with pytest.raises(TxPending):
                compound(context, app.book("local"), "usdc-aave")
        (held,) = resume(context, app.book("local"), farmer)
        assert isinstance(held, TxPending)
        assert nonce(fresh_world, farmer) == first
        fresh_world.set_base_fee(10**9)
        (harvest,) = resume(context, app.book("local"), farmer)
        assert isinstance(harvest, Harvest), harvest
        assert len(app.store.attempts(app.store.intents(harvest.id)[0].id)) == 1
