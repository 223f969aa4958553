"""A dry run: the daemon's own loop on a fork, time played forward if wanted, or one lap for each position."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from keeper.app import App, Mode
from keeper.domain.decision import Decision
from keeper.domain.harvest import Harvest
from keeper.domain.money import Amount
from keeper.engine.supervisor import ChainWatch
from keeper.errors import KeeperError, TxPending

__all__ = ["Rehearsal", "rehearse"]

#: Looks during a warp.
_STEPS: Final = 60

#: Seconds between two looks at whether the watches have come to rest.
_REST: Final = 0.02

#: Longest that one step of a warp may take, seconds.
_PATIENCE: Final = 600.0


@dataclass(slots=True)
class Rehearsal:
    """What a dry run came to."""

    mode: Mode
    warp_seconds: int
    #: By chain: block and time (unix seconds) at which it began.
    began: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: By chain: block and time at which it ended.
    ended: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: By position: stake at the beginning and at the end.
    stakes: dict[str, list[Amount | None]] = field(default_factory=dict)
    #: By ``chain/owner``: wei at the beginning and at the end.
    native: dict[str, list[int]] = field(default_factory=dict)
    harvests: list[Harvest] = field(default_factory=list)
    #: By position: the decision it ended with.
    decisions: dict[str, Decision] = field(default_factory=dict)
    #: By position: what went wrong on the way.
    errors: dict[str, str] = field(default_factory=dict)
    #: Signal that ended it early; 0 for none.
    signal: int = 0


def rehearse(app: App, *, warp_seconds: int, once: bool, told: Callable[[str], None]) -> Rehearsal:
    """Play, and tell what happened; ``told`` takes lines of progress.

    Raises:
        Transient: when a chain cannot be read at the beginning or at the end.
    """
    result = Rehearsal(app.mode, warp_seconds)
    _weigh(app, result, result.began)
    with _stoppable() as caught:
        try:
            if app.mode is Mode.SIMULATE or once:
                _laps(app, result)
            elif warp_seconds:
                _warp(app, warp_seconds, told)
            else:
                _follow(app, told)
        except KeyboardInterrupt:
            result.signal = caught[0] or signal.SIGINT
    result.harvests = app.store.harvests()[::-1]
    _weigh(app, result, result.ended)
    result.decisions = {p.id: d for p in app.positions if (d := app.store.latest_decision(p.id)) is not None}
    return result


def _laps(app: App, result: Rehearsal) -> None:
    for position in app.positions:
        try:
            app.compound(position.id)
        except TxPending as error:
            result.errors[position.id] = str(error)
        except KeeperError as error:
            result.errors[position.id] = str(error)


def _warp(app: App, seconds: int, told: Callable[[str], None]) -> None:
    """Play time forward in even steps; after each, look as the daemon does and let it finish what it starts."""
    with _watching(app) as watches:
        _settle(watches)
        for step in range(1, _STEPS + 1):
            size = seconds * step // _STEPS - seconds * (step - 1) // _STEPS
            if size == 0:
                continue
            for fork in app.forks.values():
                fork.warp(size)
            _settle(watches)
            days = seconds * step / _STEPS / 86_400
            told(f"day {days:.1f} of {seconds / 86_400:.1f}, {len(app.store.harvests())} compounds")


def _follow(app: App, told: Callable[[str], None]) -> None:
    """Let the fork's time run with the clock on the wall, until stopped."""
    told("running on a fork; Ctrl-C ends it and prints the report (--warp 30d plays time forward)")
    last = time.monotonic()
    with _watching(app) as watches:
        while True:
            _settle(watches)
            pause = min(watch.cadence.positions_seconds for watch in watches) if watches else 1.0
            time.sleep(min(pause, 12.0))
            passed, last = int(time.monotonic() - last), time.monotonic()
            for fork in app.forks.values():
                fork.warp(max(1, passed))


@contextmanager
def _watching(app: App) -> Iterator[list[ChainWatch]]:
    watches = app.watches()
    for watch in watches:
        watch.worker.start()
    try:
        yield watches
    finally:
        app.clock.stop()
        for watch in watches:
            watch.worker.stop(10.0)
            for lane in watch.lanes.values():
                lane.worker.stop(10.0)


def _settle(watches: list[ChainWatch]) -> None:
    """Look at everything, and wait until nothing is under way."""
    for watch in watches:
        watch.look()
    deadline = time.monotonic() + _PATIENCE
    while not all(watch.idle for watch in watches) and time.monotonic() < deadline:
        for watch in watches:
            for worker in (watch.worker, *(lane.worker for lane in list(watch.lanes.values()))):
                if worker.died is not None:
                    raise worker.died
        time.sleep(_REST)


def _weigh(app: App, result: Rehearsal, marks: dict[str, tuple[int, int]]) -> None:
    """Note where each chain stands, what is staked and what the wallets hold."""
    for assessment in app.survey():
        stake = assessment.observation.principal if assessment.observation else None
        result.stakes.setdefault(assessment.position.id, []).append(stake)
    for name, context in app.contexts.items():
        head = context.chain.head()
        marks[name] = (head.number, head.timestamp)
        for owner in dict.fromkeys(p.owner for p in context.positions):
            result.native.setdefault(f"{name}/{owner}", []).append(context.chain.balance(owner))


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Turn the first SIGINT or SIGTERM into KeyboardInterrupt, so that there is a report; the second ends at once."""
    caught = [0]

    def on_stop(number: int, _frame: FrameType | None) -> None:
        if caught[0]:
            sys.exit(128 + number)
        caught[0] = number
        raise KeyboardInterrupt

    former = {number: signal.signal(number, on_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
