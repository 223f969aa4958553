"""Uniswap V3 and its forks as an exchange: the fee tiers of a direct pool and of two hops, quoted by QuoterV2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    FACTORY,
    ZERO_ADDRESS,
    approve_legs,
    approve_permission,
    ask_tokens,
    optional,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Permission, Questions, SwapRoute
from keeper.ranges import swap_within_range, virtual_reserve
from keeper.swaps.uniswap_v3_calls import SECOND_KIND, fees_of, packed_path, paths_of, permission, template, tiers_of

__all__ = ["UniswapV3Swap"]

#: Only routers of the second kind (SwapRouter02, Pancake's SmartRouter) know Uniswap V2 too.
FACTORY_V2: Final = Fn("factoryV2()", "address")
GET_POOL: Final = Fn("getPool(address,address,uint24)", "address")
#: sqrtPriceX96, tick, and words that forks differ in.
SLOT0: Final = Fn("slot0()", "uint160,int24")
LIQUIDITY: Final = Fn("liquidity()", "uint128")

#: tokenIn, tokenOut, amountIn, fee, sqrtPriceLimitX96; no view, but it changes nothing.
QUOTE_SINGLE: Final = Fn("quoteExactInputSingle((address,address,uint256,uint24,uint160))", "uint256")
QUOTE_ALONG: Final = Fn("quoteExactInput(bytes,uint256)", "uint256")

_SLOT0_BYTES: Final = 32 * 7

#: Candidates are compared by selling this part (1/1000) of the deepest one.
_PROBE_PART: Final = 1000
_MOST_ROUTES: Final = 4
#: Candidates that the quoter compares, where there is one.
_MOST_QUOTED: Final = 8

#: Gas units of a swap: with one pool, and with each further one; and what quoting a hop may take.
_GAS_FIRST: Final = 127_000
_GAS_MORE: Final = 85_000
_GAS_QUOTE: Final = 300_000


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What a router said."""

    spec: RouteSpec
    factory: Address
    second_kind: bool


class UniswapV3Swap:
    """Swap adapter. ``router`` is a SwapRouter, a SwapRouter02 or Pancake's SmartRouter: it is asked which.

    With ``quoter`` (QuoterV2) quotes are the contract's own; without, they hold while a sale stays within the pool's
    present tick range, which a harvest's does in a pool worth using. Depths are virtual reserves: what a
    constant-product pool with the same price impact would hold.
    """

    name = "uniswap-v3"

    def resolve(self, spec: RouteSpec, sell: Token, buy: Token) -> Questions[Sequence[SwapRoute]]:
        """Find the pools of all tiers, direct and through one of ``via``; the one that buys most comes first."""
        if sell.address == buy.address:
            raise ConfigError(f"{sell.symbol} needs no swap: it is bought and sold alike")
        exchange = yield from _ask_router(spec)
        paths = list(paths_of(spec, sell.address, buy.address))
        pools = yield from _ask_pools(exchange, paths)
        middles = [path[1] for path in paths if len(path) == 3]
        asked = yield from ask_tokens(sell.chain, middles)
        tokens = {token.address: token for token in (sell, buy, *asked)}
        routes = [
            _route(exchange, tuple(tokens[each] for each in path), tiers, pools)
            for path in paths
            for tiers in product(*(_tiers_of(pools, hop) for hop in pairwise(path)))
        ]
        if not routes:
            raise ConfigError(
                f"no pool for {sell.symbol} to {buy.symbol} at router {checksum(spec.router)}, direct or via the "
                "configured tokens; add a token to via, a fee to tiers, or choose another router"
            )
        return (yield from self._ranked(routes))

    def _ranked(self, routes: Sequence[SwapRoute]) -> Questions[list[SwapRoute]]:
        """Sort by what a small sale brings, by the quoter where there is one. Raises ReadFailed when all are empty."""
        reads = list(dict.fromkeys(read for route in routes for read in self.reads(route)))
        answers = dict(zip(reads, (yield reads), strict=True))
        states = {}
        for route in routes:
            state = [answers[read] for read in self.reads(route)]
            try:
                states[route] = (state, self.depth(route, state))
            except ReadFailed:
                continue
        if not states:
            raise ReadFailed("every pool on the way is empty; choose another router or add a token to via")
        probe = max(depth for _, depth in states.values()) // _PROBE_PART + 1
        brings = {route: _through(route, state, probe) for route, (state, _) in states.items()}
        ranked = sorted(brings, key=lambda route: (-brings[route], len(route.pools)))
        if routes[0].spec.quoter is None:
            return ranked[:_MOST_ROUTES]
        ranked = ranked[:_MOST_QUOTED]
        quotes = yield [self.quote_reads(route, probe)[0] for route in ranked]
        told = {route: optional(QUOTE_SINGLE, quote) or 0 for route, quote in zip(ranked, quotes, strict=True)}
        ranked.sort(key=lambda route: (-told[route], len(route.pools)))
        return ranked[:_MOST_ROUTES]

    def reads(self, route: SwapRoute) -> Sequence[Read]:
        """Price and liquidity of each pool on the way."""
        return tuple(
            read for pool in route.pools for read in (SLOT0.read(pool, result_bytes=_SLOT0_BYTES), LIQUIDITY.read(pool))
        )

    def depth(self, route: SwapRoute, results: Sequence[ReadResult]) -> int:
        """Return the shallowest pool's incoming virtual reserve, carried back to the sold token at the mid prices."""
        depths = []
        numerator = denominator = 1
        for sqrt_price, liquidity, zero in _states(route, results):
            reserve_in = virtual_reserve(sqrt_price, liquidity, zero=zero)
            reserve_out = virtual_reserve(sqrt_price, liquidity, zero=not zero)
            if reserve_in == 0 or reserve_out == 0:
                raise ReadFailed(f"a pool on the way to {route.path[-1].symbol} is as good as empty")
            depths.append(reserve_in * numerator // denominator)
            numerator, denominator = numerator * reserve_in, denominator * reserve_out
        return min(depths)

    def quote_reads(self, route: SwapRoute, sold: int) -> Sequence[Read]:
        """Ask the quoter, or the pools where there is none."""
        quoter = route.spec.quoter
        if quoter is None:
            return self.reads(route)
        tiers, gas = fees_of(route), _GAS_QUOTE * len(route.pools)
        if len(tiers) == 1:
            asked = (route.path[0].address, route.path[1].address, sold, tiers[0], 0)
            return (QUOTE_SINGLE.read(quoter, asked, result_bytes=128, gas=gas),)
        path = packed_path([token.address for token in route.path], tiers)
        return (QUOTE_ALONG.read(quoter, path, sold, result_bytes=192 + 64 * len(tiers), gas=gas),)

    def quote(self, route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:
        """Return what the quoter says, or what the pools pay within their present ranges."""
        if route.spec.quoter is None:
            return _through(route, results, sold)
        return int(QUOTE_SINGLE.value(results[0]))

    def swap(
        self, route: SwapRoute, owner: Address, sold: Share, floor: tuple[int, int], slippage_bps: int
    ) -> Sequence[Leg]:
        """Approve the router exactly, then sell with a floor from the oracle price, never from the pool itself."""
        data, words = template(route, owner)
        least = MinOut(sold, floor[0], floor[1], slippage_bps)
        patches = [Patch(words["amount"], sold), Patch(words["least"], least)]
        if "deadline" in words:
            patches.append(Patch(words["deadline"], Deadline()))
        swap = Leg(
            kind=LegKind.SWAP,
            label=f"swap {route.path[0].symbol} for {route.path[-1].symbol}",
            to=route.spec.router,
            template=data,
            patches=tuple(patches),
            spends=(route.path[0],),
            brings=(route.path[-1],),
        )
        return (*approve_legs(route.spec.router, sold), swap)

    def permissions(self, route: SwapRoute, owner: Address) -> Sequence[Permission]:
        """Approve the router for the sold token, and swap along any configured path to the owner with a floor above 0.

        All paths and tiers, not only those that are best today: a compound begun along another must be finished.
        """
        sold, bought = route.path[0], route.path[-1]
        label = f"swap {sold.symbol} to {bought.symbol}"
        swaps = (permission(route, owner, path, label) for path in paths_of(route.spec, sold.address, bought.address))
        return (*swaps, approve_permission(sold, route.spec.router))


def _ask_router(spec: RouteSpec) -> Questions[_Exchange]:
    """Ask which factory a router trades at, and of which kind it is; the quoter must be of the same factory."""
    reads = [FACTORY.read(spec.router), FACTORY_V2.read(spec.router)]
    if spec.quoter is not None:
        reads.append(FACTORY.read(spec.quoter))
    results = yield reads
    try:
        factory = FACTORY.value(results[0])
    except ReadFailed as error:
        raise ReadFailed(
            f"{checksum(spec.router)} does not answer like a Uniswap V3 router ({error}); check router"
        ) from error
    for result in results[2:]:
        if optional(FACTORY, result) != int(factory, 16):
            raise ConfigError(
                f"quoter {checksum(str(spec.quoter))} is not of the same exchange as router {checksum(spec.router)}; "
                "check quoter"
            )
    return _Exchange(spec, factory, second_kind=optional(FACTORY_V2, results[1]) is not None)


def _ask_pools(
    exchange: _Exchange, paths: Sequence[tuple[Address, ...]]
) -> Questions[dict[tuple[Address, Address, int], Address]]:
    """Ask for the pool of every hop and tier; those that do not exist are left out."""
    hops = list(dict.fromkeys(hop for path in paths for hop in pairwise(path)))
    asked = [(*hop, tier) for hop in hops for tier in tiers_of(exchange.spec)]
    results = yield [GET_POOL.read(exchange.factory, *each) for each in asked]
    try:
        pools = {each: Address(GET_POOL.value(result)) for each, result in zip(asked, results, strict=True)}
    except ReadFailed as error:
        raise ReadFailed(
            f"the factory of {checksum(exchange.spec.router)} is not one of Uniswap V3 ({error}); check router"
        ) from error
    return {each: pool for each, pool in pools.items() if pool != ZERO_ADDRESS}


def _tiers_of(pools: Mapping[tuple[Address, Address, int], Address], hop: tuple[Address, Address]) -> list[int]:
    return [tier for first, second, tier in pools if (first, second) == hop]


def _route(
    exchange: _Exchange,
    path: tuple[Token, ...],
    tiers: tuple[int, ...],
    pools: Mapping[tuple[Address, Address, int], Address],
) -> SwapRoute:
    hops = zip(pairwise(path), tiers, strict=True)
    return SwapRoute(
        spec=exchange.spec,
        path=path,
        pools=tuple(pools[first.address, second.address, tier] for (first, second), tier in hops),
        fee_bps=-(-sum(tiers) // 100),
        hops=tuple(tier | (SECOND_KIND if exchange.second_kind else 0) for tier in tiers),
        gas=_GAS_FIRST + _GAS_MORE * (len(tiers) - 1),
    )


def _states(route: SwapRoute, results: Sequence[ReadResult]) -> Iterator[tuple[int, int, bool]]:
    """Return each pool's price and liquidity, and whether its token0 goes in. Raises ReadFailed for an empty one."""
    for index, (sell, buy) in enumerate(pairwise(route.path)):
        sqrt_price, _ = SLOT0.values(results[2 * index])
        liquidity = LIQUIDITY.value(results[2 * index + 1])
        if sqrt_price == 0 or liquidity == 0:
            pool = checksum(route.pools[index])
            raise ReadFailed(f"pool {pool} ({sell.symbol}/{buy.symbol}) is empty; choose another route")
        yield sqrt_price, liquidity, sell.address < buy.address


def _through(route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:
    """Sell through all pools as if none left its present range."""
    for (sqrt_price, liquidity, zero), tier in zip(_states(route, results), fees_of(route), strict=True):
        sold = swap_within_range(sqrt_price, liquidity, tier, sold, zero=zero)
    return sold
