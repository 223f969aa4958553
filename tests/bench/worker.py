"""A fresh process that reads some positions for 20 cycles and prints its resident memory in bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keeper.chain.client import open_chain
from keeper.domain.events import Event
from tests.bench import farm


class _Silent:
    def emit(self, event: Event) -> None:
        pass


def main() -> None:
    url, positions = sys.argv[1], int(sys.argv[2])
    chain = open_chain(farm.FACTS, [url], events=_Silent())
    reads = farm.reads(positions)
    for _ in range(20):
        farm.decoded(chain.read(reads, chain.head()))
    chain.close()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(pages * os.sysconf("SC_PAGE_SIZE"))


if __name__ == "__main__":
    main()
