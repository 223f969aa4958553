"""How rewards become what is deposited: which baskets stakes are, which sales that takes, and the ways of each sale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from keeper.domain.block import BlockRef
from keeper.domain.money import Amount, Token
from keeper.domain.position import Basket, Market, Position, RouteSpec, SideEffect
from keeper.domain.valuation import Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.context import ChainContext
from keeper.engine.converse import converse
from keeper.errors import ConfigError, KeeperError, ReadFailed
from keeper.ports import SwapRoute

__all__ = ["best_ways", "find_baskets", "find_sales", "routes_of"]

#: A sale, and the exchange it is made on: asked for once, however many positions need it.
_Asked: TypeAlias = tuple[RouteSpec, Token, Token]
_Found: TypeAlias = Mapping[_Asked, Sequence[SwapRoute] | KeeperError]


def routes_of(context: ChainContext, position: Position) -> tuple[RouteSpec, ...]:
    """Exchanges a position may sell on: its own, else those that the chain's file knows."""
    return position.routes or context.chain.facts.exchanges


def find_baskets(
    context: ChainContext, block: BlockRef, markets: dict[str, Market], failures: dict[str, KeeperError]
) -> None:
    """Ask what stake tokens are made of, where a reward has to become one; fills the markets in.

    Raises:
        Transient: when the chain cannot be read.
    """
    positions = {p.id: p for p in context.positions if p.id in markets}
    asked = {
        (market.stake_token, routes_of(context, p) if _needs_making(market) else ())
        for p in positions.values()
        if _needs_making(market := markets[p.id]) or _needs_price(context, market)
    }
    talks = {
        (token, routes, name): pool.recognise(token, routes)
        for token, routes in asked
        for name, pool in context.plugins.pools.items()
    }
    said = converse(context.chain, block, talks)
    for position_id, position in positions.items():
        market = markets[position_id]
        makes = _needs_making(market)
        if not makes and not _needs_price(context, market):
            continue
        routes = routes_of(context, position) if makes else ()
        answers = [said[market.stake_token, routes, name] for name in context.plugins.pools]
        basket = next((answer for answer in answers if isinstance(answer, Basket)), None)
        refusal = next((answer for answer in answers if isinstance(answer, ConfigError)), None)
        if basket is not None and makes:
            markets[position_id] = replace(market, basket=basket, stake_parts=basket.parts)
        elif basket is not None:
            priced = {basket.token.address: basket.price, **market.prices}
            markets[position_id] = replace(market, prices=MappingProxyType(priced))
        elif makes and refusal is not None:
            del markets[position_id]
            failures[position_id] = ConfigError(f"positions: {position_id}: {refusal}")


def _needs_making(market: Market) -> bool:
    """Whether some reward is not what is staked, and the stake is a token that might be made of others."""
    if market.virtual or market.stake_parts or SideEffect.FOR_EVERYBODY in market.side_effects:
        return False
    return any(reward.address != market.stake_token.address for reward in market.reward_tokens)


def _needs_price(context: ChainContext, market: Market) -> bool:
    """Whether nobody says what the stake token is worth."""
    stake = market.stake_token.address
    return not market.virtual and stake not in context.price_specs and stake not in market.prices


def find_sales(
    context: ChainContext,
    block: BlockRef,
    markets: Mapping[str, Market],
    native: Token,
    failures: dict[str, KeeperError],
) -> list[Holding]:
    """Find every way of every sale: those that make the stake token, and those that make gas money.

    Raises:
        Transient: when the chain cannot be read.
    """
    swaps = context.plugins.swaps
    talks = {}
    for position in context.positions:
        if position.id not in markets:
            continue
        specs = [spec for spec in routes_of(context, position) if spec.kind in swaps]
        for sell, buy in _wanted(position, markets[position.id], native):
            talks.update({(spec, sell, buy): swaps[spec.kind].resolve(spec, sell, buy) for spec in specs})
            if not specs and position.id not in failures:
                failures[position.id] = _no_route(position, sell, buy)
    found = converse(context.chain, block, talks)
    holdings = []
    for position in context.positions:
        if position.id not in markets or position.id in failures:
            continue
        holding = _holding(position, markets[position.id], native, routes_of(context, position), found)
        if isinstance(holding, Holding):
            holdings.append(holding)
        else:
            failures[position.id] = holding
    return holdings


def _wanted(position: Position, market: Market, native: Token) -> Iterator[tuple[Token, Token]]:
    yield from _needed_sales(market)
    yield from _gas_sales(position, market, native)


def _needed_sales(market: Market) -> Iterable[tuple[Token, Token]]:
    """Which rewards must become which tokens so that the stake token can be made."""
    if market.side_effects & {SideEffect.FOR_EVERYBODY, SideEffect.ONE_CALL}:
        return
    targets = market.stake_parts or (market.stake_token,)
    for reward in market.reward_tokens:
        if reward.address != market.stake_token.address:
            yield from ((reward, buy) for buy in targets if buy.address != reward.address)


def _gas_sales(position: Position, market: Market, native: Token) -> Iterable[tuple[Token, Token]]:
    """Which rewards may become gas money by a sale; the wrapped gas token itself needs none."""
    if position.options.gas_keep_wei > 0:
        yield from ((reward, native) for reward in market.reward_tokens if reward.address != native.address)


def _holding(
    position: Position, market: Market, native: Token, specs: Sequence[RouteSpec], found: _Found
) -> Holding | KeeperError:
    """Put a position together; the error that stands in the way, where one does."""
    sales = []
    for reward, buy in _needed_sales(market):
        sale = _sale(reward, buy, specs, found)
        if isinstance(sale, KeeperError):
            return sale
        sales.append(sale)
    if position.options.gas_keep_wei <= 0:
        holding = Holding(position, market, tuple(sales))
    else:
        ways = [_sale(reward, buy, specs, found) for reward, buy in _gas_sales(position, market, native)]
        top_ups = tuple(sale for sale in ways if isinstance(sale, Sale))
        broken = [sale for sale in ways if isinstance(sale, KeeperError)]
        unwraps = any(token.address == native.address for token in market.reward_tokens)
        if broken and not top_ups and not unwraps:
            return ConfigError(f"positions: {position.id}: gas_top_up: {broken[0]}")
        holding = Holding(position, market, tuple(sales), native, top_ups)
    return _payout_problem(holding) or _division_problem(holding) or holding


def _sale(reward: Token, buy: Token, specs: Sequence[RouteSpec], found: _Found) -> Sale | KeeperError:
    """Gather the ways of a sale over every exchange; the first exchange that has one comes first."""
    ways: list[SwapRoute] = []
    problem: KeeperError | None = None
    for spec in specs:
        answer = found.get((spec, reward, buy))
        if isinstance(answer, KeeperError):
            problem = problem or answer
        else:
            ways += answer or ()
    if not ways:
        return problem or ConfigError(f"no exchange is configured that sells {reward.symbol} for {buy.symbol}")
    return Sale(reward, buy, ways[0], tuple(ways[1:]))


def _no_route(position: Position, reward: Token, buy: Token) -> ConfigError:
    pays = f"pays {reward.symbol} but has no route to sell it for {buy.symbol}"
    add = 'add route = {kind = "uniswap-v2", router = "0x...", via = ["0x..."]}'
    unless = ", or remove gas_top_up" if position.options.gas_keep_wei > 0 else ""
    return ConfigError(f"positions: {position.id}: {pays}; {add}{unless}")


def _payout_problem(holding: Holding) -> ConfigError | None:
    """Refuse to pay out to a contract of the position: what is sent to a token or a pool is lost."""
    to, market = holding.position.options.payout_to, holding.market
    ways = [way for sale in (*holding.sales, *holding.top_ups) for way in sale.ways]
    pools = {pool for way in ways for pool in way.pools} | ({market.basket.entry} if market.basket else set())
    tokens = {token.address for token in holding.tokens}
    if to is None or to not in {*tokens, *pools, *market.contracts.values()}:
        return None
    what = "a token" if to in tokens else "a contract"
    return ConfigError(
        f"positions: {holding.position.id}: payout.to {to} is {what} of this position, and what is sent there is lost; "
        "name a wallet of yours"
    )


def _division_problem(holding: Holding) -> ConfigError | None:
    """Refuse to divide what never passes through the wallet: a vault's harvest, and rewards put back in one call."""
    options, effects = holding.position.options, holding.market.side_effects
    asked = [name for name, on in (("payout", options.payout_bps), ("gas_top_up", options.gas_keep_wei)) if on]
    if not asked or not effects & {SideEffect.FOR_EVERYBODY, SideEffect.ONE_CALL}:
        return None
    return ConfigError(
        f"positions: {holding.position.id}: {' and '.join(asked)}: what is harvested here never passes through the "
        "wallet, so nothing of it can be divided; remove it"
    )


def best_ways(
    context: ChainContext,
    holding: Holding,
    sold: Mapping[Sale, int],
    worth: Valuation,
    gas_price_wei: int,
    block: BlockRef,
) -> Holding:
    """Take for each sale the way that brings most, net of its gas, by quotes for the amounts at hand.

    Every quote of every way travels in one batch. A way that cannot be quoted is passed over; where none can, the
    present one stays and the simulation says why.

    Args:
        context: the chain.
        holding: the position.
        sold: base units that each sale would sell.
        worth: agreed prices.
        gas_price_wei: price of gas.
        block: the block to quote at.

    Raises:
        Transient: when the chain cannot be read.
    """
    open_to_choice = [sale for sale in holding.sales if sale.others and sold.get(sale, 0) > 0]
    if not open_to_choice:
        return holding
    swaps = context.plugins.swaps
    asked = [
        (sale, way, swaps[way.spec.kind].quote_reads(way, sold[sale])) for sale in open_to_choice for way in sale.ways
    ]
    answers = context.chain.read([read for _, _, reads in asked for read in reads], block)
    best: dict[Sale, tuple[int, SwapRoute]] = {}
    at = 0
    for sale, way, reads in asked:
        results, at = answers[at : at + len(reads)], at + len(reads)
        try:
            bought = swaps[way.spec.kind].quote(way, results, sold[sale])
        except (ReadFailed, ArithmeticError, LookupError, ValueError):  # adapters may be anybody's
            continue
        net = worth.value_low(Amount(sale.buy, bought)) - worth.gas_cost(way.gas * gas_price_wei)
        if sale not in best or net > best[sale][0]:
            best[sale] = (net, way)
    sales = tuple(_taken(sale, best[sale][1]) if sale in best else sale for sale in holding.sales)
    return replace(holding, sales=sales)


def _taken(sale: Sale, way: SwapRoute) -> Sale:
    """Put one way first."""
    return replace(sale, route=way, others=tuple(other for other in sale.ways if other != way))
