"""One queue per chain and account: every transaction of an account goes through here, one after another."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Callable

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import HarvestState
from keeper.domain.money import Address
from keeper.engine.book import Book
from keeper.engine.context import ChainContext, halt_key
from keeper.engine.drive import Ending, carry_out, drive
from keeper.engine.flight import flight_of
from keeper.engine.lap import Execute, begin, compound, is_open, resume
from keeper.engine.work import Work
from keeper.errors import IntegrityError, KeeperError, Refused, Transient, TxPending

__all__ = ["Lane", "Worker"]


class Worker:
    """A thread with a queue that holds each item at most once."""

    def __init__(self, name: str, handle: Callable[[str], None]) -> None:
        """Make a worker; ``handle`` runs in its thread, one item at a time, and must not raise what it can explain."""
        self._handle = handle
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.busy = False
        #: The bug that ended the thread, if one did; the supervisor stops the daemon over it.
        self.died: BaseException | None = None

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, item: str) -> None:
        """Queue an item, unless it is queued already."""
        with self._lock:
            if item in self._waiting:
                return
            self._waiting.add(item)
        self._queue.put(item)

    def take(self) -> str | None:
        """Take the next item out of turn, for work that goes together; ``None`` when nothing waits."""
        with contextlib.suppress(queue.Empty):
            item = self._queue.get_nowait()
            if item is None:  # the stop: it stays where the loop finds it
                self._queue.put(None)
                return None
            with self._lock:
                self._waiting.discard(item)
            return item
        return None

    @property
    def idle(self) -> bool:
        """Nothing queued and nothing under way."""
        with self._lock:
            return not self._waiting and not self.busy

    def stop(self, timeout: float) -> bool:
        """Finish the present item, drop the rest; ``False`` when it did not end in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                with self._lock:
                    self._waiting.discard(item)
                    self.busy = True
                try:
                    self._handle(item)
                finally:
                    with self._lock:
                        self.busy = False
        except BaseException as bug:
            self.died = bug
            raise


class Lane:
    """All compounds of one account on one chain."""

    def __init__(
        self,
        context: ChainContext,
        book: Callable[[], Book],
        owner: Address,
        *,
        execute: Execute = carry_out,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a lane; ``owner`` is the account whose nonces it uses, ``done`` is called after each harvest."""
        self._execute = execute
        self._context = context
        self._book = book
        self._done = done
        self.owner = owner
        self.halted: str | None = context.store.get_flag(halt_key(context.name, owner))
        self.worker = Worker(f"lane-{context.name}-{owner[:8]}", self._handle)
        self._paused: str | None = None
        self._pausing = threading.Lock()
        #: What was said last about each waiting compound, so that it is said once.
        self._said: dict[str, str] = {}

    def submit(self, position_id: str) -> None:
        """Queue one lap for a position."""
        self.worker.put(position_id)

    def recover(self) -> None:
        """Queue going on with whatever the journal has open."""
        self.worker.put("")

    @property
    def waiting(self) -> bool:
        """Whether anything of this account is under way or not final yet, and should be looked at with each block."""
        return bool(flight_of(self._context, self.owner).slots)

    def _handle(self, position_id: str) -> None:
        """Go on with open work first; then, if there is room in flight, take the lap."""
        context = self._context
        if self.halted or context.stopping():
            return
        try:
            book = self._book()
            self.mind_pause()
            self._tell(resume(context, book, self.owner))
            room = flight_of(context, self.owner).room > 0
            if position_id and room and context.paused() is None and not context.stopping():
                self._compound(book, position_id)
        except IntegrityError as error:
            # Only what a person must look at halts; an endpoint on the wrong chain is waited for.
            self.halted = context.store.get_flag(halt_key(context.name, self.owner))
            context.emit(EventName.LANE_HALTED, Level.ERROR, chain=context.name, owner=self.owner, error=str(error))
        except (Transient, TxPending, Refused) as error:
            self._say(position_id, Level.WARNING, error)
        except KeeperError as error:
            self._say(position_id, Level.ERROR, error)

    def _compound(self, book: Book, position_id: str) -> None:
        """Take one position's lap, and those of others that wait for the lane while there is room in flight."""
        if self._execute is not carry_out:
            harvest = compound(self._context, book, position_id, execute=self._execute).harvest
            if harvest is not None and harvest.state is HarvestState.DONE:
                self._done()
            return
        if is_open(self._context, self.owner, position_id):
            return  # it waits, and that has been said
        first = begin(self._context, book, position_id).work
        if first is not None:
            drive(
                self._context.sure(),
                flight_of(self._context, self.owner),
                [first],
                more=lambda: self._next(book),
                ended=self._ended,
            )

    def _next(self, book: Book) -> Work | None:
        """Begin the next waiting position that is due."""
        while (position_id := self.worker.take()) is not None:
            try:
                if not position_id or is_open(self._context, self.owner, position_id):
                    continue
                if (work := begin(self._context, book, position_id).work) is not None:
                    return work
            except IntegrityError:
                raise
            except KeeperError as error:
                self._say(position_id, Level.WARNING, error)
        return None

    def _ended(self, work: Work, ending: Ending) -> None:
        if isinstance(ending, TxPending) and self._context.stopping():
            return
        if isinstance(ending, KeeperError):
            self._say(work.harvest.position_id, Level.WARNING, ending)
        elif ending.state is HarvestState.DONE:
            self._done()

    def _tell(self, endings: list[Ending]) -> None:
        """Say of each compound that waits why it does, when that is news."""
        if self._context.stopping():
            return  # what stays open when keeper stops is no failure: the next start goes on with it
        errors = [ending for ending in endings if isinstance(ending, KeeperError)]
        # Those without an ending are still open, and both come in the same order.
        still = self._context.store.open_harvests(self._context.name, self.owner) if errors else []
        names = [harvest.position_id for harvest, _ in still] if len(still) == len(errors) else [""] * len(errors)
        before, self._said = self._said, {}
        for position_id, error in zip(names, errors, strict=True):
            if before.get(_gist(error)) != position_id:
                # What one look could not read, the next one reads: a warning only when that fails, too.
                passing = isinstance(error, Transient) and position_id not in before.values()
                self._say(position_id, Level.INFO if passing else Level.WARNING, error)
            self._said[_gist(error)] = position_id

    def mind_pause(self) -> None:
        """Say once that the account is paused, and once that it goes on; for any thread, as the lane may be busy.

        What is in flight is watched meanwhile.
        """
        context = self._context
        with self._pausing:
            why, before = context.paused(), self._paused
            self._paused = why
        if why is not None and why != before:
            context.emit(EventName.LANE_PAUSED, Level.WARNING, chain=context.name, owner=self.owner, reason=why)
        elif why is None and before is not None:
            reason = before.rpartition("; ")[0] or before  # how to end it is no news any more
            context.emit(EventName.LANE_RESUMED, chain=context.name, owner=self.owner, reason=reason)

    def _say(self, position_id: str, level: Level, error: KeeperError) -> None:
        self._said[_gist(error)] = position_id
        if isinstance(error, TxPending) and self._context.paused() is not None:
            return  # nothing has failed: ``lane.paused`` has said why it waits, and how that ends
        self._context.emit(
            EventName.POSITION_FAILED,
            level,
            position=position_id or None,
            chain=self._context.name,
            step="harvest",
            error=str(error),
        )


def _gist(error: KeeperError) -> str:
    """Words without their numbers: another price of gas in the same reason is no news."""
    return re.sub(r"\d[\d.,]*(e[+-]?\d+)?", "#", str(error))
