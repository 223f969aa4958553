"""What compounds teach about the next: bounded, robust, blind to units, and nothing without experience."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import NO_USD, Address, UsdWad, usd
from keeper.strategy.learning import bias, failure_allowance_ppm, gas_correction_ppm

PPM = 10**6
DONE, FAILED = HarvestState.DONE, HarvestState.FAILED
#: Beside it the rounding of parts per million is nothing.
gas = st.integers(100_000, 30_000_000)
states = st.sampled_from(HarvestState)


def harvest(predicted: int, used: int, state: HarvestState = DONE, **more: int) -> Harvest:
    made = Harvest("h", "farm", "local", Address("0x11"), state, "p", 1, 1, NO_USD, NO_USD, predicted, gas_used=used)
    return replace(made, **more)


harvests = st.lists(st.builds(harvest, gas | st.just(0), gas | st.just(0), states), max_size=70)


def test_without_experience_the_simulation_is_right_and_one_in_a_hundred_fails():
    nothing = [harvest(1, 5, state) for state in (HarvestState.OPEN, HarvestState.CANCELLED)]

    assert gas_correction_ppm([]) == gas_correction_ppm(nothing) == PPM
    assert failure_allowance_ppm([]) == failure_allowance_ppm(nothing) == 10_000
    assert bias([]) is bias(nothing) is None


@given(harvests)
def test_both_stay_within_their_bounds(past):
    assert PPM // 2 <= gas_correction_ppm(past) <= 2 * PPM
    assert 0 < failure_allowance_ppm(past) <= PPM // 2


@given(harvests, st.integers(2, 1_000))
def test_units_do_not_matter(past, factor):
    scaled = [replace(h, gas_used=h.gas_used * factor, predicted_gas=h.predicted_gas * factor) for h in past]

    assert gas_correction_ppm(scaled) == pytest.approx(gas_correction_ppm(past), abs=2)
    assert failure_allowance_ppm(scaled) == pytest.approx(failure_allowance_ppm(past), abs=2)


@given(harvests, st.data(), st.integers(1, 10**7))
def test_more_gas_than_before_never_lowers_the_correction(past, data, more):
    past = [*past, harvest(500_000, 400_000)]
    at = data.draw(st.integers(0, len(past) - 1))
    worse = [replace(h, gas_used=h.gas_used + more) if at == i and h.gas_used else h for i, h in enumerate(past)]

    assert gas_correction_ppm(worse) >= gas_correction_ppm(past)


@given(harvests, st.data(), st.integers(1, 10**7))
def test_more_waste_never_lowers_the_allowance(past, data, more):
    past = [*past, harvest(500_000, 400_000, FAILED)]
    at = data.draw(st.sampled_from([i for i, h in enumerate(past) if h.state is FAILED]))
    worse = [replace(h, gas_used=h.gas_used + more) if at == i and h.gas_used else h for i, h in enumerate(past)]

    assert failure_allowance_ppm(worse) >= failure_allowance_ppm(past) - 1


@given(st.integers(1, 50), st.integers(600_000, 1_900_000))
def test_a_steady_error_is_learnt(count, ratio):
    learnt = gas_correction_ppm([harvest(PPM, ratio)] * count)

    used = min(count, 10)
    assert learnt == pytest.approx((ratio * used + 2 * PPM) / (used + 2), abs=1)
    assert abs(learnt - ratio) <= abs(PPM - ratio) * 2 / (used + 2) + 1


def test_one_odd_compound_among_many_moves_nothing():
    steady = [harvest(500_000, 450_000)] * 9

    assert gas_correction_ppm([harvest(500_000, 30_000_000), *steady]) == gas_correction_ppm([*steady, steady[0]])


def test_only_the_last_compounds_count():
    old = [harvest(500_000, 900_000, DONE)] * 50 + [harvest(500_000, 900_000, FAILED)] * 50

    assert gas_correction_ppm([harvest(500_000, 500_000)] * 10 + old) == PPM
    assert failure_allowance_ppm([harvest(1, 500_000)] * 50 + old) == failure_allowance_ppm([harvest(1, 500_000)] * 50)


def test_failures_are_charged_to_what_succeeds():
    # Five of fifty waste as much as a success costs; ten are assumed to be as good as the first guess.
    past = [harvest(1, 400_000, FAILED)] * 5 + [harvest(1, 400_000)] * 45

    assert failure_allowance_ppm(past) == pytest.approx((5 + 10 * 0.01) / (45 + 10) * PPM, abs=1)
    assert failure_allowance_ppm([harvest(1, 400_000)] * 50) == pytest.approx(10 * 0.01 / 60 * PPM, abs=1)
    # What failed before anything was sent has wasted nothing.
    assert failure_allowance_ppm([harvest(1, 0, FAILED)] * 5) == 10_000


def test_predicted_stands_beside_realised():
    past = [
        harvest(
            100, 110, predicted_reward_usd=usd(10), received_usd=usd(12), predicted_cost_usd=usd(1), cost_usd=usd(2)
        ),
        harvest(
            100, 90, predicted_reward_usd=usd(30), received_usd=usd(27), predicted_cost_usd=usd(2), cost_usd=usd(2)
        ),
        # What a recovery found was never predicted.
        harvest(0, 70, received_usd=usd(5), cost_usd=usd(1)),
        harvest(100, 900, FAILED, predicted_reward_usd=usd(10)),
    ]

    told = bias(past)

    assert told is not None
    assert (told.gas.predicted, told.gas.realised, told.gas.count) == (200, 200, 2)
    assert (told.gas.error_ppm, told.gas.spread_ppm) == (0, 100_000)
    assert (told.reward.predicted, told.reward.realised) == (usd(40), usd(39))
    assert (told.reward.error_ppm, told.reward.spread_ppm) == (50_000, 150_000)
    assert (told.cost.error_ppm, told.cost.count) == (500_000, 2)


@given(st.integers(1, 10**30), st.integers(0, 10**30))
def test_a_bias_has_the_sign_of_the_error(predicted, realised):
    told = bias([harvest(1, 1, predicted_reward_usd=UsdWad(predicted), received_usd=UsdWad(realised))])

    assert told is not None
    assert (told.reward.error_ppm >= 0) == (realised >= predicted)
