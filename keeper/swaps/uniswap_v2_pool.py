"""Uniswap V2 and its forks as a pool: turns two tokens into their LP token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keeper.abi import Fn
from keeper.domain.money import Address, Token
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import RouteSpec
from keeper.erc20 import AMOUNT_CAP, approve_legs, approve_permission, fixed_word
from keeper.ports import ArgRule, Permission

__all__ = ["UniswapV2Pool"]

#: tokenA, tokenB, amountADesired, amountBDesired, amountAMin, amountBMin, to, deadline.
ADD_LIQUIDITY: Final = Fn(
    "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)", "uint256,uint256,uint256"
)


class UniswapV2Pool:
    """Pool maker. The router takes both sides in the pool's ratio; the rest of one side stays in the wallet."""

    name = "uniswap-v2"

    def join(
        self, spec: RouteSpec, owner: Address, parts: tuple[Token, Token], pool: Token, slippage_bps: int
    ) -> Sequence[Leg]:
        """Approve both sides exactly, then add them; each side may fall short of its amount by the slippage only.

        The side minimums are what protects: in a pool pushed off its price the router would take little of one side.
        """
        first, second = (Share(part) for part in parts)
        add = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"add {parts[0].symbol} and {parts[1].symbol} to {pool.symbol}",
            to=spec.router,
            template=ADD_LIQUIDITY.encode(parts[0].address, parts[1].address, 0, 0, 0, 0, owner, 0),
            patches=(
                Patch(2, first),
                Patch(3, second),
                Patch(4, MinOut(first, 1, 1, slippage_bps)),
                Patch(5, MinOut(second, 1, 1, slippage_bps)),
                Patch(7, Deadline()),
            ),
            spends=parts,
            brings=(pool,),
        )
        return (*approve_legs(spec.router, first), *approve_legs(spec.router, second), add)

    def permissions(
        self,
        spec: RouteSpec,
        owner: Address,
        parts: tuple[Token, Token],
        pool: Token,
    ) -> Sequence[Permission]:
        """Approve the router for both sides, and add exactly these two to the pool, for the owner."""
        args = (
            fixed_word(0, parts[0].address),
            fixed_word(1, parts[1].address),
            ArgRule(2, at_most=AMOUNT_CAP),
            ArgRule(3, at_most=AMOUNT_CAP),
            ArgRule(4, at_least=1),
            ArgRule(5, at_least=1),
            fixed_word(6, owner),
        )
        return (
            Permission(spec.router, ADD_LIQUIDITY.selector, 8, args, f"add liquidity to {pool.symbol}"),
            *(approve_permission(part, spec.router) for part in parts),
        )
