"""One run and many: put a pattern and a case together, wait, and let the chain judge."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.arena.cases import Case
from tests.faults.arena.environment import NotAvailable
from tests.faults.arena.stage import Arena
from tests.faults.arena.subjects import INTENTS, Pattern, fighter
from tests.faults.subject import Nursery

#: Seconds after which a run that is not over is stuck: 32 minutes of the chain.
DEADLINE: Final = 40.0
#: Seconds that it must stay over: what comes late is seen.
AFTERWARDS: Final = 1.5

VERDICTS: Final = ("double", "lost", "stuck", "right")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    pattern: str
    case: str
    seed: int
    #: ``double``, ``lost``, ``stuck`` or ``right``.
    verdict: str
    counts: dict[str, int]
    seconds: float
    #: Whether the fault was met at all.
    met: bool
    #: What the processes wrote; only of runs that were not right.
    said: str = ""


def fight(pattern: Pattern, case: Case, seed: int, nursery: Nursery | None, *, install: bool = True) -> Outcome:
    """Run one pattern through one case. Raises NotAvailable when the pattern cannot run here."""
    rng = random.Random(f"{case.name}-{seed}")
    hit = rng.randint(1, INTENTS)
    began = time.monotonic()
    with Arena() as arena:
        subject = fighter(arena, pattern, case.workers, nursery, install=install)
        case.arm(arena, hit, rng, subject.kill)
        try:
            subject.start()
            finished = _wait(subject)
        finally:
            subject.stop()
        arena.settle()
        counts = subject.counts()
        verdict = judge(counts, finished=finished)
        return Outcome(
            pattern.name,
            case.name,
            seed,
            verdict,
            counts,
            round(time.monotonic() - began, 1),
            bool(arena.proxy.met) or not case.counts or case.workers > 1,
            "" if verdict == "right" else subject.said(),
        )


def judge(counts: dict[str, int], *, finished: bool) -> str:
    """Executed twice is worse than not at all; not at all is worse than not knowing."""
    if any(count > 1 for count in counts.values()):
        return "double"
    if finished and any(count == 0 for count in counts.values()):
        return "lost"
    return "right" if finished else "stuck"


def _wait(subject: Any) -> bool:
    end = time.monotonic() + DEADLINE
    since: float | None = None
    while time.monotonic() < end:
        subject.mind()
        if not subject.finished():
            since = None
        elif since is None:
            since = time.monotonic()
        elif time.monotonic() - since >= AFTERWARDS:
            return True
        time.sleep(0.05)
    return False


def tournament(
    patterns: Sequence[Pattern],
    cases: Sequence[Case],
    seeds: Sequence[int],
    *,
    jobs: int,
    tell: Callable[[Outcome], None] = lambda _: None,
    install: bool = True,
) -> tuple[list[Outcome], dict[str, str]]:
    """Run everything against everything; returns the outcomes, and the reasons of the patterns that could not run."""
    missing: dict[str, str] = {}
    nursery = Nursery() if any(not pattern.script for pattern in patterns) else None

    def one(pattern: Pattern, case: Case, seed: int) -> Outcome | None:
        if pattern.name in missing:
            return None
        try:
            outcome = fight(pattern, case, seed, nursery, install=install)
        except NotAvailable as reason:
            missing[pattern.name] = str(reason)
            return None
        tell(outcome)
        return outcome

    try:
        with ThreadPoolExecutor(jobs) as pool:
            runs = [pool.submit(one, p, c, seed) for c in cases for seed in seeds for p in patterns]
            found = [run.result() for run in runs]
    finally:
        if nursery is not None:
            nursery.close()
    return [outcome for outcome in found if outcome is not None], missing


def totals(outcomes: Sequence[Outcome], pattern: str) -> Counter[str]:
    """Verdicts of one pattern."""
    return Counter(outcome.verdict for outcome in outcomes if outcome.pattern == pattern)
