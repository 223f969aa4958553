"""The daemon: APScheduler is the clock and nothing else; chain watchers look, lanes act, and a stop drains them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler

from keeper.domain.decision import Reason, ReasonCode, Verdict
from keeper.domain.events import EventName, Level
from keeper.domain.money import Address
from keeper.domain.transaction import FeeQuote
from keeper.engine.assessment import Assessment
from keeper.engine.book import Book
from keeper.engine.case import Case
from keeper.engine.context import ChainContext
from keeper.engine.decide import decide
from keeper.engine.drive import carry_out
from keeper.engine.lane import Lane, Worker
from keeper.engine.lap import Execute, prepare
from keeper.engine.race import note_race
from keeper.engine.rounds import round_for
from keeper.engine.survey import check_age, record_survey, survey
from keeper.engine.triggers import Triggers, later
from keeper.engine.upkeep import upkeep
from keeper.errors import KeeperError, Transient

__all__ = ["Cadence", "ChainWatch", "Supervisor"]

#: The window of cached thresholds, in full looks: one that comes late must not find them stale.
_WINDOW: Final = 1.5

_POSITIONS = "positions"
_GAS = "gas"


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a chain is looked at, in seconds."""

    gas_seconds: float = 12.0
    positions_seconds: float = 900.0


@dataclass(slots=True)
class WatchState:
    """What the ops port and the demo show of a chain."""

    last_block: int | None = None
    #: Monotonic seconds of the last good look.
    last_ok: float | None = None
    error: str = ""
    cases: Mapping[str, Case] = field(default_factory=dict)
    #: Which of them the price of gas could make due before the next full look.
    triggers: Triggers = field(default_factory=lambda: Triggers({}, 0))
    #: Positions handed to a lane, or blocked, since the last full look: gas alone does not make them due again.
    handed: set[str] = field(default_factory=set)


class ChainWatch:
    """Looks at one chain on two clocks: gas often against cached thresholds, positions rarely."""

    def __init__(
        self, context: ChainContext, cadence: Cadence, *, book: Callable[[], Book], execute: Execute = carry_out
    ) -> None:
        """Make a watch; nothing runs until ``start``. ``book`` resolves the positions, once they can be."""
        self.context = context
        self.cadence = cadence
        self._resolve_book = book
        self._execute = execute
        self.state = WatchState()
        self.lanes: dict[Address, Lane] = {}
        self.book: Book | None = None
        self.worker = Worker(f"watch-{context.name}", self._handle)

    def start(self) -> None:
        """Begin: the first look resolves the positions and lets the lanes recover."""
        self.worker.start()
        self.worker.put(_POSITIONS)

    def look(self) -> None:
        """Queue a full look."""
        self.worker.put(_POSITIONS)

    def glance(self) -> None:
        """Queue a look at the gas price only."""
        self.worker.put(_GAS)

    @property
    def idle(self) -> bool:
        """Nothing queued or under way, on the watch and on every lane."""
        return self.worker.idle and all(lane.worker.idle for lane in list(self.lanes.values()))

    def _handle(self, item: str) -> None:
        context = self.context
        if context.stopping():
            return
        try:
            self._resolve()
            if item == _GAS and self.state.cases:
                self._gas_tick()
            else:
                self._position_tick()
        except Transient as error:
            self.state.error = str(error)
            context.emit(EventName.CYCLE_FAILED, Level.WARNING, chain=context.name, error=str(error))
        except KeeperError as error:
            self.state.error = str(error)
            context.emit(EventName.CYCLE_FAILED, Level.ERROR, chain=context.name, error=str(error))

    def _resolve(self) -> None:
        context, first = self.context, self.book is None
        book = self._resolve_book()
        if book is self.book:
            return
        if first or len(book.failures) != len(self.book.failures if self.book else ()):
            self._say_resolved(book)
        self.book = book
        for position in context.positions:  # also those that do not resolve: they may have something in flight
            owner = position.owner
            if position.signer is not None and owner not in self.lanes:
                lane = Lane(context, self._resolve_book, owner, execute=self._execute, done=self.look)
                self.lanes[owner] = lane
                lane.worker.start()
                lane.recover()

    def _say_resolved(self, book: Book) -> None:
        for holding in book.holdings:
            p = holding.position
            self.context.emit(EventName.POSITION_RESOLVED, position=p.id, chain=p.chain, protocol=p.protocol)
        for position_id, error in book.failures.items():
            self.context.emit(
                EventName.POSITION_FAILED,
                Level.WARNING,
                position=position_id,
                chain=self.context.name,
                step="resolve",
                error=str(error),
            )

    def _position_tick(self) -> None:
        """Look at everything, and hand what is due by the chain's own word to the lanes."""
        assert self.book is not None
        started = self.context.clock.monotonic()
        result = survey(self.context, self.book, record=False)
        result = replace(result, assessments=tuple(self._better(a) for a in result.assessments))
        record_survey(self.context, result, started)
        upkeep(self.context, result.block.timestamp)
        self.state.cases = {a.position.id: a.case for a in result.assessments if a.case is not None}
        self._seen(result.block.number)
        for lane in list(self.lanes.values()):
            lane.mind_pause()
            lane.recover()
        held = {a.position.id for a in result.assessments if _held(a)}
        self.state.handed = {*held, *(a.position.id for a in result.due)}
        waiting = {i: case for i, case in self.state.cases.items() if i not in self.state.handed}
        self.state.triggers = Triggers(waiting, int(_WINDOW * self.cadence.positions_seconds) + 1)
        for assessment in result.due:
            self.lanes[assessment.position.owner].submit(assessment.position.id)
        note_race(self.context, result.assessments, result.block)

    def _better(self, assessment: Assessment) -> Assessment:
        """Simulate what is due, and what was never simulated: views lie, and gas is only guessed before."""
        known = self._knows(assessment.position.id)
        if assessment.case is None or (known and assessment.decision.verdict is not Verdict.HARVEST):
            return assessment
        try:
            return prepare(self.context, assessment, wait=False).assessment
        except Transient as error:
            reason = Reason(ReasonCode.READ_FAILED, f"the simulation did not answer: {error}")
            decision = replace(assessment.decision, verdict=Verdict.BLOCKED, reasons=(reason,))
            return replace(assessment, decision=decision)

    def _knows(self, position_id: str) -> bool:
        """Whether the last simulation of a position is new enough to reckon by.

        What it said of L1 data fees ages fast: one dear hour must not put a position off for weeks.
        """
        key, now = f"simulated:{position_id}", self.context.clock.monotonic()
        limit = 600 if self.context.chain.facts.l1_fee == "op-stack" else 86_400
        if position_id in self.context.learned_gas and now - self.context.said.get(key, now - limit) < limit:
            return True
        self.context.said[key] = now
        return False

    def _gas_tick(self) -> None:
        """Ask for the price of gas and the time, and look again at those whose cached bound it has reached."""
        context, state = self.context, self.state
        fees, head = context.chain.fees(), context.chain.head()
        check_age(context, head)
        context.outlook.note(head.timestamp, fees.price_wei)
        near = [i for i in state.triggers.near(fees.price_wei, head.timestamp) if i not in state.handed]
        usual = context.outlook.usual_wei
        cases = {i: _moved(state.cases[i], fees, head.timestamp, usual) for i in near}
        due = [i for i, case in self._grouped(cases).items() if decide(case).verdict is Verdict.HARVEST]
        self._seen(head.number)
        for lane in list(self.lanes.values()):
            lane.mind_pause()
            if lane.waiting:
                lane.recover()
        context.emit(
            EventName.GAS_POLLED,
            Level.DEBUG,
            chain=context.name,
            block=head.number,
            gas_gwei=f"{fees.price_wei / 10**9:.4g}",
            due=len(due),
        )
        self.state.handed.update(due)
        for position_id in due:
            self.lanes[self.state.cases[position_id].position.owner].submit(position_id)

    def _grouped(self, cases: Mapping[str, Case]) -> dict[str, Case]:
        """Decide batches as a whole at this price, too."""
        groups: dict[tuple[str, str], list[Case]] = {}
        for case in cases.values():
            if case.round is not None:
                groups.setdefault((case.position.owner, case.position.options.batch), []).append(case)
        rounds = {key: round_for(self.context, members) for key, members in groups.items()}
        return {
            i: replace(case, round=rounds.get((case.position.owner, case.position.options.batch), case.round))
            for i, case in cases.items()
        }

    def _seen(self, block: int) -> None:
        self.state.last_block = block
        self.state.last_ok = self.context.clock.monotonic()
        self.state.error = ""


def _held(assessment: Assessment) -> bool:
    """Whether something other than the price of gas keeps a position from being harvested."""
    decision = assessment.decision
    dear = all(reason.code is ReasonCode.FEE_ABOVE_LIMIT for reason in decision.reasons)
    return decision.verdict is Verdict.BLOCKED and not dear


def _moved(case: Case, fees: FeeQuote, now: int, usual_wei: int | None) -> Case:
    """Carry a case on to now, at the price of gas as it is."""
    around = replace(case.around, gas_price_wei=fees.price_wei)
    moved = later(case, now - case.observation.block.timestamp)
    return replace(moved, fees=fees, around=around, usual_gas_wei=usual_wei)


class Supervisor:
    """Starts the watches, ticks them, keeps the heartbeat, and drains on a stop."""

    def __init__(self, watches: list[ChainWatch], *, heartbeat: Callable[[], None], tick_seconds: float = 1.0) -> None:
        """Make a supervisor; ``heartbeat`` is called every ``tick_seconds`` while all threads live."""
        self.watches = watches
        self._heartbeat = heartbeat
        self._tick_seconds = tick_seconds
        self._scheduler = BackgroundScheduler(
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._stop = threading.Event()

    def start(self) -> None:
        """Start everything; returns at once."""
        for watch in self.watches:
            watch.start()
            cadence = watch.cadence
            jitter = max(1, int(cadence.positions_seconds / 20)) if cadence.positions_seconds > 60 else None
            self._scheduler.add_job(watch.look, "interval", seconds=cadence.positions_seconds, jitter=jitter)
            self._scheduler.add_job(watch.glance, "interval", seconds=cadence.gas_seconds)
        self._scheduler.start()

    def wait(self) -> None:
        """Tick until ``request_stop``, or until a thread died of a bug, which is raised here."""
        while not self._stop.wait(self._tick_seconds):
            for watch in self.watches:
                for worker in (watch.worker, *(lane.worker for lane in list(watch.lanes.values()))):
                    if worker.died is not None:
                        raise worker.died
            self._heartbeat()

    def request_stop(self) -> None:
        """Ask ``wait`` to return. Safe in a signal handler."""
        self._stop.set()

    def drain(self, timeout: float) -> bool:
        """Stop the clock, let every thread finish what it holds; ``False`` when some did not in time."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        workers = [w for watch in self.watches for w in (watch.worker, *(x.worker for x in list(watch.lanes.values())))]
        stopped = [worker.stop(timeout) for worker in workers]  # every one is asked, also after one that was late
        return all(stopped)
