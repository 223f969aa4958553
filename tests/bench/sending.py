"""What sending costs: keeper's lane against the floor, web3.py and viem; blocks, requests, and the journal."""

from __future__ import annotations

import gc
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from chain_kit import Proxy

from keeper.chain.anvil_binary import devnet_home
from keeper.domain.journal import AddAttempt, AddIntent, Change
from keeper.domain.money import UsdWad
from keeper.domain.transaction import Attempt, AttemptState, Intent
from keeper.engine.work import Job
from tests.bench import accounts, farm, rivals
from tests.bench.lane import Lane
from tests.bench.measure import Row

__all__ = ["blocks_and_items", "journal", "throughput"]

#: Harvests of one signer.
COUNT: Final = 200
#: Of those that wait for each other, so many are enough: each takes as long as the other.
_ALONE: Final = 40
_WINDOWS: Final = (1, 16, 64)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder on the disk of the checkout; a temporary one may be in memory, where nothing has to be synced."""
    home = devnet_home().parent
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="bench-") as name:
        yield Path(name)


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


class _Times:
    """Seconds per transaction of each contestant, by round: ratios are taken within a round, then their median."""

    def __init__(self) -> None:
        self._all: dict[str, list[float]] = {}

    def add(self, name: str, seconds: float, count: int) -> None:
        self._all.setdefault(name, []).append(seconds / count)

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def each(self, name: str) -> float:
        """Median, seconds per transaction."""
        return statistics.median(self._all[name])

    def row(self, name: str, other: str, limit: float | None) -> Row:
        """Ratio of two contestants, per transaction."""
        ours, theirs = self.each(name), self.each(other)
        detail = f"{name} / {other} ({1e3 * ours:.2f} / {1e3 * theirs:.2f} ms a transaction)"
        ratios = [one / another for one, another in zip(self._all[name], self._all[other], strict=True)]
        return Row("P8", detail, statistics.median(ratios), limit, "x")


def throughput(rounds: int, *, strict: bool = True) -> list[Row]:
    """P8: confirmed harvests of one signer, all ways in turn, on a node that mines at once.

    ``strict``: hold the pass lines; two rounds on a machine that others use as well only tell.
    """
    times = _Times()
    with farm.start(1) as node, _folder() as folder, ExitStack() as open_things:
        floor = rivals.Floor(node, COUNT, rounds + 1)
        web3 = rivals.OneByOne(node, COUNT)
        lanes = [open_things.enter_context(_lane(node.url, node, folder, window)) for window in _WINDOWS]
        viem, why = None, ""
        try:
            viem = open_things.enter_context(rivals.Viem(node, COUNT))
        except rivals.NotAvailable as error:
            why = str(error)
        for turn in range(rounds + 1):
            gc.collect()
            kept = times if turn else _Times()  # the first round warms everything up
            kept.add("floor", _timed(floor.round), COUNT)
            for lane in lanes:
                _round(lane, kept)
            if viem is not None:
                kept.add("viem", viem.round(COUNT), COUNT)
            kept.add("web3.py send and wait", _timed(lambda: web3.round(_ALONE)), _ALONE)
    rows = _rows(times, why)
    return rows if strict else [replace(row, limit=None) for row in rows]


def _lane(url: str, node, folder: Path, window: int) -> Lane:
    own = folder / f"window-{window}"
    own.mkdir(mode=0o700)
    return Lane(url, own, accounts.account(node, f"keeper, window {window}", COUNT), window)


def _round(lane: Lane, times: _Times) -> None:
    count = _ALONE if lane.window == 1 else COUNT
    jobs = lane.harvests(count)
    opening = _timed(lambda: lane.open(jobs))
    sending = _timed(lambda: lane.send(jobs, pause=rivals.POLL))
    times.add(f"keeper, window {lane.window}", sending, count)
    times.add(f"keeper, window {lane.window}, compounds opened too", opening + sending, count)
    lane.last_block(jobs)


def _rows(times: _Times, without_viem: str) -> list[Row]:
    sure = f"keeper, window {max(_WINDOWS)}"
    rows = [
        times.row(sure, "floor", 5),
        times.row(sure, "web3.py send and wait", 0.15),
        times.row(sure, "viem", 2) if "viem" in times else Row("P8", f"{sure} / viem", None, 2, without_viem),
        times.row(f"{sure}, compounds opened too", "floor", None),
    ]
    rows += [times.row(f"keeper, window {window}", "floor", None) for window in _WINDOWS[:-1]]
    rows.append(times.row("keeper, window 1", "web3.py send and wait", None))
    if "viem" in times:
        rows.append(times.row("viem", "floor", None))
    return rows


class _Seconds:
    """Time that passes only while somebody waits: the node makes a block with each second of it."""

    def __init__(self, node) -> None:
        self._node = node
        self._now = 0.0
        node.rpc("evm_setAutomine", False)

    def sleep(self, seconds: float) -> None:
        before, self._now = self._now, self._now + seconds
        for _ in range(math.floor(self._now) - math.floor(before)):
            self._node.rpc("evm_mine")


def blocks_and_items(windows: tuple[int, ...], count: int = COUNT) -> list[Row]:
    """P9: blocks used and JSON-RPC items per transaction while a block comes each second; counted, not timed."""
    rows = []
    with farm.start(1) as node, _folder() as folder, Proxy(node.url) as proxy:
        lanes = [_lane(proxy.url, node, folder, window) for window in windows]
        seconds = _Seconds(node)
        for lane in lanes:
            with lane:
                jobs = lane.harvests(count)
                lane.open(jobs)
                before = lane.chain.head().number
                proxy.reset()
                lane.send(jobs, sleep=seconds.sleep)
                items = sum(proxy.methods.values()) / count
                used = lane.last_block(jobs) - before
            about = f"{count} transactions at 1 s blocks, window {lane.window}"
            rows.append(Row("P9", f"blocks used, {about}", used, math.ceil(count / lane.window) + 2, ""))
            rows.append(Row("P9", f"JSON-RPC items a transaction, {about}", items, 3 if lane.window > 1 else None, ""))
    return rows


def journal(rounds: int, *, strict: bool = True) -> list[Row]:
    """P13: the two commits before a window goes out, against appending the same bytes to a file and syncing it.

    Wide windows have no line: many rows with their indexes take longer to write than a disk takes to sync.
    """
    rows = []
    with farm.start(1) as node, _folder() as folder:
        for window in _WINDOWS:
            with _lane(node.url, node, folder, window) as lane:
                rows.append(_commits(lane, folder / f"bytes-{window}", rounds))
    return rows if strict else [replace(row, limit=None) for row in rows]


def _commits(lane: Lane, beside: Path, rounds: int) -> Row:
    key = accounts.account_of(f"keeper, window {lane.window}").key
    ours, floor = [], []
    with beside.open("ab", buffering=0) as file:
        for turn in range(rounds):
            jobs = lane.harvests(lane.window)
            lane.open(jobs)
            intents = [_intent(lane, job) for job in jobs]
            signed = accounts.signed(key, turn * lane.window, lane.window)
            attempts = [
                Attempt(
                    i.id,
                    s.hash,
                    s.raw,
                    s.request.nonce,
                    s.request.gas,
                    s.request.max_fee_wei,
                    0,
                    AttemptState.SIGNED,
                    1,
                )
                for i, s in zip(intents, signed, strict=True)
            ]
            windows: list[list[Change]] = [
                [AddIntent(intent) for intent in intents],
                [AddAttempt(attempt, UsdWad(10**16)) for attempt in attempts],
            ]
            same = [
                b"".join(f"{i.id}{i.key}{i.harvest_id}{i.sender}{i.to}{i.label}".encode() + i.data for i in intents),
                b"".join(f"{a.intent_id}{a.hash}".encode() + a.raw for a in attempts),
            ]
            for changes, content in zip(windows, same, strict=True):
                ours.append(_timed(lambda changes=changes: lane.store.apply(changes)))
                floor.append(_timed(lambda content=content: _append(file.fileno(), content)))
    # The least of each kind of commit: a disk and a processor that are busy elsewhere only add.
    once, least = (sum(min(times[kind::2]) for kind in (0, 1)) / 2 for times in (ours, floor))
    what = f"journal commit / append and fdatasync, window {lane.window} ({1e3 * once:.2f} / {1e3 * least:.2f} ms)"
    return Row("P13", what, once / least, 3 if lane.window == 1 else None, "x")


def _append(file: int, content: bytes) -> None:
    os.write(file, content)
    os.fdatasync(file)


def _intent(lane: Lane, job: Job) -> Intent:
    harvest, call = job.work.harvest, job.call
    return Intent(
        id=f"{harvest.id}-0-0",
        key=f"{harvest.id}:0:0",
        harvest_id=harvest.id,
        leg_index=0,
        chain=farm.FACTS.name,
        chain_id=farm.FACTS.chain_id,
        sender=lane.owner,
        kind=call.kind,
        label=call.label,
        to=call.to,
        data=call.data,
        value=0,
    )
