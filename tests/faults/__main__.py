"""``python -m tests.faults [N] [SEED]``: random schedules (``make faults`` runs the rows too)."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults.judge import COUNTS
from tests.faults.run import Report, run_schedule
from tests.faults.schedule import schedule
from tests.faults.subject import Nursery

_nursery: list[Nursery] = []


def _prepare() -> None:
    """Once in each process: import a keeper to fork."""
    _nursery.append(Nursery())


def _run(seed: int) -> Report:
    return run_schedule(_nursery[0], schedule(seed))


def main() -> int:
    """Run, tell, and return 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--count", "-n", type=int, default=500, help="schedules")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first; each next one is one more")
    parser.add_argument("--jobs", "-j", type=int, default=max(2, os.cpu_count() or 2), help="schedules at once")
    parser.add_argument("--logs", type=Path, help="folder for the logs of failing runs")
    options = parser.parse_args()
    begun = time.monotonic()
    failed: list[Report] = []
    found: Counter[str] = Counter()
    done = 0
    seconds = 0.0
    sums: Counter[str] = Counter()
    # Processes, not threads: proxies and miners of one run must not wait for those of another.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context, initializer=_prepare) as pool:
        runs = [pool.submit(_run, seed) for seed in range(options.seed, options.seed + options.count)]
        for run in as_completed(runs):
            report = run.result()
            done += 1
            seconds += report.seconds
            sums.update({key: report.verdict.facts[key] for key in ("transactions", "attempts", "starts")})
            if not report.verdict:
                failed.append(report)
                found += report.verdict.counts
                print(f"\n{report}\n  repeat: make faults N=1 SEED={report.schedule.seed}", flush=True)
                if options.logs:
                    options.logs.mkdir(exist_ok=True, parents=True)
                    (options.logs / f"{report.schedule.seed}.log").write_text(f"{report}\n\n{report.log}")
            if done % 25 == 0:
                print(f"{done}/{options.count} schedules, {len(failed)} failed", flush=True)
    wall = time.monotonic() - begun
    print(
        f"\n{done} schedules from seed {options.seed} in {wall:.0f} s ({wall / max(done, 1):.2f} s each, {seconds / max(done, 1):.1f} s long)"
    )
    print(f"{sums['starts']} starts of keeper, {sums['transactions']} transactions mined, {sums['attempts']} signed")
    print("  ".join(f"{kind} {found[kind]}" for kind in COUNTS))
    if failed:
        print("failing seeds: " + " ".join(str(report.schedule.seed) for report in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
