"""Maths of concentrated liquidity (Uniswap V3 and its kin), digit for digit as the contracts round it. Integers only.

Prices are square roots of token1 per token0 in base units, as Q64.96 (times 2**96). Liquidity is L of L*L = x*y.
"""

from __future__ import annotations

from math import isqrt
from typing import Final

__all__ = [
    "MAX_TICK",
    "MIN_TICK",
    "Q96",
    "Q128",
    "amount0_for",
    "amount1_for",
    "amounts_for_liquidity",
    "fee_growth_inside",
    "fees_since",
    "gap_bps",
    "liquidity_for_amounts",
    "mix_ppm",
    "next_sqrt_price",
    "side_floors_bps",
    "sqrt_price_of",
    "sqrt_ratio_at_tick",
    "swap_within_range",
    "virtual_reserve",
]

MIN_TICK: Final = -887_272
MAX_TICK: Final = 887_272
Q96: Final = 2**96
Q128: Final = 2**128

_PPM: Final = 10**6
_BPS: Final = 10_000
_WORD: Final = 2**256

#: sqrt(1.0001) to the power of -2**i, as Q128.
#: https://github.com/Uniswap/v3-core/blob/main/contracts/libraries/TickMath.sol
_POWERS: Final = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)


def sqrt_ratio_at_tick(tick: int) -> int:
    """Return the square root of 1.0001**tick as Q64.96. Raises ValueError beyond the ticks that exist."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise ValueError(f"tick {tick} is not within {MIN_TICK}..{MAX_TICK}")
    ratio = Q128
    for index, power in enumerate(_POWERS):
        if abs(tick) >> index & 1:
            ratio = ratio * power >> 128
    if tick > 0:
        ratio = (_WORD - 1) // ratio
    return -(-ratio >> 32)


def sqrt_price_of(value0: int, value1: int, unit0: int, unit1: int) -> int:
    """Return the price at which token0 and token1 are worth what they are elsewhere, as Q64.96.

    ``value0`` and ``value1``: worth of a whole token, in anything; ``unit0``, ``unit1``: base units of one.
    """
    return isqrt((value0 * unit1 << 192) // (value1 * unit0))


def gap_bps(sqrt_price: int, fair: int) -> int:
    """Return how far a pool's price is off a fair one (``sqrt_price_of``), basis points of the lower of the two."""
    low, high = sorted((sqrt_price * sqrt_price, fair * fair))
    return (high - low) * _BPS // max(low, 1)


def amount0_for(sqrt_a: int, sqrt_b: int, liquidity: int, *, up: bool = False) -> int:
    """Return what of token0 is in ``liquidity`` between two prices (the lower one above 0)."""
    low, high = sorted((sqrt_a, sqrt_b))
    numerator = (liquidity << 96) * (high - low)
    if up:
        outer = -(-numerator // high)
        return -(-outer // low)
    return numerator // high // low


def amount1_for(sqrt_a: int, sqrt_b: int, liquidity: int, *, up: bool = False) -> int:
    """Return what of token1 is in ``liquidity`` between two prices."""
    product = liquidity * abs(sqrt_b - sqrt_a)
    return -(-product >> 96) if up else product >> 96


def amounts_for_liquidity(
    sqrt_price: int, sqrt_a: int, sqrt_b: int, liquidity: int, *, up: bool = False
) -> tuple[int, int]:
    """Return what ``liquidity`` of a range is made of at a price: rounded down as paid out, up as a deposit takes."""
    at = min(max(sqrt_price, sqrt_a), sqrt_b)
    return amount0_for(at, sqrt_b, liquidity, up=up), amount1_for(sqrt_a, at, liquidity, up=up)


def liquidity_for_amounts(sqrt_price: int, sqrt_a: int, sqrt_b: int, amounts: tuple[int, int]) -> int:
    """Return the most liquidity of a range that both amounts are enough for, as the periphery reckons it."""
    if sqrt_price <= sqrt_a:
        return _liquidity0(sqrt_a, sqrt_b, amounts[0])
    if sqrt_price >= sqrt_b:
        return _liquidity1(sqrt_a, sqrt_b, amounts[1])
    return min(_liquidity0(sqrt_price, sqrt_b, amounts[0]), _liquidity1(sqrt_a, sqrt_price, amounts[1]))


def _liquidity0(sqrt_a: int, sqrt_b: int, amount: int) -> int:
    return amount * (sqrt_a * sqrt_b // Q96) // (sqrt_b - sqrt_a)


def _liquidity1(sqrt_a: int, sqrt_b: int, amount: int) -> int:
    return amount * Q96 // (sqrt_b - sqrt_a)


def fee_growth_inside(tick: int, ticks: tuple[int, int], everywhere: int, outside: tuple[int, int]) -> int:
    """Return fee growth per unit of liquidity inside a range, modulo 2**256 as the pool counts it.

    ``everywhere``: the pool's global growth; ``outside``: of the lower and of the upper tick.
    """
    below = outside[0] if tick >= ticks[0] else everywhere - outside[0]
    above = outside[1] if tick < ticks[1] else everywhere - outside[1]
    return (everywhere - below - above) % _WORD


def fees_since(inside: int, last: int, liquidity: int) -> int:
    """Return what ``liquidity`` has earned since the growth inside its range was ``last``, in base units."""
    return (inside - last) % _WORD * liquidity // Q128


def mix_ppm(sqrt_price: int, sqrt_a: int, sqrt_b: int) -> tuple[int, int]:
    """Return how the value of a deposit is spread over token0 and token1 at the pool's price, parts per million."""
    first, second = amounts_for_liquidity(sqrt_price, sqrt_a, sqrt_b, Q128)
    value = first * sqrt_price * sqrt_price >> 192
    if value + second == 0:
        return (_PPM, 0) if sqrt_price <= sqrt_a else (0, _PPM)
    part = _PPM * value // (value + second)
    return part, _PPM - part


def side_floors_bps(sqrt_price: int, sqrt_a: int, sqrt_b: int, slippage_bps: int) -> tuple[int, int]:
    """Return how far each side of a deposit may fall short, basis points, when the price moves by ``slippage_bps``.

    A deposit takes both sides in the ratio of the price. A rise leaves part of token0 over, a fall part of token1, and
    the more, the nearer the price is to an end of the range. Amounts that are themselves off by as much are let pass.
    """
    if not sqrt_a < sqrt_price < sqrt_b:
        return slippage_bps, slippage_bps
    up = isqrt(sqrt_price * sqrt_price * (_BPS + slippage_bps) // _BPS)
    down = isqrt(sqrt_price * sqrt_price * max(_BPS - slippage_bps, 0) // _BPS)
    first, second = amounts_for_liquidity(sqrt_price, sqrt_a, sqrt_b, Q128)
    up_first, up_second = amounts_for_liquidity(up, sqrt_a, sqrt_b, Q128)
    down_first, down_second = amounts_for_liquidity(down, sqrt_a, sqrt_b, Q128)
    kept = (
        up_first * second * _BPS // (first * up_second) if first and up_second else 0,
        down_second * first * _BPS // (second * down_first) if second and down_first else 0,
    )
    short = [_BPS - part * (_BPS - slippage_bps) // _BPS for part in kept]
    return min(max(short[0], 0), _BPS - 1), min(max(short[1], 0), _BPS - 1)


def virtual_reserve(sqrt_price: int, liquidity: int, *, zero: bool) -> int:
    """Return what the constant-product pool that trades alike at this price holds of token0 (``zero``) or token1."""
    return (liquidity << 96) // sqrt_price if zero else liquidity * sqrt_price >> 96


def next_sqrt_price(sqrt_price: int, liquidity: int, amount: int, *, zero: bool) -> int:
    """Return the price after ``amount`` of token0 (``zero``) or token1 has gone in, within one range."""
    if zero:
        top = liquidity << 96
        return -(-top * sqrt_price // (top + amount * sqrt_price))
    return sqrt_price + (amount << 96) // liquidity


def swap_within_range(sqrt_price: int, liquidity: int, fee_ppm: int, sold: int, *, zero: bool) -> int:
    """Return what a swap pays if the liquidity stays what it is at the present price: the truth for small amounts."""
    taxed = sold * (_PPM - fee_ppm) // _PPM
    after = next_sqrt_price(sqrt_price, liquidity, taxed, zero=zero)
    return amount1_for(after, sqrt_price, liquidity) if zero else amount0_for(sqrt_price, after, liquidity)
