"""``make faults``: every row, every kill point beside a fault of each sort, and as many random schedules as one likes.

Ends with 1 when the judge has found anything, and says how to repeat each run in which it did.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.judge import COUNTS
from tests.faults.run import Report, prepare, run_one
from tests.faults.schedule import cases

_HERE = Path(__file__).parent

#: From so many schedules on, rows and kill points are run too.
_WHOLE = 100


@dataclass
class Tally:
    """What a part came to."""

    name: str
    runs: int = 0
    failed: list[str] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def line(self) -> str:
        """One row of the final table."""
        counts = "".join(f"{self.found[kind]:>{len(kind) + 2}}" for kind in COUNTS)
        return f"{self.name:<22}{self.runs:>6}{len(self.failed):>8}{counts}{self.seconds:>9.0f} s"


def _rows() -> Tally:
    """Run the rows under pytest."""
    begun = time.monotonic()
    tally = Tally("rows F1 to F50")
    command = [sys.executable, "-m", "pytest", str(_HERE / "test_rows.py"), "-q", "-n", str(os.cpu_count() or 2)]
    done = subprocess.run([*command, "--tb=short", "-rfE"], check=False, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    tally.failed = [line.split()[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    words = lines[-1].replace(",", "").split() if lines else []
    tally.runs = sum(int(n) for n, word in itertools.pairwise(words) if word in ("passed", "failed", "error"))
    if done.returncode:
        print("\n".join(lines[-80:]), flush=True)
        tally.failed = tally.failed or ["pytest"]
    tally.seconds = time.monotonic() - begun
    return tally


def _schedules(name: str, which: Sequence[int | str], jobs: int, logs: Path | None) -> Tally:
    """Run schedules in processes, so that the proxies of one run do not wait for those of another."""
    begun = time.monotonic()
    tally = Tally(name)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(which)), context, initializer=prepare) as pool:
        for run in as_completed([pool.submit(run_one, each) for each in which]):
            report = run.result()
            tally.runs += 1
            tally.facts.update({key: report.verdict.facts[key] for key in ("transactions", "attempts", "starts")})
            tally.facts.update({"faults": report.verdict.facts["met"].total()})
            if not report.verdict:
                _tell(report, logs)
                tally.failed.append(report.schedule.repeat)
                tally.found += report.verdict.counts
            if tally.runs % 25 == 0:
                print(f"{name}: {tally.runs}/{len(which)}, {len(tally.failed)} failed", flush=True)
    tally.seconds = time.monotonic() - begun
    return tally


def _tell(report: Report, logs: Path | None) -> None:
    print(f"\n{report}\n  repeat: {report.schedule.repeat}", flush=True)
    if logs is not None:
        logs.mkdir(exist_ok=True, parents=True)
        name = report.schedule.name or str(report.schedule.seed)
        (logs / f"{name}.log").write_text(f"{report}\n\n{report.log}")


def main() -> int:
    """Run, tell, and return 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--count", type=int, default=500, help="random schedules")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first; each next one is one more")
    parser.add_argument("--case", help="one kill point beside one fault, e.g. journaled+reorg, or `all`")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2), help="schedules at once")
    parser.add_argument("--logs", type=Path, help="folder for the logs of runs in which anything was found")
    options = parser.parse_args()
    tallies = []
    if options.case is None and options.count >= _WHOLE:
        tallies.append(_rows())
    if options.case or options.count >= _WHOLE:
        names = [options.case] if options.case not in (None, "all") else list(cases())
        tallies.append(_schedules("kill points", names, options.jobs, options.logs))
    if options.case is None and options.count:
        seeds = range(options.seed, options.seed + options.count)
        tallies.append(_schedules("random schedules", seeds, options.jobs, options.logs))
    print(f"\n{'':<22}{'runs':>6}{'failed':>8}" + "".join(f"  {kind}" for kind in COUNTS))
    for tally in tallies:
        print(tally.line())
    facts = sum((tally.facts for tally in tallies), start=Counter())
    print(
        f"keeper was started {facts['starts']} times and signed {facts['attempts']} transactions; "
        f"{facts['transactions']} of its account were mined; the network failed {facts['faults']} times"
    )
    failed = [name for tally in tallies for name in tally.failed]
    for name in failed:
        print(f"failed: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
