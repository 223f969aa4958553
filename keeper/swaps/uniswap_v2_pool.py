"""Uniswap V2 and its forks as a pool: turns two tokens into their LP token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import AMOUNT_CAP, FACTORY, approve_legs, approve_permission, ask_parts, fixed_word
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions

__all__ = ["UniswapV2Pool"]

#: tokenA, tokenB, amountADesired, amountBDesired, amountAMin, amountBMin, to, deadline.
ADD_LIQUIDITY: Final = Fn(
    "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)", "uint256,uint256,uint256"
)

_HALF: Final = 500_000


class UniswapV2Pool:
    """Pool maker. The router takes both sides in the pool's ratio; the rest of one side stays in the wallet."""

    name = "uniswap-v2"

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:
        """Ask whether it is a pair, and which of the routers is its factory's own."""
        parts = yield from ask_parts(token)
        if not parts:
            return None
        price = PriceSpec("uniswap-v2-lp", {})
        if not routes:
            return Basket(self.name, token, parts, token.address, price)
        specs = [spec for spec in routes if spec.kind == self.name]
        answers = yield [FACTORY.read(at) for at in (token.address, *(spec.router for spec in specs))]
        factory = FACTORY.value(answers[0])
        for spec, answer in zip(specs, answers[1:], strict=True):
            if _factory(answer) == factory:
                return Basket(self.name, token, parts, spec.router, price, spec.fee_bps)
        names = f"{parts[0].symbol}/{parts[1].symbol}"
        raise ConfigError(
            f"the stake {checksum(token.address)} is the {names} pair of factory {checksum(factory)}, and no route has "
            'that factory\'s router; add route = {kind = "uniswap-v2", router = "0x..."} with it'
        )

    def reads(self, basket: Basket) -> Sequence[Read]:  # noqa: ARG002
        """Nothing: both sides are always worth the same."""
        return ()

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:  # noqa: ARG002
        """Half and half."""
        return (_HALF, _HALF)

    def join(
        self,
        basket: Basket,
        owner: Address,
        rates: Sequence[tuple[int, int]],  # noqa: ARG002
        slippage_bps: int,
    ) -> Sequence[Leg]:
        """Approve both sides exactly, then add them; each side may fall short of its amount by the slippage only.

        The side minimums are what protects: in a pool pushed off its price the router would take little of one side.
        """
        parts, router = basket.parts, basket.entry
        first, second = (Share(part) for part in parts)
        add = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"add {parts[0].symbol} and {parts[1].symbol} to {basket.token.symbol}",
            to=router,
            template=ADD_LIQUIDITY.encode(parts[0].address, parts[1].address, 0, 0, 0, 0, owner, 0),
            patches=(
                Patch(2, first),
                Patch(3, second),
                Patch(4, MinOut(first, 1, 1, slippage_bps)),
                Patch(5, MinOut(second, 1, 1, slippage_bps)),
                Patch(7, Deadline()),
            ),
            spends=parts,
            brings=(basket.token,),
        )
        return (*approve_legs(router, first), *approve_legs(router, second), add)

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:
        """Approve the router for both sides, and add exactly these two to the pool, for the owner."""
        args = (
            fixed_word(0, basket.parts[0].address),
            fixed_word(1, basket.parts[1].address),
            ArgRule(2, at_most=AMOUNT_CAP),
            ArgRule(3, at_most=AMOUNT_CAP),
            ArgRule(4, at_least=1),
            ArgRule(5, at_least=1),
            fixed_word(6, owner),
        )
        return (
            Permission(basket.entry, ADD_LIQUIDITY.selector, 8, args, f"add liquidity to {basket.token.symbol}"),
            *(approve_permission(part, basket.entry) for part in basket.parts),
        )


def _factory(answer: ReadResult) -> Address | None:
    try:
        return Address(FACTORY.value(answer))
    except ReadFailed:
        return None
