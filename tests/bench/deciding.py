"""How fast decisions are, and how good: the rule's formula, and the core suite of ``keeper bench policy``."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import numpy as np

from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policies import DEFAULT, policy
from keeper.strategy.policy import Scene
from tests.bench.measure import Row

#: Positions decided at once, and the most that it may take, ms.
_MANY, _MANY_MS = 10_000, 5.0

#: Most that the core suite may take, s.
_SUITE_S = 180.0


def decisions() -> list[Row]:
    """Time the default policy on many positions at once and on one."""
    many, one = _scene(_MANY), _scene(None)
    chosen = policy(DEFAULT)
    together = _median(lambda: chosen.wants(many), 50)
    single = _median(lambda: chosen.wants(one), 2_000)
    return [
        Row("D1", f"{_MANY:,} decisions at once", together * 1e3, _MANY_MS, "ms"),
        Row("D1", "one decision", single * 1e6, None, "us"),
    ]


def suite() -> list[Row]:
    """Run the command as a person does, and tell what the gate says."""
    begun = time.perf_counter()
    args = [sys.executable, "-m", "keeper", "bench", "policy", "--base-seed", "1", "--json"]
    said = subprocess.run(args, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    report = json.loads(said.stdout)["reports"][0]
    score = next(row["score"] for row in report["policies"] if row["name"] == DEFAULT)
    missed = len(report["gate"]["missed"])
    return [
        Row("D2", f"core suite, {report['cells']} cells, {report['years']:,} years", took, _SUITE_S, "s"),
        Row("D3", f"lines of the gate missed, score {score:.4f}", missed, 0, ""),
    ]


def _median(work, times: int) -> float:
    def once() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return statistics.median(once() for _ in range(times))


def _scene(count: int | None) -> Scene:
    """Positions of every size, one in each place; a single one in floats."""
    rng = np.random.default_rng(1)
    principal, reward, rate, gas = (
        10.0 ** rng.uniform(*span, count or 1) for span in ((3, 7), (0, 4), (-2, 0), (-1, 1))
    )
    if count is None:
        principal, reward, rate, gas = (float(column[0]) for column in (principal, reward, rate, gas))
    memory = GasMemory()
    memory.observe(0, gas)
    return Scene(
        now=0,
        principal=principal,
        reward=reward,
        cost=5.0 * gas,
        forward=principal * rate,
        yield_=rate,
        depth=float("inf"),
        since=principal * 0.0 + 86_400.0,
        gas=gas,
        memory=memory,
    )
