"""What ``keeper tx`` says about a transaction in every state, and what it refuses; from the journal alone."""

from __future__ import annotations

import json

import pytest
from journal_kit import LP, OWNER, settle

from keeper.cli import execute as run
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddAttempt, AddIntent, AddReceipt, Finalise, MarkBroadcast, Settle
from keeper.domain.money import Address
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Attempt, AttemptState, Intent, IntentState, Purpose, Receipt
from keeper.engine.pause import PAUSE, paused_text
from keeper.store import open_store

HARVEST = "2276bd6884594bac"
GWEI = 10**9


@pytest.fixture
def store(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch)
    opened = open_store(tmp_path / "state" / "keeper.db")
    plan = Plan("plan", "cake-bnb", "bnb", OWNER, (), (LP,), LP)
    opened.open_harvest(Harvest(HARVEST, "cake-bnb", "bnb", OWNER, HarvestState.OPEN, "plan", 1, 2, 3, 4, 5), plan)
    yield opened
    opened.close()


def intent(leg=0, **changes):
    made = {"id": f"{HARVEST}-{leg}-0", "key": f"{HARVEST}:{leg}:0", "harvest_id": HARVEST, "leg_index": leg}
    return Intent(
        **(
            made
            | {"chain": "bnb", "chain_id": 56, "sender": OWNER, "kind": LegKind.CLAIM, "label": f"claim {leg}"}
            | {"to": Address("0x" + "44" * 20), "data": bytes.fromhex("e2bbb158") + b"\0" * 64, "value": 0}
            | changes
        )
    )


def attempt(leg=0, number=0, purpose=Purpose.WORK, nonce=None):
    fee = 2 * GWEI * (10 + 2 * number)
    tx = f"0x{leg:02x}{number:02x}" + "ab" * 30
    nonce = 40 + leg if nonce is None else nonce
    return Attempt(f"{HARVEST}-{leg}-0", tx, b"raw", nonce, 200_000, fee, GWEI, AttemptState.SIGNED, 100, purpose)


def receipt(tx, status=1):
    return Receipt(tx, 101, "0x" + "cd" * 32, status, 150_000, 11 * GWEI, 0, ())


def sent(store, leg=0, *, bids=1, purpose=Purpose.WORK):
    store.apply([AddIntent(intent(leg))])
    for number in range(bids):
        made = attempt(leg, number, purpose if number else Purpose.WORK)
        store.apply([AddAttempt(made), MarkBroadcast(made.intent_id, made.hash)])
    return made


def done(store, leg=0, state=IntentState.CONFIRMED, *, final=False):
    made = sent(store, leg)
    status = 0 if state is IntentState.REVERTED else 1
    store.apply([AddReceipt(made.intent_id, receipt(made.hash, status)), Settle(made.intent_id, state)])
    if final:
        store.apply([Finalise(made.intent_id)])


def shown(capsys, *args, code=0):
    capsys.readouterr()
    assert run(list(args)) == code, capsys.readouterr()
    return capsys.readouterr().out


def said(capsys, *args, code):
    capsys.readouterr()
    assert run(list(args)) == code
    return capsys.readouterr().err


def test_nothing_is_told_as_nothing(store, tmp_path, capsys):
    assert shown(capsys, "tx", "list") == "nothing was ever sent\n"
    assert shown(capsys, "tx", "list", "--open") == "no transaction is under way\n"
    assert "no transaction" in said(capsys, "tx", "show", "beef", code=2)


def test_without_a_journal_nothing_fails_and_none_is_made(tmp_path, monkeypatch, capsys):
    settle(tmp_path, monkeypatch)
    assert shown(capsys, "tx", "list") == "nothing was ever sent\n"
    assert "no journal yet" in said(capsys, "tx", "show", "beef", code=2)
    assert "no journal yet" in said(capsys, "tx", "cancel", "beef", "--yes", code=2)
    assert not (tmp_path / "state").exists()


def test_the_list_has_the_newest_first_and_open_ones_alone(store, capsys):
    done(store, 0, final=True)
    sent(store, 1, bids=2)
    rows = shown(capsys, "tx", "list").splitlines()
    assert rows[0].split() == ["id", "nonce", "state", "position", "what", "age", "bid", "tries"]
    assert rows[1].split()[:2] == ["2276bd68-1-0", "41"]
    assert "in flight" in rows[1]
    assert "24 gwei" in rows[1]
    assert "final" in rows[2]
    rows = shown(capsys, "tx", "list", "--open").splitlines()
    assert len(rows) == 2
    document = json.loads(shown(capsys, "tx", "list", "--json"))
    assert document["schema"] == "keeper.tx-list/1"
    assert [tx["nonce"] for tx in document["transactions"]] == [41, 40]
    assert [tx["open"] for tx in document["transactions"]] == [True, False]
    assert document["transactions"][0]["attempts"][1]["max_fee_wei"] == str(24 * GWEI)


def test_what_happens_next_is_told_for_every_state(store, capsys):
    store.apply([AddIntent(intent(0))])
    sent(store, 1)
    sent(store, 2, bids=2, purpose=Purpose.CANCEL)
    mined = sent(store, 3)
    store.apply([AddReceipt(mined.intent_id, receipt(mined.hash))])
    done(store, 4)
    done(store, 5, final=True)
    done(store, 6, IntentState.REVERTED)
    store.apply([AddIntent(intent(7)), Settle(f"{HARVEST}-7-0", IntentState.CANCELLED)])
    foreign = sent(store, 8)
    store.apply([Settle(foreign.intent_id, IntentState.CANCELLED)])
    expected = {
        0: ["nothing is signed for it yet", "`keeper run`"],
        1: ["waits to be mined", "`keeper tx speed-up 2276bd68-1-0`", "`keeper run`"],
        2: ["cancelling", "whichever of its transactions is mined first stands"],
        3: ["mined; counts as done at block"],
        4: ["done; final", "a reorg is noticed"],
        5: ["done; final, nothing can change it"],
        6: ["mined and failed; what it cost is counted", "reverted in block 101"],
        7: ["dropped before anything was signed"],
        8: ["can never be mined: a transaction that keeper has not signed has its nonce"],
    }
    for leg, parts in expected.items():
        out = shown(capsys, "tx", "show", f"2276bd68-{leg}-0")
        for part in parts:
            assert part in out, leg
    out = shown(capsys, "tx", "show", f"2276bd68-{4}-0")
    for part in (
        f"cake-bnb, leg 5 of compound {HARVEST}",
        "0x1111111111111111111111111111111111111111 on bnb",
        "44, for ever its own",
        "68 bytes, selector 0xe2bbb158",
        "bids 20 gwei (tip 1 gwei) for 200,000 gas, at most 0.004 BNB",
        "cost 0.00165 BNB at 11 gwei",
    ):
        assert part in out


def test_a_pause_and_a_halt_are_told_where_they_matter(store, capsys):
    store.apply([AddIntent(intent(0))])
    sent(store, 1)
    store.set_flag(PAUSE, paused_text("maintenance", 1_700_000_000))
    for leg in (0, 1):
        out = shown(capsys, "tx", "show", f"2276bd68-{leg}-0")
        assert "maintenance" in out
        assert "`keeper resume`" in out
    assert "maintenance" in said(capsys, "tx", "speed-up", "2276bd68-1", "--yes", code=4)


def test_it_is_found_by_id_or_hash_and_doubt_is_told(store, capsys):
    one, two = sent(store, 0), sent(store, 1, bids=2)
    for text in (one.intent_id, "2276-0-0", one.hash, one.hash[:12], one.hash[:12].upper().replace("0X", "0x")):
        assert json.loads(shown(capsys, "tx", "show", text, "--json"))["transaction"]["id"] == one.intent_id
    assert json.loads(shown(capsys, "tx", "show", two.hash[:8], "--json"))["transaction"]["id"] == two.intent_id
    doubt = said(capsys, "tx", "show", "2276bd68", code=2)
    assert "may be 2276bd68-1-0, 2276bd68-0-0" in doubt
    assert "too short" in said(capsys, "tx", "show", "0x0", code=2)


@pytest.mark.parametrize("what", ["cancel", "speed-up"])
def test_what_is_over_is_neither_cancelled_nor_outbid(store, capsys, what):
    done(store, 0)
    made = sent(store, 1)
    store.apply([AddReceipt(made.intent_id, receipt(made.hash))])
    store.apply([AddIntent(intent(2))])
    for leg, words in ((0, "it is confirmed in block 101"), (1, "it is mined in block 101"), (2, "nothing is signed")):
        told = said(capsys, "tx", what, f"2276bd68-{leg}-0", "--yes", code=4)
        assert words in told
    document = json.loads(shown(capsys, "tx", what, "2276bd68-0-0", "--yes", "--json", code=4))
    assert document["schema"] == f"keeper.tx-{what}/1"
    assert document["exit_code"] == 4
    assert document["transaction"]["state"] == "confirmed"


def test_a_cancel_is_not_cancelled_again_and_nobody_is_asked_without_a_terminal(store, capsys):
    sent(store, 0, bids=2, purpose=Purpose.CANCEL)
    sent(store, 1)
    assert "on its way already" in said(capsys, "tx", "cancel", "2276bd68-0-0", "--yes", code=4)
    assert "--yes" in said(capsys, "tx", "cancel", "2276bd68-1-0", code=2)


def test_a_nonce_that_is_only_filled_belongs_to_no_compound(store, capsys):
    gap = intent(0, id=f"gap-56-{OWNER[2:]}-39", key=f"gap:56:{OWNER}:39", harvest_id="", kind=LegKind.CANCEL)
    store.apply([AddIntent(gap)])
    out = shown(capsys, "tx", "show", "gap-56-1111-39")
    assert "no compound: it fills a nonce" in out
    assert "gap-56-11111111-39" in shown(capsys, "tx", "list")
