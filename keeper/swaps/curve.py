"""Curve pools as an exchange: the pools are named by the route, what they hold and how they count is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import Address, Token
from keeper.domain.plan import Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import AMOUNT_CAP, BALANCE_OF, approve_legs, approve_permission, fixed_word, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions, SwapRoute

__all__ = ["Curve"]

#: Coins are counted by ``uint256``, in the pools of the first months by ``int128``.
COINS: Final = (Fn("coins(uint256)", "address"), Fn("coins(int128)", "address"))
#: Units of 10**-10.
FEE: Final = Fn("fee()", "uint256")
#: Stable pools take indices as ``int128``, crypto pools as ``uint256``. https://docs.curve.finance/
GET_DY: Final = (Fn("get_dy(int128,int128,uint256)", "uint256"), Fn("get_dy(uint256,uint256,uint256)", "uint256"))
#: i, j, dx, min_dy; pays the caller. Old pools answer nothing.
EXCHANGE: Final = (
    Fn("exchange(int128,int128,uint256,uint256)"),
    Fn("exchange(uint256,uint256,uint256,uint256)"),
)

_MOST_COINS: Final = 8
_MOST_ROUTES: Final = 4
_FEE_PER_BPS: Final = 10**6
#: Largest fee of a pool that is sold in, basis points: it comes off the least that a sale must bring.
_MOST_FEE_BPS: Final = 300
#: Pools are compared by selling this part (1/1000) of what the fullest holds, measured by this part (1/100) of each.
_COMPARED_PART: Final = 1000
_PROBE_PART: Final = 100
#: The larger probe is so many times the smaller one.
_PROBE_RATIO: Final = 16
#: A pool that shows no loss between the probes counts as so many times the larger one.
_DEEPEST: Final = 10**6

#: Gas units of an exchange by index form, as seen on mainnet: stable pools, crypto pools.
_GAS: Final = (170_000, 300_000)
_QUOTE_GAS: Final = 150_000


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one number of ``SwapRoute.hops`` says: index form, indices of both coins, and the size of the probe."""

    form: int
    sell: int
    buy: int
    probe: int

    def packed(self) -> int:
        """Return it as one number."""
        return self.form | self.sell << 1 | self.buy << 5 | self.probe << 9

    @staticmethod
    def of(route: SwapRoute) -> _Hop:
        """Read a route's number."""
        number = route.hops[0]
        return _Hop(number & 1, number >> 1 & 15, number >> 5 & 15, number >> 9)

    def dy(self, pool: Address, sold: int) -> Read:
        """Ask what the pool would pay."""
        return GET_DY[self.form].read(pool, self.sell, self.buy, sold, gas=_QUOTE_GAS)


class Curve:
    """Swap adapter. ``pools`` of the route are tried, or ``router`` where it names none; each pool is a way by itself.

    Where coins go through several pools, an aggregator or another exchange is needed.
    """

    name = "curve"

    def resolve(self, spec: RouteSpec, sell: Token, buy: Token) -> Questions[Sequence[SwapRoute]]:
        """Find the pools that hold both coins, and how they count; the one that pays most comes first."""
        pools = list(dict.fromkeys(spec.pools or (spec.router,)))
        asked = yield [read for pool in pools for read in _pool_reads(pool)]
        per_pool = len(asked) // len(pools)
        found: list[tuple[Address, int, int, int]] = []
        for index, pool in enumerate(pools):
            coins, fee = _pool_facts(asked[index * per_pool : (index + 1) * per_pool])
            tradable = sell.address in coins and buy.address in coins and sell.address != buy.address
            if tradable and fee <= _MOST_FEE_BPS * _FEE_PER_BPS:
                found.append((pool, coins.index(sell.address), coins.index(buy.address), fee))
        held = yield [BALANCE_OF.read(sell.address, pool) for pool, *_ in found]
        filled = [(*one, raw) for one, a in zip(found, held, strict=True) if (raw := optional(BALANCE_OF, a))]
        if not filled:
            raise ConfigError(
                f"none of the Curve pools {', '.join(map(checksum, pools))} trades {sell.symbol} for {buy.symbol}; "
                "name one that does in pools"
            )
        amount = max(raw for *_, raw in filled) // _COMPARED_PART + 1
        paid = yield [fn.read(pool, i, j, amount, gas=_QUOTE_GAS) for pool, i, j, *_ in filled for fn in GET_DY]
        routes = []
        for index, (pool, i, j, fee, raw) in enumerate(filled):
            quotes = [optional(fn, a) for fn, a in zip(GET_DY, paid[2 * index : 2 * index + 2], strict=True)]
            form = next((form for form, quote in enumerate(quotes) if quote), None)
            if form is not None:
                hop = _Hop(form, i, j, raw // _PROBE_PART + _PROBE_RATIO)
                route = SwapRoute(spec, (sell, buy), (pool,), -(-fee // _FEE_PER_BPS), (hop.packed(),), _GAS[form])
                routes.append((-(quotes[form] or 0), route))
        if not routes:
            raise ReadFailed(f"no Curve pool quotes {sell.symbol} for {buy.symbol}; use another exchange")
        return [route for _, route in sorted(routes, key=lambda one: one[0])[:_MOST_ROUTES]]

    def reads(self, route: SwapRoute) -> Sequence[Read]:
        """Two quotes, for a sixteenth of the probe and for all of it."""
        hop = _Hop.of(route)
        return tuple(hop.dy(route.pools[0], amount) for amount in (hop.probe // _PROBE_RATIO, hop.probe))

    def depth(self, route: SwapRoute, results: Sequence[ReadResult]) -> int:
        """Return the size of the constant-product pool that loses as much between the two probes.

        There q(v) = p v d / (d + v), so that both quotes together say d; the pool's fee cancels out.
        """
        hop = _Hop.of(route)
        small, large = hop.probe // _PROBE_RATIO, hop.probe
        for_small, for_large = (self._quoted(route, result) for result in results)
        first, second = for_small * large, for_large * small
        if first <= second:
            return _DEEPEST * large
        return max(1, min((large * second - small * first) // (first - second), _DEEPEST * large))

    def quote_reads(self, route: SwapRoute, sold: int) -> Sequence[Read]:
        """Ask the pool."""
        return (_Hop.of(route).dy(route.pools[0], sold),)

    def quote(self, route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:  # noqa: ARG002
        """What the pool says it pays, its fee taken off."""
        return self._quoted(route, results[0])

    def swap(
        self,
        route: SwapRoute,
        owner: Address,  # noqa: ARG002 - the pool pays its caller
        sold: Share,
        floor: tuple[int, int],
        slippage_bps: int,
    ) -> Sequence[Leg]:
        """Approve the pool exactly, then exchange with a floor from the oracle price, never from ``get_dy``."""
        hop, pool = _Hop.of(route), route.pools[0]
        exchange = Leg(
            kind=LegKind.SWAP,
            label=f"swap {route.path[0].symbol} for {route.path[1].symbol}",
            to=pool,
            template=EXCHANGE[hop.form].encode(hop.sell, hop.buy, 0, 0),
            patches=(Patch(2, sold), Patch(3, MinOut(sold, floor[0], floor[1], slippage_bps))),
            spends=(route.path[0],),
            brings=(route.path[1],),
        )
        return (*approve_legs(pool, sold), exchange)

    def permissions(self, route: SwapRoute, owner: Address) -> Sequence[Permission]:  # noqa: ARG002
        """Approve the pool for the sold coin, and exchange these two coins in it, with a floor above 0."""
        hop, pool = _Hop.of(route), route.pools[0]
        args = (
            fixed_word(0, hop.sell),
            fixed_word(1, hop.buy),
            ArgRule(2, at_most=AMOUNT_CAP),
            ArgRule(3, at_least=1),
        )
        label = f"swap {route.path[0].symbol} to {route.path[1].symbol}"
        return (
            Permission(pool, EXCHANGE[hop.form].selector, 4, args, label),
            approve_permission(route.path[0], pool),
        )

    def _quoted(self, route: SwapRoute, result: ReadResult) -> int:
        try:
            return int(GET_DY[0].value(result))
        except ReadFailed as error:
            raise ReadFailed(
                f"Curve pool {checksum(route.pools[0])} quotes nothing ({error}); choose another route"
            ) from error


def _pool_reads(pool: Address) -> list[Read]:
    coins = [fn.read(pool, index) for fn in COINS for index in range(_MOST_COINS)]
    return [FEE.read(pool), *coins]


def _pool_facts(answers: Sequence[ReadResult]) -> tuple[list[Address], int]:
    """Return a pool's coins in order, and its fee; no coins when it is none."""
    fee = optional(FEE, answers[0]) or 0
    for some in (answers[1 : 1 + _MOST_COINS], answers[1 + _MOST_COINS :]):
        coins = [Address(f"0x{number:040x}") for answer in some if (number := optional(COINS[0], answer))]
        if coins:
            return coins, fee
    return [], fee
