"""What stands behind the ports in each mode: chains, submitters, keys behind their policy, locks, the journal.

``keeper.app`` composes an app of it; together they are the only places that name concrete classes.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from keeper.config.plugins import discover
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address, UsdWad
from keeper.domain.position import Position
from keeper.engine.base_currency import BaseCurrency, BaseFeed
from keeper.engine.clock import SystemClock
from keeper.engine.context import BatchTerms, ChainContext, Limits, Plugins, PriceRules
from keeper.engine.lease import Leases
from keeper.engine.outlook import MEMORY_SECONDS, Outlook
from keeper.engine.pause import stop_of
from keeper.engine.resolve import with_params
from keeper.errors import ConfigError
from keeper.outside import Outside, open_outside
from keeper.ports import Chain, EventSink, KeySigner, Permission, PriceSpec, Signer, Submitter
from keeper.strategy.policies import DEFAULT
from keeper.strategy.verdicts import LivePolicy

if TYPE_CHECKING:
    from keeper.chain.fork import Fork
    from keeper.config.loader import Loaded
    from keeper.config.models import SignerConfig
    from keeper.store.sqlite import SqliteStore

__all__ = ["Mode", "Wired", "journal_path", "load_plugins", "open_key", "wire"]

#: Environment variable naming a checkpoint at which the process kills itself; for crash tests only.
_KILL: Final = "KEEPER_KILL"

#: Seconds that the newest block may be old before nothing is decided by it (or 30 block times, if that is more).
_HEAD_AGE: Final = 600

#: Chain ids that many unrelated local chains share; there the same account is not the same lane.
_DEVELOPMENT_CHAINS: Final = frozenset({1337, 31337})


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


@dataclass(frozen=True, slots=True)
class Wired:
    """Everything opened for a config."""

    store: SqliteStore
    contexts: Mapping[str, ChainContext]
    #: Forks by chain, in a dry run.
    forks: Mapping[str, Fork]
    #: What each position's signer may sign; the guards look here, the app fills it when a chain is resolved.
    permissions: dict[str, tuple[Permission, ...]]


def wire(
    loaded: Loaded,
    mode: Mode,
    events: EventSink,
    clock: SystemClock,
    resources: ExitStack,
    *,
    keep_secret: Callable[[str], None],
    price_age_seconds: int,
    journal: Path | None,
) -> Wired:
    """Open everything; ``resources`` closes it, also what was opened before a later step failed. See ``open_app``."""
    builder = _Builder(loaded, mode, events, clock, keep_secret, resources)
    builder.price_age_seconds, builder.journal = price_age_seconds, journal
    return builder.build()


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
        self.leases: Leases | None = None
        self.policies: Mapping[str, LivePolicy] = {}
        self.base = BaseCurrency(_base_feed(loaded))
        self.outside = Outside()

    def build(self) -> Wired:
        from keeper.store import forget, open_store

        plugins = load_plugins()
        path = self.journal or journal_path(self.loaded, self.mode)
        if self.mode is not Mode.LIVE and self.journal is None:
            forget(path)  # each rehearsal starts from the chain as it is
        store = open_store(path, now=self.clock.now)
        self.resources.callback(store.close)
        self.leases = self.resources.enter_context(Leases(store, self.clock))
        self.policies = self._policies()
        keys = self._keys() if self.mode is Mode.LIVE else {}
        positions = self.loaded.positions({name: key.address for name, key in keys.items()})
        self.outside = open_outside(
            self.loaded, plugins, positions, self.clock, self.events, self.resources, keep_secret=self.keep_secret
        )
        plugins = self.outside.furnished(plugins)
        contexts = {}
        for name in dict.fromkeys(p.chain for p in positions):
            contexts[name] = self._context(name, plugins, store, positions, keys)
        return Wired(store, contexts, self.forks, self.permissions)

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
        settled = settings.chains[name]

        def paused() -> str | None:
            stop = stop_of(store, self.loaded.kill_file) if self.mode is Mode.LIVE else None
            return None if stop is None else stop.text

        limits = _limits(self.loaded)
        return ChainContext(
            chain=chain,
            plugins=plugins,
            positions=ours,
            policies=self.policies,
            policy=settings.strategy.policy,
            races={} if settings.strategy.race else None,
            batches={b: BatchTerms(terms.shared_cost, terms.shared_gas) for b, terms in settings.batches.items()},
            outlook=_outlook(store, name),
            base=self.base,
            history_seconds=settings.keeper.history,
            price_specs=self._price_specs(name),
            price_rules=PriceRules(
                settings.prices.min_sources,
                settings.prices.max_deviation_bps,
                settings.prices.sanity.max_deviation if settings.prices.sanity else 0,
            ),
            outside_price=self.outside.price,
            quotes=self.outside.quotes,
            quotes_worse_bps=settings.quotes.max_worse,
            limits=limits,
            store=store,
            clock=self.clock,
            events=self.events,
            signers={signer: self._guard(key, facts, limits, store, paused, ours) for signer, key in keys.items()},
            submitter=submitter,
            max_in_flight=settled.max_in_flight,
            cancel_max_usd=settings.limits.cancel_max,
            deadline_blocks=max(settings.limits.tx_deadline * 1000 // facts.block_time_ms, 1),
            paused=paused,
            error_words=self.loaded.error_words(name),
            poll_seconds=max(0.05, min(facts.block_time_ms / 1000, 2.0)),
            drain_seconds=max(settings.keeper.drain_timeout - 2.0, 1.0),
            stopping=self.clock.stopping,
            checkpoint=_kill_point(os.environ.get(_KILL)),
            max_head_lead_seconds=None
            if self.mode is Mode.DRY_RUN or facts.chain_id in _DEVELOPMENT_CHAINS
            else _HEAD_AGE,
            max_head_age_seconds=None
            if self.mode is Mode.DRY_RUN
            else max(_HEAD_AGE, 30 * facts.block_time_ms // 1000),
        )

    def _policies(self) -> Mapping[str, LivePolicy]:
        """Make the policies that the config names; a process starts when it is first asked."""
        settings = self.loaded.settings
        named = [settings.strategy.policy, *(p.policy or "" for p in settings.positions)]
        if not set(named) - {"", DEFAULT}:
            return {}
        from keeper.config.plugins import load_policies
        from keeper.policies.external import External
        from keeper.policies.live import live_policies

        blocks = {name: External(block.command, float(block.timeout)) for name, block in settings.policies.items()}
        return live_policies(
            named,
            blocks,
            load_policies(),
            events=self.events,
            clock=self.clock,
            resources=self.resources,
            params=settings.policy_params,
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
        from keeper.chain.client import open_chain, raw_sender
        from keeper.chain.endpoint import Endpoint
        from keeper.submitters.opening import open_submitter
        from keeper.submitters.record_only import RecordOnlySubmitter

        settings = self.loaded.settings.chains[name]
        urls = self.loaded.settings.chains[name].rpc
        if not urls:
            raise ConfigError(f'chains.{name}.rpc: no endpoint is configured; write rpc = ["$MY_RPC_URL"]')
        for url in (*urls, *settings.private_rpc):
            self.keep_secret(url)
        if self.mode is Mode.DRY_RUN:
            return self._fork(name, facts, urls[0], positions)
        chain = open_chain(facts, urls, events=self.events, quorum=self.loaded.quorum(name))
        self.resources.callback(chain.close)
        if self.mode is Mode.SIMULATE:
            return chain, RecordOnlySubmitter(), {}
        for key in {key.address: key for key in keys.values() if any(p.owner == key.address for p in positions)}:
            self._lock(name, key)
        submitter = open_submitter(
            settings.submit,
            chain.batch_senders,
            [raw_sender(Endpoint(url)) for url in settings.private_rpc],
            blocks=settings.private_blocks,
            sleep=self.clock.sleep,
            overrides=self.loaded.error_words(name),
        )
        return chain, submitter, keys

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
        """Own an account: the machine's lock first, so that a lease left by a dead process of ours can be taken."""
        from keeper.store.lock import LaneLock

        self.resources.enter_context(LaneLock(journal_path(self.loaded, self.mode), f"{chain}:{owner}"))
        chain_id = self.loaded.chain_facts(chain).chain_id
        if chain_id not in _DEVELOPMENT_CHAINS:
            # Beside the journal is not enough: another config may name another state folder for the same key.
            folder = Path(tempfile.gettempdir()) / f"keeper-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            self.resources.enter_context(LaneLock(folder / "lane", f"{chain_id}:{owner}"))
        assert self.leases is not None, "the journal is opened first"
        self.leases.take(f"{chain}:{owner}")

    def _guard(
        self,
        key: KeySigner,
        facts: ChainFacts,
        limits: Limits,
        store: SqliteStore,
        paused: Callable[[], str | None],
        positions: Sequence[Position],
    ) -> Signer:
        from keeper.signers import policy
        from keeper.signers.signing import verify_signed

        rules = policy.Policy(
            chain_ids=frozenset({facts.chain_id}),
            permissions=MappingProxyType(self.permissions),
            limits=policy.Limits(
                limits.per_tx_usd,
                limits.per_day_usd,
                limits.max_gas_price_wei,
                cancel_usd=self.loaded.settings.limits.cancel_max,
            ),
            payouts=MappingProxyType({p.id: p.options.payout_to for p in positions if p.options.payout_to is not None}),
        )

        def spent() -> UsdWad:
            return store.spent_usd(facts.name, key.address, self.clock.now() - 86_400)

        # A fork's stand-in bytes carry no signature to check; everything else about them is checked as in earnest.
        verify = policy.same_request if self.mode is Mode.DRY_RUN else verify_signed
        return policy.GuardedSigner(
            key,
            rules,
            spent,
            self.events,
            verify=verify,
            paused=paused,
            next_nonce=lambda chain_id: store.next_nonce(chain_id, key.address),
        )

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


def _limits(loaded: Loaded) -> Limits:
    limits = loaded.settings.limits
    return Limits(
        per_tx_usd=limits.per_tx,
        per_day_usd=limits.per_day,
        max_gas_price_wei=limits.max_gas_price_gwei,
        min_native_wei=limits.min_native_balance or 0,
        failures_per_day=limits.max_failures_per_day,
        min_runway_days=limits.min_runway // 86_400,
    )


def _base_feed(loaded: Loaded) -> BaseFeed | None:
    report = loaded.settings.report
    if report.currency_chain is None or report.currency_feed is None:
        return None
    return BaseFeed(report.currency, report.currency_chain, report.currency_feed, report.currency_max_age)


def _outlook(store: SqliteStore, chain: str) -> Outlook:
    """Remember the price of gas over a restart: the last hours of the newest sample, whenever that was."""
    kept = store.gas_history(chain)
    since = kept[-1][0] - MEMORY_SECONDS if kept else 0
    return Outlook((at, base + tip) for at, base, tip in kept if at >= since)


def _with_defaults(position: Position, plugins: Plugins, block_time_ms: int) -> Position:
    """Fill in what a protocol wants to know about its chain."""
    wants = plugins.protocols[position.protocol].params
    return with_params(position, block_time_ms=block_time_ms) if "block_time_ms" in wants else position


def _aged(spec: PriceSpec, seconds: int) -> PriceSpec:
    limit = spec.settings.get("max_age_seconds")
    return (
        PriceSpec(spec.kind, {**spec.settings, "max_age_seconds": limit + seconds}) if isinstance(limit, int) else spec
    )


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
