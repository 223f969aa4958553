"""What every store promises, whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry, Standing
from keeper.domain.journal import AddAttempt, AddIntent, AddReceipt, Finalise, MarkBroadcast, Reopen, Settle, Track
from keeper.domain.money import Address, Amount, Token, UsdWad, usd
from keeper.domain.observation import Accrual, Observation, Sample
from keeper.domain.plan import Leg, LegKind, MinOut, Patch, Plan, Share
from keeper.domain.transaction import (
    INTENT_TRANSITIONS,
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    Purpose,
    Receipt,
    TransferLog,
)
from keeper.errors import IllegalTransition, LaneHeld
from keeper.ports import Journal, Store
from keeper.store import open_store

OWNER = Address("0x" + "11" * 20)
FARM = Address("0x" + "22" * 20)
UNI = Token("local", Address("0x" + "33" * 20), "UNI", 18)
USDC = Token("local", Address("0x" + "44" * 20), "USDC", 6)


class Ticker:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000

    def __call__(self) -> int:
        return self.seconds


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


def sqlite(tmp_path, clock) -> Store:
    return open_store(tmp_path / "journal.db", now=clock)


@pytest.fixture(params=[sqlite])
def store(request, tmp_path, clock):
    made = request.param(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def other(store, tmp_path, clock):
    """What another process has open of the same journal."""
    made = sqlite(tmp_path, clock)
    yield made
    made.close()


def plan(position="farm") -> Plan:
    swap = Leg(
        LegKind.SWAP,
        "swap UNI for USDC",
        FARM,
        bytes(68),
        (Patch(0, Share(UNI)), Patch(1, MinOut(Share(UNI, 5000), 7, 10**30, 100))),
        (UNI,),
        (USDC,),
    )
    claim = Leg(LegKind.CLAIM, "claim", FARM, b"\x3d\x18\xb9\x12", (), (), (UNI,))
    return Plan("p" * 32, position, "local", OWNER, (claim, swap), (UNI, USDC), USDC)


def harvest(number=1, position="farm", **more) -> Harvest:
    values = {
        "id": f"h{number}",
        "position_id": position,
        "chain": "local",
        "owner": OWNER,
        "state": HarvestState.OPEN,
        "plan_id": "p" * 32,
        "decided_block": 100,
        "started_at": 1_700_000_000 + number,
        "predicted_reward_usd": usd("12.5"),
        "predicted_cost_usd": usd("0.5"),
        "predicted_gas": 600_000,
    }
    return Harvest(**(values | more))


def intent(number=0, harvest_id="h1", **more) -> Intent:
    values = {
        "id": f"{harvest_id}-i{number}",
        "key": f"{harvest_id}:{number}",
        "harvest_id": harvest_id,
        "leg_index": number,
        "chain": "local",
        "chain_id": 31337,
        "sender": OWNER,
        "kind": LegKind.CLAIM,
        "label": "claim UNI",
        "to": FARM,
        "data": b"\x3d\x18\xb9\x12",
        "value": 0,
    }
    return Intent(**(values | more))


def attempt(of="h1-i0", nonce=7, number=0, **more) -> Attempt:
    values = {
        "intent_id": of,
        "hash": f"0x{of.encode().hex():0>60}{number:04x}",
        "raw": b"\x02\xf8raw" + of.encode() + bytes([number]),
        "nonce": nonce,
        "gas": 200_000,
        "max_fee_wei": 30 * 10**9,
        "max_tip_wei": 10**9,
        "state": AttemptState.SIGNED,
        "signed_block": 100,
    }
    return Attempt(**(values | more))


def cancel(of="h1-i0", nonce=7, number=9, **more) -> Attempt:
    return attempt(of, nonce, number, purpose=Purpose.CANCEL, **more)


def gap(nonce=7) -> Intent:
    return intent(
        id=f"gap-{nonce}",
        key=f"gap:31337:{OWNER}:{nonce}",
        harvest_id="",
        kind=LegKind.CANCEL,
        label="fill",
        to=OWNER,
        data=b"",
    )


def receipt(of: Attempt, status=1, block=101, fork="aa") -> Receipt:
    transfer = TransferLog(UNI.address, FARM, OWNER, 3 * 10**30, 4)
    return Receipt(of.hash, block, "0x" + fork * 32, status, 91_234, 2 * 10**10, 123, (transfer,))


def entry(of: Attempt, raw=3 * 10**30, **more) -> LedgerEntry:
    values = {
        "harvest_id": "h1",
        "tx_hash": of.hash,
        "log_index": 4,
        "block_number": 101,
        "timestamp": 1_700_000_100,
        "kind": "claim",
        "amount": Amount(UNI, raw),
        "value_usd": usd(20),
    }
    return LedgerEntry(**(values | more))


def decision(verdict=Verdict.WAIT, code=ReasonCode.BELOW_THRESHOLD, at=1_700_000_000, position="farm", text="why"):
    return Decision(position, BlockRef("local", at % 10**6, "0x00", at), verdict, (Reason(code, text),), None)


def observation(at=1_700_000_000, position="farm", pending=5) -> Observation:
    block = BlockRef("local", 100, "0x" + "bb" * 32, at)
    return Observation(
        position, block, Amount(USDC, 10**30), (Amount(UNI, pending),), (Accrual(Amount(UNI, 10**40), 12, None),)
    )


# ------------------------------------------------------------------ reaching each state


def to_planned(store: Store) -> None:
    store.open_harvest(harvest(), plan())
    store.apply([AddIntent(intent())])


def to_signed(store: Store) -> None:
    to_planned(store)
    store.apply([AddAttempt(attempt(), usd(2))])


def to_broadcast(store: Store) -> None:
    to_signed(store)
    store.apply([MarkBroadcast("h1-i0", attempt().hash)])


def to_mined(store: Store, status=1) -> None:
    to_broadcast(store)
    store.apply([AddReceipt("h1-i0", receipt(attempt(), status), usd(1))])


def to_confirmed(store: Store) -> None:
    to_mined(store)
    store.apply([Settle("h1-i0", IntentState.CONFIRMED)])


def to_reverted(store: Store) -> None:
    to_mined(store, status=0)
    store.apply([Settle("h1-i0", IntentState.REVERTED)])


def to_cancelled(store: Store) -> None:
    to_broadcast(store)
    store.apply([Settle("h1-i0", IntentState.CANCELLED)])


REACH: dict[IntentState, Callable[[Store], None]] = {
    IntentState.PLANNED: to_planned,
    IntentState.SIGNED: to_signed,
    IntentState.BROADCAST: to_broadcast,
    IntentState.MINED: to_mined,
    IntentState.CONFIRMED: to_confirmed,
    IntentState.REVERTED: to_reverted,
    IntentState.CANCELLED: to_cancelled,
}


def state_of(store: Store) -> IntentState:
    (only,) = store.intents("h1")
    return only.state


def test_it_is_a_store_and_a_journal(store):
    assert isinstance(store, Store)
    assert isinstance(store, Journal)


@pytest.mark.parametrize("state", REACH)
def test_every_state_is_reached_and_read_back(store, state):
    REACH[state](store)

    assert state_of(store) is state


@pytest.mark.parametrize("before", REACH)
@pytest.mark.parametrize("after", [IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED])
def test_settling_follows_the_table(store, before, after):
    REACH[before](store)

    if after is IntentState.REVERTED and before is IntentState.MINED:
        store.apply([AddReceipt("h1-i0", receipt(attempt(), status=0))])
    if after is IntentState.CANCELLED and before is IntentState.MINED:
        store.apply([Reopen("h1-i0")])
        store.apply([AddAttempt(cancel()), AddReceipt("h1-i0", receipt(cancel()))])
    if after in INTENT_TRANSITIONS[before]:
        store.apply([Settle("h1-i0", after)])
        assert state_of(store) is after
    else:
        with pytest.raises(IllegalTransition):
            store.apply([Settle("h1-i0", after)])
        assert state_of(store) is before


@pytest.mark.parametrize(("status", "claimed"), [(0, IntentState.CONFIRMED), (1, IntentState.REVERTED)])
def test_settling_against_the_receipt_is_refused(store, status, claimed):
    to_mined(store, status)

    with pytest.raises(IllegalTransition, match="status"):
        store.apply([Settle("h1-i0", claimed)])
    assert state_of(store) is IntentState.MINED


@pytest.mark.parametrize("before", REACH)
def test_reopening_follows_the_table(store, before):
    REACH[before](store)

    if IntentState.BROADCAST in INTENT_TRANSITIONS[before] and before is not IntentState.SIGNED:
        store.apply([Reopen("h1-i0")])
        assert state_of(store) is IntentState.BROADCAST
        assert store.receipt_of("h1-i0") is None
    else:
        with pytest.raises(IllegalTransition):
            store.apply([Reopen("h1-i0")])
        assert state_of(store) is before


def test_settling_to_a_state_on_the_way_is_refused(store):
    to_signed(store)

    with pytest.raises(IllegalTransition):
        store.apply([Settle("h1-i0", IntentState.MINED)])


# ------------------------------------------------------------------ journal


def test_what_is_written_is_read_back_equal(store):
    to_mined(store)

    assert store.open_harvests("local", OWNER) == [(harvest(), plan())]
    assert store.intents("h1") == [replace(intent(), state=IntentState.MINED, nonce=7)]
    assert store.attempts("h1-i0") == [replace(attempt(), state=AttemptState.MINED)]
    assert store.receipt_of("h1-i0") == receipt(attempt())


def test_an_intent_key_is_unique_for_ever(store):
    to_confirmed(store)

    with pytest.raises(IllegalTransition):
        store.apply([AddIntent(replace(intent(), id="another"))])


def test_two_intents_never_share_a_nonce(store):
    to_cancelled(store)
    store.apply([AddIntent(intent(1))])

    with pytest.raises(IllegalTransition):
        store.apply([AddAttempt(attempt("h1-i1", nonce=7))])

    assert store.intents("h1")[1].nonce is None
    assert store.attempts("h1-i1") == []


def test_the_same_nonce_is_free_on_another_chain_and_for_another_sender(store):
    to_signed(store)
    store.apply([AddIntent(intent(1, chain_id=10))])
    store.apply([AddIntent(intent(2, sender=FARM))])

    store.apply([AddAttempt(attempt("h1-i1", nonce=7))])
    store.apply([AddAttempt(attempt("h1-i2", nonce=7))])

    assert [i.nonce for i in store.intents("h1")] == [7, 7, 7]


def test_an_intent_starts_planned_without_a_nonce(store):
    store.open_harvest(harvest(), plan())

    for wrong in (intent(state=IntentState.SIGNED), intent(nonce=3)):
        with pytest.raises(IllegalTransition):
            store.apply([AddIntent(wrong)])


def test_an_intent_belongs_to_a_harvest(store):
    with pytest.raises(IllegalTransition):
        store.apply([AddIntent(intent())])


def test_a_fee_bump_keeps_the_nonce_and_waits_for_the_first_to_leave(store):
    to_signed(store)
    bump = attempt(number=1, max_fee_wei=40 * 10**9)

    with pytest.raises(IllegalTransition):
        store.apply([AddAttempt(bump)])
    store.apply([MarkBroadcast("h1-i0", attempt().hash)])
    with pytest.raises(IllegalTransition):
        store.apply([AddAttempt(replace(bump, nonce=8))])
    store.apply([AddAttempt(bump)])

    assert [a.state for a in store.attempts("h1-i0")] == [AttemptState.BROADCAST, AttemptState.SIGNED]
    assert state_of(store) is IntentState.BROADCAST


@pytest.mark.parametrize("state", [IntentState.MINED, IntentState.CONFIRMED, IntentState.CANCELLED])
def test_nothing_is_signed_for_an_intent_that_is_over(store, state):
    REACH[state](store)

    with pytest.raises(IllegalTransition):
        store.apply([AddAttempt(attempt(number=1))])


def test_one_transaction_belongs_to_one_intent(store):
    to_broadcast(store)
    store.apply([AddIntent(intent(1))])

    with pytest.raises(IllegalTransition):
        store.apply([AddAttempt(attempt("h1-i1", nonce=8, hash=attempt().hash))])
    with pytest.raises(IllegalTransition):
        store.apply([MarkBroadcast("h1-i1", attempt().hash)])
    with pytest.raises(IllegalTransition):
        store.apply([AddReceipt("h1-i1", receipt(attempt()))])


def test_sending_again_changes_nothing(store):
    to_mined(store)

    store.apply([MarkBroadcast("h1-i0", attempt().hash)])

    assert state_of(store) is IntentState.MINED
    assert store.attempts("h1-i0")[0].state is AttemptState.MINED


def test_the_mined_attempt_replaces_the_others_and_a_reorg_brings_them_back(store):
    to_broadcast(store)
    bump = attempt(number=1)
    store.apply([AddAttempt(bump)])
    store.apply([MarkBroadcast("h1-i0", bump.hash)])

    store.apply([AddReceipt("h1-i0", receipt(bump))])
    mined = [a.state for a in store.attempts("h1-i0")]
    store.apply([Reopen("h1-i0")])
    back = [a.state for a in store.attempts("h1-i0")]

    assert mined == [AttemptState.REPLACED, AttemptState.MINED]
    assert back == [AttemptState.BROADCAST, AttemptState.BROADCAST]


def test_a_later_receipt_replaces_the_earlier_one(store):
    to_mined(store)
    moved = receipt(attempt(), block=105, fork="cc")

    store.apply([AddReceipt("h1-i0", moved)])
    store.apply([AddReceipt("h1-i0", moved)])

    assert store.receipt_of("h1-i0") == moved


def test_the_next_nonce_is_above_everything_ever_signed(store):
    assert store.next_nonce(31337, OWNER) == 0
    to_cancelled(store)

    assert store.next_nonce(31337, OWNER) == 8
    assert store.next_nonce(1, OWNER) == 0
    assert store.next_nonce(31337, FARM) == 0


# ------------------------------------------------------------------ several changes, cancels, what is final


def window(count: int, first_nonce=7) -> tuple[list[AddIntent], list[AddAttempt], list[MarkBroadcast]]:
    tried = [attempt(f"h1-i{n}", nonce=first_nonce + n) for n in range(count)]
    return (
        [AddIntent(intent(n)) for n in range(count)],
        [AddAttempt(each, usd(1)) for each in tried],
        [MarkBroadcast(each.intent_id, each.hash) for each in tried],
    )


def test_a_window_is_written_in_one_commit_each(store):
    store.open_harvest(harvest(), plan())
    planned, signed, sent = window(16)

    for batch in (planned, signed, sent):
        store.apply(batch)

    tracks = store.tracks("local", OWNER)
    assert [track.intent.nonce for track in tracks] == list(range(7, 23))
    assert {track.intent.state for track in tracks} == {IntentState.BROADCAST}
    assert {a.state for track in tracks for a in track.attempts} == {AttemptState.BROADCAST}


def test_no_change_is_no_commit(store):
    store.apply([])

    assert store.recent_tracks() == []


def test_a_refused_change_takes_all_of_its_commit_with_it(store):
    store.open_harvest(harvest(), plan())
    planned, signed, _ = window(3)
    store.apply(planned)

    with pytest.raises(IllegalTransition):
        store.apply([*signed, MarkBroadcast("h1-i0", attempt().hash), Settle("h1-i1", IntentState.CONFIRMED)])

    assert {track.intent.state for track in store.tracks_of("h1")} == {IntentState.PLANNED}
    assert store.next_nonce(31337, OWNER) == 0


def test_two_of_a_window_never_share_a_nonce(store):
    store.open_harvest(harvest(), plan())
    planned, signed, _ = window(2)
    store.apply(planned)

    with pytest.raises(IllegalTransition):
        store.apply([signed[0], AddAttempt(replace(signed[1].attempt, nonce=7))])

    assert [track.attempts for track in store.tracks_of("h1")] == [(), ()]


def test_each_change_sees_those_before_it(store):
    store.open_harvest(harvest(), plan())

    store.apply(
        [
            AddIntent(intent()),
            AddAttempt(attempt(), usd(2)),
            MarkBroadcast("h1-i0", attempt().hash),
            AddAttempt(attempt(number=1), usd(3)),
            AddReceipt("h1-i0", receipt(attempt()), usd(1)),
            Settle("h1-i0", IntentState.CONFIRMED),
            Finalise("h1-i0"),
        ]
    )

    track = store.track("h1-i0")
    assert track.intent == intent(state=IntentState.CONFIRMED, nonce=7)
    assert [a.state for a in track.attempts] == [AttemptState.MINED, AttemptState.REPLACED]
    assert (track.receipt, track.final) == (receipt(attempt()), True)


def test_a_mined_cancel_ends_the_intent_cancelled_and_what_it_cost_counts(store):
    to_broadcast(store)
    store.apply([AddAttempt(cancel(), usd(4))])
    in_flight = store.spent_usd("local", OWNER, 0)

    store.apply([AddReceipt("h1-i0", receipt(cancel()), usd(1))])
    for wrong in (IntentState.CONFIRMED, IntentState.REVERTED):
        with pytest.raises(IllegalTransition, match="cancel"):
            store.apply([Settle("h1-i0", wrong)])
    store.apply([Settle("h1-i0", IntentState.CANCELLED)])

    assert (in_flight, store.spent_usd("local", OWNER, 0)) == (usd(4), usd(1))
    track = store.track("h1-i0")
    assert track.receipt == receipt(cancel())
    assert [a.state for a in track.attempts] == [AttemptState.REPLACED, AttemptState.MINED]


@pytest.mark.parametrize(("status", "outcome"), [(1, IntentState.CONFIRMED), (0, IntentState.REVERTED)])
def test_the_original_may_win_the_race_against_its_cancel(store, status, outcome):
    to_broadcast(store)
    store.apply([AddAttempt(cancel()), MarkBroadcast("h1-i0", cancel().hash)])
    store.apply([AddReceipt("h1-i0", receipt(attempt(), status))])

    with pytest.raises(IllegalTransition, match="work"):
        store.apply([Settle("h1-i0", IntentState.CANCELLED)])
    store.apply([Settle("h1-i0", outcome)])

    assert state_of(store) is outcome


def test_a_cancel_needs_something_to_cancel(store):
    to_planned(store)

    with pytest.raises(IllegalTransition, match="cancel"):
        store.apply([AddAttempt(cancel())])


def test_a_nonce_is_filled_by_a_transaction_of_its_own(store):
    fill = cancel("gap-7")

    store.apply([AddIntent(gap()), AddAttempt(fill, usd(1))])
    store.apply([MarkBroadcast("gap-7", fill.hash), AddReceipt("gap-7", receipt(fill), usd(1))])
    store.apply([Settle("gap-7", IntentState.CANCELLED)])

    assert store.track("gap-7").intent == replace(gap(), state=IntentState.CANCELLED, nonce=7)
    assert store.tracks_of("") == []
    assert store.spent_usd("local", OWNER, 0) == usd(1)
    assert store.next_nonce(31337, OWNER) == 8
    store.apply([Reopen("gap-7")])
    assert store.track("gap-7").intent.state is IntentState.BROADCAST


def test_only_a_nonce_to_be_filled_has_no_harvest(store):
    with pytest.raises(IllegalTransition):
        store.apply([AddIntent(intent(harvest_id=""))])


def test_a_reorg_takes_the_foreign_transaction_away_and_the_intent_is_in_flight_again(store):
    to_cancelled(store)
    store.close_harvest(done(state=HarvestState.FAILED), [])

    store.apply([Reopen("h1-i0")])

    track = store.track("h1-i0")
    assert track.intent.state is IntentState.BROADCAST
    assert [a.state for a in track.attempts] == [AttemptState.BROADCAST]
    assert [h.id for h, _ in store.open_harvests("local", OWNER)] == ["h1"]
    assert store.spent_usd("local", OWNER, 0) == usd(2)


def test_what_was_never_signed_is_not_reopened(store):
    to_planned(store)
    store.apply([Settle("h1-i0", IntentState.CANCELLED)])

    with pytest.raises(IllegalTransition):
        store.apply([Reopen("h1-i0")])
    assert store.tracks("local", OWNER) == []


@pytest.mark.parametrize("state", REACH)
def test_only_what_is_settled_becomes_final_and_then_stays(store, state):
    REACH[state](store)

    if state not in (IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED):
        with pytest.raises(IllegalTransition):
            store.apply([Finalise("h1-i0")])
        assert not store.track("h1-i0").final
        return
    before = [track.final for track in store.tracks("local", OWNER)]
    store.apply([Finalise("h1-i0")])
    store.apply([Finalise("h1-i0")])

    assert before == [False]
    assert store.tracks("local", OWNER) == []
    assert store.track("h1-i0").final
    for change in (Reopen("h1-i0"), AddReceipt("h1-i0", receipt(attempt(), block=200)), AddAttempt(attempt(number=3))):
        with pytest.raises(IllegalTransition):
            store.apply([change])
    assert state_of(store) is state


def test_tracks_are_by_nonce_and_unsigned_ones_last(store):
    store.open_harvest(harvest(), plan())
    store.apply([AddIntent(intent(n)) for n in range(4)])
    store.apply([AddAttempt(attempt("h1-i3", nonce=5)), AddAttempt(attempt("h1-i1", nonce=6))])
    store.apply([AddIntent(intent(8, sender=FARM)), AddIntent(intent(9, chain="other"))])

    assert [t.intent.id for t in store.tracks("local", OWNER)] == ["h1-i3", "h1-i1", "h1-i0", "h1-i2"]
    assert [t.intent.id for t in store.tracks("local", FARM)] == ["h1-i8"]
    assert [t.intent.id for t in store.recent_tracks(2)] == ["h1-i9", "h1-i8"]


def test_a_track_is_all_that_is_on_record(store, clock):
    assert store.track("h1-i0") is None
    to_broadcast(store)
    store.apply([AddAttempt(cancel())])

    tried = (replace(attempt(), state=AttemptState.BROADCAST), cancel())
    expected = Track(intent(state=IntentState.BROADCAST, nonce=7), tried, None, created_at=clock.seconds)
    assert store.track("h1-i0") == expected
    assert store.tracks("local", OWNER) == store.tracks_of("h1") == store.recent_tracks() == [expected]
    assert store.tracks_of("h2") == []


def test_an_orphaned_receipt_is_no_part_of_a_track(store):
    to_confirmed(store)
    store.apply([Reopen("h1-i0")])

    (track,) = store.tracks("local", OWNER)
    assert track.receipt is None


def test_nonces_used_are_those_of_any_intent(store):
    to_cancelled(store)
    store.apply([AddIntent(gap(9)), AddAttempt(cancel("gap-9", nonce=9))])

    assert store.nonces_used(31337, OWNER, 0) == {7, 9}
    assert store.nonces_used(31337, OWNER, 8) == {9}
    assert store.nonces_used(1, OWNER, 0) == store.nonces_used(31337, FARM, 0) == set()


def test_a_recovered_floor_raises_the_next_nonce_and_nothing_lowers_it(store):
    to_signed(store)

    store.raise_floor(31337, OWNER, 3)
    low = store.next_nonce(31337, OWNER)
    store.raise_floor(31337, OWNER, 40)
    store.raise_floor(31337, OWNER, 20)

    assert (low, store.next_nonce(31337, OWNER)) == (8, 40)
    assert store.next_nonce(1, OWNER) == store.next_nonce(31337, FARM) == 0
    assert store.flags("floor:") == {f"floor:31337:{OWNER}": "40"}


# ------------------------------------------------------------------ leases and signing

LANE = f"local:{OWNER}"


def test_nothing_is_signed_beside_the_lease_of_another(store, other, clock):
    to_planned(store)
    other.acquire_lease(LANE, "elsewhere:12", 60)

    with pytest.raises(LaneHeld, match="elsewhere:12"):
        store.apply([AddAttempt(attempt())])
    assert store.track("h1-i0").attempts == ()

    clock.seconds += 61
    store.apply([AddAttempt(attempt())])


def test_whoever_lost_its_lease_signs_nothing_though_nobody_told_it(store, other, clock):
    to_planned(store)
    store.acquire_lease(LANE, "here:1", 60)
    clock.seconds += 61
    other.acquire_lease(LANE, "elsewhere:12", 60)

    with pytest.raises(LaneHeld, match="elsewhere:12"):
        store.apply([AddAttempt(attempt())])
    clock.seconds += 61
    with pytest.raises(LaneHeld, match="elsewhere:12"):
        store.apply([AddAttempt(attempt())])
    other.apply([AddAttempt(attempt())])

    assert state_of(store) is IntentState.SIGNED


def test_what_is_in_flight_is_still_recorded_after_the_lease_is_lost(store, other, clock):
    to_broadcast(store)
    store.acquire_lease(LANE, "here:1", 60)
    clock.seconds += 61
    other.acquire_lease(LANE, "elsewhere:12", 60)

    store.apply([AddReceipt("h1-i0", receipt(attempt())), Settle("h1-i0", IntentState.CONFIRMED)])

    assert state_of(store) is IntentState.CONFIRMED


def test_a_lease_that_ran_out_is_still_ours_while_nobody_took_it(store, clock):
    to_planned(store)
    store.acquire_lease(LANE, "here:1", 60)
    clock.seconds += 1000

    store.apply([AddAttempt(attempt())])


def test_the_lease_of_another_lane_is_no_hindrance(store, other):
    to_planned(store)
    other.acquire_lease(f"local:{FARM}", "elsewhere:12", 60)
    other.acquire_lease(f"ethereum:{OWNER}", "elsewhere:12", 60)

    store.apply([AddAttempt(attempt())])


def test_a_lease_given_up_lets_others_sign(store, other):
    to_planned(store)
    token = store.acquire_lease(LANE, "here:1", 60)
    with pytest.raises(LaneHeld, match="here:1"):
        other.apply([AddAttempt(attempt())])
    store.release_lease(LANE, token)

    other.apply([AddAttempt(attempt())])


# ------------------------------------------------------------------ spending


def test_spending_counts_caps_in_flight_then_what_it_really_cost(store):
    to_signed(store)
    signed = store.spent_usd("local", OWNER, 0)
    store.apply([MarkBroadcast("h1-i0", attempt().hash)])
    store.apply([AddAttempt(attempt(number=1), usd(3))])
    bumped = store.spent_usd("local", OWNER, 0)
    store.apply([AddReceipt("h1-i0", receipt(attempt(), status=0), usd(1))])
    mined = store.spent_usd("local", OWNER, 0)

    assert (signed, bumped, mined) == (usd(2), usd(3), usd(1))


def test_spending_forgets_yesterday_but_not_what_is_in_flight(store, clock):
    to_mined(store)
    store.apply([AddIntent(intent(1))])
    store.apply([AddAttempt(attempt("h1-i1", nonce=8), usd(5))])

    clock.seconds += 86_400

    assert store.spent_usd("local", OWNER, clock.seconds - 3600) == usd(5)
    assert store.spent_usd("local", OWNER, clock.seconds - 86_400) == usd(6)


def test_a_reorg_turns_a_cost_back_into_a_cap(store):
    to_mined(store)

    store.apply([Reopen("h1-i0")])

    assert store.spent_usd("local", OWNER, 0) == usd(2)


def test_spending_is_per_chain_and_sender(store):
    to_mined(store)

    assert store.spent_usd("ethereum", OWNER, 0) == 0
    assert store.spent_usd("local", FARM, 0) == 0


# ------------------------------------------------------------------ compounds and ledger


def done(number=1, **more) -> Harvest:
    outcome = {
        "state": HarvestState.DONE,
        "finished_at": 1_700_000_200,
        "received": (Amount(UNI, 3 * 10**30),),
        "compounded": Amount(USDC, 19_000_000),
        "gas_used": 512_345,
        "cost_wei": 10**20,
        "received_usd": usd(20),
        "compounded_usd": usd(19),
        "cost_usd": usd(1),
    }
    return harvest(number, **(outcome | more))


def test_a_closed_harvest_is_read_back_equal_with_its_ledger(store):
    to_confirmed(store)
    rows = [entry(attempt()), entry(attempt(), raw=-(3 * 10**30), value_usd=None)]

    store.close_harvest(done(), rows)

    assert store.harvests() == [done()]
    assert store.harvests("farm") == [done()]
    assert store.harvests("other") == []
    assert store.ledger() == rows
    assert store.ledger("farm", since=1_700_000_101) == []
    assert store.ledger("other") == []
    assert store.open_harvests("local", OWNER) == []


def test_a_harvest_closes_once(store):
    to_confirmed(store)
    store.close_harvest(done(), [entry(attempt())])

    with pytest.raises(IllegalTransition):
        store.close_harvest(done(state=HarvestState.FAILED), [])
    with pytest.raises(IllegalTransition):
        store.close_harvest(done(2), [])
    with pytest.raises(IllegalTransition):
        store.close_harvest(harvest(), [])
    assert store.harvests() == [done()]


def test_a_ledger_row_of_another_harvest_is_refused_and_nothing_is_closed(store):
    to_confirmed(store)
    store.close_harvest(done(), [entry(attempt())])
    store.open_harvest(harvest(2), plan())

    with pytest.raises(IllegalTransition):
        store.close_harvest(done(2), [entry(attempt(), harvest_id="h2")])

    assert [h.id for h, _ in store.open_harvests("local", OWNER)] == ["h2"]


def test_a_reorg_reverses_the_ledger_and_the_harvest_can_close_again(store):
    to_confirmed(store)
    store.close_harvest(done(), [entry(attempt())])

    store.apply([Reopen("h1-i0")])
    reversed_rows = store.ledger()
    reopened = [h.id for h, _ in store.open_harvests("local", OWNER)]
    store.apply([AddReceipt("h1-i0", receipt(attempt(), block=103, fork="dd"))])
    store.apply([Settle("h1-i0", IntentState.CONFIRMED)])
    store.close_harvest(done(), [entry(attempt(), block_number=103)])

    assert reversed_rows == []
    assert reopened == ["h1"]
    assert store.ledger() == [entry(attempt(), block_number=103)]


def test_what_a_reorg_left_standing_is_not_booked_twice(store):
    to_confirmed(store)
    store.apply([AddIntent(intent(1))])
    second = attempt("h1-i1", nonce=8)
    store.apply([AddAttempt(second)])
    store.apply([AddReceipt("h1-i1", receipt(second))])
    store.apply([Settle("h1-i1", IntentState.CONFIRMED)])
    rows = [entry(attempt()), entry(second, log_index=9)]
    store.close_harvest(done(), rows)

    store.apply([Reopen("h1-i1")])
    store.apply([AddReceipt("h1-i1", receipt(second))])
    store.apply([Settle("h1-i1", IntentState.CONFIRMED)])
    store.close_harvest(done(), rows)

    assert store.ledger() == rows


def test_gas_is_learnt_from_what_was_done_and_failures_count_since(store):
    assert store.last_gas("farm") is None
    assert store.failures("farm") == 0
    for number, state in enumerate(
        [HarvestState.FAILED, HarvestState.DONE, HarvestState.FAILED, HarvestState.FAILED], start=1
    ):
        store.open_harvest(harvest(number), plan())
        store.close_harvest(done(number, state=state, gas_used=100 + number), [])
    store.open_harvest(harvest(9), plan())

    assert store.last_gas("farm") == 102
    assert store.failures("farm") == 2
    assert store.failures("other") == 0


def test_standings_say_of_many_positions_what_each_is_asked_alone(store):
    assert store.standings(["farm"]) == {}
    states = [HarvestState.FAILED, HarvestState.DONE, HarvestState.FAILED, HarvestState.CANCELLED]
    for number, state in enumerate(states, start=1):
        store.open_harvest(harvest(number), plan())
        store.close_harvest(done(number, state=state, gas_used=100 + number), [])
        (newest,) = store.harvests("farm", 1)
        assert store.standings(["other", "farm", "it's"]) == {
            "farm": Standing((newest.id, state.value), store.last_gas("farm"), store.failures("farm"))
        }
    assert store.standings([]) == {}


def test_harvests_are_newest_first_and_open_ones_oldest_first(store):
    for number in (1, 2, 3):
        store.open_harvest(harvest(number), plan())

    assert [h.id for h in store.harvests(limit=2)] == ["h3", "h2"]
    assert [h.id for h, _ in store.open_harvests("local", OWNER)] == ["h1", "h2", "h3"]


# ------------------------------------------------------------------ decisions and observations


def test_only_changes_are_kept_but_the_latest_is_fresh(store):
    first, same = decision(text="R is 1"), decision(text="R is 2", at=1_700_000_060)
    fires = decision(Verdict.HARVEST, ReasonCode.ABOVE_THRESHOLD, at=1_700_000_120)

    told = [store.record_decision(each) for each in (first, same, fires)]

    assert told == [True, False, True]
    assert store.decisions("farm") == [fires, first]
    assert store.decisions("farm", limit=1) == [fires]
    assert store.latest_decision("farm") == fires
    assert store.latest_decision("other") is None


def test_the_latest_decision_carries_new_numbers_though_nothing_changed(store):
    store.record_decision(decision(text="R is 1"))
    store.record_decision(decision(text="R is 2", at=1_700_000_060))

    assert store.latest_decision("farm").reasons[0].text == "R is 2"


def test_since_counts_from_the_verdict_not_from_the_reason(store):
    assert store.verdict_since("farm") is None
    store.record_decision(decision(at=1_700_000_000))
    store.record_decision(decision(code=ReasonCode.BELOW_COST, at=1_700_000_060))
    waits = store.verdict_since("farm")
    store.record_decision(decision(Verdict.HARVEST, ReasonCode.ABOVE_THRESHOLD, at=1_700_000_120))

    assert waits == 1_700_000_000
    assert store.verdict_since("farm") == 1_700_000_120


def test_a_batch_is_the_same_as_one_by_one(store):
    batch = [decision(position="a"), decision(position="b"), decision(position="a"), decision(Verdict.BLOCKED)]

    assert store.record_decisions(batch) == [True, True, False, True]
    assert store.record_decisions([]) == []
    assert len(store.decisions("a")) == 1


def test_the_latest_observation_is_kept(store):
    assert store.latest_observation("farm") is None

    store.record_samples([Sample(observation(), None)])
    store.record_samples([Sample(observation(at=1_700_000_012, pending=6), None)])

    assert store.latest_observation("farm") == observation(at=1_700_000_012, pending=6)


# ------------------------------------------------------------------ flags and leases


def test_flags_are_set_changed_and_forgotten(store):
    assert store.get_flag("paused") is None
    store.set_flag("paused", "yes")
    store.set_flag("paused", "no")
    assert store.get_flag("paused") == "no"
    store.set_flag("paused", None)
    assert store.get_flag("paused") is None


def test_many_flags_are_set_changed_and_forgotten_at_once(store):
    store.set_flag("race:b", "old")
    store.set_flags({"race:a": "1", "race:b": "new", "other": "x"})
    assert store.flags("race:") == {"race:a": "1", "race:b": "new"}
    store.set_flags({"race:a": None, "race:c": "3", "never": None})
    assert store.flags("race:") == {"race:b": "new", "race:c": "3"}
    store.set_flags({})
    assert store.get_flag("other") == "x"


def test_a_second_holder_is_told_who_holds_the_lane(store, clock):
    store.acquire_lease("local:0x11", "host-a:12", 60)

    with pytest.raises(LaneHeld, match="host-a:12"):
        store.acquire_lease("local:0x11", "host-b:34", 60)

    store.acquire_lease("local:0x22", "host-b:34", 60)


def test_tokens_only_grow_and_a_lost_lease_is_noticed(store, clock):
    old = store.acquire_lease("lane", "a", 60)
    store.renew_lease("lane", old, 60)
    clock.seconds += 61
    new = store.acquire_lease("lane", "b", 60)

    assert new > old
    with pytest.raises(LaneHeld, match="b"):
        store.renew_lease("lane", old, 60)
    store.release_lease("lane", old)
    with pytest.raises(LaneHeld):
        store.acquire_lease("lane", "a", 60)
    store.release_lease("lane", new)
    assert store.acquire_lease("lane", "a", 60) > new


def test_numbers_beyond_64_bits_survive(store):
    huge = UsdWad(2**255 - 19)
    store.open_harvest(harvest(), plan())
    store.apply([AddIntent(intent(value=2**200))])
    store.apply([AddAttempt(attempt(max_fee_wei=2**100), huge)])

    assert store.spent_usd("local", OWNER, 0) == huge
    assert store.intents("h1")[0].value == 2**200
    assert store.attempts("h1-i0")[0].max_fee_wei == 2**100
