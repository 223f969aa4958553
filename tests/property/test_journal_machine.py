"""The journal against a model: any order of calls, any restart; what it acknowledged stays, what it refused left no trace."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import NO_USD, Address, Token, usd
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import INTENT_TRANSITIONS, Attempt, AttemptState, Intent, IntentState, Receipt
from keeper.errors import IllegalTransition
from keeper.store import open_store

OWNER = Address("0x" + "11" * 20)
LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
HARVEST = Harvest("h", "farm", "local", OWNER, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1)
PLAN = Plan("p", "farm", "local", OWNER, (), (LP,), LP)
LEGS = ("i0", "i1", "i2")

legs = st.sampled_from(LEGS)


@pytest.fixture(scope="session")
def blank_journal(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("machine") / "journal.db"
    open_store(path).close()
    return path


class JournalMachine(RuleBasedStateMachine):
    """Three legs of one compound, driven at random."""

    blank: Path

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.blank, self.folder / "journal.db")
        self.store = open_store(self.folder / "journal.db")
        self.store.open_harvest(HARVEST, PLAN)
        self.intents: dict[str, Intent] = {}
        self.attempts: dict[str, list[Attempt]] = {name: [] for name in LEGS}
        self.receipts: dict[str, Receipt] = {}
        self.block = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def told(self, allowed: bool, call, *args, **kwargs) -> bool:
        """Call; it must do it when allowed and refuse when not."""
        if allowed:
            call(*args, **kwargs)
        else:
            with pytest.raises(IllegalTransition):
                call(*args, **kwargs)
        return allowed

    def state(self, leg: str) -> IntentState | None:
        return self.intents[leg].state if leg in self.intents else None

    def go(self, leg: str, state: IntentState, **more) -> None:
        before = self.intents[leg].state
        assert state is before or state in INTENT_TRANSITIONS[before]
        self.intents[leg] = replace(self.intents[leg], state=state, **more)

    def set_attempts(self, leg: str, state: AttemptState, *, only=lambda attempt: True) -> None:
        self.attempts[leg] = [replace(a, state=state) if only(a) else a for a in self.attempts[leg]]

    @rule(leg=legs)
    def plan(self, leg) -> None:
        intent = Intent(
            leg, f"h:{leg}", "h", LEGS.index(leg), "local", 1, OWNER, LegKind.CLAIM, "", OWNER, b"\1\2\3\4", 0
        )
        if self.told(leg not in self.intents, self.store.add_intent, intent):
            self.intents[leg] = intent

    @rule(leg=legs, nonce=st.integers(0, 3))
    def sign(self, leg, nonce) -> None:
        tx = f"0x{leg}{len(self.attempts[leg])}"
        attempt = Attempt(leg, tx, tx.encode(), nonce, 1, 1, 1, AttemptState.SIGNED, self.block)
        taken = any(other.nonce == nonce for name, other in self.intents.items() if name != leg)
        fresh = self.state(leg) is IntentState.PLANNED and not taken
        unsent = any(a.state is AttemptState.SIGNED for a in self.attempts[leg])
        bump = self.state(leg) in (IntentState.SIGNED, IntentState.BROADCAST) and not unsent
        allowed = fresh or (bump and self.intents[leg].nonce == nonce)
        if self.told(allowed, self.store.add_attempt, attempt, max_fee_usd=usd(3)):
            self.attempts[leg].append(attempt)
            if fresh:
                self.go(leg, IntentState.SIGNED, nonce=nonce)

    @rule(leg=legs, which=st.integers(0, 2))
    def send(self, leg, which) -> None:
        tx = f"0x{leg}{which}"
        if self.told(which < len(self.attempts[leg]), self.store.mark_broadcast, leg, tx):
            self.set_attempts(
                leg, AttemptState.BROADCAST, only=lambda a: a.hash == tx and a.state is AttemptState.SIGNED
            )
            if self.state(leg) is IntentState.SIGNED:
                self.go(leg, IntentState.BROADCAST)

    @rule(leg=legs, which=st.integers(0, 2), status=st.sampled_from([0, 1]))
    def mine(self, leg, which, status) -> None:
        tx = f"0x{leg}{which}"
        self.block += 1
        receipt = Receipt(tx, self.block, f"0x{self.block}", status, 1, 1, 0, ())
        live = (IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED)
        allowed = which < len(self.attempts[leg]) and self.state(leg) in live
        if self.told(allowed, self.store.add_receipt, leg, receipt, cost_usd=usd(1)):
            self.receipts[leg] = receipt
            self.set_attempts(leg, AttemptState.REPLACED)
            self.set_attempts(leg, AttemptState.MINED, only=lambda a: a.hash == tx)
            self.go(leg, IntentState.MINED)

    @rule(leg=legs, state=st.sampled_from(IntentState))
    def settle(self, leg, state) -> None:
        final = state in (IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED)
        allowed = leg in self.intents and final and state in INTENT_TRANSITIONS[self.intents[leg].state]
        if allowed and state is not IntentState.CANCELLED:
            allowed = self.receipts[leg].status == (state is IntentState.CONFIRMED)
        if self.told(allowed, self.store.settle, leg, state):
            if state is IntentState.CANCELLED:
                self.set_attempts(leg, AttemptState.REPLACED, only=lambda a: a.state is not AttemptState.MINED)
            self.go(leg, state)

    @rule(leg=legs)
    def reorganise(self, leg) -> None:
        mined = (IntentState.MINED, IntentState.CONFIRMED, IntentState.REVERTED)
        if self.told(self.state(leg) in mined, self.store.reopen, leg):
            del self.receipts[leg]
            self.set_attempts(leg, AttemptState.BROADCAST)
            self.go(leg, IntentState.BROADCAST)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.folder / "journal.db")

    @invariant()
    def the_file_equals_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.intents("h") == sorted(self.intents.values(), key=lambda intent: intent.leg_index)
        for leg in LEGS:
            assert self.store.attempts(leg) == self.attempts[leg]
            assert self.store.receipt_of(leg) == self.receipts.get(leg)
        nonces = [intent.nonce for intent in self.intents.values() if intent.nonce is not None]
        assert len(nonces) == len(set(nonces))
        assert self.store.next_nonce(1, OWNER) == max(nonces, default=-1) + 1
        flying = [i for i in self.intents.values() if i.state in (IntentState.SIGNED, IntentState.BROADCAST)]
        assert self.store.spent_usd("local", OWNER, 0) == usd(3) * len(flying) + usd(1) * len(self.receipts)


def test_the_journal_follows_its_model(blank_journal):
    JournalMachine.blank = blank_journal
    machine = JournalMachine.TestCase()
    machine.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
    machine.runTest()
