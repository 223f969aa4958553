"""Ask the contracts once for what never changes: markets, swap routes, price facts, token metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.position import Market, Position
from keeper.engine.book import Book, Holding, PricedToken
from keeper.engine.context import ChainContext
from keeper.engine.converse import converse
from keeper.engine.ways import find_baskets, find_sales
from keeper.erc20 import ask_tokens
from keeper.errors import ConfigError, KeeperError
from keeper.ports import Chain, PriceSpec

__all__ = ["resolve", "with_params"]


def resolve(context: ChainContext, block: BlockRef) -> Book:
    """Resolve every position of a chain. A position that cannot be resolved is left out, with its error.

    Raises:
        Transient: when the chain cannot be read.
        ConfigError: when the gas token cannot be priced from the config.
    """
    chain, failures = context.chain, dict[str, KeeperError]()
    native = _tokens(chain, block, [chain.facts.wrapped_native])[chain.facts.wrapped_native]
    markets = _markets(context, block, failures)
    find_baskets(context, block, markets, failures)
    holdings = find_sales(context, block, markets, native, failures)
    prices = _prices(context, block, holdings, native)
    return Book(holdings=tuple(holdings), prices=prices, native=native, failures=failures)


def _markets(context: ChainContext, block: BlockRef, failures: dict[str, KeeperError]) -> dict[str, Market]:
    plugins = context.plugins.protocols
    talks = {p.id: plugins[p.protocol].resolve(p) for p in context.positions}
    markets = {}
    for position_id, market in converse(context.chain, block, talks).items():
        if isinstance(market, KeeperError):
            failures[position_id] = market
        else:
            markets[position_id] = market
    return markets


def _tokens(chain: Chain, block: BlockRef, addresses: Iterable[Address]) -> dict[Address, Token]:
    """Read metadata of tokens. Raises ConfigError naming the address that is no token."""
    answers = converse(chain, block, {a: ask_tokens(chain.facts.name, (a,)) for a in dict.fromkeys(addresses)})
    tokens = {}
    for address, token in answers.items():
        if isinstance(token, KeeperError):
            where = f"chains.{chain.facts.name}: {address}"
            raise ConfigError(f"{where} does not answer like an ERC-20 token ({token}); check the address")
        (tokens[address],) = token
    return tokens


def _prices(context: ChainContext, block: BlockRef, holdings: list[Holding], native: Token) -> tuple[PricedToken, ...]:
    """Find the sources of every token that a decision needs, and of the tokens those sources need in turn."""
    specs, derived = _specs(context, holdings)
    known = {t.address: t for h in holdings for t in (*h.market.tokens, *h.tokens)}
    known[native.address] = native
    wanted = list(dict.fromkeys([native.address, *(t.address for h in holdings for t in h.market.tokens)]))
    priced: dict[Address, PricedToken] = {}
    needs: dict[Address, list[Address]] = {}
    while wanted:
        known |= _tokens(context.chain, block, [a for a in wanted if a not in known])
        talks = {
            (address, index): context.plugins.prices[spec.kind].resolve(spec, known[address])
            for address in wanted
            for index, spec in enumerate(specs.get(address, ()))
        }
        learnt = converse(context.chain, block, talks)
        for address in wanted:
            sources, broken = [], []
            needs[address] = []
            for index, spec in enumerate(specs.get(address, ())):
                facts = learnt[address, index]
                if isinstance(facts, KeeperError):
                    broken.append(f"{spec.kind}: {facts}")
                    continue
                sources.append((spec, facts))
                needs[address] += context.plugins.prices[spec.kind].needs(spec, known[address], facts)
            priced[address] = PricedToken(known[address], tuple(sources), address in derived, tuple(broken))
        wanted = list(dict.fromkeys(a for n in needs.values() for a in n if a not in priced))
    return tuple(priced[a] for a in _ordered(needs))


def _specs(
    context: ChainContext, holdings: list[Holding]
) -> tuple[dict[Address, tuple[PriceSpec, ...]], frozenset[Address]]:
    """Configured sources, and those that follow from the positions: LP tokens, and pools that rewards are sold in."""
    specs = dict(context.price_specs)
    derived = set()
    for holding in holdings:
        for token, spec in _own_prices(holding).items():
            if token not in context.price_specs:
                specs[token] = (spec,)
                derived.add(token)
        for sale in holding.sales:
            own = specs.get(sale.reward.address, ())
            pair = next((way.pools[0] for way in sale.ways if way.spec.kind == "uniswap-v2"), None)
            few = len(own) < context.price_rules.min_sources and all(s.kind != "uniswap-v2" for s in own)
            if pair is not None and few and sale.reward.address not in derived:
                specs[sale.reward.address] = (*own, PriceSpec("uniswap-v2", {"pair": str(pair)}))
    return {token: _distinct(given) for token, given in specs.items()}, frozenset(derived)


def _own_prices(holding: Holding) -> dict[Address, PriceSpec]:
    """How a position's own tokens are valued where the config does not say: as its adapter and its basket do."""
    basket = holding.market.basket
    return {**({basket.token.address: basket.price} if basket else {}), **holding.market.prices}


def _distinct(specs: Iterable[PriceSpec]) -> tuple[PriceSpec, ...]:
    """Leave out repetitions: the same pool or feed named twice is one opinion, not two that agree."""
    return tuple({_opinion(spec): spec for spec in specs}.values())


def _opinion(spec: PriceSpec) -> tuple[str, ...]:
    """Name what a source really asks: the contracts it names, whatever age or depth it demands of them."""
    settings = {key: str(value).lower() for key, value in spec.settings.items()}
    contracts = sorted(value for key, value in settings.items() if value.startswith("0x") and key != "sequencer_feed")
    return (spec.kind, *(contracts or sorted(settings.values())))


def _ordered(needs: Mapping[Address, list[Address]]) -> list[Address]:
    """Sort tokens so that each comes after those it needs; those that are priced by each other come last."""
    ordered: list[Address] = []
    left = {address: set(required) for address, required in needs.items()}
    while left:
        ready = [a for a, required in left.items() if required <= set(ordered)]
        if not ready:
            return ordered + sorted(left)
        ordered += ready
        left = {a: required for a, required in left.items() if a not in ready}
    return ordered


def with_params(position: Position, **extra: int) -> Position:
    """Return the position with chain-wide defaults filled in where its own params are silent."""
    return replace(position, params={**extra, **position.params})
