"""Exponential change in integers: what a yearly drift makes of a price or a rate over a time. Shares are wad."""

from __future__ import annotations

from typing import Final

from keeper.domain.money import WAD

__all__ = ["exp_wad", "mean_wad"]

#: Beyond this a share of a price is nothing, or everything: |x| is cut, wad.
_FARTHEST: Final = 40 * WAD

#: Argument below which the series converges at once, wad.
_SMALL: Final = WAD // 16

#: Terms of the series: 16**-14 / 14! is far below one part in 10**18.
_TERMS: Final = 14


def exp_wad(x: int) -> int:
    """Return e**x; x and the result are wad. Exact to about one part in 10**15."""
    x = max(min(x, _FARTHEST), -_FARTHEST)
    halvings = 0
    while abs(x) > _SMALL:
        x = x // 2 if x > 0 else -(-x // 2)
        halvings += 1
    one = WAD * WAD  # guard digits: each squaring doubles the error
    x *= WAD
    term, total = one, one
    for n in range(1, _TERMS):
        term = term * x // (n * one)
        total += term
    for _ in range(halvings):
        total = total * total // one
    return total // WAD


def mean_wad(x: int) -> int:
    """Return the mean of e**t for t from 0 to x, which is (e**x - 1)/x; 1 at x = 0. All wad."""
    if abs(x) < WAD // 10**6:
        return WAD + x // 2
    return (exp_wad(x) - WAD) * WAD // x
