"""The composition root: the only place that names concrete classes.

Three ways to open it, and no ``if dry_run`` anywhere else: live (keys, the real chain), dry run (a fork, no keys),
simulate (the real chain up to simulation, nothing sent). They differ in what stands behind the ports.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from keeper.domain.decision import Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address
from keeper.domain.position import Position
from keeper.engine.assessment import Assessment
from keeper.engine.book import Book
from keeper.engine.clock import SystemClock
from keeper.engine.context import ChainContext
from keeper.engine.drive import carry_out
from keeper.engine.flight import Flight, flight_of
from keeper.engine.lap import Execute, Outcome, Prepared, compound, prepare
from keeper.engine.pins import pin_key, pinned
from keeper.engine.plan import permissions_of
from keeper.engine.resolve import resolve
from keeper.engine.survey import record_changes, survey
from keeper.engine.work import Work
from keeper.errors import ConfigError
from keeper.ports import EventSink, Permission
from keeper.wiring import Mode, journal_path, load_plugins, open_key, wire

if TYPE_CHECKING:
    from keeper.chain.fork import Fork
    from keeper.config.loader import Loaded
    from keeper.engine.supervisor import ChainWatch
    from keeper.store.sqlite import SqliteStore

__all__ = ["App", "Mode", "journal_path", "load_plugins", "open_app", "open_key", "pin_key"]

#: Seconds after which positions that did not resolve are asked again.
_RETRY_SECONDS: Final = 30.0

#: Seconds after which positions are resolved afresh: a pool may have gained a reward token meanwhile.
_BOOK_SECONDS: Final = 86_400.0


@dataclass(slots=True)
class App:
    """Everything wired together. Close it, or use it as a context manager."""

    loaded: Loaded
    mode: Mode
    store: SqliteStore
    clock: SystemClock
    events: EventSink
    contexts: Mapping[str, ChainContext]
    #: Forks by chain, in a dry run.
    forks: Mapping[str, Fork]
    execute: Execute
    _resources: ExitStack
    #: What was resolved by chain, and when (monotonic seconds).
    _books: dict[str, tuple[Book, float]] = field(default_factory=dict)
    #: One lock a chain: an endpoint that hangs holds up its own chain only.
    _resolving: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    #: What each position's signer may sign; filled when its chain is resolved.
    _permissions: dict[str, tuple[Permission, ...]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release chains, locks, forks and the store."""
        self._resources.close()

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every configured position, in the order of the config."""
        found = {p.id: p for context in self.contexts.values() for p in context.positions}
        return tuple(found[p.id] for p in self.loaded.settings.positions if p.id in found)

    def context_of(self, position_id: str) -> ChainContext:
        """Return the chain context of a position. Raises ConfigError naming the positions there are."""
        for context in self.contexts.values():
            if any(p.id == position_id for p in context.positions):
                return context
        known = ", ".join(p.id for p in self.positions) or "none"
        raise ConfigError(f"no position {position_id!r}; configured: {known}")

    def book(self, chain: str) -> Book:
        """Resolve a chain once a day; a chain with failures is asked again next time. Threads may share it."""
        with self._resolving[chain]:
            book, since = self._books.get(chain, (None, 0.0))
            age = self.clock.monotonic() - since
            if book is None or age > (_RETRY_SECONDS if book.failures else _BOOK_SECONDS):
                context = self.contexts[chain]
                sure = context.sure()  # what a key may sign follows from what contracts say here
                found = resolve(sure, sure.chain.head())
                allowed = {h.position.id: permissions_of(context.plugins, h) for h in found.holdings}
                book = pinned(
                    self.store, found, allowed
                )  # also while only looking: what is shown is what would be done
                self._permissions.update({h.position.id: allowed[h.position.id] for h in book.holdings})
                self._books[chain] = (book, self.clock.monotonic())
            return book

    def survey(self, only: Sequence[str] | None = None) -> list[Assessment]:
        """Look at positions (all by default) and decide, in the order of the config."""
        found: dict[str, Assessment] = {}
        for name, context in self.contexts.items():
            wanted = {p.id for p in context.positions} & set(
                only if only is not None else (p.id for p in self.positions)
            )
            if wanted:
                seen = survey(context, self.book(name), only=wanted)
                found |= {a.position.id: a for a in seen.assessments}
        return [found[p.id] for p in self.positions if p.id in found]

    def prepare(self, position_id: str, *, forced: bool = False) -> Prepared:
        """Look at one position, plan and simulate it; send nothing."""
        context = self.context_of(position_id)
        seen = survey(context, self.book(context.name), only={position_id}, forced=forced, record=False).assessments[0]
        prepared = prepare(context, seen)
        record_changes(context, [prepared.decision])
        return prepared

    def compound(self, position_id: str, *, forced: bool = False) -> Outcome:
        """Take one lap for one position; what that does is this app's mode."""
        context = self.context_of(position_id)
        return compound(context, self.book(context.name), position_id, forced=forced, execute=self.execute)

    def flight(self, chain: str, owner: Address) -> Flight:
        """Return everything in flight of an account, for commands that look at it or ask something of it."""
        return flight_of(self.contexts[chain], owner)

    def due(self) -> list[str]:
        """Ids of the positions that the rule would harvest now."""
        return [a.position.id for a in self.survey() if a.decision.verdict is Verdict.HARVEST]

    def watches(self) -> list[ChainWatch]:
        """Make one watch per chain, for a daemon."""
        from keeper.engine.supervisor import Cadence, ChainWatch  # APScheduler is the daemon's alone

        chains = self.loaded.settings.chains
        return [
            ChainWatch(
                context,
                Cadence(chains[name].poll_gas_seconds, chains[name].poll_positions_seconds),
                book=lambda name=name: self.book(name),  # type: ignore[misc]  # a default argument binds the loop's name
                execute=self.execute,
            )
            for name, context in self.contexts.items()
        ]


def open_app(
    loaded: Loaded,
    *,
    mode: Mode = Mode.LIVE,
    events: EventSink,
    clock: SystemClock | None = None,
    keep_secret: Callable[[str], None] = lambda _: None,
    price_age_seconds: int = 0,
    journal: Path | None = None,
) -> App:
    """Wire everything for a config.

    Args:
        loaded: the checked config.
        mode: what stands behind the ports.
        events: where everything that happens goes.
        clock: time; the machine's by default.
        keep_secret: called with each secret that was read, so that redaction knows it.
        price_age_seconds: how much older than usual a price may be, for a fork whose time is played forward.
        journal: the journal's file, used as it is; by default the mode's own, which a rehearsal starts afresh.

    Raises:
        ConfigError: a chain without endpoint, a plugin that does not load.
        KeyUnavailable: a key that cannot be opened (live only).
        StoreUnavailable: a journal that cannot be used.
        LaneHeld: another keeper sends from one of these accounts (live only).
    """
    with ExitStack() as resources:
        beat = clock or SystemClock()
        wired = wire(
            loaded,
            mode,
            events,
            beat,
            resources,
            keep_secret=keep_secret,
            price_age_seconds=price_age_seconds,
            journal=journal,
        )
        return App(
            loaded=loaded,
            mode=mode,
            store=wired.store,
            clock=beat,
            events=events,
            contexts=wired.contexts,
            forks=wired.forks,
            execute=rehearse_only if mode is Mode.SIMULATE else carry_out,
            _resources=resources.pop_all(),
            _permissions=wired.permissions,
        )


def rehearse_only(context: ChainContext, work: Work) -> Harvest:
    """Close a compound without sending anything: its plan passed simulation, and that is all that was wanted."""
    done = replace(work.harvest, state=HarvestState.DONE, gas_used=work.harvest.predicted_gas, error="simulated only")
    context.store.close_harvest(done, ())
    return done
