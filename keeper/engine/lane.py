"""One queue per chain and account: every transaction of an account goes through here, one after another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import HarvestState
from keeper.domain.money import Address
from keeper.engine.context import ChainContext, halt_key
from keeper.engine.execute import carry_out
from keeper.engine.lap import Execute, compound, in_flight, resume
from keeper.engine.resolve import Book
from keeper.errors import IntegrityError, KeeperError, Transient, TxPending

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

    def submit(self, position_id: str) -> None:
        """Queue one lap for a position."""
        self.worker.put(position_id)

    def recover(self) -> None:
        """Queue going on with whatever the journal has open."""
        self.worker.put("")

    def _handle(self, position_id: str) -> None:
        """Go on with open work first; then, if nothing is in flight, take the lap."""
        context = self._context
        if self.halted or context.stopping():
            return
        try:
            book = self._book()
            for result in resume(context, book, self.owner):
                if isinstance(result, TxPending):
                    context.emit(EventName.POSITION_FAILED, Level.WARNING, chain=context.name, error=str(result))
            free = position_id and not in_flight(context, self.owner) and not context.stopping()
            if free:
                harvest = compound(context, book, position_id, execute=self._execute).harvest
                if harvest is not None and harvest.state is HarvestState.DONE:
                    self._done()
        except IntegrityError as error:
            # Only what a person must look at halts; an endpoint on the wrong chain is waited for.
            self.halted = context.store.get_flag(halt_key(context.name, self.owner))
            context.emit(EventName.LANE_HALTED, Level.ERROR, chain=context.name, owner=self.owner, error=str(error))
        except (Transient, TxPending) as error:
            self._say(position_id, Level.WARNING, error)
        except KeeperError as error:
            self._say(position_id, Level.ERROR, error)

    def _say(self, position_id: str, level: Level, error: KeeperError) -> None:
        self._context.emit(
            EventName.POSITION_FAILED,
            level,
            position=position_id or None,
            chain=self._context.name,
            step="harvest",
            error=str(error),
        )
