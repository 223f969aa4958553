"""The daemon's process: starts the watches, answers signals, drains on a stop, changes its config without one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Final

from keeper import __version__
from keeper.app import App, Mode
from keeper.cli.exits import ExitCode
from keeper.cli.health import Health
from keeper.cli.measuring import Measuring
from keeper.cli.served import Served
from keeper.cli.session import Session
from keeper.domain.events import Event, EventName, Level
from keeper.engine.pause import stop_of
from keeper.engine.supervisor import Supervisor
from keeper.errors import KeeperError, StoreUnavailable
from keeper.notify.heartbeat import Heartbeat
from keeper.notify.metrics import MetricsSink
from keeper.web.api import Api
from keeper.web.server import OpsServer

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["Daemon"]

#: Seconds between two turns of the loop: how long a signal waits at most.
_TICK: Final = 0.25

#: Seconds between two looks for a pause, for the ops port; the lanes look for themselves.
_GLANCE: Final = 1.0

#: Seconds between two proofs that the journal can be written.
_PROOF: Final = 30.0

_ALIVE: Final = "daemon:alive"


@dataclass(slots=True)
class _Running:
    """One config in force: its app, and what stands around it."""

    app: App
    supervisor: Supervisor
    heartbeat: Heartbeat
    resources: ExitStack


class Daemon:
    """Runs until a signal says otherwise. Handlers only set fields; the loop acts on them."""

    def __init__(self, session: Session, metrics: MetricsSink, reload: Callable[[], Loaded]) -> None:
        """Make a daemon; ``metrics`` is what the ops port exposes, ``reload`` loads and checks the config again."""
        self._session = session
        self._metrics = metrics
        self._reload = reload
        self._health = Health(self._age)
        self._running: _Running | None = None
        self._stop_signal = 0
        self._reload_asked = False
        self._following: Loaded | None = None
        self._proved = 0.0
        self._glanced = 0.0

    def run(self, loaded: Loaded) -> int:
        """Start, and return the exit code once stopped.

        Raises:
            KeeperError: what prevents the start.
        """
        with self._signals():
            self._running = self._open(loaded)
            self._say_started()
            while True:
                self._watch(self._running)
                following, self._following = self._following, None
                if self._stop_signal or following is None:
                    return ExitCode.OK
                self._running = self._change(self._running.app.loaded, following)

    @property
    def last_beat(self) -> float:
        """Unix seconds of the loop's last turn; 0 before the first."""
        return self._running.heartbeat.last_beat if self._running is not None else 0.0

    # ------------------------------------------------------------------------------------ one config

    def _open(self, loaded: Loaded) -> _Running:
        with ExitStack() as resources:
            app = resources.enter_context(self._session.open_app(loaded, Mode.LIVE))
            heartbeat = Heartbeat(loaded.heartbeat_file)
            watches = app.watches()
            if loaded.settings.web.enabled:
                self._serve(loaded, resources)
            supervisor = Supervisor(watches, heartbeat=self._tick, tick_seconds=_TICK)
            self._health.watches = watches
            return _Running(app, supervisor, heartbeat, resources.pop_all())

    def _serve(self, loaded: Loaded, resources: ExitStack) -> None:
        """Open the ops port: its API and the performance metrics read the journal beside the daemon's own."""
        served = resources.enter_context(Served(loaded))
        server = OpsServer(loaded.settings.web.listen, self._health, self._metrics.exposition, api=Api(served))
        resources.enter_context(server)
        names = [position.id for position in loaded.settings.positions]
        resources.enter_context(Measuring(served.desk, names, self._metrics))

    def _watch(self, running: _Running) -> None:
        """Go round until somebody wants an end, then drain and close."""
        running.heartbeat.beat()
        running.supervisor.start()
        try:
            running.supervisor.wait()
        finally:
            self._drain(running)
            if self._stop_signal or self._following is None:
                running.heartbeat.stop()
            running.resources.close()

    def _tick(self) -> None:
        """Act on what the handlers noted; called by every turn of the supervisor's loop."""
        running = self._running
        assert running is not None
        running.heartbeat.beat()
        self._prove_store(running)
        self._see_pause(running)
        if self._stop_signal:
            running.supervisor.request_stop()
        elif self._reload_asked:
            self._reload_asked = False
            self._following = self._checked()
            if self._following is not None:
                running.supervisor.request_stop()

    def _prove_store(self, running: _Running) -> None:
        if time.monotonic() - self._proved < _PROOF:
            return
        self._proved = time.monotonic()
        try:
            running.app.store.set_flag(_ALIVE, str(int(time.time())))
        except StoreUnavailable as error:
            if self._health.store_ok:
                self._emit(EventName.CYCLE_FAILED, Level.ERROR, chain="-", error=str(error))
            self._health.store_ok = False
        else:
            self._health.store_ok = True

    def _see_pause(self, running: _Running) -> None:
        if time.monotonic() - self._glanced < _GLANCE:
            return
        self._glanced = time.monotonic()
        with contextlib.suppress(StoreUnavailable):  # told by the proof above
            stop = stop_of(running.app.store, running.app.loaded.kill_file)
            self._health.paused = stop.text if stop is not None else ""

    def _age(self) -> float | None:
        return self._running.heartbeat.age() if self._running is not None else None

    # ----------------------------------------------------------------------------------------- the end

    def _drain(self, running: _Running) -> None:
        """Start nothing new, let what is under way confirm, and leave the rest to the journal."""
        app = running.app
        app.clock.stop()
        busy = sum(not lane.worker.idle for watch in running.supervisor.watches for lane in watch.lanes.values())
        if self._stop_signal:
            self._emit(EventName.DAEMON_DRAINING, signal=signal.Signals(self._stop_signal).name, in_flight=busy)
        deadline: float | None = None
        while not running.supervisor.drain(_TICK):
            running.heartbeat.beat()
            if self._stop_signal:
                deadline = deadline or time.monotonic() + app.loaded.settings.keeper.drain_timeout
                if time.monotonic() >= deadline:
                    self._say_stopped(app, ExitCode.PENDING)
                    _abort(ExitCode.PENDING)
        if self._stop_signal:
            self._say_stopped(app, ExitCode.OK)

    def _say_stopped(self, app: App, code: ExitCode) -> None:
        owners = {(p.chain, p.owner) for p in app.positions if p.signer is not None}
        left = sum(len(app.store.open_harvests(chain, owner)) for chain, owner in owners)
        self._emit(EventName.DAEMON_STOPPED, code=int(code), open=left)

    # -------------------------------------------------------------------------------------- the config

    def _checked(self) -> Loaded | None:
        """Load and check the config; a wrong one is told and forgotten."""
        try:
            return self._reload()
        except KeeperError as error:
            self._reject(error)
            return None

    def _change(self, old: Loaded, new: Loaded) -> _Running:
        """Bring a new config into force, or the old one back when the new one cannot be opened."""
        try:
            running = self._open(new)
        except KeeperError as error:
            self._reject(error)
            return self._open(old)
        before = {p.id: p for p in old.settings.positions}
        after = {p.id: p for p in new.settings.positions}
        self._emit(
            EventName.CONFIG_RELOADED,
            positions=len(after),
            added=len(after.keys() - before.keys()),
            removed=len(before.keys() - after.keys()),
            changed=sum(before[name] != after[name] for name in before.keys() & after.keys()),
        )
        return running

    def _reject(self, error: KeeperError) -> None:
        self._emit(EventName.CONFIG_REJECTED, Level.ERROR, error=str(error))

    def _say_started(self) -> None:
        assert self._running is not None
        loaded = self._running.app.loaded
        web = loaded.settings.web
        self._emit(
            EventName.DAEMON_STARTED,
            version=__version__,
            mode=Mode.LIVE.value,
            chains=len(self._running.app.contexts),
            positions=len(self._running.app.positions),
            web=f"{web.listen[0]}:{web.listen[1]}" if web.enabled else None,
        )

    def _emit(self, name: EventName, level: Level = Level.INFO, **fields: str | int | bool | None) -> None:
        self._session.events.emit(Event(name, level, fields))

    # ----------------------------------------------------------------------------------------- signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {signal.SIGTERM: self._on_stop, signal.SIGINT: self._on_stop, signal.SIGHUP: self._on_hangup}
        former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stop_signal:
            _abort(128 + number)
        self._stop_signal = number

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_asked = True


def _abort(code: int) -> None:
    """End at once. What was sent is in the journal; the next start goes on from there."""
    sys.stdout.flush()
    os._exit(code)
