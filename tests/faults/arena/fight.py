"""One run and many: put a pattern and a case together, wait, and let the chain judge."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from tests.faults.arena.cases import CASES, Case
from tests.faults.arena.environment import NotAvailable
from tests.faults.arena.stage import HTTP_SECONDS, Arena
from tests.faults.arena.subjects import INTENTS, Fighter, Pattern, Stable

#: Seconds after which a run that is not over is stuck: 32 minutes of the chain.
DEADLINE: Final = 40.0
#: Seconds that it must stay over: what comes late is seen.
AFTERWARDS: Final = 1.5

#: Seconds by which a block may be late; a client that waits for an answer must not run out of time by itself.
LATEST: Final = HTTP_SECONDS / 2
#: Tries to get a fair run.
REPEATS: Final = 8

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
    #: Why the run says nothing: the fault did not happen, or the machine was too slow for timers to mean anything.
    spoilt: str = ""
    #: What the processes wrote; only of runs that were not right.
    said: str = ""


def fight(pattern: Pattern, case: Case, seed: int, stable: Stable) -> Outcome:
    """Run one pattern through one case; again where the machine was too busy, or the fault did not happen.

    Raises NotAvailable when the pattern cannot run here.
    """
    for repeat in range(REPEATS):
        outcome = _once(pattern, case, seed + 1_000 * repeat, stable)
        if not outcome.spoilt:
            break
    return replace(outcome, seed=seed)


def _once(pattern: Pattern, case: Case, seed: int, stable: Stable) -> Outcome:
    rng = random.Random(f"{case.name}-{seed}")
    hit = rng.randint(1, INTENTS)
    began = time.monotonic()
    with Arena() as arena:
        subject = stable.fighter(arena, pattern, case.workers)
        case.arm(arena, hit, rng, subject.kill)
        try:
            subject.start()
            finished = _wait(subject)
        finally:
            subject.stop()
        late = arena.lateness
        arena.settle()
        counts = subject.counts()
        verdict = judge(counts, finished=finished)
        spoilt = "" if late < LATEST else f"a block was {late:.1f} s late"
        if not _struck(arena, case):
            spoilt = "the fault did not happen"
        if case.workers > 1 and (why := subject.rivalry()):
            spoilt = why
        return Outcome(
            pattern.name,
            case.name,
            seed,
            verdict,
            counts,
            round(time.monotonic() - began, 1),
            spoilt,
            "" if verdict == "right" else subject.said(),
        )


def _struck(arena: Arena, case: Case) -> bool:
    if not case.counts or case.workers > 1:
        return True
    return arena.reorged if case.name == "reorg" else arena.struck


def judge(counts: dict[str, int], *, finished: bool) -> str:
    """Executed twice is worse than not at all; not at all is worse than not knowing."""
    if any(count > 1 for count in counts.values()):
        return "double"
    if finished and any(count == 0 for count in counts.values()):
        return "lost"
    return "right" if finished else "stuck"


def _wait(subject: Fighter) -> bool:
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
    install: bool,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> tuple[list[Outcome], dict[str, str]]:
    """Run everything against everything; returns the outcomes, and the reasons of the patterns that could not run."""
    missing: dict[str, str] = {}

    def one(stable: Stable, pattern: Pattern, case: Case, seed: int) -> Outcome | None:
        if pattern.name in missing:
            return None
        try:
            outcome = fight(pattern, case, seed, stable)
        except NotAvailable as reason:
            missing[pattern.name] = str(reason)
            return None
        tell(outcome)
        return outcome

    with Stable(install=install) as stable, ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(one, stable, p, c, seed) for c in cases for seed in seeds for p in patterns]
        found = [run.result() for run in runs]
    return [outcome for outcome in found if outcome is not None], missing


def verdicts(outcomes: Sequence[Outcome], pattern: str, case: str | None = None) -> Counter[str]:
    """Count what became of one pattern's runs, of one case or of all that count; what was spoilt says nothing."""
    names = {each.name for each in CASES if each.counts} if case is None else {case}
    ours = [each for each in outcomes if each.pattern == pattern and each.case in names]
    return Counter(each.verdict for each in ours if not each.spoilt)
