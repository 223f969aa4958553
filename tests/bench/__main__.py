"""Measure keeper against its floors, print a table, write bench.json; exit 1 when a pass line is missed.

``--quick`` reads 1,000 positions only, and only tells how fast sending is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.bench import deciding, farm, measure, mixed, sending


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 positions only")
    parser.add_argument("--only", choices=("reading", "mixed", "sending", "deciding"), help="one part of it")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    sizes = [1_000] if options.quick else [1_000, 10_000]
    begun = time.perf_counter()
    rows: list[measure.Row] = []
    if options.only in {None, "reading"}:
        rows += _reading(sizes, quick=options.quick)
    if options.only in {None, "mixed"}:
        rows += mixed.mixed(quick=options.quick)
    if options.only in {None, "sending"}:
        rows += _sending(quick=options.quick)
    if options.only in {None, "deciding"}:
        rows += deciding.decisions() + ([] if options.quick else deciding.suite())
    print(f"{'':5}{'':4}{'figure':>9}  {'pass line':>9}")
    for row in rows:
        print(row.text)
    print(f"{time.perf_counter() - begun:.0f} s")
    figures = [asdict(row) | {"ok": row.ok} for row in rows]
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(row.ok for row in rows) else 1


def _reading(sizes: list[int], *, quick: bool) -> list[measure.Row]:
    with farm.start(max(sizes)) as node:
        rows = measure.read_cycle(node, sizes, 9)
        rows += measure.requests(node, sizes)
        if not quick:
            rows += measure.memory(node.url, sizes)
    return rows + measure.start_up(9) + measure.one_shot(5)


def _sending(*, quick: bool) -> list[measure.Row]:
    rows = sending.throughput(2 if quick else 7, strict=not quick)
    rows += sending.blocks_and_items((64,) if quick else (1, 16, 64))
    return rows + sending.journal(15 if quick else 40, strict=not quick)


if __name__ == "__main__":
    sys.exit(main())
