"""Any history of blocks, pools, nodes, people and kills against the machine of one nonce, with the chain as judge."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from test_journal_machine import Model
from test_journal_machine import step as journaled
from tx_kit import GWEI, HARVEST, OWNER, PLAN, Chain, Engine, Killed, Lie, Pick, Weather

from keeper.domain.journal import Change, Track
from keeper.domain.transaction import FeeQuote, Submission
from keeper.store import open_store

LEGS = (0, 1, 2)


class ModelBook:
    """The journal's model, which ``test_journal_machine`` holds against the file."""

    def __init__(self) -> None:
        self.model: Model = {}

    def apply(self, changes: Sequence[Change]) -> None:
        model = self.model
        for change in changes:
            model = journaled(model, change)
        self.model = model

    def track(self, intent_id: str) -> Track | None:
        return self.model.get(intent_id)

    def everything(self) -> list[Track]:
        return list(self.model.values())

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class FileBook:
    """The journal itself."""

    def __init__(self, blank: Path) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.db"
        shutil.copy(blank, self.path)
        self.store = open_store(self.path)
        self.store.open_harvest(HARVEST, PLAN)

    def apply(self, changes: Sequence[Change]) -> None:
        self.store.apply(changes)

    def track(self, intent_id: str) -> Track | None:
        return self.store.track(intent_id)

    def everything(self) -> list[Track]:
        return self.store.tracks_of("h")

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.path)
        live = {t.intent.id for t in self.store.tracks("local", OWNER)}
        assert live == {t.intent.id for t in self.everything() if not t.final}

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


REFUSALS = (
    "insufficient funds for gas * price + value",
    "replacement transaction underpriced",
    "transaction gas price below minimum: gas tip cap 1, minimum needed 2000000000",
    "transaction underpriced",
    "exceeds block gas limit",
    "invalid chain id for signer",
    "tx fee (2.00 ether) exceeds the configured cap (1.00 ether)",
    "nonce too high",
    "in black list",
)
picks = st.lists(st.builds(Pick, st.integers(0, 4), st.sampled_from([1, 1, 0])), max_size=3)
lies = st.builds(
    Lie,
    lag=st.sampled_from([0, 0, 0, 1, 3]),
    fork=st.sampled_from([0, 0, 0, 1, 2, 4]),
    no_receipts=st.booleans(),
    ghosts=st.booleans(),
    nonces=st.sampled_from([0, 0, 0, 1, 3, -1]),
    no_canonical=st.booleans(),
    tag=st.booleans(),
)
caps = st.sampled_from([None, None, 5 * GWEI, 40 * GWEI, 2_000 * GWEI])
fees = st.builds(
    FeeQuote, st.sampled_from([0, 1, GWEI, 10 * GWEI, 30 * GWEI, 700 * GWEI]), st.sampled_from([0, 1, GWEI, 2 * GWEI])
)
answers = st.one_of(
    st.sampled_from([(Submission.ACCEPTED, ""), (Submission.KNOWN, "already known"), (Submission.MAYBE, "timed out")]),
    st.tuples(st.just(Submission.REFUSED), st.sampled_from(REFUSALS)),
    st.just((Submission.NONCE_USED, "nonce too low")),
)
seconds = st.sampled_from([0.5, 5.0, 31.0, 61.0, 100_000.0])


class TxMachine(RuleBasedStateMachine):
    """Up to three legs at a time, each redone when it was cancelled or reverted."""

    def book(self):
        return ModelBook()

    @initialize()
    def start(self) -> None:
        self.engine = Engine(self.book(), Chain())
        for leg in LEGS[:2]:
            self.engine.launch(leg)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            try:
                self.alive(self.engine.good_days)
            finally:
                self.engine.book.close()

    def alive(self, act) -> None:
        """Do it; where the process is killed in the middle, start again."""
        try:
            act()
        except Killed:
            self.engine.book.reopen()
            self.engine.restart()

    def some(self, which: int) -> str | None:
        names = sorted(self.engine.slots)
        return names[which % len(names)] if names else None

    @rule(leg=st.sampled_from(LEGS))
    def launch(self, leg) -> None:
        self.alive(lambda: self.engine.launch(leg))

    @rule(wait=seconds)
    def look(self, wait) -> None:
        self.engine.now += wait
        self.alive(self.engine.look)

    @rule(wait=seconds, lie=lies, times=st.integers(1, 4))
    def look_wrongly(self, wait, lie, times) -> None:
        for _ in range(times):
            self.engine.now += wait
            self.alive(lambda: self.engine.look(lie))

    @rule(looks=st.integers(2, 6), wait=st.sampled_from([5.0, 31.0, 61.0]))
    def wait(self, looks, wait) -> None:
        """Time passes, blocks come, and none has anything of ours."""
        for _ in range(looks):
            self.engine.now += wait
            self.engine.chain.mine()
            self.alive(self.engine.look)

    @rule(deep=st.integers(0, 6), looks=st.integers(3, 5))
    def stranger(self, deep, looks) -> None:
        """Somebody else takes the next nonce."""
        self.engine.chain.fill()
        for _ in range(deep):
            self.engine.chain.mine()
        for _ in range(looks):
            self.alive(self.engine.look)

    @rule(words=st.sampled_from(REFUSALS), looks=st.integers(1, 5))
    def refused(self, words, looks) -> None:
        """All nodes refuse everything, for some minutes."""
        now = self.engine.weather
        now.outcome, now.words, now.arrives = Submission.REFUSED, words, False
        for _ in range(looks):
            self.engine.now += 61.0
            self.alive(self.engine.look)

    @rule(blocks=st.lists(picks, min_size=1, max_size=3), looks=st.integers(0, 2))
    def mine(self, blocks, looks) -> None:
        for one in blocks:
            self.engine.chain.mine(one)
        for _ in range(looks):
            self.alive(self.engine.look)

    @rule(picks=picks, deep=st.integers(0, 5), status=st.sampled_from([1, 1, 0]))
    def land(self, picks, deep, status) -> None:
        """Something of ours is mined, as deep as it may be, and seen."""
        self.engine.chain.mine([Pick(1, status), *picks])
        for _ in range(deep):
            self.engine.chain.mine()
        self.alive(self.engine.look)

    @rule(n=st.integers(1, 4))
    def mine_nothing(self, n) -> None:
        for _ in range(n):
            self.engine.chain.mine()

    @rule(depth=st.integers(1, 6), blocks=st.lists(picks, max_size=6), looks=st.integers(0, 4))
    def reorg(self, depth, blocks, looks) -> None:
        self.engine.chain.reorg(depth, blocks)
        for _ in range(looks):
            self.alive(self.engine.look)

    @rule()
    def pool_forgets(self) -> None:
        self.engine.chain.pool.clear()

    @rule(fees=fees, work=caps, cancel=caps, budget=caps, passes=st.sampled_from([True, True, False]))
    def market(self, fees, work, cancel, budget, passes) -> None:
        now = self.engine.weather
        now.fees, now.work_cap, now.cancel_cap, now.budget, now.passes = fees, work, cancel, budget, passes

    @rule(
        answer=answers,
        arrives=st.booleans(),
        quotes=st.sampled_from([True, True, False]),
        signs=st.sampled_from([True, True, False]),
        proof=st.integers(0, 2),
    )
    def nodes(self, answer, arrives, quotes, signs, proof) -> None:
        now = self.engine.weather
        (now.outcome, now.words), now.arrives = answer, arrives
        now.quotes, now.signs, now.proof = quotes, signs, proof

    @rule()
    def fair(self) -> None:
        self.engine.weather = Weather()

    @rule(which=st.integers(0, 3), cancel=st.booleans())
    def ask(self, which, cancel) -> None:
        name = self.some(which)
        if name is not None:
            self.alive(lambda: self.engine.ask(name, "asked" if cancel else "", hurry=not cancel))

    @rule(after=st.integers(1, 5))
    def kill_soon(self, after) -> None:
        self.engine.fuse = after

    @rule()
    def restart(self) -> None:
        self.engine.book.reopen()
        self.engine.restart()

    @invariant()
    def one_nonce_each(self) -> None:
        if hasattr(self, "engine"):
            nonces = [t.intent.nonce for t in self.engine.book.everything() if t.intent.nonce is not None]
            assert len(nonces) == len(set(nonces))


def run(machine_class, examples: int, steps: int) -> None:
    case = machine_class.TestCase()
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=slow,
        report_multiple_bugs=False,
    )
    case.runTest()


LONG = os.environ.get("HYPOTHESIS_PROFILE") == "ci"


def test_any_history_ends_as_the_chain_says():
    run(TxMachine, 2_000 if LONG else 120, 60 if LONG else 40)


@pytest.fixture(scope="session")
def blank_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tx") / "journal.db"
    open_store(path).close()
    return path


def test_the_journal_itself_takes_every_change(blank_file):
    class WithFile(TxMachine):
        def book(self):
            return FileBook(blank_file)

    run(WithFile, 100 if LONG else 6, 30)
