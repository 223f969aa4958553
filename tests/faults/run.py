"""One schedule from start to verdict."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from tests.faults import world
from tests.faults.judge import Judge, Verdict
from tests.faults.schedule import Schedule, cases, play, schedule
from tests.faults.stage import Knobs, Stage
from tests.faults.subject import Nursery

#: Real seconds of quiet in which everything must have found its end: long, because machines are slow when they are busy;
#: a run goes on as soon as nothing is left to do.
QUIET = 30.0


@dataclass
class Report:
    """What a run came to."""

    schedule: Schedule
    verdict: Verdict
    seconds: float
    log: str = ""

    def __str__(self) -> str:
        return f"{self.schedule}\n{self.verdict}"


_nursery: list[Nursery] = []


def prepare() -> None:
    """Once in each process of a pool: import a keeper to fork."""
    _nursery.append(Nursery())


def run_one(which: int | str) -> Report:
    """Run the schedule of a seed, or a case by name, in a prepared process."""
    return run_schedule(_nursery[0], schedule(which) if isinstance(which, int) else cases()[which])


def run_schedule(nursery: Nursery, plan: Schedule, *, keep_log: bool = False, quiet: float = QUIET) -> Report:
    """Play a schedule, give it quiet, judge it."""
    begun = time.monotonic()
    with Stage(nursery, world.kept(), plan.knobs, plan.seed) as stage:
        play(stage, plan)
        verdict = conclude(stage, quiet=quiet)
        log = stage.logged() if keep_log or not verdict else ""
    return Report(plan, verdict, time.monotonic() - begun, log)


def stop(stage: Stage, quiet: float) -> int | None:
    """SIGTERM, once it is up; a kill point that is reached only now is one more crash to recover from."""
    for _ in range(3):
        stage.until(lambda: stage.keeper.running and stage.up(stage.keeper), 10)
        code = stage.stop_keeper()
        if code != -signal.SIGKILL:
            return code
        stage.start_keeper()
        stage.until(lambda: stage.up(stage.keeper) and stage.settled(), quiet)
    return code


def conclude(stage: Stage, *, quiet: float = QUIET, expect_all: bool = True, moved: bool = False) -> Verdict:
    """Wait until everything is finished, stop keeper as systemd would, and judge."""
    waited = time.monotonic()
    stage.until(stage.settled, quiet)
    waited = time.monotonic() - waited
    for rival in stage.rivals:
        rival.signal(signal.SIGTERM)
    for rival in stage.rivals:
        stage.until(lambda rival=rival: not rival.running, 15)
    stage.let(2 * stage.knobs.block_wall)
    code = stop(stage, quiet)
    stage.stop_blocks()
    verdict = Judge(stage, expect_all=expect_all, moved=moved).judge()
    if code != 0:
        verdict.add("insane", f"keeper ended with {code} on SIGTERM")
    verdict.facts["quiet"] = round(waited, 2)
    verdict.facts["met"] = sum((proxy.met for proxy in stage.proxies), start=stage.proxies[0].met.__class__())
    return verdict


__all__ = ["QUIET", "Knobs", "Report", "conclude", "prepare", "run_one", "run_schedule"]
