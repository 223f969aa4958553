"""What a supply earns by itself, without any harvest: adapters note it beside what they observe, under one name."""

from __future__ import annotations

from typing import Final

from keeper.protocols.shared import YEAR_SECONDS

__all__ = ["INCOME_PPM", "RAY", "compounded_ray", "income_ppm"]

#: Name of the note: simple yearly income of the stake, by itself, parts per million.
INCOME_PPM: Final = "income_ppm"

#: Fixed-point one of MakerDAO and Aave.
RAY: Final = 10**27

_PPM: Final = 10**6


def income_ppm(rate: int, one: int, seconds: int = YEAR_SECONDS) -> tuple[tuple[str, int], ...]:
    """Note a rate of so much per ``seconds`` (a fixed-point number in which ``one`` is all of it) as yearly income."""
    return ((INCOME_PPM, rate * _PPM * YEAR_SECONDS // (one * seconds)),)


def compounded_ray(factor: int, seconds: int) -> int:
    """Raise a ray to a whole power, rounding each product to the nearest as the Pot's own ``rpow`` does."""
    result = RAY if seconds % 2 == 0 else factor
    base, left = factor, seconds // 2
    while left:
        base = (base * base + RAY // 2) // RAY
        if left % 2:
            result = (result * base + RAY // 2) // RAY
        left //= 2
    return result
