"""Who is put into the arena: scripts that send as people do, each in a process of its own, and keeper itself."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from keeper.devnet.accounts import FARMER
from tests.faults.arena import counter
from tests.faults.arena.crew import Crew
from tests.faults.arena.environment import arena_python
from tests.faults.arena.patterns.forking import Child
from tests.faults.arena.stage import BLOCK_WALL, HTTP_SECONDS, SCALE, Arena
from tests.faults.stage import Knobs, config_text
from tests.faults.subject import Nursery

_SCRIPTS: Final = Path(__file__).parent / "patterns"
#: Exit code of a keeper whose account another process holds.
_HELD: Final = 75
#: Intents of one process: as many as keeper's compound has legs.
INTENTS: Final = 3


class Fighter(Protocol):
    """A way of sending, in one run."""

    def start(self) -> None:
        """Start its processes."""

    def kill(self) -> None:
        """SIGKILL the first process."""

    def mind(self) -> None:
        """Start again what was killed, as systemd would."""

    def finished(self) -> bool:
        """Whether it says that all is over."""

    def stop(self) -> None:
        """End what runs."""

    def counts(self) -> dict[str, int]:
        """How often each intent was executed, by the chain."""

    def rivalry(self) -> str:
        """Why a run of two processes was none of two; empty when it was."""

    def said(self) -> str:
        """What its processes wrote."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A way of sending."""

    name: str
    title: str
    #: Its script; empty for keeper.
    script: str = ""
    #: Whether it needs the environment of its own.
    foreign: bool = False


PATTERNS: Final = (
    Pattern("tenacity", "tenacity around build, sign, send, wait", "tenacity_loop.py"),
    Pattern("next_cycle", "log it, build a new one in the next cycle", "next_cycle.py"),
    Pattern("safe_eth", "safe-eth-py 7.27 `retry=True`", "safe_eth_retry.py", foreign=True),
    Pattern("web3_default", "web3.py 8 middleware, `transact` again on a time-out", "web3_default.py"),
    Pattern("same_bytes", "sign once, send the same bytes from memory", "same_bytes.py"),
    Pattern("keeper", "**keeper**"),
)


class Scripted:
    """A pattern's processes."""

    def __init__(self, arena: Arena, pattern: Pattern, workers: int, crew: Crew) -> None:
        """Nothing is started yet."""
        self.arena, self.pattern, self.crew = arena, pattern, crew
        total = INTENTS * workers
        #: The work is shared out: that is what a second worker is for.
        self.shares = [list(range(first, total, workers)) for first in range(workers)]
        self._running: list[Child] = []
        self._killed: set[Child] = set()

    def start(self) -> None:
        """Start every worker."""
        self._running = [self._launch(share) for share in range(len(self.shares))]

    def kill(self) -> None:
        """SIGKILL the first worker; it is started again."""
        self._killed.add(self._running[0])
        self._running[0].signal(signal.SIGKILL)

    def mind(self) -> None:
        """Restart what was killed."""
        for index, process in enumerate(self._running):
            if process in self._killed and not process.running:
                self._running[index] = self._launch(index)

    def finished(self) -> bool:
        """Whether every process has ended by itself."""
        return all(not process.running and process not in self._killed for process in self._running)

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            process.signal(signal.SIGKILL)
            process.wait(5)

    def counts(self) -> dict[str, int]:
        """By the counter contract."""
        return {f"intent {each}": self.arena.bumped(each) for share in self.shares for each in sorted(share)}

    def rivalry(self) -> str:
        """Both work: the counters say so."""
        return ""

    def said(self) -> str:
        """What they wrote, for whoever looks into a run."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.arena.folder.glob("worker*")))

    def _launch(self, share: int) -> Child:
        folder = self.arena.folder
        orders = {
            "url": self.arena.proxy.url,
            "key": FARMER.private_key,
            "contract": counter.ADDRESS,
            "ids": self.shares[share],
            "done": str(folder / f"done-{share}"),
            "http": HTTP_SECONDS,
        }
        return self.crew.start(_SCRIPTS / self.pattern.script, orders, folder / f"worker-{share}")


class Keeper:
    """keeper's daemon on one position: claim, approve and stake are its three intents."""

    def __init__(self, arena: Arena, nursery: Nursery, workers: int) -> None:
        """Write its config; nothing is started yet."""
        self.arena, self.nursery, self.workers = arena, nursery, workers
        self.folder, self.state, self.places = arena.folder, arena.folder / "state", arena.places
        self.proxies, self.knobs = [arena.proxy], Knobs(scale=SCALE, block_wall=BLOCK_WALL)
        config = config_text(self)  # type: ignore[arg-type]  # all that it reads of a stage is here
        head, first, *_others = config.split("\n[[positions]]\n")
        self.config = arena.folder / "keeper.toml"
        self.config.write_text(f"{head}\n[[positions]]\n{first}")
        self._running: list[Child] = []
        self._killed = False
        #: Exit codes of those that had ended before they were asked to.
        self._refused: list[int | None] = []

    def start(self) -> None:
        """Start the daemon, and a second one where the case wants two."""
        self._running = [self._launch(index) for index in range(self.workers)]

    def kill(self) -> None:
        """SIGKILL the daemon."""
        self._killed = True
        self._running[0].signal(signal.SIGKILL)

    def mind(self) -> None:
        """Restart the daemon when it was killed."""
        if self._killed and not self._running[0].running:
            self._killed = False
            self._running[0] = self._launch(0)

    def finished(self) -> bool:
        """Whether the journal says that the compound is over and nothing is on its way."""
        states = self._rows("SELECT state FROM harvests")
        flying = self._rows("SELECT 1 FROM intents WHERE state IN ('planned', 'signed', 'broadcast', 'mined')")
        return bool(states) and "open" not in states and not flying and not self._killed

    def stop(self) -> None:
        """End what still runs."""
        self._refused = [process.code for process in self._running if not process.running]
        for process in self._running:
            process.signal(signal.SIGTERM)
        for process in self._running:
            if process.wait(10) is None:
                process.signal(signal.SIGKILL)
                process.wait(5)

    def counts(self) -> dict[str, int]:
        """By the chain: successful calls of the wallet, by target and function."""
        calls = Counter((tx.to, tx.data[:4].hex()) for tx in self.arena.executed() if tx.data)
        farm, token = self.places.farms[0], self.places.token
        legs = {"claim": (farm, "3d18b912"), "approve": (token, "095ea7b3"), "stake": (farm, "a694fc3a")}
        found = {name: calls.pop(call, 0) for name, call in legs.items()}
        return found | {f"unplanned {call}": count + 1 for call, count in calls.items()}

    def rivalry(self) -> str:
        """One of the two must have refused to start, by its exit code, before anybody was asked to stop."""
        return "" if self._refused == [_HELD] else f"the second keeper did not refuse: {self._refused}"

    def said(self) -> str:
        """Its log."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("err-*")))

    def _launch(self, index: int) -> Child:
        clock = {
            "epoch": float(self.places.epoch),
            "origin": self.arena.origin,
            "scale": SCALE,
            "timeout": HTTP_SECONDS,
            "least": 0.02,
        }
        argv = ["-c", str(self.config), "--log-format", "json", "run"]
        out, err = self.folder / f"out-{index}", self.folder / f"err-{index}"
        return self.nursery.start(argv, out=out, err=err, clock=clock, env={"KEEPER_KILL": ""})

    def _rows(self, query: str) -> list[Any]:
        journal = self.state / "keeper.db"
        if not journal.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                return [row[0] for row in connection.execute(query)]
        except sqlite3.Error:
            return []


class Stable:
    """What all runs share: the forking parents, by environment, started when first needed. Use as a context manager."""

    def __init__(self, *, install: bool) -> None:
        """``install``: whether a missing environment may be made."""
        self._install = install
        self._lock = threading.Lock()
        self._crews: dict[bool, Crew] = {}
        self._nursery: Nursery | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for crew in self._crews.values():
            crew.close()
        if self._nursery is not None:
            self._nursery.close()

    def fighter(self, arena: Arena, pattern: Pattern, workers: int) -> Fighter:
        """Make one. Raises NotAvailable when its environment cannot be had."""
        with self._lock:
            if not pattern.script:
                self._nursery = self._nursery or Nursery()
                return Keeper(arena, self._nursery, workers)
            if pattern.foreign not in self._crews:
                python = arena_python(install=self._install) if pattern.foreign else Path(sys.executable)
                self._crews[pattern.foreign] = Crew(python)
            return Scripted(arena, pattern, workers, self._crews[pattern.foreign])
