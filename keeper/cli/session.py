"""The surroundings of a command that touches a chain: one redactor, the log, the event stream, and the app on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from keeper.cli.journal import journal_copy
from keeper.errors import ConfigError, IntegrityError, KeeperError

if TYPE_CHECKING:
    from keeper.app import App, Mode
    from keeper.chain.health import EndpointStatus
    from keeper.config.loader import Loaded
    from keeper.notify.log import LogSink
    from keeper.notify.redact import Redactor
    from keeper.ports import EventSink

__all__ = ["Session", "looking", "open_session", "quiet"]


@runtime_checkable
class _Knows(Protocol):
    """A chain that can say how its endpoints stand."""

    def status(self) -> Sequence[EndpointStatus]: ...


@dataclass(frozen=True, slots=True)
class Session:
    """What lasts for the whole command, also across a reload of the config."""

    redactor: Redactor
    log: LogSink
    events: EventSink
    #: Every app that was opened, for judging what ended the command.
    opened: list[App] = field(default_factory=list)

    def keep_secret(self, secret: str) -> None:
        """Let the redactor know a secret; of a URL only its secret parts, so that hosts stay readable."""
        if "://" in secret:
            self.redactor.add_url(secret)
        else:
            self.redactor.add(secret)

    def open_app(self, loaded: Loaded, mode: Mode, **options: Any) -> App:
        """Wire everything for a config; options are those of ``keeper.app.open_app``."""
        from keeper.app import open_app

        app = open_app(loaded, mode=mode, events=self.events, keep_secret=self.keep_secret, **options)
        self.opened.append(app)
        return app

    @property
    def wrong_chain(self) -> bool:
        """Whether every endpoint of some chain answered with another chain's id."""
        chains = (context.chain for app in self.opened for context in app.contexts.values())
        standings = [chain.status() for chain in chains if isinstance(chain, _Knows)]
        return any(seen and all(one.wrong_chain_id is not None for one in seen) for seen in standings)


@contextmanager
def open_session(loaded: Loaded, *sinks: EventSink, level: str | None = None) -> Iterator[Session]:
    """Lend a session; an error that leaves it carries no secret.

    Args:
        loaded: the config; its endpoints are made known to the redactor before anything can mention them.
        sinks: further takers of the event stream.
        level: least level to log, instead of the config's.
    """
    from keeper.notify.fanout import Fanout
    from keeper.notify.hooks import install_excepthook
    from keeper.notify.log import configure
    from keeper.notify.redact import Redactor

    redactor = Redactor()
    for chain in loaded.settings.chains.values():
        for url in (*chain.rpc, *chain.private_rpc):
            redactor.add_url(url)
    settings = loaded.settings.keeper
    restore = install_excepthook(redactor)
    with configure(settings.log_format, level or settings.log_level, redactor=redactor) as log:
        session = Session(redactor, log, Fanout(log, *sinks))
        try:
            yield session
        except KeeperError as error:
            _clean(error, redactor.values)
            if isinstance(error, IntegrityError) and session.wrong_chain:
                raise ConfigError(str(error)) from error
            raise
        finally:
            restore()


@contextmanager
def looking(loaded: Loaded, overrides: Mapping[str, str]) -> Iterator[App]:
    """Lend an app that looks at the real chains and sends nothing, with a copy of the journal behind its guards."""
    from keeper.app import Mode

    with (
        journal_copy(loaded) as copy,
        open_session(loaded, level=quiet(loaded, overrides)) as session,
        session.open_app(loaded, Mode.SIMULATE, journal=copy) as app,
    ):
        yield app


def quiet(loaded: Loaded, overrides: Mapping[str, str]) -> str:
    """Return the log level of a command whose own output tells what happens: warnings, unless a level was asked for."""
    return loaded.settings.keeper.log_level if "keeper.log_level" in overrides else "warning"


def _clean(error: KeeperError, redact: Callable[[str], str]) -> None:
    """Take registered secrets out of an error's words, which the outermost frame will print."""
    error.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
    if isinstance(error, ConfigError):
        error.problems = [redact(problem) for problem in error.problems]
