"""Bring open compounds to their end together: ask each what comes next, sign and send it, look, and ask again.

One loop for everything: a compound of one leg and one of five, a start and a restart, one transaction in flight and
many. What waits is left in the journal when its time is up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from keeper.domain.harvest import Harvest
from keeper.domain.money import Address
from keeper.domain.plan import LegKind
from keeper.engine.context import ChainContext, halt_key
from keeper.engine.execute import Next, cannot_go_on, give_up, next_of, reset_patience
from keeper.engine.flight import Flight, flight_of
from keeper.engine.work import Job, Work
from keeper.errors import (
    HarvestPaidNothing,
    KeeperError,
    Refused,
    RpcRejected,
    SimulationReverted,
    Transient,
    TxPending,
    TxReverted,
    UnaskedTransfer,
)
from keeper.tx.refusals import Refusal, refusal
from keeper.tx.slot import Slot

__all__ = ["Ending", "carry_out", "drive", "settle_in_flight"]

#: Seconds before the second look for a receipt; doubles up to the context's ``poll_seconds``.
_FIRST_PAUSE: Final = 0.05

#: How a compound ended: finished, or left open with the reason.
Ending: TypeAlias = Harvest | KeeperError


def carry_out(context: ChainContext, work: Work) -> Harvest:
    """Finish a compound, leave it open in the journal, or drop it when nothing was signed yet.

    Returns:
        The harvest: DONE, FAILED or CANCELLED.

    Raises:
        TxPending: a transaction is unconfirmed, gas is too dear, or the process drains; the journal has everything.
        IntegrityError: the account is halted, durably, until a person has looked.
        Transient: the chain cannot be read.
        StoreUnavailable: the journal cannot be written; nothing was sent without it.
    """
    (ending,) = drive(context.sure(), flight_of(context, work.harvest.owner), [work])
    if isinstance(ending, KeeperError):
        raise ending
    return ending


def drive(
    context: ChainContext,
    flight: Flight,
    works: Iterable[Work],
    *,
    more: Callable[[], Work | None] = lambda: None,
    ended: Callable[[Work, Ending], None] = lambda _work, _ending: None,
) -> list[Ending]:
    """Bring compounds of one account to their end.

    Args:
        context: a sure chain.
        flight: the account's.
        works: open compounds, in the order in which they may sign.
        more: asked for another one while there is room in flight; ``None`` when there is none now.
        ended: told of each as it ends.

    Returns:
        How each ended, those from ``more`` behind those given.

    Raises:
        IntegrityError: the account is halted; what is in flight is in the journal.
        StoreUnavailable: the journal cannot be written.
    """
    return _Drive(context, flight, list(works), more, ended).run()


def settle_in_flight(context: ChainContext, harvest: Harvest) -> None:
    """See sent transactions of a compound confirmed, without beginning anything new: the account must not wait for it.

    Raises:
        TxPending: one is still unconfirmed.
    """
    flight = flight_of(context, harvest.owner)
    flight.load()
    waiting = _Waiting(context)
    while slots := flight.under_way(harvest.id):
        with contextlib.suppress(Transient, RpcRejected):
            flight.look()
        if flight.under_way(harvest.id):
            waiting.rest(slots[0])


@dataclass(slots=True)
class _Waiting:
    """How long a compound has been waiting, and how long it may."""

    context: ChainContext
    since: float = field(init=False)
    stopping_since: float | None = None
    pause: float = field(init=False)

    def __post_init__(self) -> None:
        self.moved()

    def moved(self) -> None:
        """Something has happened: begin anew."""
        self.since = self.context.clock.monotonic()
        self.pause = min(_FIRST_PAUSE, self.context.poll_seconds)

    def over(self) -> bool:
        """Whether its time is up."""
        now = self.context.clock.monotonic()
        if self.context.stopping():
            self.stopping_since = now if self.stopping_since is None else self.stopping_since
            if now >= self.stopping_since + self.context.drain_seconds:
                return True
        return now >= self.since + self.context.confirm_timeout

    def sleep(self) -> None:
        """Wait a little, longer each time."""
        self.context.clock.sleep(self.pause)
        self.pause = min(2 * self.pause, self.context.poll_seconds)

    def rest(self, slot: Slot) -> None:
        """Wait a little, or end.

        Raises:
            TxPending: its time is up.
        """
        if self.over():
            raise TxPending(pending_text(slot))
        self.sleep()


class _Drive:
    """The state of one ``drive``."""

    def __init__(
        self,
        context: ChainContext,
        flight: Flight,
        works: list[Work],
        more: Callable[[], Work | None],
        ended: Callable[[Work, Ending], None],
    ) -> None:
        self.context, self.flight, self.more, self.ended = context, flight, more, ended
        self.works = works
        self.started = context.clock.monotonic()
        self.endings: dict[str, Ending] = {}
        self.waits = {work.harvest.id: _Waiting(context) for work in works}
        #: Compounds to be asked what comes next, in order.
        self.asked: dict[str, None] = dict.fromkeys(work.harvest.id for work in works)

    def run(self) -> list[Ending]:
        self.flight.load()
        for work in self.works:
            self.flight.works[work.harvest.id] = work
        if self.flight.slots:
            self._look()
        while True:
            self._welcome()
            active = self._active()
            if not active:
                return [self.endings[work.harvest.id] for work in self.works]
            launched = self._launch(self._ask(active))
            moved = self._look()
            if not launched and not moved:
                self._rest()

    def _active(self) -> list[Work]:
        return [work for work in self.works if work.harvest.id not in self.endings]

    def _welcome(self) -> None:
        """Take in further compounds while there is room."""
        while self.flight.room > 0 and len(self._active()) < self.context.max_in_flight and not self.context.stopping():
            work = self.more()
            if work is None:
                return
            self.works.append(work)
            self.flight.works[work.harvest.id] = work
            self.waits[work.harvest.id] = _Waiting(self.context)
            self.asked[work.harvest.id] = None

    def _ask(self, active: Sequence[Work]) -> list[Job]:
        """Ask the compounds that have moved what comes next; those that find no room ask again."""
        jobs: list[Job] = []
        taken: set[tuple[Address, bytes]] = set()
        for work in active:
            allowances = _allowances(work)
            if taken & allowances:
                self.waits[work.harvest.id].moved()  # its turn comes when the one before it has ended
                continue
            taken |= allowances
            if work.harvest.id not in self.asked:
                continue
            del self.asked[work.harvest.id]
            room = self.flight.room - len(jobs)
            step = self._next(work, room)
            jobs += step.jobs[:room]
            if step.waits:
                self.asked[work.harvest.id] = None
        self._refuse_the_roomless(jobs)
        return jobs

    def _refuse_the_roomless(self, jobs: Sequence[Job]) -> None:
        """End what waits for room that only somebody outside of this loop could give back."""
        active = self._active()
        if jobs or any(self.flight.under_way(work.harvest.id) for work in active):
            return
        for work in active:
            if work.harvest.id in self.asked and (waiting := self.flight.unmined):
                text = f"a transaction of {self.flight.owner} with nonce {waiting[0].nonce} is not mined yet"
                self._failed(work, Refused(f"{text}; waiting for it"))

    def _next(self, work: Work, room: int) -> Next:
        try:
            step = next_of(self.context, work, self.flight, room)
        except UnaskedTransfer as error:
            self.context.store.set_flag(halt_key(self.context.name, work.plan.owner), str(error))
            raise
        except (TxReverted, TxPending, Transient, SimulationReverted, HarvestPaidNothing, Refused) as error:
            self._failed(work, error)
            return Next()
        if step.done is not None:
            self._end(work, step.done)
        return step

    def _failed(self, work: Work, error: KeeperError) -> None:
        """End a compound that cannot go on, or leave it open; one that is only not readable now asks again."""
        if isinstance(error, TxPending):
            self._end(work, error)
        elif isinstance(error, TxReverted):
            self._end(work, give_up(self.context, work, error))
        elif isinstance(error, Transient):
            if self.flight.under_way(work.harvest.id):
                self.asked[work.harvest.id] = None
            else:
                self._end(work, error)
        else:
            try:
                self._end(work, cannot_go_on(self.context, work, error))
            except TxPending as pending:
                self._end(work, pending)

    def _launch(self, jobs: Sequence[Job]) -> bool:
        if not jobs:
            return False
        works = {job.work.harvest.id: job.work for job in jobs}
        try:
            results = self.flight.launch(jobs)
        except (Refused, Transient, RpcRejected) as error:
            for work in works.values():
                self._failed(work, Refused(str(error)) if isinstance(error, RpcRejected) else error)
            return False
        for job, denied in zip(jobs, results, strict=True):
            if denied is not None and job.work.harvest.id not in self.endings:
                self._failed(job.work, denied)
        for slot in self.flight.under_way():
            self._refused(slot)
        return True

    def _refused(self, slot: Slot) -> None:
        """A node has said no for certain: nobody need stand and wait; the same bytes go out again by themselves."""
        work = self.flight.works.get(slot.track.intent.harvest_id)
        if max(slot.sent_at or 0.0, slot.quoted_at or 0.0) < self.started:
            return  # that was said before; what is said now is not known yet
        kind = refusal(slot.refused, self.context.error_words)
        if not slot.told and kind in (Refusal.UNDERPRICED, Refusal.REPLACEMENT, Refusal.NONCE_GAP):
            return  # a higher bid, or the transaction before it, may set that right
        if slot.refused and work is not None and work.harvest.id in self.waits and work.harvest.id not in self.endings:
            label = slot.track.intent.label
            text = f"{label}: the node refused it ({slot.refused}); the same bytes are sent again when that changes"
            self._end(work, TxPending(text))

    def _look(self) -> bool:
        try:
            moved = self.flight.look()
        except (Transient, RpcRejected):
            return False
        for slot in self.flight.under_way():
            self._refused(slot)
        for work in self._active():
            if work.harvest.id in moved:
                self.asked[work.harvest.id] = None
                self.waits[work.harvest.id].moved()
                reset_patience(self.context, work.harvest)
        return bool(moved)

    def _rest(self) -> None:
        """Nothing has moved: end what has waited for too long, then wait a little."""
        for work in self._active():
            slots = self.flight.under_way(work.harvest.id)
            if self.waits[work.harvest.id].over():
                text = pending_text(slots[0]) if slots else f"compound {work.harvest.id} waits for its turn"
                self._end(work, TxPending(text))
        active = self._active()
        if active:
            self.waits[active[0].harvest.id].sleep()

    def _end(self, work: Work, ending: Ending) -> None:
        self.endings[work.harvest.id] = ending
        self.asked.pop(work.harvest.id, None)
        if not isinstance(ending, KeeperError):
            self.flight.works.pop(work.harvest.id, None)
        self.ended(work, ending)


def _allowances(work: Work) -> set[tuple[Address, bytes]]:
    """Tokens and spenders that a compound approves: two that share one would overwrite each other's amount."""
    approvals = (leg for leg in work.plan.legs if leg.kind is LegKind.APPROVE)
    return {(leg.to, leg.template[4:36]) for leg in approvals}


def pending_text(slot: Slot) -> str:
    """Say that a transaction is not confirmed yet, and that nobody need do anything."""
    said = f" (the node says: {slot.refused})" if slot.refused else ""
    return (
        f"{slot.track.intent.label}: transaction {slot.top.hash} (nonce {slot.nonce}) is not confirmed yet{said}; "
        "it is in the journal, and keeper goes on with it by itself"
    )
