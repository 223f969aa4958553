"""Every registered policy, and one that is a process: equal scenes, equal answers, and never a harvest of nothing."""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from policy_kit import GWEI, NOW, SCENE, Heard, SetClock, memory, scene

from keeper.domain.decision import ReasonCode
from keeper.policies.external import External, ExternalPolicy
from keeper.policies.installed import InstalledPolicy, about
from keeper.policies.telling import Teller
from keeper.strategy.gas_levels import GasLevels
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.gas_season import GasSeason
from keeper.strategy.policies import POLICIES
from keeper.strategy.policy import Policy, Scene
from keeper.strategy.verdicts import LivePolicy, truth

REGISTERED = {point.name: point for point in entry_points(group="keeper.policies")}

#: Everything in a scene that is worth money, and so grows together.
MONEY = ("principal", "reward", "cost", "forward", "depth")

#: Everything in a scene that is a number of one position.
NUMBERS = ("principal", "reward", "cost", "forward", "yield_", "depth", "since", "gas")

#: A process that follows a formula of its own, "r>6g".
SCRIPT = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    due = float(asked["reward_usd"]) > 6 * float(asked["cost_usd"])
    print(json.dumps({"id": asked["id"], "harvest": due}), flush=True)
"""


def amounts(least: float, most: float) -> st.SearchStrategy[float]:
    """Amounts of every size: the exponent is drawn, not the amount."""
    return st.floats(math.log(least), math.log(most)).map(math.exp)


COSTS = amounts(1e-6, 1e5)


@st.composite
def scenes(draw, cost=COSTS) -> Scene:
    return Scene(
        now=NOW,
        principal=draw(st.just(0.0) | amounts(1e-2, 1e12)),
        reward=draw(st.just(0.0) | amounts(1e-9, 1e9)),
        cost=draw(cost),
        forward=draw(st.just(0.0) | amounts(1e-6, 1e10)),
        yield_=draw(st.floats(-2.0, 20.0)),
        depth=draw(st.just(math.inf) | amounts(1.0, 1e12)),
        since=draw(st.just(0.0) | amounts(1.0, 1e9)),
        gas=draw(amounts(1e6, 1e13)),
        memory=memory(*draw(st.lists(amounts(1e6, 1e13), min_size=1, max_size=5))),
    )


def load(name: str) -> Policy:
    return REGISTERED[name].load()()


#: One of each, for the tests that draw scenes: every scene is shown to all.
ALL = [load(name) for name in sorted(REGISTERED)]


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Every policy as the engine asks it, by name, and one that is a process."""
    script = tmp_path_factory.mktemp("policy") / "policy.py"
    script.write_text(SCRIPT)
    process = ExternalPolicy("mine", External((sys.executable, "-S", str(script)), 30.0), Heard(), SetClock())
    yield [*(InstalledPolicy(policy, Teller(policy.name, Heard(), SetClock())) for policy in ALL), process]
    process.close()


def remembered(item: GasMemory | GasLevels | GasSeason) -> dict:
    held = {name: getattr(item, name) for name in type(item).__slots__}
    return {
        name: remembered(value) if isinstance(value, (GasLevels, GasSeason)) else copy.deepcopy(value)
        for name, value in held.items()
    }


def test_built_in_policies_are_registered_all_and_under_their_names():
    ours = {name for name, point in REGISTERED.items() if point.value.startswith("keeper.policies.builtin:")}
    assert ours == set(POLICIES)
    for name in ours:
        assert load(name) is POLICIES[name]


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_port_is_met_and_it_describes_itself(name):
    policy = load(name)
    assert isinstance(policy, Policy)
    assert policy.name == name
    line = about(policy)
    assert 10 <= len(line) <= 110
    assert line.isprintable()


def test_live_port_is_met(live):
    for policy in live:
        assert isinstance(policy, LivePolicy)
        answer = policy.judge(SCENE, "farm")
        assert answer.code in {ReasonCode.POLICY_HARVESTS, ReasonCode.POLICY_WAITS}
        assert policy.name in answer.why


@given(scenes())
def test_equal_scenes_have_equal_answers_and_are_left_alone(seen):
    before = remembered(seen.memory)
    for policy in ALL:
        first = truth(policy.wants(seen))
        policy.wants(replace(seen, reward=seen.reward * 3 + 1, cost=seen.cost / 7))

        assert truth(policy.wants(seen)) is first, policy.name
        assert truth(load(policy.name).wants(copy.deepcopy(seen))) is first, policy.name
        assert remembered(seen.memory) == before, policy.name


@given(scenes())
def test_live_answers_are_equal_for_equal_scenes(live, seen):
    for policy in live:
        assert policy.judge(seen, "farm") == policy.judge(copy.deepcopy(seen), "farm")


@given(scenes(), st.just(0.0) | st.floats(-1e9, 0.0))
def test_nothing_pending_is_never_harvested(seen, reward):
    for policy in ALL:
        assert not truth(policy.wants(replace(seen, reward=reward))), policy.name


@given(scenes(cost=st.floats(-1e5, 1e5)), st.just(0.0) | st.floats(-1e9, 0.0))
def test_nothing_pending_is_never_harvested_live_though_the_call_is_paid_for(live, seen, reward):
    for policy in live:
        answer = policy.judge(replace(seen, reward=reward), "farm")
        assert (answer.harvest, answer.code) == (False, ReasonCode.NOTHING_PENDING), policy.name


@given(st.lists(scenes(), min_size=2, max_size=6))
def test_arrays_are_answered_as_their_places_are(seen):
    factors = (0.5, 3.0, 1.0)
    together = Scene(
        now=NOW,
        memory=memory(*[np.array([s.gas * factor for s in seen]) for factor in factors]),
        **{name: np.array([getattr(s, name) for s in seen]) for name in NUMBERS},
    )
    alone = [replace(s, memory=memory(*[s.gas * factor for factor in factors])) for s in seen]
    for policy in ALL:
        with np.errstate(all="ignore"):
            answers = policy.wants(together)

        assert answers.dtype == bool, policy.name
        assert answers.tolist() == [truth(policy.wants(s)) for s in alone], policy.name


def declaring(what: str) -> list[Policy]:
    return [policy for policy in ALL if getattr(policy, what, False)]


@given(scenes(), st.floats(1.0, 1e6))
def test_more_reward_never_turns_harvest_into_wait_where_it_is_declared(seen, factor):
    for policy in declaring("monotone"):
        if truth(policy.wants(seen)):
            assert truth(policy.wants(replace(seen, reward=seen.reward * factor))), policy.name


@given(scenes(), st.integers(1, 30))
def test_cheaper_gas_never_turns_harvest_into_wait_where_it_is_declared(seen, halvings):
    share = 0.5**halvings  # a power of two leaves every ratio exact
    for policy in declaring("monotone"):
        if truth(policy.wants(seen)):
            assert truth(policy.wants(replace(seen, gas=seen.gas * share, cost=seen.cost * share))), policy.name


@given(scenes(), st.integers(-20, 20))
def test_the_unit_of_money_does_not_matter_where_it_is_declared(seen, doublings):
    scaled = replace(seen, **{name: getattr(seen, name) * 2.0**doublings for name in MONEY})
    for policy in declaring("scale_invariant"):
        assert truth(policy.wants(scaled)) == truth(policy.wants(seen)), policy.name


def test_the_built_in_ones_declare_what_they_are():
    for policy in POLICIES.values():
        assert policy.monotone
        assert policy.scale_invariant == (policy.name != "buckets")


EXTREMES = {
    "no principal": {"principal": 0.0},
    "nothing to come": {"forward": 0.0},
    "no use": {"forward": 0.0, "yield_": 0.0},
    "drift": {"yield_": -5.0},
    "free": {"cost": 0.0},
    "free gas": {"gas": 0.0, "cost": 0.0, "memory": memory(0.0)},
    "gas free of late": {"gas": 0.0, "cost": 0.0, "memory": memory(*[30.0 * GWEI] * 48, 0.0)},
    "gas free before": {"memory": memory(*[0.0] * 48, 30.0 * GWEI)},
    "paid for": {"cost": -3.0},
    "just harvested": {"since": 0.0},
    "huge": {"reward": 1e300, "principal": 1e300, "forward": 1e300},
    "tiny": {"reward": 5e-324, "cost": 5e-324, "forward": 5e-324, "principal": 5e-324},
    "shallow": {"depth": 5e-324},
    "bottomless": {"depth": math.inf, "forward": 1e308},
    "forgotten": {"since": 1e300},
    "first look": {"gas": 1.0, "memory": memory(1.0)},
    "dear gas": {"gas": 1e30, "memory": memory(1.0, 1e30)},
    "other unit": {"gas": 3.0 * GWEI, "memory": memory(*[3e-300] * 3)},
}


@pytest.mark.parametrize("extreme", EXTREMES)
def test_extremes_are_answered(live, extreme):
    for policy in live:
        answer = policy.judge(scene(**EXTREMES[extreme]), "farm")
        assert answer.code in {ReasonCode.POLICY_HARVESTS, ReasonCode.POLICY_WAITS}, answer.why


@pytest.mark.parametrize("field", NUMBERS)
def test_what_is_no_number_is_not_shown_to_anybody(live, field):
    for policy in live:
        answer = policy.judge(scene(**{field: math.nan}), "farm")
        assert (answer.harvest, answer.code) == (False, ReasonCode.POLICY_FAILED)


@given(scenes())
@example(SCENE)
def test_the_price_that_is_named_is_where_the_answer_changes(live, seen):
    for policy in live:
        price = policy.judge(seen, "farm").fires_below_wei
        if price is None or price > 2**53:  # beyond, floats do not tell one wei from the next
            continue
        at = [replace(seen, gas=float(wei), cost=seen.cost * wei / seen.gas) for wei in (price, price + 1)]
        assert [policy.judge(s, "farm").harvest and s.reward > s.cost for s in at] == [True, False], policy.name
