"""Shadows: live and replayed they are the same, they see nothing that is to come, and foresight beats all of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from past_kit import CAKE, DAY, HOUR, LP, START, Farm, always, dollars

from keeper.backtest.clairvoyant import foresight
from keeper.backtest.hindsight import foresee
from keeper.backtest.history import history_of
from keeper.backtest.invented import Stake, history_from
from keeper.backtest.race import race
from keeper.backtest.results import CLAIRVOYANT
from keeper.backtest.series import Series
from keeper.backtest.standing import NEVER, REAL, _follow, _run, standing_of, total
from keeper.backtest.world import World
from keeper.domain.money import WAD, Amount
from keeper.domain.observation import Accrual
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.performance.contest import advance, begun, contest_of, contest_text, look_before
from keeper.strategy.performance.past import step_between
from keeper.strategy.performance.points import points_of
from keeper.strategy.performance.ticks import tick_of
from keeper.strategy.policies import POLICIES

FEW = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WINDOW = (START, START + 400 * DAY)
TOKENS = (LP, (CAKE,))

PART = st.fractions(Fraction(1, 4), Fraction(3), max_denominator=100)


def seen(farm: Farm, gas: Fraction, share_ppm: int):
    """Look, with the price of gas that it had, and the position's share of the pool."""
    sample = farm.look()
    observation = replace(sample.observation, accruals=(Accrual(Amount(CAKE, 0), share_ppm),))
    numbers = replace(sample.numbers, gas_price_wei=int(gas * 10**9))
    farm.samples[-1] = replace(sample, observation=observation, numbers=numbers)
    return farm.samples[-1]


@st.composite
def stories(draw, *, steps: int = 24, flows: bool = True) -> Farm:
    """What may happen to a position: prices and gas move, somebody compounds, puts in, takes out, claims by hand."""
    prices, rewards, rates, gas = (draw(st.lists(PART, min_size=4, max_size=4)) for _ in range(4))
    farm = Farm(
        stake=draw(st.fractions(Fraction(1), Fraction(500), max_denominator=10)),
        price=lambda at: 100 * prices[at // (6 * HOUR) % 4],
        reward_price=lambda at: 2 * rewards[at // (9 * HOUR) % 4],
        rate=lambda at: 30 * rates[at // (4 * HOUR) % 4],
        fee=draw(st.sampled_from([Fraction(0), Fraction(3, 1000)])),
    )
    share = draw(st.sampled_from([0, 10_000, 600_000]))
    price = always(1)

    def wei(at: int) -> Fraction:
        return gas[at // (2 * HOUR) % 4]

    farm.cost = lambda at: wei(at) * 2 * price(at)
    seen(farm, wei(0), share)
    for _ in range(steps):
        farm.go(draw(st.sampled_from([HOUR, 2 * HOUR, 5 * HOUR])))
        match draw(st.sampled_from(["nothing"] * 8 + ["compound", "put in", "take out", "by hand", "leave"])):
            case "compound":
                farm.compound()
            case "put in" if flows:
                farm.move(20)
            case "take out" if flows:
                farm.move(-farm.stake / 4)
            case "by hand" if flows:
                farm.claim_by_hand()
            case "leave" if flows:
                farm.move(-farm.stake * Fraction(19, 20))
        seen(farm, wei(farm.at), share)
    return farm


def history(farm: Farm):
    found = history_of("p", *farm.books, (), WINDOW, rebasing=False)
    assert found is not None
    return found


def raced(farm: Farm, *, written: bool, policies=POLICIES):
    """The live race: look by look, knowing the journal only as far as it goes; written down and read again each time."""
    memory, contest = GasMemory(), None
    for sample in farm.samples:
        points, rewards = points_of([sample])
        assert rewards == TOKENS[1]
        if contest is None:
            contest = begun(points[0], TOKENS, policies)
        else:
            now = points[0].at
            harvests = [h for h in farm.harvests if h.finished_at <= now]
            ledger = [m for m in farm.ledger if contest.at <= m.timestamp <= now]
            before, pace = look_before(contest, points[0], TOKENS)
            step = step_between(before, points[0], TOKENS, harvests, ledger, rebasing=False, pace=pace)
            memory.observe(now, float(sample.numbers.gas_price_wei))
            tick = tick_of(step, TOKENS, contest.terms.after(points[0]), sample.numbers)
            advance(contest, tick, rewards, pace, policies, memory)
        if written:
            contest = contest_of(contest_text(contest))
    return contest


@FEW
@given(stories())
def test_the_live_race_and_the_backtest_are_one(farm):
    live, tested = raced(farm, written=False), standing_of(history(farm), list(POLICIES.values()))
    for name in POLICIES:
        line = tested.line(name)
        assert (live.gained(name), live.entries[name].shadow.harvests) == (line.gained, line.harvests), name
        assert live.entries[name].shadow.paid == line.paid


@FEW
@given(stories())
def test_a_restart_at_any_look_changes_nothing(farm):
    assert raced(farm, written=True) == raced(farm, written=False)


@FEW
@given(stories(), st.integers(2, 23), st.integers(0, 3))
def test_nobody_sees_what_is_to_come(farm, at, silent):
    """A history that ends earlier is lived through alike up to its end; some begin with looks that say little."""
    farm.samples = [replace(s, numbers=None) if n < silent else s for n, s in enumerate(farm.samples)]
    gas = [(START + n * 1_800 + 77, (n * n % 17 + 1) * 10**8, 10**7) for n in range(-40, 400)]
    now = farm.samples[at].observation.block.timestamp
    early = replace(
        farm,
        samples=farm.samples[: at + 1],
        harvests=[h for h in farm.harvests if h.finished_at <= now],
        ledger=[m for m in farm.ledger if m.timestamp <= now],
    )
    policies = list(POLICIES.values())
    known = [row for row in gas if row[0] <= now]
    cut, whole = (
        _run(history_of("p", *part.books, prices, WINDOW, rebasing=False), policies)
        for part, prices in ((early, known), (farm, gas))
    )
    for before, after in zip(cut, whole, strict=True):
        assert before.fired == [place for place in after.fired if place < at]
        assert before.worth == after.worth[:at]


@FEW
@given(stories())
def test_never_does_nothing_and_foresight_beats_everybody(farm):
    standing = standing_of(history(farm), list(POLICIES.values()))
    never, best = standing.line(NEVER), standing.line(CLAIRVOYANT)
    assert (never.gained, never.harvests, never.paid) == (0, 0, 0)
    assert set(never.marks) == {0}
    for line in standing.lines:
        if line.name != REAL:
            assert line.gained <= best.gained, line.name
    assert best.gained >= 0


@FEW
@given(stories(steps=9))
def test_foresight_is_the_best_of_all_schedules(farm):
    told = history(farm)
    schedule = foresee(told.start, told.ticks)
    found = _follow(CLAIRVOYANT, told, schedule).worth[-1]
    places = range(len(told.ticks))
    every = (chosen for n in range(len(places) + 1) for chosen in combinations(places, n))
    best = max(_follow("x", told, chosen).worth[-1] for chosen in every if _could(told, chosen))
    assert found >= best - abs(best) // 10**12


def _could(told, chosen) -> bool:
    """Nobody harvests where nothing pends, or nothing is staked."""
    return all(told.ticks[place].terms.cost is not None for place in chosen)


def test_foresight_counts_what_is_put_in_and_taken_out():
    """Of $100 nothing can be made; of the $100,000 put in for a day it can, and only then."""
    farm = Farm(stake=Fraction(1), rate=always(20), cost=always(10))
    farm.look()
    for hour in range(72):
        farm.go(HOUR)
        if hour == 23:
            farm.move(1_000)
        if hour == 47:
            farm.move(-800)
        farm.look()
    told = history(farm)
    schedule = foresee(told.start, told.ticks)
    assert schedule
    assert all(place >= 23 for place in schedule)
    best = _follow(CLAIRVOYANT, told, schedule).worth[-1]
    for other in (*((place,) for place in range(72)), *combinations(range(24, 72, 4), 3), schedule[1:], schedule[:-1]):
        assert _follow("x", told, other).worth[-1] <= best


def test_a_share_that_is_paid_out_is_not_lost():
    """Half of each harvest leaves: it earns nothing more, and counts."""
    farm = Farm(stake=Fraction(100), rate=always(20), cost=always(0))
    farm.look()
    for _ in range(48):
        farm.go(HOUR)
        sample = farm.look()
        numbers = replace(sample.numbers, payout_usd=sample.numbers.reward_usd // 2)
        farm.samples[-1] = replace(sample, numbers=numbers)
    told = history(farm)
    paid, kept = (
        standing_of(replace(told, ticks=tuple(replace(t, put_back=part) for t in told.ticks)), [POLICIES["r>g"]])
        for part in (WAD // 2, WAD)
    )
    assert [tick.put_back for tick in told.ticks] == [pytest.approx(WAD // 2, rel=1e-9)] * 48
    half, whole = (standing.line("r>g").gained for standing in (paid, kept))
    assert 0 < half < whole
    assert half == pytest.approx(whole / 2, rel=0.03)
    for standing in (paid, kept):
        assert standing.line("r>g").gained <= standing.line(CLAIRVOYANT).gained


def test_foresight_holds_with_two_rewards_whose_prices_part():
    """Worked by hand: the second reward pays ten times as much for an hour, and gas is cheap then."""
    farm = Farm(stake=Fraction(100), rate=always(20))
    farm.reward_price = lambda at: Fraction(20) if at == 10 * HOUR else Fraction(2)
    farm.cost = lambda at: Fraction(1) if at == 10 * HOUR else Fraction(30)
    farm.look()
    for _ in range(20):
        farm.go(HOUR)
        farm.look()
    told = history(farm)
    assert foresee(told.start, told.ticks) == (9,)


def test_a_made_up_history_is_the_benchmarks():
    """The same year in the vectorised race, and its clairvoyant, both written independently of this model."""
    rng = np.random.default_rng(5)
    hours = 1_500
    gas = np.exp(rng.normal(0, 0.5, hours + 1)) * 20e9
    series = Series("gas", HOUR, {START + n * HOUR: float(gas[n]) for n in range(hours + 1)})
    stake = Stake(20_000.0, 0.4, 100_000, depth=5e5, fee=0.003)
    told = history_from(stake, series, 2_500.0)
    policies = list(POLICIES.values())
    found = standing_of(told, policies)
    one = np.zeros(1, dtype=np.int64)
    world = World(
        gas=(gas[:-1] / 20e9)[:, None],
        rates=np.ones((hours, 1)),
        prices=np.ones((hours + 1, 1)),
        principal=np.array([20_000.0]),
        cost=np.array([20e9 * 100_000 / 1e18 * 2_500.0]),
        scale=np.array([0.4]),
        gas_of=one,
        rate_of=one,
        price_of=one,
        end=np.array([hours]),
        depth=np.array([5e5 / (1.0 - 0.003)]),  # there the impact is of the value before fees
        drift=np.zeros(1),
        start=START,
        step=HOUR,
    )
    theirs = race(world, policies)
    never = theirs.wealth[list(POLICIES).index("never"), 0]
    for row, name in enumerate(POLICIES):
        line = found.line(name)
        # Here the last look may still be harvested at, there it may not: what that costs is what they differ by.
        late = line.harvests - int(theirs.harvests[row, 0])
        assert late in {0, 1}, name
        if not late:
            assert line.gained / WAD == pytest.approx(theirs.wealth[row, 0] - never, abs=1e-6, rel=1e-6), name
    best = foresight(world)
    assert found.line(CLAIRVOYANT).gained / WAD == pytest.approx(best.wealth[0] - never, rel=1e-9)
    assert found.line(CLAIRVOYANT).harvests == best.harvests[0]


@FEW
@given(stories(steps=12), stories(steps=12))
def test_two_positions_add_up(first, second):
    parts = [standing_of(history(farm), list(POLICIES.values())) for farm in (first, second)]
    whole = total(parts)
    for line in whole.lines:
        each = [part.line(line.name) for part in parts]
        assert line.gained == sum(one.gained for one in each) == line.marks[-1]
        assert line.harvests == sum(one.harvests for one in each)
        assert line.paid == sum(one.paid for one in each)


@FEW
@given(stories())
def test_what_really_happened_is_what_the_journal_says(farm):
    told = history(farm)
    real = told.real
    assert real.harvests == len(farm.harvests)
    assert real.paid == sum(h.cost_usd for h in farm.harvests)
    assert len(real.worth) == len(told.ticks)


def test_a_position_left_alone_has_gained_nothing_over_never():
    farm = Farm(cost=always(3))
    farm.run(20)
    standing = standing_of(history(farm), [POLICIES["never"]])
    assert abs(standing.line(REAL).gained) <= 10**6
    assert standing.model_error == 0


def test_deposits_and_withdrawals_change_nobodys_gain_by_themselves():
    """Money that comes and goes is everybody's: what a harvest had gained before stays, what it gains after is its own."""
    farm = Farm(cost=always(0), stake=Fraction(100), rate=always(2))
    farm.run(5)
    for tokens in (50, -20, -129, 70):
        farm.go(HOUR)
        farm.move(tokens)
        farm.look()
        farm.run(2)
    told = history(farm)
    idle = standing_of(told, [POLICIES["never"]])
    assert abs(idle.line(REAL).gained) <= dollars("0.000001")
    assert any(tick.left for tick in told.ticks)
    marks = standing_of(told, [POLICIES["daily"]]).line("daily").marks
    at = next(place for place, tick in enumerate(told.ticks) if tick.left)
    assert marks[at] == pytest.approx(marks[at - 1], rel=0.02)
    assert marks[-1] > marks[at] > 0
