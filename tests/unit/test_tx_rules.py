"""The rules of ``keeper.tx.machine``, one by one: its promises, when it gives up, outbids and holds, and its table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from tx_kit import FIRST_NONCE, GWEI, OWNER, RULES

from keeper.domain.block import BlockRef
from keeper.domain.journal import AddReceipt, Finalise, MarkBroadcast, Reopen, Settle, Track
from keeper.domain.plan import LegKind
from keeper.domain.transaction import (
    IN_FLIGHT,
    INTENT_TRANSITIONS,
    Attempt,
    AttemptState,
    FeeQuote,
    Intent,
    IntentState,
    Nonces,
    Purpose,
    Receipt,
    Sight,
    Submission,
)
from keeper.tx.machine import step
from keeper.tx.slot import (
    Answered,
    Asked,
    Offer,
    Offered,
    Prove,
    Proved,
    Quote,
    Saw,
    Send,
    Sign,
    Signed,
    Slot,
    Tell,
    Woke,
)

N = FIRST_NONCE
WORK, CANCEL = Purpose.WORK, Purpose.CANCEL
S = IntentState


def attempt(name="0xwork", fee=20 * GWEI, tip=GWEI, purpose=WORK, state=AttemptState.BROADCAST, block=100) -> Attempt:
    return Attempt("i", name, name.encode(), N, 50_000, fee, tip, state, block, purpose)


def cancel(name="0xcancel", fee=25 * GWEI, tip=2 * GWEI, block=100) -> Attempt:
    return attempt(name, fee, tip, CANCEL, block=block)


def slot(state=S.BROADCAST, *attempts: Attempt, receipt=None, final=False, **memory) -> Slot:
    has_nonce = state is not S.PLANNED
    intent = Intent("i", "k", "h", 0, "c", 1, OWNER, LegKind.CLAIM, "", OWNER, b"", 0, state, N if has_nonce else None)
    tried = attempts or ((attempt(),) if has_nonce else ())
    return Slot(Track(intent, tried, receipt, final), **{"turn": 100, "sent_at": 0.0, "quoted_at": 0.0, **memory})


def receipt(name="0xwork", block=100, block_hash="", status=1) -> Receipt:
    return Receipt(name, block, block_hash or f"0xb{block}", status, 50_000, GWEI, 0, ())


def look(head=100, *receipts: Receipt, used=False, canonical=None, finalized=None, at=1.0, behind_us=0) -> Saw:
    blocks = {n: f"0xb{n}" for n in range(head + 1)} if canonical is None else canonical
    latest = N + 1 if used else N - behind_us
    found = {r.tx_hash: r for r in receipts}
    return Saw(Sight(BlockRef("c", head, f"0xb{head}", 0), finalized, Nonces(latest, latest), found, blocks), at)


def offer(base=10 * GWEI, tip=GWEI, head=100, work=None, cancel=None, passes=True, budget=None) -> Offered:
    return Offered(Offer(FeeQuote(base, tip), head, (work,), (cancel,), passes=passes, budget_wei=budget), 5.0)


def told(result) -> list[str]:
    return [order.what for order in result.orders if isinstance(order, Tell)]


def signs(result) -> list[Purpose]:
    return [order.purpose for order in result.orders if isinstance(order, Sign)]


def go(start: Slot, *events, rules=RULES):
    """Step through events; return the last step."""
    for event in events:
        result = step(start, event, rules)
        start = result.slot
    return result


# ------------------------------------------------------------------------------------------ the table: every state, event

RECEIPTS = {S.MINED: receipt(), S.CONFIRMED: receipt(), S.REVERTED: receipt(status=0)}
EVENTS = {
    "woke": Woke(1.0),
    "signed": Signed(attempt("0xnew", 30 * GWEI, 2 * GWEI, state=AttemptState.SIGNED), 1.0),
    "answered": Answered("0xwork", Submission.ACCEPTED, "", 1.0),
    "answered-about-another": Answered("0xother", Submission.ACCEPTED, "", 1.0),
    "saw-nothing-new": look(100),
    "saw-it-mined": look(100, receipt(), used=True),
    "saw-it-deep": look(101, receipt(), used=True),
    "saw-it-final": look(105, receipt(), used=True),
    "saw-another-block": look(101, canonical={100: "0xother"}, used=True),
    "proved": Proved(("0xforeign", 99), 100),
    "proved-ours": Proved(("0xWORK", 99), 100),
    "proved-nothing": Proved(None, 100),
    "offered": offer(base=90 * GWEI),
    "asked": Asked("a person"),
    "hurried": Asked(hurry=True),
}
#: What the journal is told, and what is ordered; nothing where nothing stands.
TABLE = {
    (S.PLANNED, "woke"): "settle:cancelled",
    (S.PLANNED, "asked"): "settle:cancelled",
    (S.PLANNED, "signed"): "send",
    (S.SIGNED, "woke"): "send",
    (S.SIGNED, "signed"): "send",
    (S.SIGNED, "answered"): "mark",
    (S.SIGNED, "saw-it-mined"): "receipt",
    (S.SIGNED, "saw-it-deep"): "receipt settle:confirmed",
    (S.SIGNED, "saw-it-final"): "receipt settle:confirmed finalise",
    (S.SIGNED, "proved"): "settle:cancelled tell:foreign",
    (S.SIGNED, "offered"): "mark sign:work",
    (S.SIGNED, "asked"): "quote",
    (S.SIGNED, "hurried"): "quote",
    (S.BROADCAST, "woke"): "send",
    (S.BROADCAST, "signed"): "send",
    (S.BROADCAST, "saw-it-mined"): "receipt",
    (S.BROADCAST, "saw-it-deep"): "receipt settle:confirmed",
    (S.BROADCAST, "saw-it-final"): "receipt settle:confirmed finalise",
    (S.BROADCAST, "proved"): "settle:cancelled tell:foreign",
    (S.BROADCAST, "offered"): "sign:work",
    (S.BROADCAST, "asked"): "quote",
    (S.BROADCAST, "hurried"): "quote",
    (S.MINED, "saw-it-deep"): "settle:confirmed",
    (S.MINED, "saw-it-final"): "settle:confirmed finalise",
    (S.MINED, "saw-another-block"): "reopen tell:reorged send",
    (S.CONFIRMED, "saw-it-final"): "finalise",
    (S.CONFIRMED, "saw-another-block"): "reopen tell:reorged send",
    (S.REVERTED, "saw-it-final"): "finalise",
    (S.REVERTED, "saw-another-block"): "reopen tell:reorged quote",
    # Cancelled by a stranger's transaction, which a reorg has made one of ours.
    (S.CANCELLED, "saw-it-mined"): "reopen receipt tell:reorged",
    (S.CANCELLED, "saw-it-deep"): "reopen receipt tell:reorged",
    (S.CANCELLED, "saw-it-final"): "reopen receipt tell:reorged",
}


def said(result) -> str:
    words = {AddReceipt: "receipt", MarkBroadcast: "mark", Reopen: "reopen", Finalise: "finalise"}
    words |= {Send: "send", Quote: "quote", Prove: "prove"}
    parts = []
    for one in (*result.changes, *result.orders):
        match one:
            case Settle(_, state):
                parts.append(f"settle:{state}")
            case Tell(what):
                parts.append(f"tell:{what}")
            case Sign(_, purpose):
                parts.append(f"sign:{purpose}")
            case _:
                parts.append(words[type(one)])
    return " ".join(parts)


@pytest.mark.parametrize(("state", "name"), list(product(S, EVENTS)), ids=str)
def test_every_event_in_every_state_gives_what_the_table_says(state, name):
    first = attempt(state=AttemptState.SIGNED) if state is S.SIGNED else attempt()
    start = slot(state, *([] if state is S.PLANNED else [first]), receipt=RECEIPTS.get(state))
    result = step(start, EVENTS[name], RULES)
    assert said(result) == TABLE.get((state, name), "")
    moves = [change.state for change in result.changes if isinstance(change, Settle)]
    if moves and start.state not in IN_FLIGHT:
        assert moves[0] in INTENT_TRANSITIONS[state]


@pytest.mark.parametrize(("state", "name"), list(product(S, EVENTS)), ids=str)
def test_what_is_final_changes_no_more(state, name):
    if state in (S.CONFIRMED, S.REVERTED, S.CANCELLED):
        result = step(slot(state, receipt=RECEIPTS.get(state), final=True), EVENTS[name], RULES)
        assert said(result) == ""


@pytest.mark.parametrize("name", EVENTS)
def test_an_intent_without_transactions_survives_every_event(name):
    """A journal that was rebuilt may hold one."""
    odd = slot(S.BROADCAST)
    step(replace(odd, track=replace(odd.track, attempts=())), EVENTS[name], RULES)


# ------------------------------------------------------------------------------------------ what it holds to


def test_it_orders_nothing_on_the_wire_but_hashes_on_record():
    assert step(slot(), Answered("0xunknown", Submission.ACCEPTED, "", 1.0), RULES).orders == ()
    assert step(slot(), Woke(1.0), RULES).orders == (Send("0xwork"),)


def test_it_settles_only_by_a_receipt_whose_block_is_canonical():
    seen = look(110, receipt(block_hash="0xghost"), used=True)
    assert step(slot(), seen, RULES).changes == ()
    assert step(slot(), look(110, receipt(), used=True, canonical={}), RULES).changes == ()


def test_it_settles_only_when_the_block_is_deep_enough():
    assert Settle("i", S.CONFIRMED) not in step(slot(), look(100, receipt(), used=True), RULES).changes
    assert Settle("i", S.CONFIRMED) in step(slot(), look(101, receipt(), used=True), RULES).changes


def test_it_settles_by_the_proof_of_a_foreign_transaction_that_is_deep_enough():
    assert step(slot(), Proved(("0xforeign", 100), 100), RULES).changes == ()
    assert step(slot(), Proved(("0xforeign", 99), 100), RULES).changes == (Settle("i", S.CANCELLED),)


def test_the_proof_that_one_of_ours_has_the_nonce_releases_nothing():
    both = slot(S.BROADCAST, attempt(), cancel())
    assert step(both, Proved(("0xWORK", 50), 100), RULES).changes == ()
    assert step(both, Proved(("0xcancel", 50), 100), RULES).changes == ()


def test_a_missing_receipt_proves_nothing_however_long_it_is_missing():
    """The receipts stay away for an hour, while the nonce is used, and the proof says by one of ours."""
    state = slot()
    for second in range(0, 3600, 12):
        result = step(state, look(100 + second // 12, used=True, at=float(second)), RULES)
        assert result.changes == ()
        state = result.slot
        if Prove(N) in result.orders:
            state = step(state, Proved(("0xwork", 100), 100 + second // 12), RULES).slot
    assert said(step(state, look(500, receipt(), used=True), RULES)) == "receipt settle:confirmed finalise"


def test_a_used_nonce_is_asked_about_after_some_looks_in_a_row():
    state, seen = slot(), []
    for used in (True, True, False, True, True, True):
        result = step(state, look(used=used), RULES)
        seen.append(Prove(N) in result.orders)
        state = result.slot
    assert seen == [False, False, False, False, False, True]


def test_a_reorg_is_a_changed_canonical_hash_and_then_the_same_bytes_go_out_first():
    mined = slot(S.CONFIRMED, attempt(), receipt=receipt())
    assert said(step(mined, look(101, canonical={}), RULES)) == ""
    result = step(mined, look(101, canonical={100: "0xother"}), RULES)
    assert result.changes == (Reopen("i"),)
    assert result.orders == (Tell("reorged", "0xwork"), Send("0xwork"))
    assert result.slot.state is S.BROADCAST
    assert result.slot.track.receipt is None


def test_a_chain_that_ends_below_the_receipt_is_believed_after_some_looks():
    state = slot(S.MINED, receipt=receipt())
    results = []
    for _ in range(3):
        results.append(step(state, look(99), RULES))
        state = results[-1].slot
    assert [said(result) for result in results] == ["", "", "reopen tell:reorged send"]


def test_one_look_at_a_longer_chain_ends_the_doubt():
    mined = slot(S.MINED, receipt=receipt())
    assert go(mined, look(99), look(99), look(100), look(99), look(99)).changes == ()


def test_the_race_with_a_cancel_is_the_chains_to_decide():
    both = slot(S.BROADCAST, attempt(), cancel())
    assert Settle("i", S.CONFIRMED) in step(both, look(101, receipt(), used=True), RULES).changes
    assert Settle("i", S.REVERTED) in step(both, look(101, receipt(status=0), used=True), RULES).changes
    assert Settle("i", S.CANCELLED) in step(both, look(101, receipt("0xcancel"), used=True), RULES).changes


def test_a_reorg_may_turn_the_race():
    """The cancel was confirmed; on the new branch the work is mined."""
    was = slot(S.CANCELLED, attempt(), cancel(), receipt=receipt("0xcancel"))
    turned = look(101, receipt(block_hash="0xnew"), canonical={100: "0xnew"}, used=True)
    assert said(step(was, turned, RULES)) == "reopen receipt settle:confirmed tell:reorged"


def test_what_was_given_up_gets_only_cancels():
    """A cancel signed before a restart is enough to know."""
    loaded = slot(S.BROADCAST, attempt(), cancel(fee=26 * GWEI))
    assert signs(step(loaded, offer(base=90 * GWEI), RULES)) == [CANCEL]


def test_finality_is_the_tag_where_there_is_one_and_depth_elsewhere():
    done = slot(S.CONFIRMED, receipt=receipt())
    assert step(done, look(104), RULES).changes == ()
    assert step(done, look(105), RULES).changes == (Finalise("i"),)
    assert step(done, look(300, finalized=99), RULES).changes == ()
    assert step(done, look(101, finalized=100), RULES).changes == (Finalise("i"),)


def test_unmined_bytes_go_out_again_unchanged_after_a_while():
    assert Send("0xwork") not in step(slot(), look(at=59.0), RULES).orders
    assert Send("0xwork") in step(slot(), look(at=60.0), RULES).orders


def test_the_price_is_looked_at_after_a_while_and_at_once_after_a_first_refusal():
    assert Quote() not in step(slot(), look(at=29.0), RULES).orders
    assert Quote() in step(slot(), look(at=30.0), RULES).orders
    refused = step(slot(), Answered("0xwork", Submission.REFUSED, "transaction underpriced", 1.0), RULES).slot
    assert Quote() in step(refused, look(at=1.5), RULES).orders
    again = step(refused, Answered("0xwork", Submission.REFUSED, "transaction underpriced", 1.0), RULES).slot
    assert Quote() not in step(again, look(at=1.5), RULES).orders


def test_a_clock_that_jumps_back_sends_and_asks_nothing():
    assert step(slot(sent_at=1_000.0, quoted_at=1_000.0), look(at=1.0), RULES).orders == ()


# ------------------------------------------------------------------------------------------ give up


def test_give_up_when_a_person_asked():
    asked = step(slot(), Asked("a person"), RULES)
    assert asked.orders == (Quote(),)
    assert signs(step(asked.slot, offer(), RULES)) == [CANCEL]


def test_give_up_when_the_call_would_fail_now():
    assert signs(step(slot(), offer(passes=False), RULES)) == [CANCEL]


def test_a_call_that_passes_again_before_a_cancel_could_be_signed_is_not_given_up():
    held = step(slot(), offer(passes=False, cancel=1), RULES)
    assert told(held) == ["stuck"]
    assert signs(step(held.slot, offer(base=90 * GWEI), RULES)) == [WORK]


@pytest.mark.parametrize("words", ["exceeds block gas limit", "invalid chain id", "exceeds the configured cap"])
def test_give_up_when_every_endpoint_refuses_the_bytes_for_good(words):
    state, bids = slot(), []
    for _ in range(RULES.sightings):
        state = step(state, Answered("0xwork", Submission.REFUSED, words, 1.0), RULES).slot
        bids.append(signs(step(state, offer(), RULES)))
    assert bids == [[], [], [CANCEL]]


def test_give_up_when_gas_has_left_it_behind_at_a_price_not_worth_it_for_longer_than_the_deadline():
    dear = {"base": 90 * GWEI, "budget": 30 * GWEI}
    assert signs(step(slot(), offer(head=111, **dear), RULES)) == []
    assert signs(step(slot(), offer(head=112, **dear), RULES)) == [CANCEL]
    assert signs(step(slot(), offer(head=112, base=10 * GWEI, budget=5 * GWEI), RULES)) == [], "not behind: it rides"
    assert signs(step(slot(), offer(head=112, base=90 * GWEI), RULES)) == [WORK], "what must follow has no budget"


# ------------------------------------------------------------------------------------------ outbid


def test_outbid_when_gas_has_left_it_behind():
    assert signs(step(slot(), offer(base=20 * GWEI), RULES)) == []
    assert signs(step(slot(), offer(base=20 * GWEI + 1), RULES)) == [WORK]


def test_outbid_when_it_was_passed_over_for_some_blocks():
    assert signs(step(slot(), offer(head=102), RULES)) == []
    assert signs(step(slot(), offer(head=103), RULES)) == [WORK]


def test_it_is_passed_over_only_from_its_turn_on():
    """What waits for the transaction before it is not outbid for being patient."""
    waiting = step(slot(turn=None), look(150, behind_us=1), RULES).slot
    assert signs(step(waiting, offer(head=150), RULES)) == []
    its_turn = step(waiting, look(151), RULES).slot
    assert signs(step(its_turn, offer(head=153), RULES)) == []
    assert signs(step(its_turn, offer(head=154), RULES)) == [WORK]


def test_a_call_that_fails_before_its_turn_may_need_what_is_mined_before_it():
    waiting = step(slot(turn=None), look(150, behind_us=1), RULES).slot
    assert signs(step(waiting, offer(head=150, passes=False), RULES)) == []
    its_turn = step(waiting, look(151), RULES).slot
    assert signs(step(its_turn, offer(head=151, passes=False), RULES)) == [CANCEL]


def test_outbid_when_a_person_hurries():
    hurried = step(slot(), Asked(hurry=True), RULES)
    assert hurried.orders == (Quote(),)
    assert signs(step(hurried.slot, offer(), RULES)) == [WORK]


def test_a_person_may_hurry_a_cancel_too():
    cancelling = slot(S.BROADCAST, attempt(), cancel())
    result = go(cancelling, Asked(hurry=True), offer())
    assert signs(result) == [CANCEL]


def test_outbid_what_every_endpoint_finds_too_cheap():
    words = "transaction gas price below minimum: gas tip cap 1000000000, minimum needed 2000000000"
    refused = step(slot(), Answered("0xwork", Submission.REFUSED, words, 1.0), RULES).slot
    (order,) = step(refused, offer(), RULES).orders
    assert order.bid.max_tip_wei == 2 * GWEI


def test_a_cancel_that_is_itself_stuck_is_outbid():
    stuck = slot(S.BROADCAST, attempt(), cancel())
    assert signs(step(stuck, offer(), RULES)) == []
    assert signs(step(stuck, offer(base=26 * GWEI), RULES)) == [CANCEL]
    assert signs(step(stuck, offer(head=103), RULES)) == [CANCEL]
    words = "replacement transaction underpriced"
    assert signs(go(stuck, Answered("0xcancel", Submission.REFUSED, words, 1.0), offer())) == [CANCEL]


def test_gas_that_comes_back_sends_the_same_bytes_again():
    words = "max fee per gas less than block base fee"
    refused = step(slot(), Answered("0xwork", Submission.REFUSED, words, 1.0), RULES).slot
    held = step(refused, offer(base=90 * GWEI, work=20 * GWEI), RULES)
    assert told(held) == ["stuck"]
    assert step(held.slot, offer(head=140), RULES).orders == (Send("0xwork"),)


def test_what_stays_too_cheap_without_gas_having_moved_is_outbid_in_the_end():
    refused = Answered("0xwork", Submission.REFUSED, "transaction underpriced", 1.0)
    assert step(step(slot(), refused, RULES).slot, offer(head=102), RULES).orders == (Send("0xwork"),)
    assert signs(go(slot(), refused, offer(head=102), refused, offer(head=103))) == [WORK]


# ------------------------------------------------------------------------------------------ hold


@pytest.mark.parametrize(
    "limits", [{"work": 21 * GWEI}, {"budget": 21 * GWEI}], ids=["a cap of the account", "the decision's budget"]
)
def test_hold_at_every_ceiling_and_say_so_once(limits):
    first = step(slot(), offer(base=90 * GWEI, **limits), RULES)
    assert first.changes == ()
    assert told(first) == ["stuck"]
    assert step(first.slot, offer(base=90 * GWEI, **limits), RULES).orders == ()
    assert Send("0xwork") in step(first.slot, look(at=100.0), RULES).orders, "held, and still on offer"


def test_hold_at_the_tip_cap():
    top = slot(S.BROADCAST, attempt(tip=3 * GWEI))
    assert told(step(top, offer(base=90 * GWEI), RULES)) == ["stuck"]


def test_what_the_account_cannot_pay_for_is_neither_outbid_nor_given_up():
    words = "insufficient funds for gas * price + value"
    poor = step(slot(), Answered("0xwork", Submission.REFUSED, words, 1.0), RULES).slot
    held = step(poor, offer(base=90 * GWEI, head=140), RULES)
    assert told(held) == ["stuck"]
    assert Send("0xwork") in step(held.slot, look(at=100.0), RULES).orders


# ------------------------------------------------------------------------------------------ what was wrong once


def test_work_that_was_given_up_is_cancelled_not_sent_again_when_a_strangers_nonce_comes_back():
    """Its leg may have been done under another nonce meanwhile."""
    state = slot(S.CANCELLED, foreign_block=99)
    for _ in range(3):
        result = step(state, look(100), RULES)
        state = result.slot
    assert result.changes == (Reopen("i"),)
    assert result.orders == (Tell("reorged", "0xwork"), Quote())
    assert signs(step(state, offer(), RULES)) == [CANCEL]


def test_work_that_was_given_up_is_not_sent_again_at_a_start():
    assert step(slot(giving_up="a person"), Woke(1.0), RULES).orders == (Quote(),)
    assert step(slot(S.BROADCAST, attempt(), cancel(), giving_up="x"), Woke(1.0), RULES).orders == (Send("0xcancel"),)


def test_work_that_won_against_a_cancel_is_not_sent_again_when_a_reorg_takes_it_back():
    state = slot(S.CONFIRMED, attempt(), cancel(), receipt=receipt(), giving_up="a person")
    result = step(state, look(101, canonical={100: "0xother"}), RULES)
    assert result.orders == (Tell("reorged", "0xwork"), Send("0xcancel"))


def test_a_reopening_orders_nothing_twice():
    """Two looks at the price at once would sign two replacements of one transaction."""
    taken = look(101, canonical={100: "0xother"}, at=1_000.0)
    assert said(step(slot(S.MINED, receipt=receipt()), taken, RULES)) == "reopen tell:reorged send"
    given_up = slot(S.MINED, receipt=receipt(), giving_up="a person")
    assert said(step(given_up, taken, RULES)) == "reopen tell:reorged quote"


@pytest.mark.parametrize("state", [S.MINED, S.CONFIRMED])
def test_a_person_may_ask_while_it_is_mined_in_case_a_reorg_takes_it_back(state):
    asked = step(slot(state, receipt=receipt()), Asked("a person"), RULES)
    assert (asked.changes, asked.orders) == ((), ())
    result = step(asked.slot, look(101, canonical={100: "0xother"}), RULES)
    assert result.orders == (Tell("reorged", "0xwork"), Quote())


def test_a_persons_hurry_passes_the_budget_but_no_limit():
    hurried = step(slot(), Asked(hurry=True), RULES).slot
    assert signs(step(hurried, offer(base=90 * GWEI, budget=21 * GWEI), RULES)) == [WORK]
    assert signs(step(hurried, offer(base=90 * GWEI, work=21 * GWEI), RULES)) == []


def test_an_unpaid_transaction_that_a_person_gives_up_is_cancelled():
    """Its bytes never go out again, so nobody would ever say that the account can pay now."""
    words = "insufficient funds for gas * price + value"
    poor = step(slot(), Answered("0xwork", Submission.REFUSED, words, 1.0), RULES).slot
    assert signs(go(poor, Asked("a person"), offer())) == [CANCEL]


def test_bytes_that_are_outbid_are_taken_for_sent():
    """The journal takes no second transaction beside one that may not have left."""
    fresh = slot(S.SIGNED, attempt(state=AttemptState.SIGNED))
    result = go(fresh, Asked("a person"), offer())
    assert result.changes == (MarkBroadcast("i", "0xwork"),)
    assert signs(result) == [CANCEL]


def test_a_transaction_of_ours_in_a_strangers_place_is_seen():
    """By proof a stranger had the nonce; a reorg gave it to our bytes."""
    state = slot(S.CANCELLED, foreign_block=99)
    result = step(state, look(101, receipt(), used=True), RULES)
    assert result.changes == (Reopen("i"), AddReceipt("i", receipt()))
    assert Send("0xwork") not in result.orders
    assert Settle("i", S.CONFIRMED) in step(result.slot, look(101), RULES).changes


def test_what_was_never_signed_is_final_when_it_is_cancelled():
    result = step(slot(S.PLANNED), Woke(1.0), RULES)
    assert result.slot.track.final
    assert step(result.slot, look(200), RULES).changes == ()


def test_hopeless_work_rides_when_its_cancel_is_beyond_the_limits():
    """Held back altogether, its nonce would keep everything behind it waiting for ever."""
    held = step(slot(), offer(passes=False, cancel=1), RULES)
    assert told(held) == ["stuck"]
    assert Send("0xwork") in step(held.slot, look(at=100.0), RULES).orders


def test_a_hurry_that_cannot_be_served_is_not_served_at_every_look():
    held = go(slot(), Asked(hurry=True), offer(work=1))
    assert told(held) == ["stuck"]
    assert step(held.slot, look(at=6.0), RULES).orders == ()


def test_what_was_given_up_at_the_tip_cap_is_cancelled_once_gas_is_cheap():
    """A cancel must raise the tip beyond the cap of work; its own limit is in dollars."""
    start = go(slot(S.BROADCAST, attempt(tip=RULES.tip_cap_wei)), Asked("a person")).slot
    result = step(start, offer(base=GWEI, tip=1), RULES)
    assert signs(result) == [CANCEL]
    (order,) = (order for order in result.orders if isinstance(order, Sign))
    assert order.bid.max_tip_wei > RULES.tip_cap_wei


def test_what_was_given_up_at_the_gas_price_ceiling_is_cancelled_within_the_cancels_own_cap():
    """The first bid was cut to the ceiling: a replacement bids more, and only the work is held by the ceiling."""
    ceiling = 20 * GWEI
    start = go(slot(S.BROADCAST, attempt(fee=ceiling)), Asked("a person")).slot
    assert signs(step(start, offer(base=GWEI, tip=1, work=ceiling), RULES)) == [CANCEL]
    assert signs(step(start, offer(base=GWEI, tip=1, work=ceiling, cancel=ceiling), RULES)) == []
