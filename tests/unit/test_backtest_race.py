"""The race: it counts as plain Python does, shows nobody the future, and has the limits that theory knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from keeper.backtest.clairvoyant import foresight
from keeper.backtest.paths import HOURS
from keeper.backtest.race import never, race, thresholds
from keeper.backtest.suite import COST, Cell, build, core, idle, stress
from keeper.backtest.world import Errors, World, take
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policies import POLICIES, Named, constant, describe, policy, rule
from keeper.strategy.policy import Policy, Scene

SHORT = 1_000  # hours


def small(*cells: Cell, base: int = 1, seeds: int = 2, hours: int = SHORT) -> World:
    return build(cells or (Cell(2e4, 60.0, "main", "ou"),), base=base, seeds=seeds, hours=hours)


def by_hand(world: World, lane: int, decide: Policy) -> tuple[float, list[int]]:
    """One lane in plain Python floats, the policy asked with floats."""
    memory, accrued, mark, last, fired = GasMemory(), 0.0, 0.0, 0, []
    stake = float(world.principal[lane])
    rates = (world.rates[:, world.rate_of[lane]] * world.scale[lane]).tolist()
    prices = world.prices[:, world.price_of[lane]].tolist()
    depth, cost, end = float(world.depth[lane]), float(world.cost[lane]), int(world.end[lane])

    def out(tokens: float, price: float) -> float:
        return tokens * price * (1 - world.fee) / (1 + tokens * price / depth)

    for step, gas in enumerate(world.gas[:, world.gas_of[lane]].tolist()):
        if step % world.poll == 0:
            memory.observe(world.start + step * world.step, gas)
        if 0 < step < end and step % world.poll == 0:
            tokens, price = stake * (accrued - mark), prices[step]
            yield_ = rates[step] * price * (1 - world.fee)
            shown = Scene(
                now=world.start + step * world.step,
                principal=stake,
                reward=out(tokens, price),
                cost=gas * cost,
                forward=stake * yield_,
                yield_=yield_ - float(world.drift[lane]),
                depth=depth,
                since=float((step - last) * world.step),
                gas=gas,
                memory=memory,
            )
            if decide.wants(shown):
                stake += out(tokens, price) - gas * cost
                mark, last = accrued, step
                fired.append(step)
        if step < end:
            accrued += rates[step] * world.years
    return stake + out(stake * (accrued - mark), prices[end]), fired


RACERS = (*POLICIES, "r>3g")


@pytest.fixture(scope="module")
def stressed():
    """A world of many troubles, and one race of all in it: what is remembered of gas is the same for each."""
    cells = [c for c in stress() if c.poll == 1 and c.errors == (1.0, 1.0, 1.0) and c.optimum == 60.0]
    world = small(*cells, seeds=1)
    return world, race(world, [policy(name) for name in RACERS], trace=True)


@pytest.mark.parametrize("name", RACERS)
@pytest.mark.xdist_group("the stressed race")
def test_many_lanes_at_once_count_as_one_by_hand(name, stressed):
    world, found = stressed
    row = RACERS.index(name)

    for lane in range(world.lanes):
        wealth, fired = by_hand(world, lane, policy(name))
        assert [step for step, who, at in found.fired if (who, at) == (row, lane)] == fired
        assert found.wealth[row, lane] == pytest.approx(wealth, rel=1e-9)
        assert found.harvests[row, lane] == len(fired)
        assert found.gas_paid[row, lane] == pytest.approx(world.gas[fired, world.gas_of[lane]].sum())


@pytest.mark.xdist_group("the stressed race")
def test_alone_a_policy_runs_as_in_company(stressed):
    world, found = stressed
    for name in ("rule", "buckets", "calendar"):
        row, alone = RACERS.index(name), race(world, [policy(name)], trace=True)
        assert [(step, at) for step, _, at in alone.fired] == [
            (step, at) for step, who, at in found.fired if who == row
        ]
        assert np.array_equal(alone.wealth[0], found.wealth[row])


def test_looking_rarely_is_what_it_says():
    world = small(Cell(2e4, 200.0, poll=6), seeds=1)

    found = race(world, [POLICIES["rule"]], trace=True)

    wealth, fired = by_hand(world, 0, POLICIES["rule"])
    assert [step for step, _, _ in found.fired] == fired
    assert fired
    assert all(step % 6 == 0 for step in fired)
    assert found.wealth[0, 0] == pytest.approx(wealth, rel=1e-9)


def cut(world: World, at: int, seed: int) -> World:
    """The same world up to a step, and another one from there on."""
    rng = np.random.default_rng(seed)
    gas, rates, prices = world.gas.copy(), world.rates.copy(), world.prices.copy()
    gas[at + 1 :] *= np.exp(rng.normal(0, 1, gas[at + 1 :].shape))
    rates[at + 1 :] *= np.exp(rng.normal(0, 1, rates[at + 1 :].shape))
    prices[at + 1 :] *= np.exp(rng.normal(0, 0.1, prices[at + 1 :].shape))
    return replace(world, gas=gas, rates=rates, prices=prices)


def decisions(world: World, decide: Policy, until: int) -> list[tuple[int, int, int]]:
    return [fired for fired in race(world, [decide], trace=True).fired if fired[0] <= until]


CUTS = (150, 400, 640)


@pytest.fixture(scope="module")
def futures():
    """What all fire in a world, and in the ones that go on otherwise after each of the cuts."""
    world = small(Cell(2e4, 200.0, "wild", "epoch"), Cell(2e2, 20.0, "l2", "ou"), hours=800)
    worlds = [world, *(cut(world, until, seed) for seed, until in enumerate(CUTS))]
    return [race(each, list(POLICIES.values()), trace=True).fired for each in worlds]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.xdist_group("other futures")
def test_no_policy_looks_ahead(name, futures):
    row = list(POLICIES).index(name)
    here, *others = ([(step, at) for step, who, at in fired if who == row] for fired in futures)

    for until, there in zip(CUTS, others, strict=True):
        assert [fired for fired in here if fired[0] <= until] == [fired for fired in there if fired[0] <= until]


@pytest.mark.xdist_group("other futures")
def test_other_futures_are_others(futures):
    here, *others = futures
    assert all(there != here for there in others)


def test_looking_ahead_would_be_seen():
    @dataclass
    class Peek:
        """Harvests where gas is about to rise."""

        world: World
        name: str = "peek"

        def wants(self, scene: Scene):
            step = (scene.now - self.world.start) // self.world.step
            following = self.world.gas[min(step + 1, self.world.steps - 1), self.world.gas_of]
            return following > 1.2 * scene.gas

    world = small(hours=800)
    other = cut(world, 400, 1)

    assert decisions(other, Peek(other), 400) != decisions(world, Peek(world), 400)


@pytest.fixture(scope="module")
def flat():
    """Flat gas, constant rates: S/g of 2 million, so that the year's rate is low and the theory's first order exact."""
    cells = [Cell(2e6, n, "flat", "const") for n in (3.0, 5.0, 10.0, 20.0, 60.0)]
    world = build(cells, base=0, seeds=1)
    unfading = Named("unfading", "keeper's rule, to which what comes long after counts in full", rule(fading=False))
    return world, foresight(world), race(world, [unfading, POLICIES["rule"], POLICIES["plain"]])


@pytest.mark.xdist_group("flat gas")
def test_in_flat_gas_the_rule_captures_all(flat):
    world, best, found = flat
    captured = (found.wealth - never(world)) / (best.wealth - never(world))

    assert np.all(captured[0] >= 0.999)
    # what a harvest earns only after the year counts less for the rule: it costs half a hundredth of a few harvests
    assert captured[1, 0] >= 0.994
    assert np.all(captured[1, 1:] >= 0.998)
    assert np.array_equal(found.harvests[1], found.harvests[2])  # there is nothing to remember


@pytest.mark.parametrize(("lane", "optimum"), [(0, 3.0), (1, 5.0), (2, 10.0)])
@pytest.mark.xdist_group("flat gas")
def test_the_gain_is_what_theory_says(flat, lane, optimum):
    world, best, _ = flat

    assert best.wealth[lane] - never(world)[lane] == pytest.approx(COST * (optimum - 1) ** 2, rel=0.02)
    assert best.harvests[lane] == optimum - 1  # and the claim at the end


def test_money_has_no_scale():
    world = small(*(Cell(2e4, n, "main", "ou") for n in (20.0, 200.0)))
    large = replace(world, principal=world.principal * 1024, cost=world.cost * 1024)
    policies = [POLICIES[name] for name in POLICIES if name != "buckets"]  # those go by dollars

    found, scaled = race(world, policies), race(large, policies)

    assert np.array_equal(found.wealth * 1024, scaled.wealth)
    assert foresight(large).wealth == pytest.approx(1024 * foresight(world).wealth, rel=1e-12)


def test_never_is_never():
    world = small()

    assert race(world, [POLICIES["never"]]).wealth[0] == pytest.approx(never(world))
    assert race(world, [POLICIES["never"]]).harvests.sum() == 0


def test_constants_all_at_once_are_the_constants_one_by_one():
    world = small(*(Cell(2e4, n, "main", "ou") for n in (20.0, 200.0)))
    multiples = (2.0, 11.0, 90.0)

    together, single = thresholds(world, multiples), race(world, [constant(k) for k in multiples])

    assert np.array_equal(together.wealth, single.wealth)
    assert together.harvests.sum() > 0


def test_wrong_numbers_are_only_seen_not_true():
    world = small(Cell(2e4, 60.0))
    wrong = replace(world, errors=Errors(gas=4.0, price=1.0, principal=1.0))

    assert np.array_equal(never(world), never(wrong))
    assert np.array_equal(foresight(world).wealth, foresight(wrong).wealth)
    # seen four times too dear: it waits for twice the reward
    assert race(wrong, [POLICIES["rule"]]).harvests.sum() < race(world, [POLICIES["rule"]]).harvests.sum()
    # four times the price for four times the gas is the same decision
    both = replace(world, errors=Errors(gas=4.0, price=4.0, principal=4.0))
    assert np.array_equal(race(both, [POLICIES["rule"]]).harvests, race(world, [POLICIES["rule"]]).harvests)


def test_a_stake_cannot_fall_below_nothing():
    world = small(Cell(2e2, 1.5))
    dear = replace(world, gas=world.gas * 1e6)

    assert np.all(race(dear, [POLICIES["daily"]]).wealth == 0)


def test_a_part_of_a_world_is_that_part():
    world = small(*(Cell(2e4, n, "main", "ou") for n in (20.0, 200.0)))
    lanes = np.array([3, 0])

    assert np.array_equal(
        race(take(world, lanes), [POLICIES["rule"]]).wealth, race(world, [POLICIES["rule"]]).wealth[:, lanes]
    )


def test_the_suites_have_the_cells_that_they_say():
    assert len(core()) == len(set(core())) == 260
    assert {c.optimum for c in idle()} == {0.3, 0.5, 0.7}
    assert len(stress()) == len(set(stress()))
    assert len({c.stress for c in stress()}) == 16
    world = small(Cell(2e4, 7.0), seeds=3)
    assert world.lanes == 3
    assert world.principal.tolist() == [1e5] * 3
    # rate = n* sqrt(2g/S)
    assert world.scale.tolist() == pytest.approx([7 * (2 / 2e4) ** 0.5] * 3)


def test_an_exit_is_within_the_year_and_ends_it():
    cell = next(c for c in stress() if c.exits)
    world = build([cell], base=1, seeds=8)

    assert np.all((world.end >= 0.1 * HOURS) & (world.end <= HOURS))
    assert len(set(world.end.tolist())) == 8
    fired = race(world, [POLICIES["daily"]], trace=True).fired
    assert all(step < world.end[lane] for step, _, lane in fired)


def test_policies_are_found_by_name():
    assert policy("rule") is POLICIES["rule"]
    assert policy("r>7.5g").name == "r>7.5g"
    assert all(name == item.name and describe(item) and isinstance(item, Policy) for name, item in POLICIES.items())
    for wrong in ("nonsense", "r>xg", ""):
        with pytest.raises(KeyError):
            policy(wrong)


def test_memory_of_gas():
    memory = GasMemory()
    for hour in range(400):
        memory.observe(hour * 3_600, float(hour))
    assert memory.mean_7d == pytest.approx(np.mean(range(232, 400)))
    assert memory.mean == pytest.approx(199.5)
    assert memory.last == 399
    assert 399 - 24 * 1.1 < memory.ewma_1d < 399 - 24 * 0.9
    for second in range(1, 60):  # prices every few seconds count as one hour
        memory.observe(399 * 3_600 + second, 399.0)
    assert memory.mean_7d == pytest.approx(np.mean(range(232, 400)))
