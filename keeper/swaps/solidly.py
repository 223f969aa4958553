"""Solidly's kind of exchange (Aerodrome, Velodrome V2, Thena and kin): each hop in the volatile or the stable pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Final, TypeAlias

from keeper.abi import Fn, checksum
from keeper.domain.money import BPS, Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import AMOUNT_CAP, FACTORY, ZERO_ADDRESS, approve_legs, approve_permission, ask_tokens, fixed_word
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions, SwapRoute
from keeper.solidly import Pair, depth, fee_bps, metadata_read

__all__ = ["Aerodrome", "Solidly", "SolidlyExchange"]

GET_AMOUNT_OUT: Final = Fn("getAmountOut(uint256,address)", "uint256")

#: From, to, and whether in the stable pair.
_Hop: TypeAlias = tuple[Address, Address, bool]

#: Byte offset of the hops in the arguments: behind five head words.
_HOPS_OFFSET: Final = 160

#: Paths are compared by selling this part (1/1000) of the deepest one's pool; fees are felt by a smaller one.
_PROBE_PART: Final = 1_000
_FEE_PART: Final = 10_000

#: Largest fee of a pair, basis points: what Aerodrome's factory allows. What keeps more is no pair to sell in: its fee
#: would come off the least that a sale must bring, and in a pair with dust in it anybody can make it look like all.
_MOST_FEE_BPS: Final = 300

#: Ways that are kept for quoting when a harvest is near.
_MOST_ROUTES: Final = 4

#: Gas units of a swap: with one pool, and with each further one; a stable pair's is the dearer kind.
_GAS_FIRST: Final = 150_000
_GAS_MORE: Final = 100_000


class SolidlyExchange:
    """What both forms of the router share; they differ in how a hop is spelt and what the factory is called."""

    name: str
    #: Views of the router and of its factory.
    factory: Fn
    get_pool: Fn
    amounts_out: Fn
    swap_fn: Fn
    #: Words of one hop.
    hop_words: int

    def hop(self, hop: _Hop) -> tuple[Any, ...]:
        """Spell one hop."""
        return hop

    def resolve(self, spec: RouteSpec, sell: Token, buy: Token) -> Questions[Sequence[SwapRoute]]:
        """Find the ways, direct and through one of ``via``, each hop in either pair; the one that buys most first."""
        if sell.address == buy.address:
            raise ConfigError(f"{sell.symbol} needs no swap: it is bought and sold alike")
        paths = _paths(spec, sell.address, buy.address)
        hops = list(dict.fromkeys(hop for path in paths for hop in _hops(path)))
        pools = yield from self.ask_pools(spec.router, hops)
        ways = [(path, way) for path in paths for way in _ways(path) if all(hop in pools for hop in way)]
        if not ways:
            raise ConfigError(
                f"no pool for {sell.symbol} to {buy.symbol} at router {checksum(spec.router)}, direct or via the "
                "configured tokens; add a token to via, or choose another router"
            )
        fees = yield from _ask_fees(pools)
        ways = [(path, way) for path, way in ways if all(hop in fees for hop in way)]
        middles = sorted({path[1] for path, _ in ways if len(path) == 3})
        asked = yield from ask_tokens(sell.chain, middles)
        tokens = {token.address: token for token in (sell, buy, *asked)}
        routes = [
            SwapRoute(
                spec=spec,
                path=tuple(tokens[a] for a in path),
                pools=tuple(pools[hop] for hop in way),
                fee_bps=sum(fees[hop] for hop in way),
                hops=tuple(int(stable) for _, _, stable in way),
                gas=_GAS_FIRST + _GAS_MORE * (len(way) - 1),
            )
            for path, way in ways
        ]
        return (yield from self._ranked(routes))

    def ask_pools(self, router: Address, hops: Sequence[_Hop]) -> Questions[Mapping[_Hop, Address]]:
        """Ask a router's factory for the pools of hops; those that do not exist are left out."""
        (answer,) = yield [self.factory.read(router)]
        try:
            factory = Address(self.factory.value(answer))
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(router)} does not answer like a router of kind {self.name} ({error}); check router"
            ) from error
        results = yield [self.get_pool.read(factory, *hop) for hop in hops]
        pools = {hop: Address(self.get_pool.value(result)) for hop, result in zip(hops, results, strict=True)}
        return {hop: pool for hop, pool in pools.items() if pool != ZERO_ADDRESS}

    def reads(self, route: SwapRoute) -> Sequence[Read]:
        """Reserves of each pool on the way, and which kind it is."""
        return tuple(metadata_read(pool) for pool in route.pools)

    def depth(self, route: SwapRoute, results: Sequence[ReadResult]) -> int:
        """Return the shallowest pool's depth, carried back to the sold token at the pools' own prices."""
        depths = []
        numerator = denominator = 1
        for token, pool, result in zip(route.path, route.pools, results, strict=False):
            try:
                pair = Pair.of(result).facing(token.address)
            except ReadFailed as error:
                raise ReadFailed(f"pool {checksum(pool)}: {error}; choose another route") from error
            depths.append(depth(pair) * numerator // denominator)
            top, bottom = pair.price
            numerator, denominator = numerator * bottom, denominator * top
        return min(depths)

    def quote_reads(self, route: SwapRoute, sold: int) -> Sequence[Read]:
        """The router's own reckoning: it asks each pool in turn, and takes off each pool's fee."""
        size = 32 * (len(route.pools) + 3)
        spelt = [self.hop(hop) for hop in _taken(route)]
        return (self.amounts_out.read(route.spec.router, sold, spelt, result_bytes=size, gas=90_000 * len(spelt)),)

    def quote(self, route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:  # noqa: ARG002
        """Exactly what the router would pay. Raises ReadFailed when a pool on the way is empty or gone."""
        amounts = self.amounts_out.value(results[0])
        if len(amounts) != len(route.path) or amounts[-1] == 0:
            names = f"{route.path[0].symbol} to {route.path[-1].symbol}"
            raise ReadFailed(f"router {checksum(route.spec.router)} pays nothing for {names}; choose another route")
        return int(amounts[-1])

    def swap(
        self, route: SwapRoute, owner: Address, sold: Share, floor: tuple[int, int], slippage_bps: int
    ) -> Sequence[Leg]:
        """Approve the router exactly, then sell with a floor from the oracle price, never from the pool itself."""
        swap = Leg(
            kind=LegKind.SWAP,
            label=f"swap {route.path[0].symbol} for {route.path[-1].symbol}",
            to=route.spec.router,
            template=self.swap_fn.encode(0, 0, [self.hop(hop) for hop in _taken(route)], owner, 0),
            patches=(
                Patch(0, sold),
                Patch(1, MinOut(sold, floor[0], floor[1], slippage_bps)),
                Patch(4, Deadline()),
            ),
            spends=(route.path[0],),
            brings=(route.path[-1],),
        )
        return (*approve_legs(route.spec.router, sold), swap)

    def permissions(self, route: SwapRoute, owner: Address) -> Sequence[Permission]:
        """Approve the router for the sold token, and swap along any configured path to the owner with a floor above 0.

        All paths, not only the one that is best today: a compound that was begun along another must be finished.
        """
        sold, bought = route.path[0], route.path[-1]
        label = f"swap {sold.symbol} to {bought.symbol}"
        paths = _paths(route.spec, sold.address, bought.address)
        swaps = (self._permission(route.spec.router, owner, path, label) for path in paths)
        return (*swaps, approve_permission(sold, route.spec.router))

    def _permission(self, router: Address, owner: Address, path: Sequence[Address], label: str) -> Permission:
        args = [
            ArgRule(0, at_most=AMOUNT_CAP),
            ArgRule(1, at_least=1),
            fixed_word(2, _HOPS_OFFSET),
            fixed_word(3, owner),
            fixed_word(5, len(path) - 1),
        ]
        for index, (sell, buy) in enumerate(pairwise(path)):
            start = 6 + index * self.hop_words
            args += [fixed_word(start, sell), fixed_word(start + 1, buy), ArgRule(start + 2, allowed=(0, 1))]
            args += [fixed_word(word, 0) for word in range(start + 3, start + self.hop_words)]
        return Permission(router, self.swap_fn.selector, 6 + (len(path) - 1) * self.hop_words, tuple(args), label)

    def _ranked(self, routes: Sequence[SwapRoute]) -> Questions[Sequence[SwapRoute]]:
        """Sort routes by what they pay for the probe; fewer hops win a tie."""
        results = yield [read for route in routes for read in self.reads(route)]
        answers = iter(results)
        probe = max(self.depth(r, [next(answers) for _ in r.pools]) for r in routes) // _PROBE_PART + 1
        offers = yield [self.quote_reads(route, probe)[0] for route in routes]
        paid = []
        for index, (route, offer) in enumerate(zip(routes, offers, strict=True)):
            try:
                paid.append((-self.quote(route, [offer], probe), len(route.pools), index))
            except ReadFailed:
                continue
        if not paid:
            raise ReadFailed("every pool on the way is empty; choose another router or add a token to via")
        return [routes[index] for _, _, index in sorted(paid)[:_MOST_ROUTES]]


class Aerodrome(SolidlyExchange):
    """https://github.com/aerodrome-finance/contracts/blob/main/contracts/Router.sol (Velodrome V2's is the same)."""

    name = "aerodrome"
    factory = Fn("defaultFactory()", "address")
    get_pool = Fn("getPool(address,address,bool)", "address")
    amounts_out = Fn("getAmountsOut(uint256,(address,address,bool,address)[])", "uint256[]")
    swap_fn = Fn(
        "swapExactTokensForTokens(uint256,uint256,(address,address,bool,address)[],address,uint256)", "uint256[]"
    )
    hop_words = 4

    def hop(self, hop: _Hop) -> tuple[Any, ...]:
        """Name no factory: zero is the router's own."""
        return (*hop, ZERO_ADDRESS)


class Solidly(SolidlyExchange):
    """Solidly's first form and its forks: https://github.com/ThenafiBNB/THENA-Contracts (Router)."""

    name = "solidly"
    factory = FACTORY
    get_pool = Fn("getPair(address,address,bool)", "address")
    amounts_out = Fn("getAmountsOut(uint256,(address,address,bool)[])", "uint256[]")
    swap_fn = Fn("swapExactTokensForTokens(uint256,uint256,(address,address,bool)[],address,uint256)", "uint256[]")
    hop_words = 3


def _paths(spec: RouteSpec, sell: Address, buy: Address) -> list[tuple[Address, ...]]:
    return [(sell, buy), *((sell, via, buy) for via in spec.via if via not in (sell, buy))]


def _hops(path: Sequence[Address]) -> list[_Hop]:
    return [(sell, buy, stable) for sell, buy in pairwise(path) for stable in (False, True)]


def _ways(path: Sequence[Address]) -> list[tuple[_Hop, ...]]:
    """Every choice of pairs along a path."""
    kinds = product((False, True), repeat=len(path) - 1)
    return [tuple((s, b, kind) for (s, b), kind in zip(pairwise(path), each, strict=True)) for each in kinds]


def _taken(route: SwapRoute) -> list[_Hop]:
    sides = pairwise(token.address for token in route.path)
    return [(sell, buy, stable == 1) for (sell, buy), stable in zip(sides, route.hops, strict=True)]


def _ask_fees(pools: Mapping[_Hop, Address]) -> Questions[Mapping[_Hop, int]]:
    """Ask each pool what it keeps of a sale: forks keep their fees in too many places.

    Empty pools are left out, and those that keep too much.
    """
    seen = yield [metadata_read(pool) for pool in pools.values()]
    pairs = {}
    for hop, result in zip(pools, seen, strict=True):
        try:
            pairs[hop] = Pair.of(result).facing(hop[0])
        except ReadFailed:
            continue
    if not pairs:
        raise ReadFailed("every pool on the way is empty; choose another router or add a token to via")
    probes = {hop: pair.reserves[0] // _FEE_PART + 1 for hop, pair in pairs.items()}
    paid = yield [GET_AMOUNT_OUT.read(pools[hop], sold, hop[0], gas=90_000) for hop, sold in probes.items()]
    fees = {}
    for (hop, sold), result in zip(probes.items(), paid, strict=True):
        fee = fee_bps(pairs[hop], sold, GET_AMOUNT_OUT.value(result)) if result.success else BPS
        if fee <= _MOST_FEE_BPS:
            fees[hop] = fee
    return fees
