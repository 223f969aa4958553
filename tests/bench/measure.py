"""The measurements: each returns rows of a table, and whether its pass line holds."""

from __future__ import annotations

import gc
import http.client
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chain_kit import Events, Proxy

from keeper.chain import aggregate
from keeper.chain.client import EvmChain, open_chain
from tests.bench import farm

#: Calls per request of the floor: what was measured to be the best for a single client.
_FLOOR_CALLS = 900


#: Pass line of the one-shot: what importing web3 alone costs, with everything done.
_ONE_SHOT = 90


@dataclass(frozen=True)
class Row:
    """One figure with its pass line."""

    target: str
    what: str
    #: ``None``: not run here; then ``unit`` says why.
    value: float | None
    #: ``None``: only told.
    limit: float | None
    unit: str

    @property
    def ok(self) -> bool:
        return self.value is None or self.limit is None or self.value <= self.limit

    @property
    def text(self) -> str:
        """One line of the table."""
        if self.value is None:
            return f"{self.target:5}{'-':5}{'not run':>11}{'':13}{self.what}: {self.unit}"
        mark = "" if self.limit is None else "ok" if self.ok else "MISS"
        line = "" if self.limit is None else f"<= {self.limit:<6g}"
        return f"{self.target:5}{mark:5}{self.value:8.2f}{self.unit:<3}{line:11}{self.what}"


class Floor:
    """The least that reading can cost: encoded bodies, one connection, answers received and thrown away."""

    def __init__(self, port: int, positions: int) -> None:
        reads = farm.reads(positions)
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._bodies = [
            b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"%s","data":"0x%s"},"latest"]}'
            % (farm.MULTICALL3.encode(), aggregate.encode(reads[at : at + _FLOOR_CALLS]).hex().encode())
            for at in range(0, len(reads), _FLOOR_CALLS)
        ]

    def cycle(self) -> None:
        for body in self._bodies:
            self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
            self._connection.getresponse().read()


def cycle(chain: EvmChain, reads) -> int:
    """One read cycle as the engine does it: newest block, all reads at it, integers."""
    return farm.decoded(chain.read(reads, chain.head()))


class Contest:
    """Our read cycle and the floor at one size, called in turn."""

    def __init__(self, node, positions: int) -> None:
        self.positions = positions
        self._floor, self._reads = Floor(node.port, positions), farm.reads(positions)
        self._chain = open_chain(farm.FACTS, [node.url], events=Events())
        self._expected = cycle(self._chain, self._reads)
        self._floor.cycle()
        self.floors: list[float] = []
        self.ours: list[float] = []
        self.cpu: list[float] = []

    def round(self) -> None:
        self.floors.append(timed(self._floor.cycle))
        busy = time.process_time()
        self.ours.append(timed(self._ours))
        self.cpu.append(time.process_time() - busy)

    def row(self) -> Row:
        ours, floor, cpu = (1e3 * statistics.median(times) for times in (self.ours, self.floors, self.cpu))
        detail = f"read cycle / floor, N={self.positions:,} ({ours:.0f} / {floor:.0f} ms, client CPU {cpu:.0f} ms)"
        return Row("P1", detail, ours / floor, 1.6, "x")

    def close(self) -> None:
        self._chain.close()

    def _ours(self) -> None:
        assert cycle(self._chain, self._reads) == self._expected


def read_cycle(node, sizes: list[int], repetitions: int) -> list[Row]:
    """P1 and P5: the whole read cycle against the floor, all sizes in turn; medians."""
    contests = [Contest(node, positions) for positions in sizes]
    gc.collect()
    for _ in range(repetitions):
        for contest in contests:
            contest.round()
    for contest in contests:
        contest.close()
    rows = [contest.row() for contest in contests]
    if len(contests) > 1:
        rows.append(_growth(contests[0], contests[-1]))
    return rows


def _growth(small: Contest, large: Contest) -> Row:
    """P5: the exponent with which the time grows."""
    times = [statistics.median(contest.ours) for contest in (small, large)]
    exponent = math.log(times[1] / times[0]) / math.log(large.positions / small.positions)
    return Row("P5", f"growth exponent of the time, N={small.positions:,} to {large.positions:,}", exponent, 1.05, "")


def memory(url: str, sizes: list[int]) -> list[Row]:
    """P5: what each further position adds to the resident memory of a fresh process after 20 cycles."""
    small, large = min(sizes), max(sizes)
    used = {positions: _resident(url, positions) for positions in (small, large)}
    each = (used[large] - used[small]) / (large - small)
    detail = f"resident memory per position ({used[small] / 1e6:.1f} MB at {small:,}, {used[large] / 1e6:.1f} MB at {large:,})"
    return [Row("P5", detail, each / 1000, 2.0, "kB")]


def _resident(url: str, positions: int) -> int:
    command = [sys.executable, "-m", "tests.bench.worker", url, str(positions)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return int(done.stdout)


def requests(node, sizes: list[int]) -> list[Row]:
    """P6: requests of one cycle, counted on the wire; and chain ids asked after the start."""
    rows = []
    for positions in sizes:
        reads = farm.reads(positions)
        with Proxy(node.url) as proxy:
            chain = open_chain(farm.FACTS, [proxy.url], events=Events())
            cycle(chain, reads)
            proxy.reset()
            cycle(chain, reads)
            chain.close()
            limit = math.ceil(positions / 195) + 4
            rows.append(Row("P6", f"requests per cycle, N={positions:,}", proxy.requests, limit, ""))
            rows.append(Row("P6", f"eth_chainId after the start, N={positions:,}", proxy.methods["eth_chainId"], 0, ""))
    return rows


def start_up(repetitions: int) -> list[Row]:
    """P10: CPU of commands that do nothing, against an interpreter that does nothing."""
    keeper = Path(sys.executable).with_name("keeper")
    if not keeper.exists():
        return []
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "--version": [str(keeper), "--version"],
        "--help": [str(keeper), "--help"],
    }
    figures: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        subprocess.run(command, capture_output=True, check=True)
    for _ in range(repetitions):
        for name, command in commands.items():
            figures[name].append(_cpu(command))
    bare = statistics.median(figures.pop("bare"))
    return [
        Row(
            "P10",
            f"keeper {name}, CPU / bare python ({1e3 * statistics.median(cpu):.0f} ms)",
            statistics.median(cpu) / bare,
            8,
            "x",
        )
        for name, cpu in figures.items()
    ]


def one_shot(repetitions: int) -> list[Row]:
    """A fresh process that looks at a position on the chain, simulates its compound and explains it: CPU of it all."""
    from keeper.chain.anvil import LocalNode
    from keeper.devnet.install import anvil_binary
    from keeper.devnet.settings import world_config, write_farmer_key
    from keeper.devnet.world import build_world
    from keeper.store import open_store

    with tempfile.TemporaryDirectory() as scratch, LocalNode.start(binary=anvil_binary()) as node:
        folder = Path(scratch)
        world = build_world(node)
        keystore, password = write_farmer_key(folder / "keys")
        config = folder / "keeper.toml"
        config.write_text(world_config(world, keystore=keystore, password_file=password, state=folder / "state"))
        open_store(folder / "state" / "keeper.db").close()  # as at every start but the very first
        bare = [sys.executable, "-c", "pass"]
        look = [sys.executable, "-m", "keeper", "-c", str(config), "explain", "usdc-aave", "--live", "--json"]
        figures: dict[str, list[float]] = {"bare": [], "look": []}
        for _ in range(repetitions):
            figures["bare"].append(_cpu(bare))
            figures["look"].append(_cpu(look))
        world.chain.close()
    took, floor = statistics.median(figures["look"]), statistics.median(figures["bare"])
    what = f"one-shot: look, simulate, explain; CPU / bare python ({1e3 * took:.0f} ms)"
    return [Row("-", what, took / floor, _ONE_SHOT, "x")]


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
