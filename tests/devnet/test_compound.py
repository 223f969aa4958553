"""The whole way on real contracts: each position compounds, and chain, journal and ledger tell the same story."""

from __future__ import annotations

from collections import Counter

import pytest
from app_kit import Recorder, a_week, nonce, open_local, principal, sent_by, transfers, write_config

from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import HarvestState

pytestmark = pytest.mark.devnet

POSITIONS = ("uni-farm", "sushi-chef", "usdc-aave")


@pytest.fixture
def config(fresh_world, tmp_path):
    return write_config(fresh_world, tmp_path)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_compound_raises_the_stake_by_what_the_ledger_says(fresh_world, config, position):
    a_week(fresh_world)
    farmer = fresh_world.farmer.address
    with open_local(config) as app:
        start, before, first = fresh_world.block_number, principal(app, position), nonce(fresh_world, farmer)
        outcome = app.compound(position)
        harvest = outcome.harvest
        assert outcome.decision.verdict is Verdict.HARVEST
        assert harvest.state is HarvestState.DONE

        txs = sent_by(fresh_world, farmer, start)
        plan_legs = len(app.store.intents(harvest.id))
        assert len(txs) == plan_legs == nonce(fresh_world, farmer) - first
        assert all(tx["receipt"]["status"] == "0x1" for tx in txs)

        grown = principal(app, position) - before
        interest = 10**6 if position == "usdc-aave" else 0  # aUSDC also earns interest in these seconds
        assert harvest.compounded.raw <= grown <= harvest.compounded.raw + interest
        assert harvest.compounded.raw > 0

        ledger = Counter()
        for entry in app.store.ledger(position):
            ledger[entry.amount.token.address] += entry.amount.raw
        logs = transfers([tx["receipt"] for tx in txs], farmer)
        assert {t: raw for t, raw in ledger.items() if raw} == {
            t: raw for t, raw in logs.items() if t in ledger and raw
        }
        gas = sum(int(tx["receipt"]["gasUsed"], 16) * int(tx["receipt"]["effectiveGasPrice"], 16) for tx in txs)
        assert harvest.cost_wei == gas
        assert abs(harvest.received_usd - harvest.predicted_reward_usd) * 50 < harvest.predicted_reward_usd


def test_every_raw_transaction_on_chain_was_journaled_first(fresh_world, config):
    a_week(fresh_world)
    start = fresh_world.block_number
    with open_local(config) as app:
        harvest = app.compound("usdc-aave").harvest
        journaled = {a.hash for i in app.store.intents(harvest.id) for a in app.store.attempts(i.id)}
    assert {tx["hash"] for tx in sent_by(fresh_world, fresh_world.farmer.address, start)} == journaled


def test_right_after_a_compound_it_waits(fresh_world, config):
    a_week(fresh_world)
    with open_local(config) as app:
        assert app.compound("uni-farm").harvest is not None
        again = app.compound("uni-farm")
        assert again.harvest is None
        assert again.decision.code in (ReasonCode.BELOW_THRESHOLD, ReasonCode.BELOW_COST)


def test_ten_compounds_leave_other_tokens_and_the_wallets_own_alone(fresh_world, config):
    """The wallet holds DAI, LINK and SHIB, and UNI, AAVE and USDC of its own: a harvest spends only what it brought."""
    farmer = fresh_world.farmer.address
    own = [fresh_world.token(symbol) for symbol in ("USDC", "UNI", "AAVE")]
    before = {t: fresh_world.balance_of(t, farmer).raw for t in (*fresh_world.unrelated, *own)}
    assert all(before.values())
    with open_local(config) as app:
        for round_number in range(4):
            fresh_world.advance(6 * 86_400)
            for position in POSITIONS:
                if round_number < 3 or position == "usdc-aave":
                    assert app.compound(position, forced=True).harvest.state is HarvestState.DONE
        assert len(app.store.harvests()) == 10
        left = Counter()
        for entry in app.store.ledger():
            left[entry.amount.token.address] += entry.amount.raw
    for token in fresh_world.unrelated:
        assert fresh_world.balance_of(token, farmer).raw == before[token], token.symbol
    for token in own:  # not one base unit of the wallet's own is gone; what is more is dust the ledger names
        assert fresh_world.balance_of(token, farmer).raw == before[token] + left[token.address], token.symbol
        assert left[token.address] >= 0


def test_force_harvests_before_the_threshold_and_says_so(fresh_world, config):
    fresh_world.advance(86_400)
    events = Recorder()
    with open_local(config, events=events) as app:
        assert app.compound("usdc-aave").harvest is None
        forced = app.compound("usdc-aave", forced=True)
    assert forced.harvest.state is HarvestState.DONE
    assert forced.decision.code is ReasonCode.FORCED
    assert [e.fields["leg"] for e in events.named("harvest.mined")] == [1, 2, 3, 4, 5]


def test_a_contradicted_price_blocks_and_says_which(fresh_world, config):
    a_week(fresh_world)
    fresh_world.set_price("UNI", 12 * 10**8)  # the pool says $8
    with open_local(config) as app:
        outcome = app.compound("uni-farm")
    assert outcome.harvest is None
    assert outcome.decision.verdict is Verdict.BLOCKED
    assert outcome.decision.code is ReasonCode.PRICE_DISAGREES
    assert "UNI" in outcome.decision.reasons[0].text


def test_a_stale_feed_blocks(fresh_world, config):
    a_week(fresh_world)
    fresh_world.freeze_feed("UNI", fresh_world.now - 10 * 86_400)
    with open_local(config) as app:
        outcome = app.compound("uni-farm")
    assert outcome.decision.verdict is Verdict.BLOCKED
    assert "UNI" in outcome.decision.reasons[0].text


def test_dear_gas_waits(fresh_world, config):
    fresh_world.advance(7 * 86_400, base_fee_wei=60 * 10**9)
    with open_local(config) as app:
        outcome = app.compound("usdc-aave")
    assert outcome.decision.verdict is Verdict.WAIT
    assert outcome.decision.numbers.fire_gas_price_wei < 60 * 10**9


def test_simulate_mode_sends_nothing(fresh_world, config):
    a_week(fresh_world)
    from keeper.app import Mode

    before = (fresh_world.block_number, nonce(fresh_world, fresh_world.farmer.address))
    with open_local(config, mode=Mode.SIMULATE) as app:
        outcome = app.compound("sushi-chef")
    assert outcome.harvest.error == "simulated only"
    assert (fresh_world.block_number, nonce(fresh_world, fresh_world.farmer.address)) == before
