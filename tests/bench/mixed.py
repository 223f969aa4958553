"""What reading and deciding cost over thousands of positions of all families: floor, keeper and others, in turn."""

from __future__ import annotations

import gc
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chain_kit import Proxy

from keeper.chain import aggregate
from keeper.domain.reads import Read
from keeper.engine.book import Book
from keeper.engine.observe import observe
from keeper.engine.survey import survey
from tests.bench import crowd, peers
from tests.bench.measure import Row, timed
from tests.bench.rivals import NotAvailable

__all__ = ["mixed"]

#: Views in one request of the floor: what was measured to be the best for a single client.
_FLOOR_CALLS = 900

#: Bytes of an answer that keeper lets one request ask for, below the 100,000 that some nodes send.
_ANSWER = 96_000

#: Positions that web3.py's contract objects are given: through Multicall3, and one after another.
_WEB3, _NAIVE = 1_000, 100

#: Added to each round trip.
_DELAY_MS = 50

#: Seconds between two full looks of a daemon.
_LOOK_SECONDS = 60


class Floor:
    """The least that reading can cost: encoded bodies, one connection, answers received and thrown away."""

    def __init__(self, port: int, views: list[crowd.Question], multicall3: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        reads = [Read(view.target, view.data) for view in views]  # type: ignore[arg-type]
        self._bodies = [
            b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"%s","data":"0x%s"},"latest"]}'
            % (multicall3.encode(), aggregate.encode(reads[at : at + _FLOOR_CALLS]).hex().encode())
            for at in range(0, len(reads), _FLOOR_CALLS)
        ]

    def cycle(self) -> None:
        for body in self._bodies:
            self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
            self._connection.getresponse().read()


class Contest:
    """Everybody at one size, called in turn."""

    def __init__(
        self, ground: crowd.Fairground, folder: Path, count: int, told: crowd.Questions, journal: str = "all"
    ) -> None:
        self.count = count
        self.crowd = crowd.open_crowd(ground.config, ground.time, count, folder / f"{journal}-{count}.db")
        self.views = told.of(count)
        multicall3 = str(ground.fair.ground.facts.multicall3)
        floor = Floor(ground.node.port, self.views, multicall3)
        self.ways: dict[str, Callable[[], float]] = {
            "floor": lambda: timed(floor.cycle),
            "read": lambda: timed(self.read),
            "cycle": lambda: timed(self.cycle),
        }
        self.times: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        self.why: dict[str, str] = {}

    def read(self) -> None:
        """The newest block, all views at it, decoded by the adapters to what they say of each position."""
        context, book = self.crowd.context, self.crowd.book
        seen = observe(context, book, book.holdings, context.chain.head())
        assert len(seen.observations) == self.count, seen.failures

    def cycle(self) -> None:
        """A whole dry look: read, price, decide about all, keep it, say one line."""
        assert len(survey(self.crowd.context, self.crowd.book).assessments) == self.count

    def add(self, name: str, stack: ExitStack, ground: crowd.Fairground, file: Path, count: int) -> peers.Peer | None:
        """Add a peer, or remember why there is none."""
        try:
            command = peers.command_of(name, ground.node.url, file, str(ground.fair.ground.facts.multicall3))
        except NotAvailable as error:
            self.why[name] = str(error)
            return None
        peer = stack.enter_context(peers.Peer(command))
        self.ways[name] = lambda: peer.cycle(count)
        return peer

    def round(self, *, keep: bool) -> None:
        """Call everybody once; ratios are taken within a round."""
        for name, way in self.ways.items():
            gc.collect()
            busy = time.process_time()
            took = way()
            if keep:
                self.times.setdefault(name, []).append(took)
                self.cpu.setdefault(name, []).append(time.process_time() - busy)

    def ms(self, name: str) -> float:
        """Median, milliseconds."""
        return 1e3 * statistics.median(self.times[name])

    def row(self, target: str, name: str, other: str, limit: float | None, what: str) -> Row:
        """Median of the ratios within a round."""
        if other in self.why:
            return Row(target, what, None, limit, self.why[other])
        ratios = [one / two for one, two in zip(self.times[name], self.times[other], strict=True)]
        detail = f"{what}, N={self.count:,} ({self.ms(name):,.0f} / {self.ms(other):,.0f} ms)"
        return Row(target, detail, statistics.median(ratios), limit, "x")


def mixed(*, quick: bool) -> list[Row]:
    """P1 to P7, P11, P12 and P14 at the fair."""
    sizes = [1_000] if quick else [1_000, 10_000]
    with tempfile.TemporaryDirectory(prefix="keeper-bench-") as name:
        folder = Path(name)
        with crowd.fairground(folder / "fair") as ground:
            with _opened(ground, folder, 100) as few:
                told = crowd.questions(few, len(ground.fair.stalls))
            file = peers.tell(told, folder)
            rows, resident = _contests(ground, folder, sizes, told, file, quick=quick)
            rows += _requests(ground, folder, sizes)
            if not quick:
                rows += _delayed(ground, folder, max(sizes))
                rows += _fresh(ground, folder, sizes, resident)
            rows += _one_shot(ground, folder, file, quick=quick)
    return rows


@contextmanager
def _opened(ground: crowd.Fairground, folder: Path, count: int, **how: str) -> Iterator[crowd.Crowd]:
    opened = crowd.open_crowd(ground.config, ground.time, count, folder / f"extra-{time.monotonic_ns()}.db", **how)
    try:
        yield opened
    finally:
        opened.close()


def _contests(
    ground: crowd.Fairground, folder: Path, sizes: list[int], told: crowd.Questions, file: Path, *, quick: bool
) -> tuple[list[Row], int]:
    """P1 to P5: everybody in turn."""
    rounds = {1_000: 3 if quick else 7, 10_000: 3}
    rows: list[Row] = []
    medians: dict[int, float] = {}
    resident = 0
    for count in sizes:
        with ExitStack() as stack:
            contest = Contest(ground, folder, count, told)
            stack.callback(contest.crowd.close)
            viem = contest.add("viem", stack, ground, file, count)
            banteg = contest.add("banteg", stack, ground, file, count)
            contest.round(keep=False)
            for _ in range(rounds[count]):
                contest.round(keep=True)
            medians[count] = contest.ms("read")
            rows += _told(contest, viem, banteg, quick=quick)
            resident = viem.resident if viem else 0
    if not quick:
        rows.append(_slow(ground, folder, told, file, "web3", _WEB3, 1 / 25))
        rows.append(_slow(ground, folder, told, file, "naive", _NAIVE, 1 / 150))
        low, high = sizes
        exponent = math.log(medians[high] / medians[low]) / math.log(high / low)
        rows.append(Row("P5", f"growth exponent of the time to read, N={low:,} to {high:,}", exponent, 1.05, ""))
    return rows, resident


def _told(contest: Contest, viem: peers.Peer | None, banteg: peers.Peer | None, *, quick: bool) -> list[Row]:
    loose = 2.0 if quick else 1.0
    cpu = 1e3 * statistics.median(contest.cpu["read"])
    what = f"read cycle / floor, {len(contest.views):,} views, client CPU {cpu:,.0f} ms"
    whole = f"whole dry cycle / floor, client CPU {1e3 * statistics.median(contest.cpu['cycle']):,.0f} ms"
    rows = [
        contest.row("P1", "read", "floor", 1.6 * loose, what),
        contest.row("P2", "cycle", "floor", 2.0 if contest.count == 10_000 else None, whole),
        contest.row("P3", "read", "viem", 0.5 * loose, "read cycle / viem's multicall"),
        contest.row("-", "read", "banteg", None, "read cycle / the package multicall"),
    ]
    if viem is not None and viem.failed > len(contest.views) // 20:  # what is not read is no time to compare with
        why = f"viem could not read {viem.failed:,} of {len(contest.views):,} views"
        rows[2] = Row("P3", "read cycle / viem's multicall", None, 0.5 * loose, why)
    for name, peer in (("viem's multicall", viem), ("the package multicall", banteg)):
        if peer is not None:
            rows.append(Row("-", f"views that {name} could not read, N={contest.count:,}", peer.failed, None, ""))
    return rows


def _slow(
    ground: crowd.Fairground, folder: Path, told: crowd.Questions, file: Path, name: str, count: int, limit: float
) -> Row:
    """P4: web3.py's contract objects; they take so long that few rounds do."""
    how = {"web3": "through Multicall3", "naive": "one view after another"}[name]
    with ExitStack() as stack:
        contest = Contest(ground, folder, count, told, journal=name)
        stack.callback(contest.crowd.close)
        contest.add(name, stack, ground, file, count)
        contest.ways["read"]()
        for _ in range(2):
            contest.round(keep=True)
        return contest.row("P4", "read", name, limit, f"read cycle / web3.py, {how}")


def _requests(ground: crowd.Fairground, folder: Path, sizes: list[int]) -> list[Row]:
    """P6: requests of one cycle, counted on the wire; and chain ids asked after the start."""
    rows = []
    for count in sizes:
        with Proxy(ground.node.url) as proxy, _opened(ground, folder, count, rpc=proxy.url) as some:
            context, book = some.context, some.book
            observe(context, book, book.holdings, context.chain.head())
            proxy.reset()
            seen = observe(context, book, book.holdings, context.chain.head())
            together = math.ceil(_answer_bytes(book) / _ANSWER)
            # Views that answer nothing are asked again alone before that is believed, a hundred to a JSON-RPC batch.
            alone = max(proxy.methods["eth_call"] - together, 0)
            limit = together + math.ceil(alone / 100) + 4
            about = f"N={count:,}, {seen.reads:,} views"
            rows.append(Row("P6", f"views asked alone, {about}", alone, seen.reads // 20, ""))
            rows.append(Row("P6", f"requests per cycle, {about}", proxy.requests, limit, ""))
            rows.append(Row("P6", f"eth_chainId after the start, {about}", proxy.methods["eth_chainId"], 0, ""))
    return rows


def _answer_bytes(book: Book) -> int:
    """What Multicall3 sends back for a whole look: 128 bytes around each answer, which is padded to words."""
    (asked,) = book.asked
    return sum(128 + -(-read.result_bytes // 32) * 32 for read in asked.reads)


def _delayed(ground: crowd.Fairground, folder: Path, count: int) -> list[Row]:
    """P7: a node that is 50 ms away, eight requests in flight against one."""
    from keeper.chain.client import open_chain

    command = [sys.executable, "-m", "tests.bench.delay", str(ground.node.port), str(_DELAY_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as far:
        assert far.stdout is not None
        url = f"http://127.0.0.1:{int(far.stdout.readline())}"
        try:
            reads = _reads(ground, folder, count)
            chains = {
                n: open_chain(ground.fair.ground.facts, [url], events=crowd.Silent(), in_flight=n) for n in (1, 8)
            }
            times: dict[int, list[float]] = {1: [], 8: []}
            for turn in range(4):
                for flights, chain in chains.items():
                    took = timed(lambda chain=chain: chain.read(reads, chain.head()))
                    if turn:
                        times[flights].append(took)
            for chain in chains.values():
                chain.close()
        finally:
            far.terminate()
    one, eight = (statistics.median(times[n]) for n in (1, 8))
    what = f"8 requests in flight / 1, {_DELAY_MS} ms away, N={count:,} ({1e3 * eight:,.0f} / {1e3 * one:,.0f} ms)"
    return [Row("P7", what, eight / one, 0.25, "x")]


def _reads(ground: crowd.Fairground, folder: Path, count: int) -> list[Read]:
    with _opened(ground, folder, 100) as few:
        protocols, holdings = few.context.plugins.protocols, few.book.holdings[: len(ground.fair.stalls)]
        each = [tuple(protocols[h.position.protocol].reads(h.position, h.market)) for h in holdings]
    return [read for index in range(count) for read in each[index % len(each)]]


def _fresh(ground: crowd.Fairground, folder: Path, sizes: list[int], viem: int) -> list[Row]:
    """P5, P12, P14: what a fresh process needs after twenty looks, and what a daemon does between them."""
    used = {count: _worker(ground, folder, "memory", count) for count in sizes}
    low, high = sizes
    each = (used[high]["bytes"] - used[low]["bytes"]) / (high - low)
    mb = used[high]["bytes"] / 1e6
    sized = f"({used[low]['bytes'] / 1e6:.0f} MB at {low:,}, {mb:.0f} MB at {high:,})"
    idle = _worker(ground, folder, "idle", high)
    rows = [
        Row("P5", f"resident memory per position {sized}", each / 1000, 2.0, "kB"),
        Row("P12", f"resident memory after 20 whole cycles, N={high:,}", mb, 110, "MB"),
        Row("P14", f"CPU between looks, N={high:,} watched, gas every 12 s", idle["between"], 1.0, "%"),
        Row("P14", f"CPU of a look each {_LOOK_SECONDS} s without reading, N={high:,}", idle["look"], 1.0, "%"),
    ]
    if viem:
        what = f"resident memory after 20 whole cycles / viem's ({viem / 1e6:.0f} MB), N={high:,}"
        rows.append(Row("P12", what, used[high]["bytes"] / viem, 0.5, "x"))
    return rows


def _worker(ground: crowd.Fairground, folder: Path, what: str, count: int) -> dict[str, float]:
    journal = folder / f"{what}-{count}.db"
    command = [sys.executable, "-m", "tests.bench.crowd_worker", what, str(ground.config), str(ground.time)]
    done = subprocess.run(
        [*command, str(count), str(journal)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _one_shot(ground: crowd.Fairground, folder: Path, file: Path, *, quick: bool) -> list[Row]:
    """P11: fresh processes that look at a hundred positions and say what they found."""
    from keeper.store import open_store

    config = crowd.hundred(ground, folder / "hundred")
    open_store(folder / "hundred" / "state" / "keeper.db").close()  # as at every start but the very first
    _to_now(ground)
    commands = {"keeper": [sys.executable, "-m", "keeper", "-c", str(config), "--json", "status", "--live"]}
    why = {}
    for name in ("viem",) if quick else ("viem", "web3"):
        try:
            command = peers.command_of(name, ground.node.url, file, str(ground.fair.ground.facts.multicall3))
            commands[name] = [*command, "100"]
        except NotAvailable as error:
            why[name] = str(error)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(2 if quick else 6):
        for name, command in commands.items():
            took = timed(lambda command=command: _run(command))
            if turn:
                times[name].append(took)
    ours = statistics.median(times["keeper"])
    rows = []
    for name, limit in (("viem", 0.6), ("web3", 0.2)):
        what = f"one-shot look at 100 positions / a {name} script that reads them"
        if name in times:
            theirs = statistics.median(times[name])
            detail = f"{what} ({1e3 * ours:,.0f} / {1e3 * theirs:,.0f} ms)"
            rows.append(Row("P11", detail, ours / theirs, None if quick else limit, "x"))
        elif name in why:
            rows.append(Row("P11", what, None, limit, why[name]))
    return rows


def _to_now(ground: crowd.Fairground) -> None:
    """Bring the chain's time to the machine's, as a command expects it."""
    lag = int(time.time()) - ground.time
    if lag > 0:
        ground.node.rpc("evm_setNextBlockTimestamp", ground.time + lag)
        ground.node.rpc("evm_mine")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, f"{command}: {done.stderr[-1_000:]} {done.stdout[-500:]}"
