"""A fresh process with thousands of positions: what it needs after twenty looks, or what it does between two."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from keeper.engine.supervisor import Cadence, ChainWatch, Supervisor
from keeper.engine.survey import survey
from tests.bench import crowd

#: Seconds between two full looks, and for which the time between them is counted.
_LOOK_SECONDS, _IDLE_SECONDS = 60, 30


def main() -> None:
    what, config, at, count, journal = sys.argv[1:]
    opened = crowd.open_crowd(Path(config), int(at), int(count), Path(journal), watched=what == "idle")
    try:
        print(json.dumps(_memory(opened) if what == "memory" else _idle(opened)))
    finally:
        opened.close()


def _memory(opened: crowd.Crowd) -> dict[str, float]:
    for _ in range(20):
        survey(opened.context, opened.book)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"bytes": pages * os.sysconf("SC_PAGE_SIZE")}


class _Watched:
    """The chain, and the CPU that reading it took."""

    def __init__(self, chain: object) -> None:
        self._chain = chain
        self.busy = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._chain, name)

    def read(self, reads: object, block: object) -> object:
        begun = time.process_time()
        try:
            return self._chain.read(reads, block)  # type: ignore[attr-defined]
        finally:
            self.busy += time.process_time() - begun


def _idle(opened: crowd.Crowd) -> dict[str, float]:
    """CPU in percent: of looks each minute without their reads, and between them. Nothing is due, all was simulated."""
    chain = _Watched(opened.context.chain)
    context = replace(opened.context, chain=chain)  # type: ignore[arg-type]
    for holding in opened.book.holdings:
        context.learned_gas[holding.position.id] = holding.market.typical_gas
    watch = ChainWatch(context, Cadence(12.0, 3_600.0), book=lambda: opened.book)
    supervisor = Supervisor([watch], heartbeat=lambda: None)
    supervisor.start()
    _rest(watch)
    looks = []
    for _ in range(3):
        before, reading = time.process_time(), chain.busy
        watch.look()
        _rest(watch)
        looks.append(time.process_time() - before - (chain.busy - reading))
    before = time.process_time()
    time.sleep(_IDLE_SECONDS)
    between = (time.process_time() - before) / _IDLE_SECONDS
    supervisor.drain(60)
    return {"look": 100 * sorted(looks)[1] / _LOOK_SECONDS, "between": 100 * between}


def _rest(watch: ChainWatch) -> None:
    time.sleep(0.2)
    while not watch.idle:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
