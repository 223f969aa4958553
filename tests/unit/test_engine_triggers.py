"""A gas tick looks only at positions that the price could make due, and misses none."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp

from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine_decide import case

from keeper.domain.decision import Verdict
from keeper.domain.position import StrategyOptions
from keeper.domain.transaction import FeeQuote
from keeper.engine.clock import SystemClock
from keeper.engine.decide import decide
from keeper.engine.triggers import Triggers, later
from keeper.policies.installed import InstalledPolicy
from keeper.policies.telling import Teller
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policies import policy

HOUR = 3_600
NOW = case().observation.block.timestamp


class Sink:
    def emit(self, event):
        """Nobody listens."""


def remembered(seed, hours=200):
    """A memory of some days of wandering gas around 1 gwei, up to the moment at which positions are read."""
    memory, draw, level = GasMemory(), random.Random(seed), 0.0
    for hour in range(hours):
        level = 0.9 * level + draw.gauss(0, 0.25)
        memory.observe(NOW - (hours - hour) * HOUR, 10**9 * exp(level))
    return memory


def at(found, gwei, elapsed):
    return replace(later(found, elapsed), fees=FeeQuote(int(gwei * 10**9), 0))


@settings(max_examples=80, deadline=None)
@given(
    pendings=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    gwei=st.floats(0.001, 30),
    elapsed=st.integers(0, HOUR),
    horizon=st.none() | st.integers(HOUR, 300 * 86_400),
    name=st.sampled_from(["", "", "daily", "r>6g", "sqrt-7d"]),
    seed=st.integers(0, 50),
)
def test_whatever_fires_within_the_window_is_looked_at(pendings, gwei, elapsed, horizon, name, seed):
    memory = remembered(seed)
    judge = InstalledPolicy(policy(name), Teller(name, Sink(), SystemClock())) if name else None
    cases = {
        f"p{n}": case(str(pending), horizon=horizon, judge=judge, watched_since=NOW - 85_000, memory=memory)
        for n, pending in enumerate(pendings)
    }
    triggers = Triggers(cases, HOUR)
    now = cases["p0"].observation.block.timestamp + elapsed
    memory.observe(now, gwei * 10**9)  # as a tick does
    near = set(triggers.near(int(gwei * 10**9), now))
    fires = {i for i, each in cases.items() if decide(at(each, gwei, elapsed)).verdict is Verdict.HARVEST}
    assert fires <= near


def test_one_far_from_its_threshold_is_not_looked_at():
    triggers = Triggers({"far": case("1"), "near": case("203.2")}, HOUR)
    now = case().observation.block.timestamp
    assert list(triggers.near(10**9, now)) == ["near"]
    assert set(triggers.near(10**9, now + HOUR + 1)) == {"far", "near"}  # after the window every position may fire


def test_an_interval_that_ends_within_the_window_is_looked_at():
    options = StrategyOptions(max_interval_seconds=86_400)
    soon = case("5", options=options)
    soon = replace(soon, around=replace(soon.around, last_harvest_at=soon.observation.block.timestamp - 86_000))
    now = soon.observation.block.timestamp
    assert list(Triggers({"p": soon}, HOUR).near(10**9, now)) == ["p"]
    assert decide(at(soon, 1, 300)).verdict is Verdict.WAIT
    assert decide(at(soon, 1, 400)).verdict is Verdict.HARVEST
