"""The journal against a model: any changes, alone and several to a commit, in any order, with any restart.

What it acknowledged stays, what it refused left no trace.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.journal import (
    AddAttempt,
    AddIntent,
    AddReceipt,
    Change,
    Finalise,
    MarkBroadcast,
    Reopen,
    Settle,
    Track,
)
from keeper.domain.money import NO_USD, Address, Amount, Token, usd
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import (
    INTENT_TRANSITIONS,
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    Purpose,
    Receipt,
)
from keeper.errors import IllegalTransition
from keeper.store import open_store

OWNER = Address("0x" + "11" * 20)
LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
HARVEST = Harvest("h", "farm", "local", OWNER, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1)
PLAN = Plan("p", "farm", "local", OWNER, (), (LP,), LP)
#: Two legs of a compound and a nonce that is only filled.
LEGS = ("i0", "i1", "gap")
NOW = 1_800_000_000
SETTLED = (IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED)
CAPS = {Purpose.WORK: usd(3), Purpose.CANCEL: usd(5)}

Model = dict[str, Track]


# ------------------------------------------------------------------ what may be asked


def intent(leg: str) -> Intent:
    gap = leg == "gap"
    return Intent(
        id=leg,
        key="gap:1:somebody:0" if gap else f"h:{leg}",
        harvest_id="" if gap else "h",
        leg_index=LEGS.index(leg),
        chain="local",
        chain_id=1,
        sender=OWNER,
        kind=LegKind.CANCEL if gap else LegKind.CLAIM,
        label="",
        to=OWNER,
        data=b"\1\2\3\4",
        value=0,
    )


def attempt(leg: str, which: int, nonce: int, purpose: Purpose) -> AddAttempt:
    tx = f"0x{leg}{which}"
    return AddAttempt(Attempt(leg, tx, tx.encode(), nonce, 1, 1, 1, AttemptState.SIGNED, 9, purpose), CAPS[purpose])


def receipt(leg: str, which: int, status: int, block: int) -> AddReceipt:
    return AddReceipt(leg, Receipt(f"0x{leg}{which}", block, f"0x{block}", status, 1, 1, 0, ()), usd(1))


def life(leg: str, nonce: int, purpose: Purpose, status: int, upto: int) -> list[Change]:
    """The straight way, as far as ``upto``: what chance alone would seldom find."""
    outcome = IntentState.CONFIRMED if status else IntentState.REVERTED
    outcome = IntentState.CANCELLED if purpose is Purpose.CANCEL else outcome
    first = attempt(leg, 0, nonce, purpose if leg == "gap" else Purpose.WORK)
    sent: list[Change] = [AddIntent(intent(leg)), first, MarkBroadcast(leg, f"0x{leg}0")]
    mined = 0
    if purpose is Purpose.CANCEL and leg != "gap":
        sent += [attempt(leg, 1, nonce, purpose), MarkBroadcast(leg, f"0x{leg}1")]
        mined = 1
    return [*sent, receipt(leg, mined, status, 1), Settle(leg, outcome), Finalise(leg)][:upto]


legs, which, nonces, statuses = st.sampled_from(LEGS), st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, 1])
purposes = st.sampled_from(Purpose)
changes = st.one_of(
    st.builds(AddIntent, st.builds(intent, legs)),
    st.builds(attempt, legs, which, nonces, purposes),
    st.builds(MarkBroadcast, legs, st.builds("0x{}{}".format, legs, which)),
    st.builds(lambda leg, n: MarkBroadcast(leg, f"0x{leg}{n}"), legs, which),
    st.builds(receipt, legs, which, statuses, st.integers(1, 3)),
    st.builds(Settle, legs, st.sampled_from(IntentState)),
    st.builds(Settle, legs, st.sampled_from(SETTLED)),
    st.builds(Reopen, legs),
    st.builds(Finalise, legs),
)
lives = st.builds(life, legs, nonces, purposes, statuses, st.integers(1, 8))


# ------------------------------------------------------------------ the model


class Refused(Exception):
    """The model forbids it."""


def need(allowed: bool) -> None:
    if not allowed:
        raise Refused


def moved(track: Track, after: IntentState, **more) -> Track:
    need(after in INTENT_TRANSITIONS[track.intent.state])
    return replace(track, intent=replace(track.intent, state=after, **more))


def marked(track: Track, state: AttemptState, *, only=lambda attempt: True) -> Track:
    return replace(track, attempts=tuple(replace(a, state=state) if only(a) else a for a in track.attempts))


def added(model: Model, change: AddAttempt) -> Track:
    new = change.attempt
    track = model[new.intent_id]
    need(all(a.hash != new.hash and a.state is not AttemptState.SIGNED for a in track.attempts))
    if track.intent.state is IntentState.PLANNED:
        need(new.purpose is Purpose.WORK or track.intent.kind is LegKind.CANCEL)
        need(all(other.intent.nonce != new.nonce for other in model.values()))
        track = moved(track, IntentState.SIGNED, nonce=new.nonce)
    else:
        need(track.intent.state in (IntentState.SIGNED, IntentState.BROADCAST) and track.intent.nonce == new.nonce)
    return replace(track, attempts=(*track.attempts, new))


def mined(track: Track, new: Receipt) -> Track:
    need(any(a.hash == new.tx_hash for a in track.attempts))
    if track.receipt == new and track.intent.state is IntentState.MINED:
        return track
    if track.intent.state is not IntentState.MINED:
        track = moved(track, IntentState.MINED)
    track = marked(track, AttemptState.REPLACED)
    return replace(marked(track, AttemptState.MINED, only=lambda a: a.hash == new.tx_hash), receipt=new)


def settled(track: Track, after: IntentState) -> Track:
    need(after in SETTLED)
    track = moved(track, after)
    if track.receipt is None:
        need(after is IntentState.CANCELLED)
        return replace(marked(track, AttemptState.REPLACED), final=track.intent.nonce is None)
    (of,) = (a for a in track.attempts if a.hash == track.receipt.tx_hash)
    told = IntentState.CONFIRMED if track.receipt.status else IntentState.REVERTED
    need(after is (IntentState.CANCELLED if of.purpose is Purpose.CANCEL else told))
    return track


def step(model: Model, change: Change) -> Model:
    """Return the model after one change. Raises Refused."""
    if isinstance(change, AddIntent):
        need(change.intent.id not in model)
        return {**model, change.intent.id: Track(change.intent, created_at=NOW)}
    name = change.attempt.intent_id if isinstance(change, AddAttempt) else change.intent_id
    need(name in model)
    track = model[name]
    match change:
        case AddAttempt():
            track = added(model, change)
        case MarkBroadcast():
            need(any(a.hash == change.tx_hash for a in track.attempts))
            unsent = [a for a in track.attempts if a.state is AttemptState.SIGNED and a.hash == change.tx_hash]
            track = marked(track, AttemptState.BROADCAST, only=lambda a: a in unsent)
            if track.intent.state is IntentState.SIGNED:
                track = moved(track, IntentState.BROADCAST)
        case AddReceipt():
            track = mined(track, change.receipt)
        case Settle():
            track = settled(track, change.state)
        case Reopen():
            taken = track.intent.state is IntentState.CANCELLED and track.intent.nonce is not None
            need(not track.final and (track.receipt is not None or taken))
            track = replace(marked(moved(track, IntentState.BROADCAST), AttemptState.BROADCAST), receipt=None)
        case Finalise():
            need(track.intent.state in SETTLED)
            track = replace(track, final=True)
    return {**model, name: track}


def after_all(model: Model, batch: Sequence[Change]) -> Model | None:
    """Return the model after all changes, or ``None`` when one of them is refused."""
    try:
        for change in batch:
            model = step(model, change)
    except Refused:
        return None
    return model


class JournalMachine(RuleBasedStateMachine):
    """Two legs of one compound and a filled nonce, driven at random."""

    blank: Path

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.blank, self.folder / "journal.db")
        self.open()
        self.store.open_harvest(HARVEST, PLAN)
        self.model: Model = {}
        self.done = False
        self.booked: set[str] = set()

    def open(self) -> None:
        self.store = open_store(self.folder / "journal.db", now=lambda: NOW)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(change=changes)
    def one(self, change) -> None:
        self.commit([change])

    @rule(batch=st.lists(changes, min_size=2, max_size=4))
    def several(self, batch) -> None:
        self.commit(batch)

    @rule(batch=lives, more=st.lists(changes, max_size=1))
    def a_life(self, batch, more) -> None:
        self.commit([*batch, *more])

    @rule(window=st.lists(lives, min_size=2, max_size=2))
    def a_window(self, window) -> None:
        """All intents, then all signed, then all sent: as a lane sends several at once."""
        order = [AddIntent, AddAttempt, MarkBroadcast, AddReceipt, Settle, Finalise]
        self.commit(sorted((c for one in window for c in one), key=lambda change: order.index(type(change))))

    @rule(leg=legs)
    def go_on(self, leg) -> None:
        """Whatever comes next for this leg, as every leg is refused most of the time otherwise."""
        track = self.model.get(leg)
        if track is None:
            return self.commit([AddIntent(intent(leg))])
        if track.intent.state in SETTLED:
            return self.commit([Reopen(leg)])
        if track.receipt is None and track.attempts:
            return self.commit([receipt(leg, len(track.attempts) - 1, 1, 2)])
        return None

    def commit(self, batch: Sequence[Change]) -> None:
        """Apply; the journal must do it when the model can, and refuse when not."""
        after = after_all(self.model, batch)
        if after is None:
            with pytest.raises(IllegalTransition):
                self.store.apply(batch)
            return
        self.store.apply(batch)
        for change in batch:
            if isinstance(change, Reopen) and change.intent_id != "gap":
                self.done = False
        gone = self.standing(self.model) - self.standing(after)
        reopened = {c.intent_id for c in batch if isinstance(c, Reopen)}
        gone |= {t.receipt.tx_hash for name, t in self.model.items() if name in reopened and t.receipt}
        self.booked -= gone
        self.model = after

    def standing(self, model: Model) -> set[str]:
        return {track.receipt.tx_hash for track in model.values() if track.receipt is not None}

    @rule()
    def close(self) -> None:
        entries = [
            LedgerEntry("h", tx, 0, 1, 1, "claim", Amount(LP, 5), None) for tx in sorted(self.standing(self.model))
        ]
        outcome = replace(HARVEST, state=HarvestState.DONE)
        if self.done:
            with pytest.raises(IllegalTransition):
                self.store.close_harvest(outcome, entries)
            return
        self.store.close_harvest(outcome, entries)
        self.done, self.booked = True, self.booked | self.standing(self.model)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def the_file_equals_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        legs = [track for name, track in self.model.items() if name != "gap"]
        assert self.store.tracks_of("h") == sorted(legs, key=lambda track: track.intent.leg_index)
        assert [self.store.track(leg) for leg in LEGS] == [self.model.get(leg) for leg in LEGS]
        assert self.store.recent_tracks() == list(reversed(self.model.values()))
        watched = [track for track in self.model.values() if not track.final]
        assert self.store.tracks("local", OWNER) == sorted(
            watched, key=lambda track: (track.intent.nonce is None, track.intent.nonce or 0)
        )
        assert bool(self.store.open_harvests("local", OWNER)) is not self.done
        assert {entry.tx_hash for entry in self.store.ledger()} == self.booked

    @invariant()
    def the_sums_are_those_of_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        nonces = [t.intent.nonce for t in self.model.values() if t.intent.nonce is not None]
        assert len(nonces) == len(set(nonces))
        assert self.store.nonces_used(1, OWNER, 1) == {nonce for nonce in nonces if nonce >= 1}
        assert self.store.next_nonce(1, OWNER) == max(nonces, default=-1) + 1
        flying = [t for t in self.model.values() if t.intent.state in (IntentState.SIGNED, IntentState.BROADCAST)]
        caps = [max(CAPS[a.purpose] for a in track.attempts) for track in flying]
        assert self.store.spent_usd("local", OWNER, 0) == sum(caps) + usd(1) * len(self.standing(self.model))


@pytest.fixture(scope="session")
def blank_journal(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("machine") / "journal.db"
    open_store(path).close()
    return path


def test_the_journal_follows_its_model(blank_journal):
    JournalMachine.blank = blank_journal
    machine = JournalMachine.TestCase()
    machine.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
    machine.runTest()
