"""Maths of Solidly's pairs (Aerodrome, Velodrome, Thena and kin), volatile (x*y) and stable (x*y*(x*x+y*y)).

Reserves are in 18 digits whatever the tokens' own decimals are, as the contracts reckon them. Integers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Final

from keeper.abi import Fn
from keeper.domain.money import BPS, WAD, Address
from keeper.domain.reads import Read, ReadResult
from keeper.errors import ReadFailed

__all__ = ["METADATA", "Pair", "cube_root", "depth", "fair_value", "fee_bps", "invariant", "metadata_read", "mix_ppm"]

#: decimals0 and decimals1 (as units), reserve0, reserve1, stable, token0, token1.
#: https://github.com/aerodrome-finance/contracts/blob/main/contracts/interfaces/IPool.sol
METADATA: Final = Fn("metadata()", "uint256,uint256,uint256,uint256,bool,address,address")

_PPM: Final = 10**6

#: A stable pair's depth is felt by selling this part of a side; it loses less than any number for less.
_FEEL: Final = 100

#: Deepest that a stable pair counts, in its own reserves: at par it loses next to nothing, and that is not endless.
_DEEPEST: Final = 1_000

#: Digits kept below 18 where roots are taken.
_EXTRA: Final = 2**32


@dataclass(frozen=True, slots=True)
class Pair:
    """What ``metadata`` says of a pair."""

    units: tuple[int, int]
    #: In the tokens' own base units.
    reserves: tuple[int, int]
    stable: bool
    tokens: tuple[Address, Address]

    @classmethod
    def of(cls, result: ReadResult) -> Pair:
        """Decode. Raises ReadFailed when it does not answer like a pair of this family, or is empty."""
        unit0, unit1, first, second, stable, token0, token1 = METADATA.values(result)
        if min(unit0, unit1, first, second) == 0:
            raise ReadFailed("the pair is empty")
        return cls((unit0, unit1), (first, second), stable, (token0, token1))

    @property
    def wads(self) -> tuple[int, int]:
        """Both reserves in 18 digits."""
        return self.reserves[0] * WAD // self.units[0], self.reserves[1] * WAD // self.units[1]

    def facing(self, sold: Address) -> Pair:
        """Return the same pair with the sold token's side first."""
        if sold == self.tokens[0]:
            return self
        return Pair(self.units[::-1], self.reserves[::-1], self.stable, self.tokens[::-1])

    @property
    def price(self) -> tuple[int, int]:
        """What a base unit of the first token buys of the second one at the margin, as a fraction."""
        x, y = self.wads
        top, bottom = (y * (3 * x * x + y * y), x * (x * x + 3 * y * y)) if self.stable else (y, x)
        return top * self.units[1], bottom * self.units[0]


def metadata_read(pair: Address) -> Read:
    """Read all that ``Pair.of`` decodes."""
    return METADATA.read(pair, gas=25_000)


def invariant(x: int, y: int) -> int:
    """Return what a swap in a stable pair leaves as it is."""
    return x * y * (x * x + y * y)


def depth(pair: Pair) -> int:
    """Return the first side of the constant-product pool that loses as much on a small sale, in its base units."""
    if not pair.stable:
        return pair.reserves[0]
    x, _ = pair.wads
    sold = x // _FEEL + 1
    got = _out(pair, sold)
    numerator, denominator = pair.price
    ideal = sold * numerator * pair.units[0] // (denominator * pair.units[1])
    lost = ideal - got
    most = pair.reserves[0] * _DEEPEST
    if lost <= 0:
        return most
    return min(most, pair.reserves[0] * got // (lost * _FEEL) + 1)


def fee_bps(pair: Pair, sold: int, got: int) -> int:
    """Return the pair's fee, basis points rounded up, from what it pays for ``sold`` base units of its first side."""
    free = _out(pair, sold * WAD // pair.units[0]) * pair.units[1] // WAD
    return min(BPS, max(0, -(-(free - got) * BPS // free))) if free else BPS


def mix_ppm(pair: Pair) -> tuple[int, int]:
    """Return how a deposit's value is spread over both sides at the pair's price, parts per million."""
    if not pair.stable:
        return _PPM // 2, _PPM // 2
    x, y = pair.wads
    first = _PPM * (3 * x * x + y * y) // (4 * (x * x + y * y))
    return first, _PPM - first


def fair_value(pair: Pair, prices: tuple[int, int]) -> int:
    """Return what both sides would be worth if the pair stood at these prices (wad dollars a whole token): wad dollars.

    The least that they are worth anywhere on the pair's curve, so that nobody can raise it by trading.
    """
    x, y = pair.wads
    first, second = _stable_at(invariant(x, y), prices) if pair.stable else _volatile_at(x * y, prices)
    return (first * prices[0] + second * prices[1]) // (_EXTRA * WAD)


def cube_root(value: int) -> int:
    """Return the whole cube root of a natural number, rounded down."""
    if value < 2:
        return value
    root = 1 << -(-value.bit_length() // 3)
    while (closer := (2 * root + value // (root * root)) // 3) < root:
        root = closer
    return root


def _volatile_at(product: int, prices: tuple[int, int]) -> tuple[int, int]:
    scale = _EXTRA * _EXTRA
    return isqrt(product * scale * prices[1] // prices[0]), isqrt(product * scale * prices[0] // prices[1])


def _stable_at(product: int, prices: tuple[int, int]) -> tuple[int, int]:
    """Solve for the reserves at a price.

    With t = x/y the marginal price is (3*t*t + 1) / (t*t*t + 3*t). With u = (t-1)/(t+1) that is (1-u^3) / (1+u^3).
    """
    low, high = sorted(prices)
    u = cube_root((high - low) * WAD**3 // (high + low))
    a, b = (WAD + u, WAD - u) if prices[0] <= prices[1] else (WAD - u, WAD + u)
    squares = a * a + b * b
    scaled = product * _EXTRA**4
    return _fourth_root(scaled * a**3 // (b * squares)), _fourth_root(scaled * b**3 // (a * squares))


def _fourth_root(value: int) -> int:
    return isqrt(isqrt(value))


def _out(pair: Pair, sold: int) -> int:
    """Return what a sale would pay without a fee; both in 18 digits."""
    x, y = pair.wads
    if not pair.stable:
        return sold * y // (x + sold)
    target, after, left = invariant(x, y), x + sold, y
    # Newton from above: the invariant is convex in y, so that it never steps below the solution.
    while (step := (invariant(after, left) - target) // (after * (after * after + 3 * left * left))) > 0:
        left -= step
    return y - left
