"""Every money formula of a track record, held to what must be true of it whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isqrt

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from past_kit import CAKE, DAY, HOUR, LP, YEAR, Farm, always

from keeper.domain.money import WAD
from keeper.domain.observation import Sample
from keeper.strategy.performance.holding import PoolLook, against_holding
from keeper.strategy.performance.measure import performance, total
from keeper.strategy.performance.past import past_of
from keeper.strategy.performance.points import in_base
from keeper.strategy.performance.replay import as_recorded, daily, earned, never, replay
from keeper.strategy.performance.returns import Mark, annualised, growth, impermanent_loss, simple_rate

MONEY = st.integers(10**15, 10**27)
FACTOR = st.fractions(Fraction(1, 2), Fraction(2), max_denominator=1_000)
RATE = st.fractions(Fraction(0), Fraction(2), max_denominator=1_000)
#: A farm's story is long: making it shorter takes longer than reading it.
FEW = settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])


def close(first: int, second: int, part: int = 10**9) -> bool:
    return abs(first - second) <= max(abs(first), abs(second)) // part + 1_000


# ---------------------------------------------------------------------------- growth and rates


@given(MONEY, st.lists(MONEY, max_size=20), MONEY)
def test_without_flows_growth_is_simply_the_end_over_the_beginning(first, between, last):
    marks = [Mark(value, value) for value in (first, *between, last)]
    assert growth(marks) == 10**36 * last // first * WAD // 10**36


@given(
    MONEY, st.lists(st.tuples(FACTOR, st.fractions(Fraction(-9, 10), Fraction(50), max_denominator=100)), max_size=15)
)
def test_money_that_comes_and_goes_does_not_change_the_growth(start, happened):
    alone, marks, worth = Fraction(1), [Mark(start, start)], start
    for factor, flow in happened:
        alone *= factor
        before = int(worth * factor)
        worth = before + int(before * flow)
        marks.append(Mark(before, worth))
    if not happened:
        assert growth(marks) == WAD
        return
    # A flow at the last moment belongs to no stretch either.
    assert close(growth(marks), int(alone * WAD), 10**8)


@given(st.lists(st.tuples(MONEY, MONEY), min_size=1, max_size=10), st.integers(2, 10**6))
def test_growth_does_not_depend_on_the_size(marks, scale):
    small = growth([Mark(a, b) for a, b in marks])
    large = growth([Mark(a * scale, b * scale) for a, b in marks])
    assert close(small, large)


@given(MONEY, MONEY)
def test_what_has_lost_everything_stays_lost(first, later):
    assert growth([Mark(first, first), Mark(0, later), Mark(later, later)]) == 0
    assert growth([Mark(first, first), Mark(-later, later)]) == 0


@given(st.integers(-(10**24), 10**24), MONEY, st.integers(HOUR, 10 * YEAR))
def test_a_simple_rate_is_profit_over_stake_and_years(profit, stake, seconds):
    rate = simple_rate(profit, stake * seconds)
    assert abs(rate - int(Fraction(profit * YEAR * WAD, stake * seconds))) <= 1
    assert simple_rate(-profit, stake * seconds) == -rate


@given(st.integers(0, WAD), st.integers(DAY, YEAR))
def test_compounding_beats_the_simple_rate_within_a_year_and_equals_it_over_one(gain, seconds):
    simple, compound = simple_rate(gain, WAD * seconds), annualised(WAD + gain, seconds)
    assume(compound is not None)
    assert compound >= simple - 10
    assert close(annualised(WAD + gain, YEAR), simple_rate(gain, WAD * YEAR))


@given(st.integers(0, WAD // 10), st.integers(2, 12))
def test_growing_at_the_same_pace_for_longer_is_the_same_apy(gain, times):
    once = annualised(WAD + gain, 30 * DAY)
    grown = Fraction(WAD + gain, WAD) ** times
    assert close(annualised(int(grown * WAD), times * 30 * DAY), once, 10**6)


def test_growth_that_says_nothing_has_no_yearly_figure():
    assert annualised(WAD, 0) is None
    assert annualised(2 * WAD, 60) is None
    assert annualised(0, DAY) == -WAD
    assert simple_rate(5, 0) is None


# ---------------------------------------------------------------------------- pools

RATIO = st.fractions(Fraction(1, 1_000), Fraction(1_000), max_denominator=1_000)


@given(RATIO)
def test_impermanent_loss_is_the_textbooks(ratio):
    wad = int(ratio * WAD)
    loss = impermanent_loss(wad)
    exact = 2 * Fraction(isqrt(wad * 10**60), 10**39) / (1 + Fraction(wad, WAD)) - 1
    assert abs(loss - int(exact * WAD)) <= 10
    assert -WAD <= loss <= 10
    assert close(loss, impermanent_loss(WAD * WAD // wad), 10**6)
    assert impermanent_loss(WAD) == 0


def look(price_a: Fraction, price_b: Fraction, *, fees: Fraction = Fraction(1), stake: int = 10 * WAD) -> PoolLook:
    """A pool that had one token of each side to an LP token, both at a dollar, and has grown by its fees since."""
    root = Fraction(isqrt(int(price_a * price_b * 10**40)), 10**20)
    return PoolLook(stake, int(2 * root * fees * WAD), (int(price_a * WAD), int(price_b * WAD)))


@given(RATIO, RATIO)
def test_without_fees_a_pool_loses_exactly_the_impermanent_loss(price_a, price_b):
    found = against_holding([look(Fraction(1), Fraction(1)), look(price_a, price_b)], WAD)
    ratio = int(price_a / price_b * WAD)
    assert close(found.held, int(10 * (price_a + price_b) * WAD), 10**12)
    assert abs(found.fees) <= 10_000 + found.held // 10**12
    assert abs(found.loss - found.held * impermanent_loss(ratio) // WAD) <= 10_000 + found.held // 10**12


@given(RATIO, RATIO, st.fractions(Fraction(1), Fraction(2), max_denominator=1_000))
def test_fees_and_loss_stand_apart_and_add_up(price_a, price_b, fees):
    without = against_holding([look(Fraction(1), Fraction(1)), look(price_a, price_b)], WAD)
    found = against_holding([look(Fraction(1), Fraction(1)), look(price_a, price_b, fees=fees)], WAD)
    assert found.loss == without.loss
    assert found.loss <= 1_000
    assert found.difference == found.loss + found.fees
    assert abs(found.fees - int(without.pooled * (fees - 1))) <= without.held // 10**9 + 10_000


@given(RATIO, RATIO, st.integers(1, 99))
def test_what_is_taken_out_keeps_its_result_and_what_is_put_in_begins_anew(price_a, price_b, part):
    start, middle = look(Fraction(1), Fraction(1)), look(price_a, price_b)
    whole = against_holding([start, middle], WAD)
    left = replace(middle, stake=middle.stake * part // 100)
    assert close(against_holding([start, middle, left], WAD).loss, whole.loss, 10**9)
    more = replace(middle, stake=3 * middle.stake)
    assert close(against_holding([start, more], WAD).loss, whole.loss, 10**9)
    assert close(against_holding([start, more], WAD).difference, whole.difference, 10**9)


def test_a_pool_that_keeps_no_constant_product_is_not_compared():
    sunk = PoolLook(10 * WAD, WAD, (WAD, WAD))
    assert against_holding([look(Fraction(1), Fraction(1)), sunk], WAD) is None
    assert against_holding([replace(sunk, sides=(WAD, 0))], WAD) is None


# ---------------------------------------------------------------------------- whole positions


@st.composite
def farms(draw, **fixed) -> Farm:
    prices = draw(st.lists(FACTOR, min_size=4, max_size=4))
    return Farm(
        **{
            "stake": draw(st.fractions(Fraction(1), Fraction(10_000), max_denominator=100)),
            "rate": always(draw(RATE)),
            "price": lambda at: 100 * prices[at // (5 * DAY) % 4],
            "reward_price": lambda at: 2 * prices[at // (7 * DAY) % 4],
            "cost": always(draw(st.fractions(Fraction(0), Fraction(5), max_denominator=100))),
            **fixed,
        }
    )


@FEW
@given(farms(), st.sampled_from([0, DAY, 3 * DAY, 7 * DAY]), st.sampled_from([2 * HOUR, 6 * HOUR, DAY]))
def test_what_was_earned_is_what_there_is_more_of_less_what_was_paid(farm, rhythm, every):
    farm.look()
    begun = farm.worth
    farm.run(20, every=every, compound_each=rhythm)
    found = performance(*farm.books)
    assert close(found.money.profit, int((farm.worth - begun - farm.spent) * WAD), 10**9)
    assert close(found.cost, int(farm.spent * WAD))
    assert found.harvests == len(farm.harvests)
    assert found.deposits == found.withdrawals == found.by_hand == 0
    assert close(found.net + found.price_gain, found.money.profit)
    assert close(found.income - found.cost - found.lost, found.net)


@FEW
@given(
    farms(cost=always(0)),
    st.lists(st.tuples(st.integers(1, 19), st.fractions(Fraction(-1, 2), Fraction(3), max_denominator=10)), max_size=5),
)
def test_money_from_outside_changes_no_rate_of_a_stake_that_earns_the_same(farm, flows):
    """With nothing pending (the stake grows by its price alone) growth is that of a stake which nobody touched."""
    farm.rate = always(0)
    alone = replace(farm, samples=[], harvests=[], ledger=[])
    alone.run(20, every=DAY)
    due = dict(flows)
    farm.look()
    for day in range(1, 21):
        farm.go(DAY)
        if day in due:
            farm.move(farm.stake * due[day])
        farm.look()
    found, untouched = performance(*farm.books), performance(*alone.books)
    assert close(found.money.growth, untouched.money.growth)
    assert untouched.in_kind.growth == WAD
    assert abs(found.in_kind.growth - WAD) <= 10
    assert found.compounded == found.interest == found.by_hand == 0
    moved = sum(due[day] != 0 for day in due)
    assert (found.deposits > 0) + (found.withdrawals > 0) <= max(moved, 0)


@FEW
@given(farms(), st.sampled_from([0, 2 * DAY, 5 * DAY]), st.integers(2, 1_000))
def test_rates_do_not_depend_on_the_size(farm, rhythm, scale):
    large = replace(
        farm,
        stake=farm.stake * scale,
        cost=lambda at: farm.cost(at) * scale,
        samples=[],
        harvests=[],
        ledger=[],
    )
    farm.run(15, every=6 * HOUR, compound_each=rhythm)
    large.run(15, every=6 * HOUR, compound_each=rhythm)
    small, big = performance(*farm.books), performance(*large.books)
    for name in ("apr", "apy"):
        for unit in ("money", "in_kind"):
            first, second = getattr(getattr(small, unit), name), getattr(getattr(big, unit), name)
            assert first is second is None or close(first, second, 10**8)
    assert close(small.never.gain * scale, big.never.gain, 10**6) or abs(big.never.gain) < 10**12 * scale


@FEW
@given(farms(), st.fractions(Fraction(1, 5), Fraction(5), max_denominator=50))
def test_in_another_currency_money_scales_and_rates_in_kind_stay(farm, currency):
    farm.run(10, every=6 * HOUR, compound_each=3 * DAY)
    other = [replace(sample, base_usd=int(currency * WAD)) for sample in farm.samples]
    dollars, euros = performance(*farm.books), performance(other, farm.harvests, farm.ledger, currency="EUR")
    assert close(in_base(dollars.money.profit, int(currency * WAD)), euros.money.profit, 10**8)
    assert close(dollars.in_kind.growth, euros.in_kind.growth, 10**8)
    assert close(dollars.money.growth, euros.money.growth, 10**8)


@FEW
@given(farms(rate=always("0.3")), st.fractions(Fraction(1, 2), Fraction(2), max_denominator=10))
def test_a_currency_that_moves_is_a_gain_or_a_loss_but_not_in_kind(farm, moved):
    farm.base = lambda at: Fraction(1) + (moved - 1) * at / (10 * DAY)
    steady = replace(farm, base=always(1), samples=[], harvests=[], ledger=[])
    farm.run(10, every=6 * HOUR)
    steady.run(10, every=6 * HOUR)
    here, there = performance(*farm.books), performance(*steady.books)
    assert close(here.in_kind.growth, there.in_kind.growth, 10**8)
    assert close(int(here.money.growth * moved), there.money.growth, 10**8)


# ---------------------------------------------------------------------------- against other rhythms


def every_step(_step):
    """Harvest at the end of each step."""
    return (0,)


@FEW
@given(farms(), st.sampled_from([DAY, 3 * DAY, 7 * DAY]))
def test_the_real_rhythm_lived_through_by_the_model_is_what_really_came_of_it(farm, rhythm):
    assume(farm.rate(0) > 0)
    farm.run(21, every=2 * HOUR, compound_each=rhythm)
    past = past_of(*farm.books)
    modelled, real = replay(past, as_recorded), earned(past)
    assert modelled.harvests == len(farm.harvests)
    scale = past.first.staked + abs(real)
    assert abs(modelled.profit - real) <= scale // 10**9 + 10**6
    assert close(modelled.staked, past.last.staked, 10**9)


@FEW
@given(farms(cost=always(0), price=always(100), reward_price=always(2)))
def test_where_harvests_are_free_more_of_them_are_never_worse(farm):
    farm.run(20, every=6 * HOUR)
    past = past_of(*farm.books)
    results = [replay(past, when).profit for when in (never, daily, every_step)]
    assert results[0] <= results[1] + 10 <= results[2] + 20
    assert close(results[0], earned(past))


@FEW
@given(farms(price=always(100), reward_price=always(2), cost=always(10_000), stake=Fraction(100)))
def test_where_a_harvest_costs_more_than_a_stake_earns_never_is_best(farm):
    farm.run(20, every=6 * HOUR)
    assume(farm.pending > 0)
    found = performance(*farm.books)
    assert found.never.gain == 0
    assert found.daily.gain > 0
    assert found.daily.harvests == 20


@FEW
@given(farms(), st.sampled_from([DAY, 2 * DAY, 5 * DAY]))
def test_a_gain_over_another_rhythm_is_what_that_rhythm_would_have_had(farm, rhythm):
    assume(farm.rate(0) > 0)
    twin = replace(farm, samples=[], harvests=[], ledger=[])
    farm.look()
    twin.look()
    begun = farm.worth
    farm.run(20, every=6 * HOUR, compound_each=rhythm)
    twin.run(20, every=6 * HOUR, compound_each=DAY)
    found = performance(*farm.books)
    really = (farm.worth - farm.spent) - (twin.worth - twin.spent)
    assert abs(found.daily.gain - int(really * WAD)) <= int(begun * WAD) // 10**8
    assert found.daily.harvests == (20 if farm.rate(0) else 0)
    assert close(found.daily.cost, int(twin.spent * WAD) if farm.rate(0) else 0)


@FEW
@given(st.integers(1, 10**6), st.fractions(Fraction(1, 2), Fraction(3), max_denominator=20))
def test_a_pool_that_one_owns_pays_a_larger_stake_less_for_each_unit(share_ppm, rate):
    """The model's dilution against a pool of which the whole is known."""
    farm = Farm(rate=always(rate), cost=always(0))
    farm.run(30, every=6 * HOUR)
    shared = [
        replace(
            s,
            observation=replace(s.observation, accruals=(replace(s.observation.accruals[0], own_share_ppm=share_ppm),)),
        )
        for s in farm.samples
    ]
    free, diluted = (replay(past_of(samples, [], []), every_step) for samples in (farm.samples, shared))
    assert free.profit >= diluted.profit
    everything = replay(past_of(shared, [], []), never)
    assert everything.profit == replay(past_of(farm.samples, [], []), never).profit
    if share_ppm == 10**6:  # the pool's whole reward is one's own whatever is staked
        assert close(diluted.profit, everything.profit, 10**6)


@FEW
@given(st.lists(farms(), min_size=1, max_size=3))
def test_a_total_is_the_sum_and_its_rate_lies_between(several):
    found = []
    for number, farm in enumerate(several):
        farm.position_id = f"p{number}"
        farm.run(10, every=12 * HOUR, compound_each=4 * DAY)
        found.append(performance(*farm.books))
    whole = total(found)
    assert whole.profit == sum(p.money.profit for p in found)
    assert whole.over_never == sum(p.never.gain for p in found)
    rates = [p.money.apr for p in found]
    assert min(rates) - 10 <= whole.apr <= max(rates) + 10


@given(st.integers(0, 10**30), st.integers(1, 10**20))
def test_turning_dollars_into_a_currency_and_back_loses_next_to_nothing(usd, price):
    there = in_base(usd, price)
    assert 0 <= usd - there * price // WAD <= price // WAD + 1
    assert in_base(usd, WAD) == usd


@pytest.mark.parametrize("token", [LP, CAKE])
def test_samples_without_prices_are_left_out(token):
    farm = Farm()
    farm.run(2)
    gone = [
        Sample(s.observation, s.numbers, tuple(p for p in s.prices if p[0] != token.address), s.base_usd)
        for s in farm.samples[10:]
    ]
    found = performance([*farm.samples[:10], *gone], [], [])
    assert found.samples == (10 if token is LP or gone else 0)
    assert performance(gone, [], []) is None
