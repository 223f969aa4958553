"""Rates learnt by looking: exact where accrual is even, and not fooled by what else happens to pending rewards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.block import BlockRef
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import NO_USD, Address, Amount, Token
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.strategy.accrual import RateState, accruals_of, learn, must_learn, state_of, state_text

MINUTE, HOUR, DAY = 60, 3600, 86_400
WEEK, YEAR = 7 * DAY, 365 * DAY
START = 1_700_000_000
LP = Token("local", Address("0x" + "11" * 20), "LP", 18)
UNI = Token("local", Address("0x" + "22" * 20), "UNI", 18)
USDC = Token("local", Address("0x" + "33" * 20), "USDC", 6)
STAKE = 10**21
#: Reward a year that everything here is compared with.
RATE = 500 * 10**18


def look(at: int, *pending: int, stake: int = STAKE, **more) -> Observation:
    tokens = (UNI, USDC)[: len(pending)]
    amounts = tuple(Amount(token, raw) for token, raw in zip(tokens, pending, strict=True))
    return Observation("farm", BlockRef("local", at // 12, "0x", START + at), Amount(LP, stake), amounts, (), **more)


def even(at: int, rate: int = RATE) -> int:
    """Pending at a time under even accrual."""
    return rate * at // YEAR


def taught(looks: Iterable[Observation], state: RateState | None = None, harvests=()) -> RateState:
    for each in looks:
        state = learn(state, each, harvests)
    assert state is not None
    return state


def rate_at(state: RateState | None, seen: Observation) -> int | None:
    told = accruals_of(state, seen)
    assert all(a.source is RateSource.OBSERVED for a in told)
    return told[0].per_year.raw if told else None


def learnt(pending: Callable[[int], int], times: Iterable[int], **more) -> int | None:
    """Return the rate after looks at these times."""
    looks = [look(at, pending(at), **more) for at in times]
    return rate_at(taught(looks), looks[-1])


def harvest(start: int, end: int | None, *received: Amount, state: HarvestState = HarvestState.DONE) -> Harvest:
    made = Harvest("h", "farm", "local", Address("0x"), state, "p", 1, START + start, NO_USD, NO_USD, 1)
    return replace(made, finished_at=None if end is None else START + end, received=received)


# ----------------------------------------------------------------------------------- even accrual, exactly

gaps = st.lists(st.integers(1, 3 * DAY), min_size=3, max_size=60)


@given(gaps, st.integers(10**15, 10**26))
def test_even_accrual_is_recovered_whenever_one_looks(waits, rate):
    times = list(accumulate(waits, initial=0))
    found = learnt(lambda at: even(at, rate), times)

    if found is None:
        assert times[-1] < HOUR or max(waits) > times[-1] - HOUR
    else:
        assert found == pytest.approx(rate, rel=0.01)


@given(gaps, st.integers(1, 60))
def test_a_token_of_few_decimals_that_grows_by_steps_is_recovered(waits, per_hour):
    # Whole base units, one every few minutes: most quick looks see nothing new.
    times = list(accumulate([*waits, *[MINUTE] * 50, *[HOUR] * 60], initial=0))

    assert learnt(lambda at: at * per_hour // HOUR, times) == pytest.approx(per_hour * YEAR / HOUR, rel=0.05)


def test_nothing_is_said_before_half_an_hour_and_three_looks():
    assert learnt(even, [0]) is None
    assert learnt(even, [0, DAY]) is None
    assert learnt(even, range(0, 29 * MINUTE, MINUTE)) is None
    assert learnt(even, range(0, 31 * MINUTE, MINUTE)) == pytest.approx(RATE, rel=0.001)
    assert learnt(even, [0, DAY, 2 * DAY]) == pytest.approx(RATE, rel=0.001)


def test_several_tokens_are_learnt_beside_each_other():
    looks = [look(at, even(at), at // HOUR) for at in range(0, DAY, 10 * MINUTE)]

    uni, usdc = accruals_of(taught(looks), looks[-1])

    assert uni.per_year.raw == pytest.approx(RATE, rel=0.001)
    assert (uni.per_year.token, usdc.per_year.token) == (UNI, USDC)
    assert usdc.per_year.raw == pytest.approx(YEAR // HOUR, rel=0.01)
    assert (uni.own_share_ppm, uni.ends_at) == (0, None)


@given(gaps)
def test_a_state_survives_its_text(waits):
    state = taught([look(at, even(at), at // HOUR) for at in accumulate(waits)])

    assert state_of(state_text(state)) == state


@pytest.mark.parametrize("text", [None, "", "null", "{}", "[]", "x", '{"version":0}', '{"version":1,"stake":1}'])
def test_a_text_of_another_kind_is_forgotten(text):
    assert state_of(text) is None


# -------------------------------------------------------------------------------- what else moves rewards


@settings(deadline=None)
@given(st.lists(st.integers(3, 60), min_size=1, max_size=12), st.integers(MINUTE, 3 * HOUR), st.randoms())
def test_somebody_elses_harvests_change_no_rate(waits, every, rng):
    # No two within three looks: what has hardly grown when it is claimed is not seen to fall.
    claims = [every * looks for looks in accumulate(waits)]
    count = max(claims[-1] // every, 2 * HOUR // every) + 60
    times = list(accumulate(rng.randint(every // 2, every) for _ in range(count)))

    def pending(at: int) -> int:
        return even(at) - even(max((claim for claim in claims if claim <= at), default=0))

    assert learnt(pending, times) == pytest.approx(RATE, rel=0.01)


def test_a_fall_of_pending_starts_anew():
    # Without it, every claim would be taken for a loss.
    def pending(at: int) -> int:
        return even(at % DAY)

    assert learnt(pending, range(0, 10 * DAY, 17 * MINUTE)) == pytest.approx(RATE, rel=0.001)


def test_own_compounds_between_two_looks_count_with_what_they_claimed():
    # Looked at once a day, and compounded right after each look: pending never seems to grow.
    claim = even(DAY)
    harvests = [harvest(day * DAY, day * DAY + 60, Amount(UNI, claim)) for day in range(1, 9)]
    looks = [look(day * DAY, claim) for day in range(1, 10)]
    state = None
    for day, each in enumerate(looks):
        state = learn(state, each, harvests[:day][::-1])

    assert rate_at(state, looks[-1]) == pytest.approx(RATE, rel=0.001)
    assert rate_at(taught(looks), looks[-1]) == 0


def test_looks_in_the_midst_of_a_compound_tell_nothing_wrong():
    # Somebody claims after ten days, and five hours later keeper does, in forty minutes.
    theirs, ours = 10 * DAY, 10 * DAY + 5 * HOUR

    def pending(at: int) -> int:
        return even(at - max(claim for claim in (0, theirs, ours) if claim <= at))

    begun = harvest(ours - 15 * MINUTE, None, state=HarvestState.OPEN)
    done = harvest(ours - 15 * MINUTE, ours + 25 * MINUTE, Amount(UNI, even(5 * HOUR)))
    state = None
    for at in range(0, 12 * DAY, 10 * MINUTE):
        state = learn(state, look(at, pending(at)), [begun if at < ours + 25 * MINUTE else done])
        if at > HOUR:
            assert rate_at(state, look(at, 0)) == pytest.approx(RATE, rel=0.001), at


def test_a_compound_on_record_tells_the_rate_at_the_second_look():
    done = [harvest(-10 * DAY, -9 * DAY, Amount(UNI, 10**18)), harvest(-20 * DAY, -19 * DAY, Amount(UNI, 10**18))]

    first = learn(None, look(0, even(9 * DAY)), done)
    second = learn(first, look(HOUR, even(9 * DAY + HOUR)), done)

    assert rate_at(second, look(HOUR, 0)) == pytest.approx(RATE, rel=0.001)


def test_several_epochs_since_the_last_compound_are_not_taken_for_one():
    done = [harvest(-3 * WEEK - MINUTE, -3 * WEEK, Amount(UNI, 10**18))]
    looks = [look(at, 3 * even(WEEK), epoch_seconds=WEEK) for at in (0, MINUTE)]

    assert rate_at(taught(looks, harvests=done), looks[-1]) == pytest.approx(RATE, rel=0.001)


def test_a_vault_of_many_is_not_credited_with_own_receipts():
    done = [harvest(DAY, DAY + 60, Amount(UNI, 10**20))]
    looks = [look(at, even(at), vault_share_ppm=100) for at in range(0, 3 * DAY, HOUR)]

    assert rate_at(taught(looks, harvests=done), looks[-1]) == pytest.approx(RATE, rel=0.001)


# --------------------------------------------------------------------------------------------- the stake


@given(st.integers(2, 50), st.integers(0, 12 * HOUR))
def test_more_stake_earns_more_at_once(times, later):
    before = [look(at, even(at)) for at in range(0, DAY, 10 * MINUTE)]
    # The deposit pays what was pending, or not.
    after = [look(DAY + at, even(at, times * RATE), stake=times * STAKE) for at in range(0, later + 1, 10 * MINUTE)]
    kept = [replace(each, pending=(Amount(UNI, even(DAY) + each.pending[0].raw),)) for each in after]

    for looks in (after, kept):
        assert rate_at(taught([*before, *looks]), looks[-1]) == pytest.approx(times * RATE, rel=0.01)


def test_a_deposit_between_two_rare_looks_is_not_taken_for_a_rate():
    # A tenfold stake for the last hour of a day's wait: neither stake tells what that day should have brought.
    before = [look(day * DAY, even(day * DAY)) for day in range(5)]
    much = even(4 * DAY) + even(23 * HOUR) + even(HOUR, 10 * RATE)
    state = taught([*before, look(5 * DAY, much, stake=10 * STAKE)])

    assert rate_at(state, look(5 * DAY, 0, stake=10 * STAKE)) == pytest.approx(10 * RATE, rel=0.01)


def test_a_stake_that_grows_by_itself_is_followed():
    def stake(at: int) -> int:
        return STAKE + STAKE * at // YEAR

    def pending(at: int) -> int:
        return RATE * at // YEAR + RATE * at * at // (2 * YEAR * YEAR)

    looks = [look(at, pending(at), stake=stake(at)) for at in range(0, 60 * DAY, 6 * HOUR)]

    assert rate_at(taught(looks), looks[-1]) == pytest.approx(RATE * stake(60 * DAY - 6 * HOUR) / STAKE, rel=1e-5)


def test_without_stake_there_is_no_rate_and_none_is_learnt():
    looks = [look(at, even(at)) for at in range(0, DAY, HOUR)]
    gone = [look(at, even(DAY), stake=0) for at in range(DAY, 20 * DAY, HOUR)]
    state = taught([*looks, *gone])

    assert rate_at(state, gone[-1]) == 0
    assert rate_at(state, look(20 * DAY, even(DAY))) == pytest.approx(RATE, rel=0.01)


def test_what_is_given_to_a_stake_of_nothing_is_no_rate():
    looks = [look(at, even(at)) for at in range(0, DAY, HOUR)]
    given = [look(at, even(at, 4 * RATE), stake=0) for at in range(DAY, 3 * DAY, HOUR)]
    state = taught([*looks, *given])

    assert rate_at(state, look(3 * DAY, 0)) == pytest.approx(RATE, rel=0.001)


def test_another_stake_token_is_another_position():
    state = taught([look(at, even(at)) for at in range(0, DAY, HOUR)])
    other = replace(look(DAY, even(DAY)), principal=Amount(UNI, STAKE))

    assert accruals_of(learn(state, other), other) == ()


# ---------------------------------------------------------------------------------------------- lumps


def lumps(at: int, every: int = WEEK, phase: int = 0) -> int:
    """Pending when a whole period's reward comes at once."""
    return even(every) * ((at + phase) // every)


@settings(deadline=None)
@given(st.integers(0, WEEK - 1), st.sampled_from([MINUTE * 37, HOUR * 5, DAY]), st.integers(8, 60))
def test_weekly_epochs_give_their_mean_on_every_day_of_the_week(phase, every, days):
    looks = [look(at, lumps(at, phase=phase), epoch_seconds=WEEK) for at in range(0, days * DAY + 1, every)]
    state = None
    for each in looks:
        state = learn(state, each)
        found = rate_at(state, each)
        if each.block.timestamp - START > WEEK + every + HOUR:
            assert found == pytest.approx(RATE, rel=0.2 if every == DAY else 0.06)


def test_the_first_lump_of_an_epoch_is_believed_after_half_an_hour_all_the_same():
    def pending(at: int) -> int:
        return lumps(at, phase=WEEK - 5 * MINUTE)

    assert learnt(pending, range(0, 29 * MINUTE, MINUTE), epoch_seconds=WEEK) is None
    assert learnt(pending, range(0, 31 * MINUTE, MINUTE), epoch_seconds=WEEK) == pytest.approx(RATE, rel=0.001)


def test_epochs_in_two_parts_give_their_mean():
    def pending(at: int) -> int:
        return lumps(at) // 2 + lumps(max(at - 2 * HOUR, 0)) // 2

    for days in range(10, 60):
        found = learnt(pending, range(0, days * DAY, HOUR), epoch_seconds=WEEK)
        assert found == pytest.approx(RATE, rel=0.15), days


def test_epochs_that_bring_more_and_less_give_their_mean():
    sizes = list(accumulate(even(WEEK) * (1 + 2 * (week % 2)) // 2 for week in range(20)))
    for weeks in range(8, 20):
        found = learnt(lambda at: sizes[at // WEEK], range(0, weeks * WEEK, 6 * HOUR), epoch_seconds=WEEK)
        assert found == pytest.approx(RATE, rel=0.12), weeks


def test_what_comes_in_lumps_undeclared_gives_its_mean_too():
    for hours in range(24 * 3, 24 * 12, 5):
        found = learnt(lambda at: lumps(at, DAY, 5 * HOUR), range(0, hours * HOUR, 10 * MINUTE))
        assert found == pytest.approx(RATE, rel=0.02), hours


def test_the_first_lump_alone_says_nothing_undeclared():
    # How long it took to come is not known.
    assert learnt(lambda at: lumps(at, WEEK, HOUR), range(0, WEEK + DAY, 10 * MINUTE)) is None


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False))
def test_harvests_at_random_times_change_no_weekly_mean(rng):
    # Whoever claims in the very moment that a lump comes hides it.
    claims = sorted(rng.randrange(WEEK * week + HOUR, WEEK * (week + 1) - HOUR) for week in range(8) for _ in "abc")

    def pending(at: int) -> int:
        return lumps(at) - lumps(max((claim for claim in claims if claim <= at), default=0))

    assert learnt(pending, range(0, 8 * WEEK, 30 * MINUTE), epoch_seconds=WEEK) == pytest.approx(RATE, rel=0.1)


# --------------------------------------------------------------------------------------- odd, falling, ended


@pytest.mark.parametrize("every", [10 * MINUTE, HOUR, 6 * HOUR, DAY])
@pytest.mark.parametrize("days", [20, 100])
def test_a_gift_does_not_poison_the_rate(every, days):
    gift_at = 8 * DAY + HOUR

    def pending(at: int) -> int:
        gift = even(20 * max(every, DAY)) if at >= gift_at else 0
        return even(at) + gift * days // 20

    for after in (2 * every, 12 * HOUR, 5 * DAY):
        found = learnt(pending, range(0, gift_at + max(after, every), every))
        assert found == pytest.approx(RATE, rel=0.3), after


def test_a_gift_in_several_parts_does_not_pass_for_a_rate():
    def pending(at: int) -> int:
        parts = min(max((at - 2 * DAY) // MINUTE, 0), 5)
        return even(at) + parts * even(20 * HOUR)

    assert learnt(pending, range(0, 2 * DAY + 4 * HOUR, MINUTE)) == pytest.approx(RATE, rel=0.01)


def test_a_gift_in_a_weekly_epoch_does_not_poison_the_rate():
    def pending(at: int) -> int:
        return lumps(at) + (20 * lumps(WEEK) if at >= 6 * WEEK else 0)

    found = learnt(pending, range(0, 9 * WEEK + DAY, HOUR), epoch_seconds=WEEK)

    assert found == pytest.approx(RATE, rel=0.1)


@pytest.mark.parametrize("every", [5 * MINUTE, 6 * HOUR, DAY])
@pytest.mark.parametrize("times", [3, 20, 1000])
def test_a_rate_that_jumps_for_good_is_followed_within_days(every, times):
    def pending(at: int) -> int:
        return even(at) if at < 10 * DAY else even(10 * DAY) + even(at - 10 * DAY, times * RATE)

    found = [learnt(pending, range(0, 10 * DAY + days * DAY + 1, every)) / (times * RATE) for days in (4, 8, 16)]

    assert found == sorted(found)
    assert found[0] > 0.6
    assert found[1] > 0.85
    assert found[2] == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("part", [2, 10])
def test_a_falling_rate_is_followed_within_days(part):
    def pending(at: int) -> int:
        return even(at) if at < 30 * DAY else even(30 * DAY) + even(at - 30 * DAY, RATE // part)

    left = [(learnt(pending, range(0, 30 * DAY + d * DAY, HOUR)) or 0) / RATE - 1 / part for d in (0, 3, 7, 14)]

    assert left == sorted(left, reverse=True)
    assert left[1] < 0.45 * (1 - 1 / part)
    assert left[2] < 0.15 * (1 - 1 / part)
    assert left[3] < 0.02


def test_what_has_stopped_falls_to_nothing_within_days():
    times = range(0, 60 * DAY, HOUR)
    found = [learnt(lambda at: even(min(at, 30 * DAY)), (t for t in times if t <= d * DAY)) for d in (30, 33, 40, 59)]

    assert found[0] == pytest.approx(RATE, rel=0.01)
    assert found[1] < 0.5 * RATE
    assert found[2] < 0.1 * RATE
    assert found[3] < 0.02 * RATE


def test_what_never_grew_is_no_reward():
    assert learnt(lambda at: 7, range(0, 7 * DAY, HOUR)) is None
    assert learnt(lambda at: 7, range(0, 9 * DAY, HOUR)) == 0
    assert learnt(lambda at: 7, range(0, 9 * DAY, HOUR), epoch_seconds=WEEK) is None
    # A campaign that begins is believed, a gift is not.
    late = [*range(0, 9 * DAY, HOUR), *range(9 * DAY, 10 * DAY, 5 * MINUTE)]
    assert learnt(lambda at: even(max(at - 9 * DAY, 0)), late) == pytest.approx(RATE, rel=0.02)


def test_nothing_accrues_after_the_end_that_the_contract_names():
    end = 10 * DAY

    def seen(at: int) -> Observation:
        left_open = Accrual(Amount(UNI, 0), 50_000, START + end, RateSource.OBSERVED)
        return replace(look(at, even(min(at, end))), accruals=(left_open,))

    before = taught(seen(at) for at in range(0, end + 1, HOUR))
    after = taught((seen(at) for at in range(end + HOUR, 40 * DAY, HOUR)), before)

    assert must_learn(seen(0))
    (told,) = accruals_of(before, seen(end - 1))
    assert told == Accrual(told.per_year, 50_000, START + end, RateSource.OBSERVED)
    assert told.per_year.raw == pytest.approx(RATE, rel=0.001)
    assert rate_at(after, seen(30 * DAY)) == 0
    # The silence after the end was not taken for a lower rate: a renewal goes on with the old one.
    assert rate_at(after, look(40 * DAY, 0)) == pytest.approx(RATE, rel=0.001)


# ---------------------------------------------------------------------------------------------- surroundings


def test_time_that_stands_still_or_goes_back_teaches_nothing():
    state = taught(look(at, even(at)) for at in range(0, DAY, HOUR))

    assert learn(state, look(23 * HOUR, 10**30)) == state
    back = learn(state, look(HOUR, even(HOUR)))
    assert rate_at(back, look(HOUR, 0)) == rate_at(state, look(DAY, 0))
    assert rate_at(learn(back, look(2 * HOUR, even(2 * HOUR))), look(DAY, 0)) == pytest.approx(RATE, rel=0.001)


def test_rates_that_the_contract_names_are_not_replaced():
    named = Accrual(Amount(UNI, 77), 3, None)
    looks = [replace(look(at, even(at), at // HOUR), accruals=(named,)) for at in range(0, DAY, HOUR)]
    state = taught(looks)

    assert not must_learn(looks[0])
    assert must_learn(look(0, 0))
    first, second = accruals_of(state, looks[-1])
    assert first == named
    assert second.per_year.token == USDC


def test_bursts_give_their_mean():
    # Fees of a pool: quiet minutes and busy ones, a heavy tail that no guard against gifts may cut off.
    rng = random.Random(5)
    steps = [int(rng.lognormvariate(0, 2) * 10**15) * (rng.random() < 0.4) for _ in range(40 * 1440)]
    found, state, pending = [], None, 0
    for minute, step in enumerate(steps):
        pending += step
        state = learn(state, look(minute * MINUTE, pending))
        if minute > 5 * 1440:
            found.append(rate_at(state, look(minute * MINUTE, 0)) or 0)

    assert sum(found) / len(found) == pytest.approx(pending / len(steps) * YEAR / MINUTE, rel=0.08)
