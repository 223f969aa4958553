"""Wires what comes from outside the chain: prices and quotes from the web to check by, and proofs of merkle drops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from keeper.domain.drops import Drops
from keeper.domain.events import Event, EventName, Level
from keeper.domain.money import Address, Token
from keeper.domain.position import Position
from keeper.domain.valuation import Quote
from keeper.engine.clock import SystemClock
from keeper.engine.context import Plugins, no_outside_price
from keeper.errors import ConfigError
from keeper.ports import EventSink, ProtocolAdapter, QuoteSource, TakesDrops

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import QuotesConfig, SanityConfig
    from keeper.offchain.prices import OutsidePrices

__all__ = ["Outside", "open_outside"]

#: Seconds between two looks at proofs; trees are published every few hours.
_DROPS_POLL: Final = 600
#: Seconds between two looks at what a harvest that was held back would bring elsewhere.
_QUOTES_POLL: Final = 120
#: Seconds that the first look is given before everything goes on without it.
_FIRST_LOOK: Final = 3.0


@dataclass(slots=True)
class Outside:
    """What was opened; nothing by default."""

    price: Callable[[Token], Quote | None] = no_outside_price
    #: ``(source, owner, chain name)`` to what is known; ``None`` where no position wants proofs.
    drops: Callable[[str, Address, str], Drops] | None = None
    #: Who is asked what a sale would bring elsewhere; ``None`` where nobody is.
    quotes: QuoteSource | None = None

    def furnished(self, plugins: Plugins) -> Plugins:
        """Return the adapters, those that take proofs with somebody to ask."""
        if self.drops is None:
            return plugins
        given: dict[str, ProtocolAdapter] = dict(plugins.protocols)
        for name, adapter in plugins.protocols.items():
            if isinstance(adapter, TakesDrops):
                given[name] = adapter.with_drops(self.drops)
        return replace(plugins, protocols=given)


def open_outside(
    loaded: Loaded,
    plugins: Plugins,
    positions: Sequence[Position],
    clock: SystemClock,
    events: EventSink,
    resources: ExitStack,
    *,
    keep_secret: Callable[[str], None],
) -> Outside:
    """Start what the config wants; ``resources`` ends it.

    Raises:
        ConfigError: a key that is not in the environment.
    """

    def tell(error: str) -> None:
        events.emit(Event(EventName.OUTSIDE_FAILED, Level.WARNING, {"error": error}))

    outside = Outside()
    accounts: list[tuple[str, Address, int]] = []
    for position in positions:
        adapter: object = plugins.protocols.get(position.protocol)
        if isinstance(adapter, TakesDrops) and (source := adapter.drop_source(position)):
            accounts.append((source, position.owner, loaded.chain_facts(position.chain).chain_id))
    if accounts:
        outside.drops = _open_drops(loaded, accounts, tell, resources, keep_secret)
    sanity = loaded.settings.prices.sanity
    if sanity is not None:
        outside.price = _open_prices(loaded, sanity, positions, clock, tell, resources, keep_secret).price
    quotes = loaded.settings.quotes
    if quotes.kind != "off":
        outside.quotes = _open_quotes(loaded, quotes, positions, clock, tell, resources, keep_secret)
    return outside


def _open_drops(
    loaded: Loaded,
    accounts: Sequence[tuple[str, Address, int]],
    tell: Callable[[str], None],
    resources: ExitStack,
    keep_secret: Callable[[str], None],
) -> Callable[[str, Address, str], Drops]:
    from keeper.offchain.drops import DropShelf
    from keeper.offchain.watch import Watch

    for source in {source for source, _, _ in accounts if "://" in source}:
        keep_secret(source)
    shelf = DropShelf(accounts, tell)
    watch = Watch("drops", shelf.look, _DROPS_POLL)
    resources.callback(watch.close)
    watch.start(_FIRST_LOOK)
    chain_ids = {name: loaded.chain_facts(name).chain_id for name in loaded.settings.chains}
    return lambda source, owner, chain: shelf.drops(source, owner, chain_ids[chain])


def _open_quotes(
    loaded: Loaded,
    wanted: QuotesConfig,
    positions: Sequence[Position],
    clock: SystemClock,
    tell: Callable[[str], None],
    resources: ExitStack,
    keep_secret: Callable[[str], None],
) -> QuoteSource:
    from keeper.offchain.quotes import FORMS, OutsideQuotes
    from keeper.offchain.watch import Watch

    form = FORMS[wanted.kind]
    key = _key(loaded, wanted.key_env, "quotes.key_env")
    for secret in (key, wanted.url):
        if secret:
            keep_secret(secret)
    chains = dict.fromkeys(p.chain for p in positions)
    usual = {name: form.networks.get(loaded.chain_facts(name).chain_id) for name in chains}
    networks = {name: network for name, network in usual.items() if network} | dict(wanted.networks)
    for name in (name for name in chains if name not in networks):
        tell(
            f"quotes: {form.name} is not known to trade on {name}; nobody is asked there (quotes.networks can name it)"
        )
    quotes = OutsideQuotes(
        form, networks, timeout=wanted.timeout, url=wanted.url, key=key, monotonic=clock.monotonic, tell=tell
    )
    watch = Watch("quotes", quotes.look, _QUOTES_POLL)
    resources.callback(watch.close)
    watch.start()
    return quotes


def _key(loaded: Loaded, variable: str | None, path: str) -> str | None:
    """Read a key from the environment, its only place. Raises ConfigError when it is named and not there."""
    key = loaded.env.get(variable) if variable else None
    if variable and not key:
        raise ConfigError(f"{path}: environment variable {variable} is not set; export it")
    return key


def _open_prices(
    loaded: Loaded,
    sanity: SanityConfig,
    positions: Sequence[Position],
    clock: SystemClock,
    tell: Callable[[str], None],
    resources: ExitStack,
    keep_secret: Callable[[str], None],
) -> OutsidePrices:
    from keeper.offchain.prices import SERVICES, OutsidePrices
    from keeper.offchain.watch import Watch

    service = SERVICES[sanity.kind]
    key = _key(loaded, sanity.key_env, "prices.sanity.key_env")
    for secret in (key, sanity.url):
        if secret:
            keep_secret(secret)
    chains = dict.fromkeys(p.chain for p in positions)
    usual = {name: service.networks.get(loaded.chain_facts(name).chain_id) for name in chains}
    networks = {name: network for name, network in usual.items() if network} | dict(sanity.networks)
    prices = OutsidePrices(
        service, networks, poll_seconds=sanity.poll, url=sanity.url, key=key, now=clock.now, tell=tell
    )
    for name in chains:
        prices.want(name, (loaded.chain_facts(name).wrapped_native,))
    for chain, token in loaded.price_specs():
        if chain in chains:
            prices.want(chain, (token,))
    watch = Watch("prices", prices.look, sanity.poll)
    resources.callback(watch.close)
    watch.start(_FIRST_LOOK)
    return prices
