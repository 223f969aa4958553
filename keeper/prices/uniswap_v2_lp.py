"""The fair price of a Uniswap V2 LP token: from the invariant and the sides' own prices, not from the reserves' ratio.

A swap moves the reserves along the invariant and leaves their product alone (but for the fee), so that pushing the
pool does not move this price. https://cmichel.io/pricing-lp-tokens/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from types import MappingProxyType

from keeper.abi import checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import GET_RESERVES, TOTAL_SUPPLY, ask_parts
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import known_price

__all__ = ["UniswapV2Lp", "fair_price"]


def fair_price(values: tuple[int, int], supply: int, unit: int) -> int:
    """Return 2 * sqrt(value0 * value1) / supply: wad dollars per whole LP token, rounded down.

    ``values`` are the two reserves in wad dollars, ``supply`` and ``unit`` base units of the LP token.
    """
    return 2 * isqrt(values[0] * values[1]) * unit // supply


class UniswapV2Lp:
    """Price source for LP tokens; derived from its sides' agreed prices, it counts as agreed by itself."""

    name = "uniswap-v2-lp"
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:  # noqa: ARG002
        """Ask for the pair's two sides."""
        parts = yield from ask_parts(token)
        if not parts:
            raise ReadFailed(
                f"{checksum(token.address)} ({token.symbol}) does not answer like a Uniswap V2 pair; "
                "price it by another source"
            )
        return {
            f"{key}{side}": value
            for side, part in enumerate(parts)
            for key, value in (("token", part.address), ("decimals", str(part.decimals)))
        }

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """Both sides."""
        return (Address(facts["token0"]), Address(facts["token1"]))

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Reserves and supply of the pair."""
        return (GET_RESERVES.read(token.address), TOTAL_SUPPLY.read(token.address))

    def quote(
        self,
        spec: PriceSpec,  # noqa: ARG002
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Value both reserves at the sides' agreed prices, and share them out over the supply."""
        sides = [known_price(known, Address(facts[key]), token) for key in ("token0", "token1")]
        try:
            first, second, _ = GET_RESERVES.values(results[0])
            supply = TOTAL_SUPPLY.value(results[1])
        except ReadFailed as error:
            raise PriceUnavailable(f"the pair {token.symbol} does not answer: {error}; check it") from error
        first_value = first * sides[0].mid // 10 ** int(facts["decimals0"])
        second_value = second * sides[1].mid // 10 ** int(facts["decimals1"])
        price = fair_price((first_value, second_value), supply, token.unit) if supply else 0
        if price == 0:
            raise PriceUnavailable(f"the pair {token.symbol} is empty, so its LP token has no price")
        return Quote(token, UsdWad(price), self.name, block.timestamp)
