"""The time-weighted price of a Uniswap V3 pool, against a side whose price is known; refused while the pool is thin.

Moving it takes holding the pool off its price for as long as it looks back, against everybody who trades on that. On a
chain where few make the blocks, or in a thin pool, somebody may; so it only counts beside another source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token, UsdWad, usd_decimal
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import DECIMALS, TOKEN0, TOKEN1
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, known_price, seconds_setting, usd_setting
from keeper.ranges import sqrt_ratio_at_tick, virtual_reserve

__all__ = ["UniswapV3Twap"]

#: https://docs.uniswap.org/concepts/protocol/oracle
#: tickCumulatives, secondsPerLiquidityCumulativeX128s.
OBSERVE: Final = Fn("observe(uint32[])", "int56[],uint160[]")
#: sqrtPriceX96, tick, observationIndex, observationCardinality.
SLOT0: Final = Fn("slot0()", "uint160,int24,uint16,uint16")

_SLOT0_BYTES: Final = 32 * 7
_OBSERVE_BYTES: Final = 32 * 8

#: Seconds that are looked back by default, and at most.
_SECONDS: Final = 1_800
_MOST_SECONDS: Final = 7 * 86_400

#: Dollars of both virtual reserves together below which a pool is too cheap to push around.
_MIN_LIQUIDITY: Final = "250000"

#: The pool's counter of seconds per liquidity wraps here.
_COUNTER: Final = 2**160


class UniswapV3Twap:
    """Price source: the mean tick of one pool over some time."""

    name = "uniswap-v3-twap"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pool": ParamSpec("address", True, "Pool of this token and one whose price is configured too."),
            "seconds": ParamSpec("int", False, "Seconds to look back; default 1800."),
            "min_liquidity_usd": ParamSpec(
                "int", False, "Dollars of virtual reserves below which the price does not count; default 250000."
            ),
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask which side the token is, for the other's decimals, and whether the pool keeps a history at all."""
        pool = address_setting(spec, token, "pool")
        _seconds(spec, token)
        usd_setting(spec, token, "min_liquidity_usd", _MIN_LIQUIDITY)
        results = yield [TOKEN0.read(pool), TOKEN1.read(pool), SLOT0.read(pool, result_bytes=_SLOT0_BYTES)]
        try:
            sides = [fn.value(result) for fn, result in zip((TOKEN0, TOKEN1), results, strict=False)]
            cardinality = SLOT0.values(results[2])[3]
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(pool)} does not answer like a Uniswap V3 pool ({error}); check pool"
            ) from error
        if token.address not in sides:
            raise ConfigError(f"pool {checksum(pool)} does not hold {token.symbol}; check pool")
        if cardinality < 2:
            raise ConfigError(
                f"pool {checksum(pool)} keeps no history (its cardinality is {cardinality}), so it has no "
                "time-weighted price; use another pool, or call its increaseObservationCardinalityNext"
            )
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
        """The pool's counters, then and now, and how much history it keeps."""
        pool = address_setting(spec, token, "pool")
        return (
            OBSERVE.read(pool, [_seconds(spec, token), 0], result_bytes=_OBSERVE_BYTES, gas=100_000),
            SLOT0.read(pool, result_bytes=_SLOT0_BYTES),
        )

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Price the token by the mean tick, once the mean liquidity is enough."""
        other = known_price(known, Address(facts["quote"]), token)
        sqrt_price, liquidity = _means(spec, token, results)
        side, unit = int(facts["side"]), 10 ** int(facts["quote_decimals"])
        least = usd_setting(spec, token, "min_liquidity_usd", _MIN_LIQUIDITY)
        quoted = virtual_reserve(sqrt_price, liquidity, zero=side == 1)
        held = 2 * quoted * other.low // unit
        if held < least:
            raise PriceUnavailable(
                f"the pool of {token.symbol} trades as if it held ${usd_decimal(held):,.0f}, below min_liquidity_usd = "
                f"{usd_decimal(least):,.0f}: its price is too easily moved; use a deeper pool"
            )
        square = sqrt_price * sqrt_price
        ratio = (square, 1 << 192) if side == 0 else (1 << 192, square)
        price = UsdWad(ratio[0] * token.unit * other.mid // (ratio[1] * unit))
        if price == 0:
            raise PriceUnavailable(f"the time-weighted price of {token.symbol} rounds to zero; use another source")
        return Quote(token, price, self.name, block.timestamp)


def _seconds(spec: PriceSpec, token: Token) -> int:
    seconds = seconds_setting(spec, token, "seconds") if "seconds" in spec.settings else _SECONDS
    if seconds > _MOST_SECONDS:
        raise ConfigError(f"{spec.kind} price of {token.symbol}: seconds must be at most {_MOST_SECONDS} (a week)")
    return seconds


def _means(spec: PriceSpec, token: Token, results: Sequence[ReadResult]) -> tuple[int, int]:
    """Return the price of the mean tick, and the harmonic mean of the liquidity, as OracleLibrary reckons them."""
    seconds = _seconds(spec, token)
    try:
        ticks, inverse = OBSERVE.values(results[0])
        assert len(ticks) == len(inverse) == 2
    except (ReadFailed, AssertionError) as error:
        raise PriceUnavailable(_why(spec, token, results[1], error)) from error
    spent = (inverse[1] - inverse[0]) % _COUNTER
    if spent == 0:
        raise PriceUnavailable(f"the pool of {token.symbol} counted nothing for {seconds} s; use another source")
    mean = (ticks[1] - ticks[0]) // seconds
    return sqrt_ratio_at_tick(mean), seconds * (_COUNTER - 1) // (spent << 32)


def _why(spec: PriceSpec, token: Token, slot0: ReadResult, error: Exception) -> str:
    seconds = _seconds(spec, token)
    if "OLD" not in str(error):
        return f"the pool of {token.symbol} does not answer: {error}; check pool"
    try:
        kept = str(SLOT0.values(slot0)[3])
    except ReadFailed:
        kept = "too few"
    return (
        f"the pool of {token.symbol} keeps {kept} observations, which do not reach back {seconds} s; use fewer seconds "
        "or another pool, or call its increaseObservationCardinalityNext and wait"
    )
