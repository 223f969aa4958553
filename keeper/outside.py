"""Wires what comes from outside the chain: prices from the web to check by, and proofs of merkle drops."""

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
from keeper.ports import EventSink, ProtocolAdapter, TakesDrops

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import SanityConfig
    from keeper.offchain.prices import OutsidePrices

__all__ = ["Outside", "open_outside"]

#: Seconds between two looks at proofs; trees are published every few hours.
_DROPS_POLL: Final = 600
#: Seconds that the first look is given before everything goes on without it.
_FIRST_LOOK: Final = 3.0


@dataclass(slots=True)
class Outside:
    """What was opened; nothing by default."""

    price: Callable[[Token], Quote | None] = no_outside_price
    #: ``(source, owner, chain name)`` to what is known; ``None`` where no position wants proofs.
    drops: Callable[[str, Address, str], Drops] | None = None

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
    key = loaded.env.get(sanity.key_env) if sanity.key_env else None
    if sanity.key_env and not key:
        raise ConfigError(f"prices.sanity.key_env: environment variable {sanity.key_env} is not set; export it")
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
