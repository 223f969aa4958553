"""The price of a cToken or vToken (Compound v2, Venus): its stored exchange rate, at the underlying's agreed price.

The stored rate lacks the interest since somebody last touched the market, and is never ahead of it: a price from it is
a little low, by a day's interest at most in a market that is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import WAD, Address, Token
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import TOTAL_SUPPLY
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, known_price
from keeper.prices.shares import BOUNDS, check_bounds, share_quote

__all__ = ["CToken"]

UNDERLYING: Final = Fn("underlying()", "address")
EXCHANGE_RATE: Final = Fn("exchangeRateStored()", "uint256")


class CToken:
    """Price source for cTokens; derived from the underlying's agreed price, it counts as agreed by itself."""

    name = "ctoken"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "underlying": ParamSpec(
                "address", False, "Priced token, where the market names none: the wrapped gas token for cETH or vBNB."
            ),
            **BOUNDS,
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask for the underlying, unless the settings name it."""
        check_bounds(spec, token)
        named = address_setting(spec, token, "underlying") if "underlying" in spec.settings else None
        rate, underlying = yield [fn.read(token.address, gas=40_000) for fn in (EXCHANGE_RATE, UNDERLYING)]
        try:
            EXCHANGE_RATE.value(rate)
            asset = named or UNDERLYING.value(underlying)
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(token.address)} ({token.symbol}) does not answer like a cToken ({error}); "
                "price it by another source"
            ) from error
        return {"asset": asset}

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """The underlying."""
        return (Address(facts["asset"]),)

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """The stored exchange rate, and how many cTokens there are."""
        return (EXCHANGE_RATE.read(token.address, gas=40_000), TOTAL_SUPPLY.read(token.address))

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Price a cToken within its bounds; the rate is base units of the underlying per base unit, in 18 digits."""
        asset = known_price(known, Address(facts["asset"]), token)
        try:
            rate, supply = (fn.value(r) for fn, r in zip((EXCHANGE_RATE, TOTAL_SUPPLY), results, strict=True))
        except ReadFailed as error:
            raise PriceUnavailable(f"the market of {token.symbol} does not answer: {error}; check it") from error
        return share_quote(spec, token, (rate * token.unit, WAD), (supply * rate // WAD, supply), asset, block)
