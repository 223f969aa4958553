"""Solidly's kind of pair (Aerodrome, Velodrome V2, Thena and kin) as a pool: turns two tokens into their LP token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import BPS, Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import AMOUNT_CAP, approve_legs, approve_permission, ask_tokens, fixed_word
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions
from keeper.solidly import Pair, metadata_read, mix_ppm
from keeper.swaps.solidly import Aerodrome, Solidly, SolidlyExchange

__all__ = ["SolidlyPool"]

#: tokenA, tokenB, stable, amountADesired, amountBDesired, amountAMin, amountBMin, to, deadline.
ADD_LIQUIDITY: Final = Fn(
    "addLiquidity(address,address,bool,uint256,uint256,uint256,uint256,address,uint256)", "uint256,uint256,uint256"
)

#: Exchanges whose routers make such LP tokens.
_EXCHANGES: Final[Mapping[str, SolidlyExchange]] = MappingProxyType(
    {each.name: each for each in (Aerodrome(), Solidly())}
)

#: Near par a stable pair's ratio moves far with hardly any price: a deposit in another ratio loses next to nothing, it
#: only leaves some of one side. At this factor of the slippage, and 30 %, it loses less than a fifth of a percent.
_STABLE_FACTOR: Final = 10
_STABLE_MOST: Final = 3_000

#: How far off par, by a stable pair's own price, it is still entered, basis points. Whoever pushes it further before
#: keeper looks has the deposit go in lopsided; up to here that loses less than half a percent.
_OFF_PAR_BPS: Final = 1_000

#: What swapping into the sides may cost beside slippage, basis points: volatile pairs here mostly take 30.
_FEE_BPS: Final = 30


class SolidlyPool:
    """Pool maker. The router takes both sides in the ratio of the reserves; the rest of one side stays."""

    name = "solidly"

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:
        """Ask whether it is such a pair, and which of the routers makes its tokens."""
        (answer,) = yield [metadata_read(token.address)]
        try:
            pair = Pair.of(answer)
        except ReadFailed:
            return None
        parts = yield from ask_tokens(token.chain, pair.tokens)
        for spec in routes:
            exchange = _EXCHANGES.get(spec.kind)
            if exchange is None:
                continue
            hop = (*pair.tokens, pair.stable)
            pools = yield from exchange.ask_pools(spec.router, (hop,))
            if pools.get(hop) == token.address:
                return _basket(token, parts, spec.router, stable=pair.stable)
        kind = "stable" if pair.stable else "volatile"
        raise ConfigError(
            f"the stake {checksum(token.address)} is the {kind} pair of {parts[0].symbol}/{parts[1].symbol} of a "
            'Solidly exchange, and no route has its router; add route = {kind = "aerodrome", router = "0x..."} with it '
            '(kind = "solidly" for forks of the first form)'
        )

    def reads(self, basket: Basket) -> Sequence[Read]:
        """The reserves, where the sides are not always worth the same."""
        return (metadata_read(basket.token.address),) if basket.numbers["stable"] else ()

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:
        """Half and half in a volatile pair; as the reserves stand in a stable one.

        Raises ReadFailed for a stable pair that is far off par.
        """
        if not basket.numbers["stable"]:
            return (500_000, 500_000)
        pair = Pair.of(results[0])
        numerator, denominator = pair.price
        low, high = sorted((numerator * pair.units[0], denominator * pair.units[1]))
        if (high - low) * BPS > _OFF_PAR_BPS * low:
            raise ReadFailed(
                f"the stable pair {basket.token.symbol} stands {(high - low) * 100 // max(low, 1)} % off par: it was "
                "pushed, or a side has failed; keeper waits"
            )
        return mix_ppm(pair)

    def join(
        self,
        basket: Basket,
        owner: Address,
        rates: Sequence[tuple[int, int]],  # noqa: ARG002
        slippage_bps: int,
    ) -> Sequence[Leg]:
        """Approve both sides exactly, then add them; each side may fall short of its amount by so much only.

        In a volatile pair the side minimums are what protects: pushed off its price it would take little of one side.
        """
        parts, router, stable = basket.parts, basket.entry, basket.numbers["stable"]
        short = max(slippage_bps, min(_STABLE_FACTOR * slippage_bps, _STABLE_MOST)) if stable else slippage_bps
        first, second = (Share(part) for part in parts)
        add = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"add {parts[0].symbol} and {parts[1].symbol} to {basket.token.symbol}",
            to=router,
            template=ADD_LIQUIDITY.encode(parts[0].address, parts[1].address, stable, 0, 0, 0, 0, owner, 0),
            patches=(
                Patch(3, first),
                Patch(4, second),
                Patch(5, MinOut(first, 1, 1, short)),
                Patch(6, MinOut(second, 1, 1, short)),
                Patch(8, Deadline()),
            ),
            spends=parts,
            brings=(basket.token,),
        )
        return (*approve_legs(router, first), *approve_legs(router, second), add)

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:
        """Approve the router for both sides, and add exactly these two to this kind of pair, for the owner."""
        args = (
            fixed_word(0, basket.parts[0].address),
            fixed_word(1, basket.parts[1].address),
            fixed_word(2, basket.numbers["stable"]),
            ArgRule(3, at_most=AMOUNT_CAP),
            ArgRule(4, at_most=AMOUNT_CAP),
            ArgRule(5, at_least=1),
            ArgRule(6, at_least=1),
            fixed_word(7, owner),
        )
        return (
            Permission(basket.entry, ADD_LIQUIDITY.selector, 9, args, f"add liquidity to {basket.token.symbol}"),
            *(approve_permission(part, basket.entry) for part in basket.parts),
        )


def _basket(token: Token, parts: tuple[Token, ...], router: Address, *, stable: bool) -> Basket:
    price = PriceSpec("solidly-lp", MappingProxyType({}))
    numbers = MappingProxyType({"stable": int(stable)})
    return Basket(SolidlyPool.name, token, parts, router, price, _FEE_BPS, numbers=numbers)
