"""When emission ends: the last word of the contract, or one that is renewed time and again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Accrual
from keeper.domain.position import RewardsEnd
from keeper.strategy.ends import EndMemory, horizon_of, memory_of, memory_text, remember

DAY = 86_400
NOW = 1_700_000_000
UNI = Token("local", Address("0x" + "22" * 20), "UNI", 18)
ARB = Token("local", Address("0x" + "33" * 20), "ARB", 18)
AUTO, RENEWED, FINAL = RewardsEnd.AUTO, RewardsEnd.RENEWED, RewardsEnd.FINAL
NOTHING = EndMemory()


def until(days: float | None, token: Token = UNI, rate: int = 10**18) -> Accrual:
    return Accrual(Amount(token, rate), 0, None if days is None else NOW + int(days * DAY))


def seen(*looks: tuple[float, float]) -> EndMemory:
    """What is remembered of looks at (days, end in days)."""
    memory = NOTHING
    for day, end in looks:
        memory = remember(memory, [until(end)], NOW + int(day * DAY))
    return memory


moved = pytest.mark.parametrize(
    "looks",
    [
        [(0, 7), (6.9, 14)],  # a week more before the week is over
        [(0, 7), (7.5, 14.5)],  # a gap between two weeks
        [(0, 90), (50, 120)],
        [(0, 7), (3, 8)],  # notified again each day
        [(0, -400), (3, 8)],  # an old farm gets a new campaign
        [(0, 7), (2, 3), (5, 14)],  # cut short, then renewed
        [(0, 7), (6.9, 14), (20, 14)],  # renewed once is renewed for good
    ],
)
stayed = pytest.mark.parametrize(
    "looks",
    [
        [],
        [(0, 7)],
        [(0, 7), (3, 7), (8, 7)],
        [(0, 300), (100, 301), (200, 304), (299, 305)],  # reckoned from blocks that come a little late
        [(0, 300), (100, 290), (200, 280), (279, 281)],  # or early
        [(0, 7), (1, 3)],  # cut short
    ],
)


@moved
def test_an_end_that_was_put_off_is_no_end(looks):
    memory = seen(*looks)

    assert memory.renewed(UNI.address)
    assert not memory.renewed(ARB.address)
    assert horizon_of([until(5)], AUTO, memory, NOW) is None


@stayed
def test_an_end_that_stayed_is_taken_at_its_word(looks):
    memory = seen(*looks)

    assert not memory.renewed(UNI.address)
    assert horizon_of([until(5)], AUTO, memory, NOW) == 5 * DAY


@moved
def test_the_owner_knows_better(looks):
    assert horizon_of([until(5)], FINAL, seen(*looks), NOW) == 5 * DAY
    assert horizon_of([until(5)], RENEWED, NOTHING, NOW) is None


@pytest.mark.parametrize("rewards_end", RewardsEnd)
@pytest.mark.parametrize("accruals", [[], [until(None)], [until(5), until(None, ARB)], [until(-1)], [until(0)]])
def test_what_never_ends_or_has_ended_has_no_horizon(rewards_end, accruals):
    assert horizon_of(accruals, rewards_end, NOTHING, NOW) is None


def test_of_several_tokens_the_last_end_counts():
    both = [until(5), until(9, ARB)]

    assert horizon_of(both, AUTO, NOTHING, NOW) == 9 * DAY
    # What pays nothing holds nothing up.
    assert horizon_of([until(5), until(9, ARB, 0)], AUTO, NOTHING, NOW) == 5 * DAY
    assert horizon_of([until(5), until(None, ARB, 0)], FINAL, NOTHING, NOW) == 5 * DAY
    assert horizon_of([until(5), until(-9, ARB)], FINAL, NOTHING, NOW) == 5 * DAY
    assert horizon_of(both, AUTO, seen((0, 3), (3, 9)), NOW) is None


def test_a_memory_changes_only_when_something_is_new():
    memory = seen((0, 7))

    assert remember(memory, [until(7)], NOW + DAY) is memory
    assert remember(memory, [until(7.01)], NOW + DAY) is memory
    assert remember(memory, [until(None)], NOW) is memory
    assert remember(memory, [Accrual(Amount(UNI, 1), 0, 0)], NOW) is memory
    assert remember(memory, [until(9)], NOW + DAY) is not memory
    assert not NOTHING.ends


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-100, 400)), max_size=10))
def test_a_memory_survives_its_text(looks):
    memory = seen(*sorted(looks))

    assert memory_of(memory_text(memory)) == memory


@pytest.mark.parametrize("text", [None, "", "null", "{}", "[1]", "x", '[{"token":"0x"}]'])
def test_a_text_of_another_kind_is_forgotten(text):
    assert memory_of(text) == NOTHING
