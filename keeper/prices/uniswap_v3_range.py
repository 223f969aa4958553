"""The fair price of a range's liquidity: what it would be made of at the tokens' own prices, never at the pool's.

A pushed pool therefore does not move it: https://docs.uniswap.org/contracts/v3/guides/providing-liquidity .
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.money import WAD, Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError, PriceUnavailable
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, known_price, nothing_to_ask
from keeper.ranges import MAX_TICK, MIN_TICK, Q128, amounts_for_liquidity, sqrt_price_of, sqrt_ratio_at_tick

__all__ = ["UniswapV3Range", "range_value"]

#: Digits kept below a base unit, so that little liquidity of dear tokens is not rounded away.
_EXTRA: Final = Q128


def range_value(values: tuple[int, int], units: tuple[int, int], ticks: tuple[int, int], liquidity: int) -> int:
    """Return what ``liquidity`` between two ticks is worth: wad dollars, rounded down.

    ``values``: wad dollars of a whole token0 and token1; ``units``: base units of one.
    """
    ends = sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
    price = sqrt_price_of(*values, *units)
    first, second = amounts_for_liquidity(price, *ends, liquidity * _EXTRA)
    return (first * values[0] * units[1] + second * values[1] * units[0]) // (units[0] * units[1] * _EXTRA)


class UniswapV3Range:
    """Price source for liquidity; derived from its two tokens' agreed prices, it counts as agreed by itself."""

    name = "uniswap-v3-range"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "token0": ParamSpec("address", True, "The pool's first token."),
            "token1": ParamSpec("address", True, "The pool's second token."),
            "tick_lower": ParamSpec("int", True, "Lower end of the range."),
            "tick_upper": ParamSpec("int", True, "Upper end of the range."),
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Nothing to ask; checks the settings. Raises ConfigError."""
        for key in ("token0", "token1"):
            address_setting(spec, token, key)
        _ticks(spec, token)
        return (yield from nothing_to_ask())

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """Both tokens."""
        return address_setting(spec, token, "token0"), address_setting(spec, token, "token1")

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Nothing: what a unit is made of follows from the two prices."""
        return ()

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],  # noqa: ARG002
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Value 10**18 of liquidity at the two tokens' agreed prices."""
        first, second = (known_price(known, side, token) for side in self.needs(spec, token, facts))
        units = first.token.unit, second.token.unit
        price = range_value((first.mid, second.mid), units, _ticks(spec, token), WAD)
        if price == 0:
            raise PriceUnavailable(f"a unit of {token.symbol} is worth nothing at the prices of its tokens")
        return Quote(token, UsdWad(price), self.name, block.timestamp)


def _ticks(spec: PriceSpec, token: Token) -> tuple[int, int]:
    lower, upper = (spec.settings.get(key) for key in ("tick_lower", "tick_upper"))
    if not isinstance(lower, int) or not isinstance(upper, int) or not MIN_TICK <= lower < upper <= MAX_TICK:
        raise ConfigError(
            f"{spec.kind} price of {token.symbol}: tick_lower and tick_upper must be ticks, the lower one first, "
            f"not {lower!r} and {upper!r}"
        )
    return lower, upper
