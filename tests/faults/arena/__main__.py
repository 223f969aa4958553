"""Run the usual ways of sending, and keeper, through everything that goes wrong; print the table.

Exit code 1 when keeper was not right in every run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.faults.arena.cases import CASES
from tests.faults.arena.fight import Outcome, tournament, verdicts
from tests.faults.arena.subjects import PATTERNS
from tests.faults.arena.table import details, figures, summary, write


def _chosen(options: tuple, names: str | None) -> list:
    known = {each.name: each for each in options}
    return [known[name] for name in names.split(",")] if names else list(options)


def _tell(outcome: Outcome) -> None:
    spoilt = f"  (not counted: {outcome.spoilt})" if outcome.spoilt else ""
    print(
        f"{outcome.pattern:13}{outcome.case:19}{outcome.verdict:7}{outcome.seconds:5.1f} s  "
        f"{' '.join(map(str, outcome.counts.values()))}{spoilt}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.arena", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each pattern and case (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run")
    parser.add_argument("--jobs", type=int, default=4, help="runs at the same time (default 4)")
    parser.add_argument("--patterns", help=f"of {', '.join(each.name for each in PATTERNS)}")
    parser.add_argument("--cases", help=f"of {', '.join(each.name for each in CASES)}")
    parser.add_argument("--no-install", action="store_true", help="run no pattern whose environment is not there")
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    parser.add_argument("--write", action="store_true", help="write the figures and tables into the documentation")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = range(options.seed, options.seed + options.runs)
    patterns, cases = _chosen(PATTERNS, options.patterns), _chosen(CASES, options.cases)
    outcomes, missing = tournament(
        patterns, cases, seeds, jobs=options.jobs, install=not options.no_install, tell=_tell
    )
    measured = figures(outcomes, missing)
    print(f"\n{summary(measured)}\n\n{details(measured)}\n\n{time.monotonic() - began:.0f} s")
    if options.output:
        options.output.write_text(json.dumps(measured, indent=1) + "\n")
    if options.write and measured["spoilt"]:
        print(
            f"\n{measured['spoilt']} runs were spoilt every time; nothing is written. Try again on a quieter machine."
        )
        return 1
    if options.write:
        write(measured)
    wrong = [each for each in outcomes if each.pattern == "keeper" and each.verdict != "right"]
    for each in wrong:
        print(f"\nkeeper was not right: {each.case}, seed {each.seed}, {each.counts}\n{each.said[-6000:]}")
    control = sum(verdicts(outcomes, each.name, "control")["right"] for each in patterns)
    print(f"{control} runs in which nothing went wrong were right", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
