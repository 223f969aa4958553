"""Uniswap V2 and its forks as an exchange: the better of a direct pair and two hops, exact constant-product quotes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import BPS, Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    FACTORY,
    GET_RESERVES,
    ZERO_ADDRESS,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions, SwapRoute

__all__ = ["UniswapV2", "amount_out"]

GET_PAIR: Final = Fn("getPair(address,address)", "address")
#: amountIn, amountOutMin, path, to, deadline. Unlike ``swapExactTokensForTokens`` it measures what arrives, so that it
#: serves tokens that take a fee on every transfer too; for others it does the same.
SWAP: Final = Fn("swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)")
#: What compounds that an earlier version began still have to sign.
SWAP_PLAIN: Final = Fn("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)", "uint256[]")

#: Byte offset of ``path`` in the arguments: behind five head words.
_PATH_OFFSET: Final = 160

#: Candidate paths are compared by selling this part (1/1000) of the deepest one's pool: like a harvest, a small part
#: of a sound pool, but enough to expose a dust pool.
_PROBE_PART: Final = 1000

#: Ways that are kept for quoting when a harvest is near.
_MOST_ROUTES: Final = 4

#: Gas units of a swap: with one pool, and with each further one (seen on the real router).
_GAS_FIRST: Final = 104_000
_GAS_MORE: Final = 66_000


def amount_out(sold: int, reserve_in: int, reserve_out: int, fee_bps: int) -> int:
    """Constant-product output, digit for digit as UniswapV2Library.getAmountOut rounds it."""
    taxed = sold * (BPS - fee_bps)
    return taxed * reserve_out // (reserve_in * BPS + taxed)


class UniswapV2:
    """Swap adapter. Needs only a router; the factory is asked of the router."""

    name = "uniswap-v2"

    def resolve(self, spec: RouteSpec, sell: Token, buy: Token) -> Questions[Sequence[SwapRoute]]:
        """Find the paths, direct and through one of ``via``; the one that buys most comes first, dust pools last."""
        if sell.address == buy.address:
            raise ConfigError(f"{sell.symbol} needs no swap: it is bought and sold alike")
        paths: list[tuple[Address, ...]] = [(sell.address, buy.address)]
        paths += [(sell.address, via, buy.address) for via in spec.via if via not in (sell.address, buy.address)]
        found = yield from _pools(spec, paths)
        if not found:
            raise ConfigError(
                f"no pool for {sell.symbol} to {buy.symbol} at router {checksum(spec.router)}, direct or via the "
                "configured tokens; add a token to via, or choose another router"
            )
        middles = sorted({path[1] for path, _ in found if len(path) == 3})
        asked = yield from ask_tokens(sell.chain, middles)
        tokens = {token.address: token for token in (sell, buy, *asked)}
        routes = [
            SwapRoute(
                spec=spec,
                path=tuple(tokens[a] for a in path),
                pools=pools,
                fee_bps=spec.fee_bps * len(pools),
                gas=_GAS_FIRST + _GAS_MORE * (len(pools) - 1),
            )
            for path, pools in found
        ]
        results = yield [read for route in routes for read in self.reads(route)]
        return _ranked(routes, results)

    def reads(self, route: SwapRoute) -> Sequence[Read]:
        """Reserves of each pool on the way."""
        return tuple(GET_RESERVES.read(pool) for pool in route.pools)

    def quote_reads(self, route: SwapRoute, sold: int) -> Sequence[Read]:  # noqa: ARG002
        """Reserves again: they answer for every amount."""
        return self.reads(route)

    def quote(self, route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:
        """Exactly what the router would pay at these reserves. Raises ReadFailed when a pool is empty."""
        for reserve_in, reserve_out in _reserves(route, results):
            sold = amount_out(sold, reserve_in, reserve_out, route.spec.fee_bps)
        return sold

    def depth(self, route: SwapRoute, results: Sequence[ReadResult]) -> int:
        """Return the shallowest pool's incoming side, carried back to the sold token at the pools' mid prices."""
        depths = []
        numerator = denominator = 1
        for reserve_in, reserve_out in _reserves(route, results):
            depths.append(reserve_in * numerator // denominator)
            numerator, denominator = numerator * reserve_in, denominator * reserve_out
        return min(depths)

    def swap(
        self, route: SwapRoute, owner: Address, sold: Share, floor: tuple[int, int], slippage_bps: int
    ) -> Sequence[Leg]:
        """Approve the router exactly, then sell with a floor from the oracle price, never from the pool itself."""
        path = [token.address for token in route.path]
        swap = Leg(
            kind=LegKind.SWAP,
            label=f"swap {route.path[0].symbol} for {route.path[-1].symbol}",
            to=route.spec.router,
            template=SWAP.encode(0, 0, path, owner, 0),
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
        paths: list[tuple[Address, ...]] = [(sold.address, bought.address)]
        ends = (sold.address, bought.address)
        paths += [(sold.address, via, bought.address) for via in route.spec.via if via not in ends]
        label = f"swap {sold.symbol} to {bought.symbol}"
        swaps = (
            _swap_permission(fn, route.spec.router, owner, path, label) for path in paths for fn in (SWAP, SWAP_PLAIN)
        )
        return (*swaps, approve_permission(sold, route.spec.router))


def _swap_permission(fn: Fn, router: Address, owner: Address, path: Sequence[Address], label: str) -> Permission:
    hops = len(path)
    args = (
        ArgRule(0, at_most=AMOUNT_CAP),
        ArgRule(1, at_least=1),
        fixed_word(2, _PATH_OFFSET),
        fixed_word(3, owner),
        fixed_word(5, hops),
        *(fixed_word(6 + index, token) for index, token in enumerate(path)),
    )
    return Permission(router, fn.selector, 6 + hops, args, label)


def _pools(
    spec: RouteSpec, paths: Sequence[tuple[Address, ...]]
) -> Questions[list[tuple[tuple[Address, ...], tuple[Address, ...]]]]:
    """Find the pool of every hop; paths with a missing pool are left out."""
    (answer,) = yield [FACTORY.read(spec.router)]
    try:
        factory = FACTORY.value(answer)
    except ReadFailed as error:
        raise ReadFailed(
            f"{checksum(spec.router)} does not answer like a Uniswap V2 router ({error}); check router"
        ) from error
    hops = [hop for path in paths for hop in pairwise(path)]
    results = yield [GET_PAIR.read(factory, *hop) for hop in hops]
    pools = {hop: GET_PAIR.value(result) for hop, result in zip(hops, results, strict=True)}
    found = [(path, tuple(pools[hop] for hop in pairwise(path))) for path in paths]
    return [(path, way) for path, way in found if ZERO_ADDRESS not in way]


def _ranked(routes: Sequence[SwapRoute], results: Sequence[ReadResult]) -> list[SwapRoute]:
    """Sort routes by what they pay for the probe; fewer hops win a tie. Raises ReadFailed when all are empty."""
    adapter = UniswapV2()
    filled = []
    start = 0
    for route in routes:
        own = results[start : start + len(route.pools)]
        start += len(route.pools)
        try:
            filled.append((route, own, adapter.depth(route, own)))
        except ReadFailed:
            continue
    if not filled:
        raise ReadFailed("every pool on the way is empty; choose another router or add a token to via")
    probe = max(depth for _, _, depth in filled) // _PROBE_PART + 1
    filled.sort(key=lambda one: (-adapter.quote(one[0], one[1], probe), len(one[0].pools)))
    return [route for route, _, _ in filled[:_MOST_ROUTES]]


def _reserves(route: SwapRoute, results: Sequence[ReadResult]) -> list[tuple[int, int]]:
    """Return each hop's reserves as (incoming, outgoing); a pair's token0 is the one with the lower address."""
    out = []
    for (sell, buy), pool, result in zip(pairwise(route.path), route.pools, results, strict=True):
        first, second, _ = GET_RESERVES.values(result)
        if first == 0 or second == 0:
            raise ReadFailed(f"pool {checksum(pool)} ({sell.symbol}/{buy.symbol}) is empty; choose another route")
        out.append((first, second) if sell.address < buy.address else (second, first))
    return out
