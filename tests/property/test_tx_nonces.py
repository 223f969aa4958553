"""Nonces: none twice, none below the mined count, no gap left below, and no word of a node makes one of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keeper.tx.nonces import allocate, holes

used = st.sets(st.integers(0, 40), max_size=12)
counts = st.integers(0, 45)


def known(record: set[int], mined: int) -> set[int]:
    """What the journal has from the mined count on, as it is asked."""
    return {nonce for nonce in record if nonce >= mined}


def give(wanted: int, record: set[int], mined: int, pending: int = 0):
    above = max(record, default=-1) + 1
    return allocate(wanted, known=known(record, mined), mined=mined, journal_next=above, pending=pending)


@given(wanted=st.integers(0, 16), record=used, mined=counts, pending=counts)
def test_what_is_given_is_new_in_order_and_above_what_is_mined(wanted, record, mined, pending):
    given_out = give(wanted, record, mined, pending).nonces
    assert len(given_out) == wanted
    assert list(given_out) == sorted(set(given_out))
    assert not set(given_out) & record
    assert all(nonce >= mined for nonce in given_out)


@given(wanted=st.integers(1, 40), record=used, mined=counts)
def test_no_gap_is_left_below_what_is_given(wanted, record, mined):
    given_out = give(wanted, record, mined).nonces
    assert set(range(mined, given_out[-1] + 1)) <= record | set(given_out)


@given(wanted=st.integers(0, 16), record=used, mined=counts, pending=st.integers(0, 10**9))
def test_a_pools_count_never_moves_a_nonce(wanted, record, mined, pending):
    assert give(wanted, record, mined, pending).nonces == give(wanted, record, mined, 0).nonces


@given(record=used, mined=counts, pending=counts)
def test_a_stranger_is_told_by_what_waits_above_everything_known(record, mined, pending):
    assert give(1, record, mined, pending).foreign is (pending > max(max(record, default=-1) + 1, mined))


@given(wanted=st.integers(1, 16), record=used, mined=counts, stale=st.integers(0, 45))
def test_a_stale_lower_count_uses_nothing_on_record_again(wanted, record, mined, stale):
    given_out = give(wanted, record, max(mined - stale, 0)).nonces
    assert not set(given_out) & record


@given(wanted=st.integers(1, 16), record=used, mined=counts, pending=counts, floor=counts)
def test_nothing_below_a_recovered_floor_is_given_out(wanted, record, mined, pending, floor):
    """A rebuilt journal has no rows of what is below; a lagging or lying count, or a reorg, may show fewer mined."""
    above = max(max(record, default=-1) + 1, floor)  # as a journal with a floor tells it
    have = known(record, mined)
    given_out = allocate(wanted, known=have, mined=mined, journal_next=above, pending=pending, floor=floor).nonces
    assert len(given_out) == wanted
    assert given_out[0] >= floor
    assert not set(given_out) & record


def test_a_recovered_floor_holds_though_fewer_are_counted_as_mined():
    assert allocate(2, known=[], mined=15, journal_next=20, pending=20, floor=20).nonces == (20, 21)


@given(record=used, mined=counts, above=counts)
def test_holes_are_what_nobody_has(record, mined, above):
    missing = holes(known(record, mined), mined, above)
    assert missing == sorted(set(range(mined, above)) - record)


@dataclass
class Account:
    """A journal's nonces and the chain's count."""

    record: set[int] = field(default_factory=set)
    mined: int = 5
    pending: int = 0


class Allocating(RuleBasedStateMachine):
    """Windows of transactions, strangers, blocks, rollbacks and liars."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()

    @rule(wanted=st.integers(0, 5), stale=st.sampled_from([0, 0, 1, 4]), pending=counts)
    def launch(self, wanted, stale, pending) -> None:
        account = self.account
        told = max(account.mined - stale, 0)
        nonces = give(wanted, account.record, told, pending).nonces
        assert not set(nonces) & account.record, "a nonce belongs to one intent for ever"
        account.record |= set(nonces)

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks) -> None:
        """Whatever has the next nonces is mined: ours while there is one, else nothing."""
        for _ in range(blocks):
            if self.account.mined in self.account.record:
                self.account.mined += 1

    @rule()
    def stranger(self) -> None:
        self.account.mined += 1

    @rule(back=st.integers(1, 3))
    def rolled_back(self, back) -> None:
        self.account.mined = max(self.account.mined - back, 0)

    @invariant()
    def the_next_window_closes_every_gap(self) -> None:
        account = self.account
        gaps = holes(known(account.record, account.mined), account.mined, max(account.record, default=-1) + 1)
        assert list(give(len(gaps), account.record, account.mined).nonces) == gaps


def test_any_history_of_windows_keeps_every_nonce_one_intents():
    case = Allocating.TestCase()
    case.settings = settings(max_examples=min(settings.default.max_examples, 60), stateful_step_count=25, deadline=None)
    case.runTest()
