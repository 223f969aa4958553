"""What every store promises, whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import Address, Amount, Token, UsdWad, usd
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Leg, LegKind, MinOut, Patch, Plan, Share
from keeper.domain.transaction import (
    INTENT_TRANSITIONS,
    Attempt,
    AttemptState,
    Intent,
    IntentState,
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
    store.add_intent(intent())


def to_signed(store: Store) -> None:
    to_planned(store)
    store.add_attempt(attempt(), max_fee_usd=usd(2))


def to_broadcast(store: Store) -> None:
    to_signed(store)
    store.mark_broadcast("h1-i0", attempt().hash)


def to_mined(store: Store, status=1) -> None:
    to_broadcast(store)
    store.add_receipt("h1-i0", receipt(attempt(), status), cost_usd=usd(1))


def to_confirmed(store: Store) -> None:
    to_mined(store)
    store.settle("h1-i0", IntentState.CONFIRMED)


def to_reverted(store: Store) -> None:
    to_mined(store, status=0)
    store.settle("h1-i0", IntentState.REVERTED)


def to_cancelled(store: Store) -> None:
    to_broadcast(store)
    store.settle("h1-i0", IntentState.CANCELLED)


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
        store.add_receipt("h1-i0", receipt(attempt(), status=0))
    if after in INTENT_TRANSITIONS[before]:
        store.settle("h1-i0", after)
        assert state_of(store) is after
    else:
        with pytest.raises(IllegalTransition):
            store.settle("h1-i0", after)
        assert state_of(store) is before


@pytest.mark.parametrize(("status", "claimed"), [(0, IntentState.CONFIRMED), (1, IntentState.REVERTED)])
def test_settling_against_the_receipt_is_refused(store, status, claimed):
    to_mined(store, status)

    with pytest.raises(IllegalTransition, match="status"):
        store.settle("h1-i0", claimed)
    assert state_of(store) is IntentState.MINED


@pytest.mark.parametrize("before", REACH)
def test_reopening_follows_the_table(store, before):
    REACH[before](store)

    if IntentState.BROADCAST in INTENT_TRANSITIONS[before] and before is not IntentState.SIGNED:
        store.reopen("h1-i0")
        assert state_of(store) is IntentState.BROADCAST
        assert store.receipt_of("h1-i0") is None
    else:
        with pytest.raises(IllegalTransition):
            store.reopen("h1-i0")
        assert state_of(store) is before


def test_settling_to_a_state_on_the_way_is_refused(store):
    to_signed(store)

    with pytest.raises(IllegalTransition):
        store.settle("h1-i0", IntentState.MINED)


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
        store.add_intent(replace(intent(), id="another"))


def test_two_intents_never_share_a_nonce(store):
    to_cancelled(store)
    store.add_intent(intent(1))

    with pytest.raises(IllegalTransition):
        store.add_attempt(attempt("h1-i1", nonce=7))

    assert store.intents("h1")[1].nonce is None
    assert store.attempts("h1-i1") == []


def test_the_same_nonce_is_free_on_another_chain_and_for_another_sender(store):
    to_signed(store)
    store.add_intent(intent(1, chain_id=10))
    store.add_intent(intent(2, sender=FARM))

    store.add_attempt(attempt("h1-i1", nonce=7))
    store.add_attempt(attempt("h1-i2", nonce=7))

    assert [i.nonce for i in store.intents("h1")] == [7, 7, 7]


def test_an_intent_starts_planned_without_a_nonce(store):
    store.open_harvest(harvest(), plan())

    for wrong in (intent(state=IntentState.SIGNED), intent(nonce=3)):
        with pytest.raises(IllegalTransition):
            store.add_intent(wrong)


def test_an_intent_belongs_to_a_harvest(store):
    with pytest.raises(IllegalTransition):
        store.add_intent(intent())


def test_a_fee_bump_keeps_the_nonce_and_waits_for_the_first_to_leave(store):
    to_signed(store)
    bump = attempt(number=1, max_fee_wei=40 * 10**9)

    with pytest.raises(IllegalTransition):
        store.add_attempt(bump)
    store.mark_broadcast("h1-i0", attempt().hash)
    with pytest.raises(IllegalTransition):
        store.add_attempt(replace(bump, nonce=8))
    store.add_attempt(bump)

    assert [a.state for a in store.attempts("h1-i0")] == [AttemptState.BROADCAST, AttemptState.SIGNED]
    assert state_of(store) is IntentState.BROADCAST


@pytest.mark.parametrize("state", [IntentState.MINED, IntentState.CONFIRMED, IntentState.CANCELLED])
def test_nothing_is_signed_for_an_intent_that_is_over(store, state):
    REACH[state](store)

    with pytest.raises(IllegalTransition):
        store.add_attempt(attempt(number=1))


def test_one_transaction_belongs_to_one_intent(store):
    to_broadcast(store)
    store.add_intent(intent(1))

    with pytest.raises(IllegalTransition):
        store.add_attempt(attempt("h1-i1", nonce=8, hash=attempt().hash))
    with pytest.raises(IllegalTransition):
        store.mark_broadcast("h1-i1", attempt().hash)
    with pytest.raises(IllegalTransition):
        store.add_receipt("h1-i1", receipt(attempt()))


def test_sending_again_changes_nothing(store):
    to_mined(store)

    store.mark_broadcast("h1-i0", attempt().hash)

    assert state_of(store) is IntentState.MINED
    assert store.attempts("h1-i0")[0].state is AttemptState.MINED


def test_the_mined_attempt_replaces_the_others_and_a_reorg_brings_them_back(store):
    to_broadcast(store)
    bump = attempt(number=1)
    store.add_attempt(bump)
    store.mark_broadcast("h1-i0", bump.hash)

    store.add_receipt("h1-i0", receipt(bump))
    mined = [a.state for a in store.attempts("h1-i0")]
    store.reopen("h1-i0")
    back = [a.state for a in store.attempts("h1-i0")]

    assert mined == [AttemptState.REPLACED, AttemptState.MINED]
    assert back == [AttemptState.BROADCAST, AttemptState.BROADCAST]


def test_a_later_receipt_replaces_the_earlier_one(store):
    to_mined(store)
    moved = receipt(attempt(), block=105, fork="cc")

    store.add_receipt("h1-i0", moved)
    store.add_receipt("h1-i0", moved)

    assert store.receipt_of("h1-i0") == moved


def test_the_next_nonce_is_above_everything_ever_signed(store):
    assert store.next_nonce(31337, OWNER) == 0
    to_cancelled(store)

    assert store.next_nonce(31337, OWNER) == 8
    assert store.next_nonce(1, OWNER) == 0
    assert store.next_nonce(31337, FARM) == 0


# ------------------------------------------------------------------ spending


def test_spending_counts_caps_in_flight_then_what_it_really_cost(store):
    to_signed(store)
    signed = store.spent_usd("local", OWNER, 0)
    store.mark_broadcast("h1-i0", attempt().hash)
    store.add_attempt(attempt(number=1), max_fee_usd=usd(3))
    bumped = store.spent_usd("local", OWNER, 0)
    store.add_receipt("h1-i0", receipt(attempt(), status=0), cost_usd=usd(1))
    mined = store.spent_usd("local", OWNER, 0)

    assert (signed, bumped, mined) == (usd(2), usd(3), usd(1))


def test_spending_forgets_yesterday_but_not_what_is_in_flight(store, clock):
    to_mined(store)
    store.add_intent(intent(1))
    store.add_attempt(attempt("h1-i1", nonce=8), max_fee_usd=usd(5))

    clock.seconds += 86_400

    assert store.spent_usd("local", OWNER, clock.seconds - 3600) == usd(5)
    assert store.spent_usd("local", OWNER, clock.seconds - 86_400) == usd(6)


def test_a_reorg_turns_a_cost_back_into_a_cap(store):
    to_mined(store)

    store.reopen("h1-i0")

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

    store.reopen("h1-i0")
    reversed_rows = store.ledger()
    reopened = [h.id for h, _ in store.open_harvests("local", OWNER)]
    store.add_receipt("h1-i0", receipt(attempt(), block=103, fork="dd"))
    store.settle("h1-i0", IntentState.CONFIRMED)
    store.close_harvest(done(), [entry(attempt(), block_number=103)])

    assert reversed_rows == []
    assert reopened == ["h1"]
    assert store.ledger() == [entry(attempt(), block_number=103)]


def test_what_a_reorg_left_standing_is_not_booked_twice(store):
    to_confirmed(store)
    store.add_intent(intent(1))
    second = attempt("h1-i1", nonce=8)
    store.add_attempt(second)
    store.add_receipt("h1-i1", receipt(second))
    store.settle("h1-i1", IntentState.CONFIRMED)
    rows = [entry(attempt()), entry(second, log_index=9)]
    store.close_harvest(done(), rows)

    store.reopen("h1-i1")
    store.add_receipt("h1-i1", receipt(second))
    store.settle("h1-i1", IntentState.CONFIRMED)
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

    store.record_observation(observation(), usd(1), 10**10)
    store.record_observations([(observation(at=1_700_000_012, pending=6), usd(2), 10**10)])

    assert store.latest_observation("farm") == observation(at=1_700_000_012, pending=6)


# ------------------------------------------------------------------ flags and leases


def test_flags_are_set_changed_and_forgotten(store):
    assert store.get_flag("paused") is None
    store.set_flag("paused", "yes")
    store.set_flag("paused", "no")
    assert store.get_flag("paused") == "no"
    store.set_flag("paused", None)
    assert store.get_flag("paused") is None


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
    store.add_intent(intent(value=2**200))
    store.add_attempt(attempt(max_fee_wei=2**100), max_fee_usd=huge)

    assert store.spent_usd("local", OWNER, 0) == huge
    assert store.intents("h1")[0].value == 2**200
    assert store.attempts("h1-i0")[0].max_fee_wei == 2**100
