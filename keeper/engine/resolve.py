"""Ask the contracts once for what never changes: markets, swap routes, price facts, token metadata."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.position import Market, Position
from keeper.domain.reads import Read, ReadResult
from keeper.engine.context import ChainContext
from keeper.errors import ConfigError, KeeperError, ReadFailed
from keeper.ports import Chain, PriceSpec, Questions, SwapRoute

__all__ = ["Book", "Holding", "PricedToken", "Sale", "converse", "resolve"]

_DECIMALS = Fn("decimals()", "uint8")
_SYMBOL = Fn("symbol()", "string")
_SYMBOL32 = Fn("symbol()", "bytes32")

Key = TypeVar("Key", bound=Hashable)
Learnt = TypeVar("Learnt")


@dataclass(frozen=True, slots=True)
class Sale:
    """One reward token that is sold for one token that is deposited."""

    reward: Token
    buy: Token
    route: SwapRoute


@dataclass(frozen=True, slots=True)
class Holding:
    """A position together with what its contracts said."""

    position: Position
    market: Market
    sales: tuple[Sale, ...]
    #: Where rewards become gas money too: the wrapped gas token, and how each reward is sold for it.
    wrapped: Token | None = None
    top_ups: tuple[Sale, ...] = ()

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every token that a compound of it may move, without repeats."""
        path = (token for sale in (*self.sales, *self.top_ups) for token in sale.route.path)
        return tuple(dict.fromkeys((*self.market.tokens, *path, *((self.wrapped,) if self.wrapped else ()))))

    def sale(self, reward: Token, buy: Token) -> Sale:
        """Return the resolved route from one token to the other. KeyError when there is none."""
        for sale in self.sales:
            if sale.reward.address == reward.address and sale.buy.address == buy.address:
                return sale
        raise KeyError((reward.symbol, buy.symbol))


@dataclass(frozen=True, slots=True)
class PricedToken:
    """A token with its sources and what each of them learnt."""

    token: Token
    sources: tuple[tuple[PriceSpec, Mapping[str, str]], ...]
    #: The price follows from other agreed prices (an LP token), so one source is enough.
    derived: bool = False
    #: Why sources of this token could not be resolved; it has fewer prices then.
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All that was resolved on one chain, and why the rest could not be."""

    holdings: tuple[Holding, ...]
    #: In an order in which every token comes after those its sources need.
    prices: tuple[PricedToken, ...]
    native: Token
    #: Position id to the error that keeps it out.
    failures: Mapping[str, KeeperError]

    def holding(self, position_id: str) -> Holding:
        """Return one position. Raises the error that kept it out, or KeyError when it is not on this chain."""
        if position_id in self.failures:
            raise self.failures[position_id]
        for holding in self.holdings:
            if holding.position.id == position_id:
                return holding
        raise KeyError(position_id)


def converse(chain: Chain, block: BlockRef, talks: Mapping[Key, Questions[Learnt]]) -> dict[Key, Learnt | KeeperError]:
    """Hold many conversations at once: each round's reads of all of them travel together.

    An error inside one conversation is that one's answer; a failing chain raises Transient.
    """
    done: dict[Key, Learnt | KeeperError] = {}
    waiting: dict[Key, Sequence[Read]] = {}

    def step(key: Key, answers: Sequence[ReadResult] | None) -> None:
        talk = talks[key]
        try:
            waiting[key] = next(talk) if answers is None else talk.send(answers)
        except StopIteration as stop:
            done[key] = stop.value
        except KeeperError as error:
            done[key] = error

    for key in talks:
        step(key, None)
    while waiting:
        batch, waiting = waiting, {}
        answers = iter(chain.read([read for reads in batch.values() for read in reads], block))
        for key, reads in batch.items():
            step(key, [next(answers) for _ in reads])
    return done


def resolve(context: ChainContext, block: BlockRef) -> Book:
    """Resolve every position of a chain. A position that cannot be resolved is left out, with its error.

    Raises:
        Transient: when the chain cannot be read.
        ConfigError: when the gas token cannot be priced from the config.
    """
    chain, failures = context.chain, dict[str, KeeperError]()
    native = _tokens(chain, block, [chain.facts.wrapped_native])[chain.facts.wrapped_native]
    markets = _markets(context, block, failures)
    holdings = _routes(context, block, markets, native, failures)
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


def _routes(
    context: ChainContext,
    block: BlockRef,
    markets: Mapping[str, Market],
    native: Token,
    failures: dict[str, KeeperError],
) -> list[Holding]:
    """Find the way of every sale: those that make the stake token, and those that make gas money."""
    talks = {}
    for position in context.positions:
        market = markets.get(position.id)
        if market is None:
            continue
        for reward, buy in (*_needed_sales(market), *_gas_sales(position, market, native)):
            if position.route is None:
                failures[position.id] = _no_route(position, reward, buy)
                break
            swap = context.plugins.swaps[position.route.kind]
            talks[position.id, reward, buy] = swap.resolve(position.route, reward, buy)
    found = converse(context.chain, block, talks)
    holdings = []
    for position in context.positions:
        if position.id not in markets or position.id in failures:
            continue
        routes = {(reward, buy): route for (owner, reward, buy), route in found.items() if owner == position.id}
        holding = _holding(position, markets[position.id], native, routes)
        if isinstance(holding, Holding):
            holdings.append(holding)
        else:
            failures[position.id] = holding
    return holdings


def _holding(
    position: Position, market: Market, native: Token, routes: Mapping[tuple[Token, Token], SwapRoute | KeeperError]
) -> Holding | KeeperError:
    """Put a position together; the error that stands in the way, where one does."""
    sales = []
    for reward, buy in _needed_sales(market):
        route = routes[reward, buy]
        if isinstance(route, KeeperError):
            return route
        sales.append(Sale(reward, buy, route))
    if position.options.gas_keep_wei <= 0:
        holding = Holding(position, market, tuple(sales))
    else:
        ways = [(reward, routes[reward, buy]) for reward, buy in _gas_sales(position, market, native)]
        top_ups = tuple(Sale(reward, native, way) for reward, way in ways if not isinstance(way, KeeperError))
        broken = [way for _, way in ways if isinstance(way, KeeperError)]
        unwraps = any(token.address == native.address for token in market.reward_tokens)
        if broken and not top_ups and not unwraps:
            return ConfigError(f"positions: {position.id}: gas_top_up: {broken[0]}")
        holding = Holding(position, market, tuple(sales), native, top_ups)
    return _payout_problem(holding) or holding


def _no_route(position: Position, reward: Token, buy: Token) -> ConfigError:
    pays = f"pays {reward.symbol} but has no route to sell it for {buy.symbol}"
    add = 'add route = {kind = "uniswap-v2", router = "0x...", via = ["0x..."]}'
    unless = ", or remove gas_top_up" if position.options.gas_keep_wei > 0 else ""
    return ConfigError(f"positions: {position.id}: {pays}; {add}{unless}")


def _payout_problem(holding: Holding) -> ConfigError | None:
    """Refuse to pay out to a contract of the position: what is sent to a token or a pool is lost."""
    to, market = holding.position.options.payout_to, holding.market
    pools = {pool for sale in (*holding.sales, *holding.top_ups) for pool in sale.route.pools}
    tokens = {token.address for token in holding.tokens}
    if to is None or to not in {*tokens, *pools, *market.contracts.values()}:
        return None
    what = "a token" if to in tokens else "a contract"
    return ConfigError(
        f"positions: {holding.position.id}: payout.to {to} is {what} of this position, and what is sent there is lost; "
        "name a wallet of yours"
    )


def _gas_sales(position: Position, market: Market, native: Token) -> Iterable[tuple[Token, Token]]:
    """Which rewards may become gas money by a sale; the wrapped gas token itself needs none."""
    if position.options.gas_keep_wei > 0:
        yield from ((reward, native) for reward in market.reward_tokens if reward.address != native.address)


def _needed_sales(market: Market) -> Iterable[tuple[Token, Token]]:
    """Which rewards must become which tokens so that the stake token can be made."""
    targets = market.stake_parts or (market.stake_token,)
    for reward in market.reward_tokens:
        if reward.address != market.stake_token.address:
            yield from ((reward, buy) for buy in targets if buy.address != reward.address)


def _token_talk(chain_name: str, address: Address) -> Questions[Token]:
    """Ask a token for its decimals and symbol (string, or bytes32 as the oldest tokens answer)."""
    decimals, symbol = yield [_DECIMALS.read(address), _SYMBOL.read(address, result_bytes=96)]
    try:
        text = str(_SYMBOL.value(symbol))
    except ReadFailed:
        text = _SYMBOL32.value(symbol).rstrip(b"\0").decode(errors="replace") if symbol.data else "?"
    return Token(chain_name, address, text[:24], int(_DECIMALS.value(decimals)))


def _tokens(chain: Chain, block: BlockRef, addresses: Iterable[Address]) -> dict[Address, Token]:
    """Read metadata of tokens. Raises ConfigError naming the address that is no token."""
    answers = converse(chain, block, {a: _token_talk(chain.facts.name, a) for a in dict.fromkeys(addresses)})
    tokens = {}
    for address, token in answers.items():
        if isinstance(token, KeeperError):
            where = f"chains.{chain.facts.name}: {address}"
            raise ConfigError(f"{where} does not answer like an ERC-20 token ({token}); check the address")
        tokens[address] = token
    return tokens


def _prices(context: ChainContext, block: BlockRef, holdings: list[Holding], native: Token) -> tuple[PricedToken, ...]:
    """Find the sources of every token that a decision needs, and of the tokens those sources need in turn."""
    specs, derived = _specs(context, holdings)
    known = {t.address: t for h in holdings for t in h.tokens}
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
        stake = holding.market.stake_token.address
        if holding.market.stake_parts and stake not in specs:
            specs[stake] = (PriceSpec("uniswap-v2-lp", {}),)
            derived.add(stake)
        for sale in holding.sales:
            own = specs.get(sale.reward.address, ())
            if len(own) < context.price_rules.min_sources and all(s.kind != "uniswap-v2" for s in own):
                specs[sale.reward.address] = (*own, PriceSpec("uniswap-v2", {"pair": str(sale.route.pools[0])}))
    return {token: _distinct(given) for token, given in specs.items()}, frozenset(derived)


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
