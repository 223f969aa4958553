"""The composition root: the only place that names concrete classes.

Three ways to open it, and no ``if dry_run`` anywhere else: live (keys, the real chain), dry run (a fork, no keys),
simulate (the real chain up to simulation, nothing sent). They differ in what stands behind the ports.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from keeper.config.plugins import discover
from keeper.domain.decision import Verdict
from keeper.domain.facts import ChainFacts
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, UsdWad
from keeper.domain.position import Position
from keeper.engine.clock import SystemClock
from keeper.engine.context import ChainContext, Limits, Plugins, PriceRules
from keeper.engine.execute import Work, carry_out
from keeper.engine.lap import Execute, Outcome, Prepared, compound, prepare
from keeper.engine.pins import pin_key, pinned
from keeper.engine.plan import permissions_of
from keeper.engine.resolve import Book, resolve, with_params
from keeper.engine.survey import Assessment, record_changes, survey
from keeper.errors import ConfigError
from keeper.ports import Chain, EventSink, KeySigner, Permission, PriceSpec, Signer, Submitter

if TYPE_CHECKING:
    from keeper.chain.fork import Fork
    from keeper.config.loader import Loaded
    from keeper.config.models import SignerConfig
    from keeper.engine.supervisor import ChainWatch
    from keeper.store.sqlite import SqliteStore

__all__ = ["App", "Mode", "journal_path", "load_plugins", "open_app", "open_key", "pin_key"]

#: Environment variable naming a checkpoint at which the process kills itself; for crash tests only.
_KILL: Final = "KEEPER_KILL"

#: Seconds that the newest block may be old before nothing is decided by it (or 30 block times, if that is more).
_HEAD_AGE: Final = 600

#: Chain ids that many unrelated local chains share; there the same account is not the same lane.
_DEVELOPMENT_CHAINS: Final = frozenset({1337, 31337})

#: Seconds after which positions that did not resolve are asked again.
_RETRY_SECONDS: Final = 30.0

#: Seconds after which positions are resolved afresh: a pool may have gained a reward token meanwhile.
_BOOK_SECONDS: Final = 86_400.0


class Mode(StrEnum):
    """What stands behind the ports."""

    #: Real keys, real chain.
    LIVE = "live"
    #: A fork of the chain in a local anvil; no keys.
    DRY_RUN = "dry-run"
    #: The real chain up to simulation; no keys, nothing is sent.
    SIMULATE = "simulate"


def load_plugins() -> Plugins:
    """Load every adapter from the entry points.

    Raises:
        ConfigError: naming a plugin that does not load.
    """
    groups = {group: discover(f"keeper.{group}") for group in ("protocols", "swaps", "pools", "prices")}
    broken = [
        f"plugin {name} of keeper.{group} does not load ({error}); fix or uninstall it"
        for group, plugins in groups.items()
        for name, error in plugins.broken.items()
    ]
    if broken:
        raise ConfigError(broken)
    return Plugins(**{group: plugins.found for group, plugins in groups.items()})


def journal_path(loaded: Loaded, mode: Mode = Mode.LIVE) -> Path:
    """Return where the journal of this mode lives: rehearsals never touch the real one."""
    return loaded.journal if mode is Mode.LIVE else loaded.state / f"{mode.value}.db"


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
                found = resolve(context, context.chain.head())
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
        builder = _Builder(loaded, mode, events, clock or SystemClock(), keep_secret, resources)
        builder.price_age_seconds, builder.journal = price_age_seconds, journal
        app = builder.build()
        app._resources = resources.pop_all()  # noqa: SLF001  (the builder's hand-over)
    return app


class _Builder:
    """Composes an app step by step; whatever it opened is closed again when a later step fails."""

    def __init__(
        self,
        loaded: Loaded,
        mode: Mode,
        events: EventSink,
        clock: SystemClock,
        keep_secret: Callable[[str], None],
        resources: ExitStack,
    ) -> None:
        self.loaded, self.mode, self.events, self.clock = loaded, mode, events, clock
        self.keep_secret, self.resources = keep_secret, resources
        self.permissions: dict[str, tuple[Permission, ...]] = {}
        self.forks: dict[str, Fork] = {}
        self.price_age_seconds = 0
        self.journal: Path | None = None

    def build(self) -> App:
        from keeper.store import open_store

        plugins = load_plugins()
        path = self.journal or journal_path(self.loaded, self.mode)
        if self.mode is not Mode.LIVE and self.journal is None:
            _forget(path)
        store = open_store(path, now=self.clock.now)
        self.resources.callback(store.close)
        keys = self._keys() if self.mode is Mode.LIVE else {}
        positions = self.loaded.positions({name: key.address for name, key in keys.items()})
        contexts = {}
        for name in dict.fromkeys(p.chain for p in positions):
            contexts[name] = self._context(name, plugins, store, positions, keys)
        return App(
            loaded=self.loaded,
            mode=self.mode,
            store=store,
            clock=self.clock,
            events=self.events,
            contexts=contexts,
            forks=self.forks,
            execute=rehearse_only if self.mode is Mode.SIMULATE else carry_out,
            _resources=ExitStack(),
            _permissions=self.permissions,
        )

    def _context(
        self,
        name: str,
        plugins: Plugins,
        store: SqliteStore,
        positions: Sequence[Position],
        keys: Mapping[str, KeySigner],
    ) -> ChainContext:
        settings, facts = self.loaded.settings, self.loaded.chain_facts(name)
        ours = tuple(_with_defaults(p, plugins, facts.block_time_ms) for p in positions if p.chain == name)
        chain, submitter, keys = self._chain(name, facts, ours, keys)
        limits = Limits(
            per_tx_usd=settings.limits.per_tx,
            per_day_usd=settings.limits.per_day,
            max_gas_price_wei=settings.limits.max_gas_price_gwei,
            min_native_wei=settings.limits.min_native_balance or 0,
        )
        return ChainContext(
            chain=chain,
            plugins=plugins,
            positions=ours,
            price_specs=self._price_specs(name),
            price_rules=PriceRules(settings.prices.min_sources, settings.prices.max_deviation_bps),
            limits=limits,
            store=store,
            clock=self.clock,
            events=self.events,
            signers={signer: self._guard(key, facts, limits, store) for signer, key in keys.items()},
            submitter=submitter,
            poll_seconds=max(0.05, min(facts.block_time_ms / 1000, 2.0)),
            drain_seconds=max(settings.keeper.drain_timeout - 2.0, 1.0),
            stopping=self.clock.stopping,
            checkpoint=_kill_point(os.environ.get(_KILL)),
            max_head_age_seconds=None
            if self.mode is Mode.DRY_RUN
            else max(_HEAD_AGE, 30 * facts.block_time_ms // 1000),
        )

    def _price_specs(self, name: str) -> dict[Address, tuple[PriceSpec, ...]]:
        """Sources by token of one chain; a feed's age limit is widened by the time that a fork is played forward."""
        return {
            token: tuple(_aged(spec, self.price_age_seconds) for spec in specs)
            for (chain, token), specs in self.loaded.price_specs().items()
            if chain == name
        }

    def _chain(
        self, name: str, facts: ChainFacts, positions: Sequence[Position], keys: Mapping[str, KeySigner]
    ) -> tuple[Chain, Submitter, Mapping[str, KeySigner]]:
        """Return what stands behind the chain's ports in this mode."""
        from keeper.chain.client import open_chain
        from keeper.submitters.public import PublicSubmitter
        from keeper.submitters.record_only import RecordOnlySubmitter

        urls = self.loaded.settings.chains[name].rpc
        if not urls:
            raise ConfigError(f'chains.{name}.rpc: no endpoint is configured; write rpc = ["$MY_RPC_URL"]')
        for url in urls:
            self.keep_secret(url)
        if self.mode is Mode.DRY_RUN:
            return self._fork(name, facts, urls[0], positions)
        chain = open_chain(facts, urls, events=self.events)
        self.resources.callback(chain.close)
        if self.mode is Mode.SIMULATE:
            return chain, RecordOnlySubmitter(), {}
        for key in {key.address: key for key in keys.values() if any(p.owner == key.address for p in positions)}:
            self._lock(name, key)
        return chain, PublicSubmitter(chain.senders, sleep=self.clock.sleep), keys

    def _fork(
        self, name: str, facts: ChainFacts, origin: str, positions: Sequence[Position]
    ) -> tuple[Chain, Submitter, Mapping[str, KeySigner]]:
        from keeper.chain.anvil_binary import find_anvil
        from keeper.chain.fork import open_fork

        binary = find_anvil()
        if binary is None:
            raise ConfigError(
                "a dry run needs anvil, and none was found\n  put it on PATH, name it in KEEPER_ANVIL, or install it "
                "with `python -m keeper.devnet.install`; `--dry-run=simulate` does without"
            )
        # Nobody else mines on the fork, so one block is as deep as it gets.
        fork = open_fork(origin, replace(facts, confirmations=1), binary=binary, events=self.events)
        self.resources.callback(fork.close)
        self.forks[name] = fork
        pairs = {p.signer: fork.impersonator(p.owner) for p in positions if p.signer is not None}
        submitter = fork.impersonator(facts.wrapped_native)[1]
        return fork.chain, submitter, {signer: key for signer, (key, _) in pairs.items()}

    def _lock(self, chain: str, owner: Address) -> None:
        from keeper.store.lock import LaneLock

        self.resources.enter_context(LaneLock(journal_path(self.loaded, self.mode), f"{chain}:{owner}"))
        chain_id = self.loaded.chain_facts(chain).chain_id
        if chain_id not in _DEVELOPMENT_CHAINS:
            # Beside the journal is not enough: another config may name another state folder for the same key.
            folder = Path(tempfile.gettempdir()) / f"keeper-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            self.resources.enter_context(LaneLock(folder / "lane", f"{chain_id}:{owner}"))

    def _guard(self, key: KeySigner, facts: ChainFacts, limits: Limits, store: SqliteStore) -> Signer:
        from keeper.signers import policy
        from keeper.signers.signing import verify_signed

        rules = policy.Policy(
            chain_ids=frozenset({facts.chain_id}),
            permissions=MappingProxyType(self.permissions),
            limits=policy.Limits(limits.per_tx_usd, limits.per_day_usd, limits.max_gas_price_wei),
        )

        def spent() -> UsdWad:
            return store.spent_usd(facts.name, key.address, self.clock.now() - 86_400)

        # A fork's stand-in bytes carry no signature to check; everything else about them is checked as in earnest.
        verify = policy.same_request if self.mode is Mode.DRY_RUN else verify_signed
        return policy.GuardedSigner(key, rules, spent, self.events, verify=verify)

    def _keys(self) -> dict[str, KeySigner]:
        """Open the keys of all positions; a key nobody uses stays closed."""
        used = dict.fromkeys(p.signer for p in self.loaded.settings.positions if p.signer is not None)
        signers = self.loaded.settings.signers
        opened = {name: open_key(signers[name], self.loaded.env, self.keep_secret) for name in used}
        return {name: key for name, key in opened.items() if key is not None}


def open_key(
    config: SignerConfig, env: Mapping[str, str], keep_secret: Callable[[str], None] = lambda _: None
) -> KeySigner | None:
    """Open one key, and tell redaction its secrets first; ``None`` for an account that is only watched.

    Raises:
        KeyUnavailable: with what to do.
    """
    from keeper.signers.env_key import EnvKeySigner
    from keeper.signers.keystore import KeystoreSigner
    from keeper.signers.secrets import read_secret_env, read_secret_file
    from keeper.signers.signing import check_backend

    variable = getattr(config, "password_env", None) or getattr(config, "variable", None)
    if variable is not None and variable in env:
        os.environ.setdefault(variable, env[variable])  # .env counts as the environment
    if config.kind == "watch":
        return None
    check_backend()
    if config.kind == "env-key":
        keep_secret(read_secret_env(config.variable))
        return EnvKeySigner(config.variable, allow=config.allow_env_key, expect=config.address)
    secret = read_secret_file(config.password_file) if config.password_file else read_secret_env(str(variable))
    keep_secret(secret)
    key = KeystoreSigner(
        config.path, password_file=config.password_file, password_env=config.password_env, expect=config.address
    )
    key.unlock()
    return key


def rehearse_only(context: ChainContext, work: Work) -> Harvest:
    """Close a compound without sending anything: its plan passed simulation, and that is all that was wanted."""
    done = replace(work.harvest, state=HarvestState.DONE, gas_used=work.harvest.predicted_gas, error="simulated only")
    context.store.close_harvest(done, ())
    return done


def _with_defaults(position: Position, plugins: Plugins, block_time_ms: int) -> Position:
    """Fill in what a protocol wants to know about its chain."""
    wants = plugins.protocols[position.protocol].params
    return with_params(position, block_time_ms=block_time_ms) if "block_time_ms" in wants else position


def _aged(spec: PriceSpec, seconds: int) -> PriceSpec:
    limit = spec.settings.get("max_age_seconds")
    return (
        PriceSpec(spec.kind, {**spec.settings, "max_age_seconds": limit + seconds}) if isinstance(limit, int) else spec
    )


def _forget(path: Path) -> None:
    """Remove a rehearsal's journal: each rehearsal starts from the chain as it is."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _kill_point(name: str | None) -> Callable[[str], None]:
    """Return a checkpoint hook that kills the process at one named point (``name`` or ``name:count``)."""
    wanted, _, count = (name or "").partition(":")
    left = [int(count or 1)]

    def reach(point: str) -> None:
        if point == wanted:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach
