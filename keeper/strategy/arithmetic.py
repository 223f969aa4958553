"""Functions in generic arithmetic: the same line works for a float and for an array of floats."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["E", "high", "ln", "low"]

#: Euler's number: ``E**x`` is the exponential of floats and of arrays.
E: Final = 2.718281828459045

_SMALL: Final = 1e-5


def ln(x: Any) -> Any:
    """Natural logarithm by powers alone; within 1e-7 for 1e-12 < x < 1e12. Not to be called with zero or less."""
    return (x**_SMALL - x**-_SMALL) / (2 * _SMALL)


def low(a: Any, b: Any) -> Any:
    """The lesser of two, place by place."""
    return b + (a - b) * (a < b)


def high(a: Any, b: Any) -> Any:
    """The greater of two, place by place."""
    return b + (a - b) * (a > b)
