"""The price in a Uniswap V2 pair, against a side whose price is known; refused while the pair is thin.

A pair's price can be moved within a block by whoever pays for it. Therefore it only ever counts beside another source
that agrees with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token, UsdWad, usd_decimal
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import DECIMALS, GET_RESERVES, TOKEN0, TOKEN1
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, known_price, usd_setting

__all__ = ["UniswapV2Reserves"]

#: Dollars of both sides together below which a pair is too cheap to push around.
_MIN_LIQUIDITY: Final = "50000"


class UniswapV2Reserves:
    """Price source: reserves of one pair."""

    name = "uniswap-v2"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pair": ParamSpec("address", True, "Pair of this token and one whose price is configured too."),
            "min_liquidity_usd": ParamSpec(
                "int", False, "Dollars in both sides below which the price does not count; default 50000."
            ),
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask which side of the pair the token is, and for the other side's decimals."""
        pair = address_setting(spec, token, "pair")
        usd_setting(spec, token, "min_liquidity_usd", _MIN_LIQUIDITY)
        results = yield [TOKEN0.read(pair), TOKEN1.read(pair)]
        try:
            sides = [fn.value(result) for fn, result in zip((TOKEN0, TOKEN1), results, strict=True)]
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(pair)} does not answer like a Uniswap V2 pair ({error}); check pair"
            ) from error
        if token.address not in sides:
            raise ConfigError(f"pair {checksum(pair)} does not hold {token.symbol}; check pair")
        quote = sides[1 - sides.index(token.address)]
        (decimals,) = yield [DECIMALS.read(quote)]
        return {
            "quote": quote,
            "quote_decimals": str(DECIMALS.value(decimals)),
            "side": str(sides.index(token.address)),
        }

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """The other side."""
        return (Address(facts["quote"]),)

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """The pair's reserves."""
        return (GET_RESERVES.read(address_setting(spec, token, "pair")),)

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Price the token by the ratio of the reserves, once there is enough in them."""
        other = known_price(known, Address(facts["quote"]), token)
        try:
            reserves = GET_RESERVES.values(results[0])
        except ReadFailed as error:
            raise PriceUnavailable(f"the pair of {token.symbol} does not answer: {error}; check pair") from error
        side = int(facts["side"])
        own, quoted = reserves[side], reserves[1 - side]
        unit = 10 ** int(facts["quote_decimals"])
        liquidity = 2 * quoted * other.low // unit
        least = usd_setting(spec, token, "min_liquidity_usd", _MIN_LIQUIDITY)
        if own == 0 or liquidity < least:
            raise PriceUnavailable(
                f"the pair of {token.symbol} holds ${usd_decimal(liquidity):,.0f}, below min_liquidity_usd = "
                f"{usd_decimal(least):,.0f}: its price is too easily moved; use a deeper pair"
            )
        price = UsdWad(quoted * other.mid * token.unit // (own * unit))
        if price == 0:
            raise PriceUnavailable(f"the pair's price of {token.symbol} rounds to zero; use another source")
        return Quote(token, price, self.name, block.timestamp)
