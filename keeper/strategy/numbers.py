"""Integer arithmetic that the rule's formulas share."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isqrt
from typing import Final

__all__ = ["PPM", "SECONDS_PER_YEAR", "ceil_div", "ceil_sqrt", "moment"]

#: A year of 365 days, as in every rate of this project.
SECONDS_PER_YEAR: Final = 365 * 86_400


#: Parts per million in one.
PPM: Final = 10**6


#: The last second of the year 9999, the last that has a date.
_LAST: Final = 253_402_300_799


def moment(timestamp: int) -> datetime:
    """Return a time in UTC; what a contract says may lie beyond all dates, and is told as the last of them."""
    return datetime.fromtimestamp(min(max(timestamp, 0), _LAST), UTC)


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide and round up; the denominator is positive."""
    return -(-numerator // denominator)


def ceil_sqrt(numerator: int, denominator: int = 1) -> int:
    """Square root of a fraction of two integers, rounded up."""
    value = ceil_div(numerator, denominator)
    root = isqrt(value)
    return root if root * root == value else root + 1
