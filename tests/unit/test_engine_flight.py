"""What the sending half remembers, forgets and says, where no chain is needed to see it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from app_kit import Recorder
from tx_kit import GWEI, HARVEST, OWNER, PLAN

from keeper.domain.block import BlockRef
from keeper.domain.events import Level
from keeper.domain.harvest import HarvestState
from keeper.domain.journal import AddAttempt, AddIntent, AddReceipt, Finalise, MarkBroadcast, Settle, Track
from keeper.domain.money import UsdWad
from keeper.domain.plan import LegKind
from keeper.domain.transaction import (
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    Nonces,
    Receipt,
    Sight,
    Submission,
)
from keeper.engine import lane, lap
from keeper.engine.context import ChainContext, Limits, Plugins, PriceRules, own_key
from keeper.engine.drive import _Drive
from keeper.engine.execute import _looked_at, drop, give_up
from keeper.engine.flight import Flight
from keeper.engine.telling import say_resumed
from keeper.engine.work import Work
from keeper.errors import PolicyDenied, Refused, StoreUnavailable, Transient, TxPending
from keeper.store import open_store
from keeper.tx.refusals import NO_WORDS
from keeper.tx.slot import Slot

INTENT = Intent("h-0-0", "h:0:0", "h", 0, "local", 1, OWNER, LegKind.CLAIM, "claim", OWNER, b"1234", 0)
ATTEMPT = Attempt("h-0-0", "0xaa", b"raw", 7, 50_000, 2 * GWEI, GWEI, AttemptState.SIGNED, 100)
MINED = Receipt("0xaa", 101, "0xb101", 1, 40_000, GWEI, 0, ())


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.time = 1_000.0

    def now(self):
        return int(self.time)

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Chain:
    """A head and counts that a test moves; it knows no receipts."""

    def __init__(self):
        self.facts = SimpleNamespace(name="local", chain_id=1, confirmations=2, finality_blocks=8, tip_cap_wei=None)
        self.number, self.counts = 100, Nonces(7, 7)

    def agreed(self):
        return self

    def head(self):
        return BlockRef("local", self.number, f"0xb{self.number}", 1_700_000_000)

    def block(self, number):
        return None

    def sight(self, account, hashes, heights=()):
        return Sight(self.head(), None, self.counts, {}, {})


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "keeper.db")
    yield opened
    opened.close()


@pytest.fixture
def context(store):
    return ChainContext(
        chain=Chain(),
        plugins=Plugins({}, {}, {}, {}),
        positions=(),
        price_specs={},
        price_rules=PriceRules(),
        limits=Limits(UsdWad(10**18), UsdWad(10**18)),
        store=store,
        clock=Clock(),
        events=Recorder(),
        signers={},
        submitter=SimpleNamespace(),
    )


def work(**changes):
    valuation = SimpleNamespace(gas_cost=UsdWad, block=BlockRef("local", 100, "0xb100", 1_700_000_000))
    return Work(replace(HARVEST, **changes), PLAN, "s", valuation, None)


# --------------------------------------------------------------------------------------------------- what is looked at


def test_counting_for_a_nonce_is_no_look_at_what_is_in_flight(context):
    """What a leg may spend is counted at the last look's block, by receipts up to it; fresh counts have none."""
    flight = Flight(context, OWNER)
    flight.look()
    seen = flight.sight
    context.chain.number, context.chain.counts = 103, Nonces(9, 9)
    context.clock.time += 60
    assert flight.counts() == Nonces(9, 9)
    assert flight.sight is seen
    assert flight.sight.head.number == 100


def test_nothing_is_reckoned_from_a_wallet_before_what_is_in_flight_was_looked_at(context):
    flight, head = Flight(context, OWNER), context.chain.head()
    assert _looked_at(flight, head) is head
    flight.slots["h-0-0"] = Slot(Track(INTENT))
    with pytest.raises(Transient, match="looked at"):
        _looked_at(flight, head)
    flight.sight = context.chain.sight(OWNER, [])
    context.chain.number = 105
    assert _looked_at(flight, context.chain.head()) == head


# --------------------------------------------------------------------------------------------- what is left behind


def opened(context, *changes):
    """An open compound whose wallet was noted, and what the journal has of its first leg."""
    context.store.open_harvest(HARVEST, PLAN)
    context.store.set_flag(own_key("h"), "{}")
    context.store.apply(changes)


def test_a_compound_that_is_dropped_unsigned_leaves_no_note_of_the_wallet(context):
    opened(context, AddIntent(INTENT))
    assert drop(context, HARVEST, "gas is too dear").state is HarvestState.CANCELLED
    assert context.store.flags("") == {}


def test_a_compound_that_the_policy_denies_leaves_no_note_of_the_wallet(context):
    opened(context, AddIntent(INTENT), Settle(INTENT.id, IntentState.CANCELLED))
    assert give_up(context, work(), PolicyDenied("per-tx cap")).state is HarvestState.FAILED
    assert context.store.flags("") == {}


SIGNED = (AddIntent(INTENT), AddAttempt(ATTEMPT), MarkBroadcast(INTENT.id, ATTEMPT.hash))
REVERTED = (*SIGNED, AddReceipt(INTENT.id, replace(MINED, status=0)), Settle(INTENT.id, IntentState.REVERTED))


def test_a_compound_that_a_reorg_can_still_open_keeps_its_note_of_the_wallet(context):
    opened(context, *REVERTED)
    give_up(context, work(), PolicyDenied("given up"))
    assert list(context.store.flags("")) == [own_key("h")]


def test_a_compound_that_is_given_up_when_all_of_it_is_final_leaves_no_note_of_the_wallet(context):
    """Its transactions were forgotten while it was open: nobody comes by later."""
    opened(context, *REVERTED, Finalise(INTENT.id))
    give_up(context, work(), PolicyDenied("given up"))
    assert context.store.flags("") == {}


def test_what_was_said_of_a_compound_is_forgotten_with_it(context):
    opened(context, AddIntent(INTENT))
    say_resumed(context, HARVEST, replace(PLAN, legs=(SimpleNamespace(),) * 2), ())
    context.said["runway:somebody"] = 1.0
    drop(context, HARVEST, "gas is too dear")
    assert list(context.said) == ["runway:somebody"]


def test_what_was_said_of_a_transaction_is_forgotten_with_it(context):
    opened(context, AddIntent(INTENT))
    context.said.update({"denied:h-0-0": 1.0, "denied:h-0-0:cancel": 2.0, "gap:h-0-0": 3.0, "denied:h-0-01:work": 4.0})
    Flight(context, OWNER).load()  # it was never signed: cancelled, and nothing can happen to it any more
    assert list(context.said) == ["denied:h-0-01:work"]


# ----------------------------------------------------------------------------------------------- what a node's no means

FULL = "txpool is full: transaction underpriced"


@pytest.mark.parametrize(
    ("words", "ends"),
    [({Submission.REFUSED: ("txpool is full",)}, False), (NO_WORDS, True)],
    ids=["its own", "shipped"],
)
def test_a_refusal_is_read_with_the_chains_own_words(context, words, ends):
    """By its own table these bytes are too cheap, which a higher bid sets right: there is something to stand and wait for."""
    context = replace(context, error_words=words)
    flight, mine = Flight(context, OWNER), work()
    driven = _Drive(context, flight, [mine], lambda: None, lambda _work, _ending: None)
    flight.works["h"] = mine
    sent = replace(INTENT, state=IntentState.BROADCAST, nonce=7)
    driven._refused(Slot(Track(sent, (ATTEMPT,)), sent_at=context.clock.monotonic(), refused=FULL, refusals=1))
    assert [type(ending) for ending in driven.endings.values()] == [TxPending] * ends


# -------------------------------------------------------------------------------------------------------- one survey


def test_what_is_in_flight_is_equipped_by_one_survey(context, monkeypatch):
    """Each survey asks a quorum of endpoints for every position."""
    other = replace(HARVEST, id="g", position_id="gone", plan_id="q")
    for harvest, plan in ((HARVEST, PLAN), (other, replace(PLAN, id="q", position_id="gone"))):
        context.store.open_harvest(harvest, plan)
    position = SimpleNamespace(id="farm", owner=OWNER, signer="s")
    valuation = SimpleNamespace(native=SimpleNamespace(high=3_000 * 10**18))
    holding = SimpleNamespace(market=SimpleNamespace(basket=None, stake_parts=()))
    case = SimpleNamespace(position=position, valuation=valuation, holding=holding)
    seen = SimpleNamespace(position=position, case=case, decision=SimpleNamespace(numbers=None))
    surveys = []

    def survey(sure, book, *, only, **_):
        surveys.append(only)
        return SimpleNamespace(assessments=(seen,) if only is None or "farm" in only else ())

    monkeypatch.setattr(lap, "survey", survey)
    flight = lap.equip(context, None, OWNER)
    assert [w.harvest.id for w in flight.works.values()] == ["h"]
    assert flight.works["h"].valuation is valuation
    assert surveys == [None]


# --------------------------------------------------------------------------------------------------- how loud it is


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Refused("the receipt of nonce 7 is not there yet"), Level.WARNING),
        (TxPending("an earlier one is unfinished"), Level.WARNING),
        (StoreUnavailable("the disk is full"), Level.ERROR),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_lane_that_waits_warns_and_one_that_fails_errs(context, monkeypatch, error, level):
    def begin(context, book, position_id):
        raise error

    monkeypatch.setattr(lane, "resume", lambda context, book, owner: [])
    monkeypatch.setattr(lane, "begin", begin)
    lane.Lane(context, lambda: None, OWNER)._handle("farm")
    (said,) = context.events.named("position.failed")
    assert (said.level, said.fields["error"]) == (level, str(error))
