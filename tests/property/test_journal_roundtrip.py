"""Whatever is stored comes back equal."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.block import BlockRef
from keeper.domain.decision import CostParts, Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.journal import AddAttempt, AddIntent, AddReceipt
from keeper.domain.money import Address, Amount, Token, UsdWad
from keeper.domain.observation import Accrual, Observation, Restart, Sample
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Plan, Share
from keeper.domain.transaction import Attempt, AttemptState, Intent, IntentState, Purpose, Receipt, TransferLog
from keeper.store import codec, open_store
from keeper.store.packing import pack, unpack

#: Block numbers, times, nonces and gas units.
counts = st.integers(0, 2**63 - 1)
#: Wei, token amounts and dollars.
bigs = st.integers(-(2**256), 2**256)
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters, max_size=12)
#: An intent without a harvest is a nonce that is only filled.
names = st.text(characters, min_size=1, max_size=12)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))
hashes = st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex())
usds = bigs.map(UsdWad)


def optional(strategy):
    return st.none() | strategy


def some(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


tokens = st.builds(Token, texts, addresses, texts, st.integers(0, 77))
amounts = st.builds(Amount, tokens, bigs)
blocks = st.builds(BlockRef, texts, counts, hashes, counts)
shares = st.builds(Share, tokens, st.integers(0, 10_000))
rules = st.one_of(
    shares, st.builds(MinOut, shares, bigs, bigs, st.integers(0, 10_000)), st.builds(Deadline, st.integers(1, 10_000))
)
patches = st.builds(Patch, st.integers(0, 40), rules)
legs = st.builds(
    Leg,
    st.sampled_from(LegKind),
    texts,
    addresses,
    st.binary(max_size=100),
    some(patches),
    some(tokens),
    some(tokens),
)
plans = st.builds(Plan, texts, texts, texts, addresses, some(legs), some(tokens), tokens)
reasons = st.builds(Reason, st.sampled_from(ReasonCode), texts)
numbers = st.builds(
    DecisionNumbers,
    usds,
    usds,
    optional(usds),
    usds,
    usds,
    usds,
    bigs,
    bigs,
    counts,
    bigs,
    counts,
    usds,
    usds,
    optional(counts),
    optional(bigs),
    cost_parts=st.builds(CostParts, *[usds] * 6),
    horizon_seconds=optional(counts),
    rate_source=texts,
    depth_usd=optional(usds),
)
decisions = st.builds(
    Decision,
    texts,
    blocks,
    st.sampled_from(Verdict),
    st.lists(reasons, min_size=1, max_size=3).map(tuple),
    optional(numbers),
    some(reasons),
    optional(counts),
)
accruals = st.builds(Accrual, amounts, counts, optional(counts))
observations = st.builds(
    Observation,
    texts,
    blocks,
    amounts,
    some(amounts),
    some(accruals),
    st.booleans(),
    st.booleans(),
    some(texts),
    st.integers(0, 10_000),
    some(st.builds(Restart, counts, optional(counts), optional(counts))),
    some(amounts),
    optional(counts),
    counts,
)
samples = st.builds(Sample, observations, optional(numbers), some(st.tuples(addresses, usds)), usds)
transfers = st.builds(TransferLog, addresses, addresses, addresses, bigs, counts)
receipts = st.builds(Receipt, hashes, counts, hashes, st.sampled_from([0, 1]), counts, bigs, bigs, some(transfers))
harvests = st.builds(
    Harvest,
    id=names,
    position_id=texts,
    chain=texts,
    owner=addresses,
    state=st.just(HarvestState.OPEN),
    plan_id=texts,
    decided_block=counts,
    started_at=counts,
    predicted_reward_usd=usds,
    predicted_cost_usd=usds,
    predicted_gas=counts,
    finished_at=optional(counts),
    received=some(amounts),
    compounded=optional(amounts),
    gas_used=counts,
    cost_wei=bigs,
    received_usd=usds,
    compounded_usd=usds,
    cost_usd=usds,
    error=texts,
)
intents = st.builds(
    Intent,
    texts,
    texts,
    texts,
    st.integers(0, 50),
    texts,
    counts,
    addresses,
    st.sampled_from(LegKind),
    texts,
    addresses,
    st.binary(max_size=300),
    bigs,
)
attempts = st.builds(
    Attempt,
    texts,
    hashes,
    st.binary(max_size=300),
    counts,
    counts,
    bigs,
    bigs,
    st.just(AttemptState.SIGNED),
    counts,
    st.sampled_from(Purpose),
)


@pytest.fixture(scope="module")
def blank(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "journal.db"
    open_store(path).close()
    return path


@contextmanager
def fresh(blank: Path):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        shutil.copy(blank, path)
        store = open_store(path)
        try:
            yield store
        finally:
            store.close()


@given(st.one_of(plans, decisions, observations, samples, receipts, harvests, intents, attempts, numbers))
def test_a_domain_value_survives_its_text(value):
    assert codec.load(type(value), codec.dump(type(value), value)) == value


@settings(max_examples=40, deadline=None)
@given(decisions, samples)
def test_decisions_and_samples_survive_the_file(blank, decision, sample):
    observation = sample.observation
    with fresh(blank) as store:
        store.record_decision(decision)
        store.record_samples([sample])

        assert store.latest_decision(decision.position_id) == decision
        assert store.decisions(decision.position_id) == [decision]
        assert store.latest_observation(observation.position_id) == observation
        assert store.samples(observation.position_id) == [sample]


@settings(max_examples=40, deadline=None)
@given(harvests, plans, intents, attempts, receipts, st.lists(amounts, max_size=3), usds)
def test_a_compound_survives_the_file(blank, harvest, plan, intent, attempt, receipt, moved, cost):
    harvest, intent = replace(harvest, plan_id=plan.id), replace(intent, harvest_id=harvest.id)
    filled = intent.kind is LegKind.CANCEL
    attempt = replace(attempt, intent_id=intent.id, purpose=Purpose.CANCEL if filled else Purpose.WORK)
    receipt = replace(receipt, tx_hash=attempt.hash)
    entries = [
        LedgerEntry(harvest.id, receipt.tx_hash, index, receipt.block_number, 5, "claim", amount, cost)
        for index, amount in enumerate(moved)
    ]
    with fresh(blank) as store:
        store.open_harvest(harvest, plan)
        store.apply([AddIntent(intent), AddAttempt(attempt), AddReceipt(intent.id, receipt, cost)])

        assert store.open_harvests(harvest.chain, harvest.owner) == [(harvest, plan)]
        assert store.intents(harvest.id) == [replace(intent, state=IntentState.MINED, nonce=attempt.nonce)]
        assert store.attempts(intent.id) == [replace(attempt, state=AttemptState.MINED)]
        assert store.receipt_of(intent.id) == receipt
        (track,) = store.tracks(intent.chain, intent.sender)
        assert track == store.track(intent.id) == store.recent_tracks()[0]
        assert (track.attempts, track.receipt) == ((replace(attempt, state=AttemptState.MINED),), receipt)
        assert store.spent_usd(intent.chain, intent.sender, 0) == cost

        closed = replace(harvest, state=HarvestState.DONE)
        store.close_harvest(closed, entries)
        assert store.harvests() == [closed]
        assert store.ledger() == entries


@settings(max_examples=20, deadline=None)
@given(intents, attempts, addresses, counts)
def test_a_nonce_that_is_only_filled_survives_the_file(blank, intent, attempt, sender, nonce):
    intent = replace(intent, harvest_id="", key=f"gap:1:{sender}:{nonce}", kind=LegKind.CANCEL, sender=sender)
    attempt = replace(attempt, intent_id=intent.id, nonce=nonce)
    with fresh(blank) as store:
        store.apply([AddIntent(intent), AddAttempt(attempt)])

        (track,) = store.tracks(intent.chain, sender)
        assert track.intent == replace(intent, state=IntentState.SIGNED, nonce=nonce)
        assert track.attempts == (attempt,)
        assert store.tracks_of("") == []


@given(samples)
def test_packing_loses_nothing(sample):
    text = codec.dump(Sample, sample)

    assert unpack(pack(text)) == text
    assert len(pack(text)) < len(text)
