"""What a person writes for ``keeper plan``: money, shares, gas prices and spans, each read exactly or refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import click

from keeper.domain.money import BPS, WAD, UsdWad, usd

__all__ = ["GAS_PRICE", "MONEY", "PERCENT", "SPAN", "UNITS", "bps_of", "wad_of"]

_NUMBER: Final = r"(\d{1,3}(?:,\d{3})+(?:\.\d{1,18})?|\d{1,18}(?:\.\d{1,18})?)"
_MONEY: Final = re.compile(rf"\$?{_NUMBER}\s*([kmb]?)\Z", re.IGNORECASE)
_UNITS: Final = re.compile(rf"{_NUMBER}\s*([km]?)\Z", re.IGNORECASE)
_PERCENT: Final = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*%\s*(?:/\s*(?:yr|y|year)|a year)?\Z", re.IGNORECASE)
_GAS: Final = re.compile(rf"{_NUMBER}\s*(gwei|wei)\Z", re.IGNORECASE)
_SPAN: Final = re.compile(r"(\d{1,5})\s*([hdwy])\Z", re.IGNORECASE)

_TIMES: Final = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_SECONDS: Final = {"h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}

#: More than anybody has, and more than any chain uses: beyond it somebody has slipped.
_MOST_MONEY: Final = 10**13
_MOST_UNITS: Final = 10**9
_MOST_SECONDS: Final = 100 * 365 * 86_400


def _plain(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


class _Read(click.ParamType[Any]):
    """One kind of input, by the function that reads it."""

    def __init__(self, name: str, pattern: re.Pattern[str], example: str) -> None:
        self.name, self.pattern, self.example = name, pattern, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read text; what was read already is left alone."""
        if not isinstance(value, str):
            return value
        match = self.pattern.match(value.strip())
        found = None if match is None else self.value(match)
        if found is None:
            self.fail(f'"{value}" is not understood; write e.g. {self.example}', param, ctx)
        return found

    def value(self, match: re.Match[str]) -> Any:
        """Turn the parts into a value; ``None`` when it is beyond belief."""
        raise NotImplementedError


class _Money(_Read):
    def value(self, match: re.Match[str]) -> UsdWad | None:
        amount = _plain(match[1]) * _TIMES[match[2].lower()]
        return usd(amount) if amount <= _MOST_MONEY else None


class _Units(_Read):
    def value(self, match: re.Match[str]) -> int | None:
        units = _plain(match[1]) * _TIMES[match[2].lower()]
        return int(units) if units == int(units) and 0 < units <= _MOST_UNITS else None


class _Percent(_Read):
    def value(self, match: re.Match[str]) -> Decimal:
        return Decimal(match[1]) / 100


class _GasPrice(_Read):
    def value(self, match: re.Match[str]) -> int | None:
        wei = _plain(match[1]) * (10**9 if match[2].lower() == "gwei" else 1)
        return int(wei) if wei == int(wei) and 0 < wei < 10**18 else None


class _Span(_Read):
    def value(self, match: re.Match[str]) -> int | None:
        seconds = int(match[1]) * _SECONDS[match[2].lower()]
        return seconds if 0 < seconds <= _MOST_SECONDS else None


#: Dollars, as wad: ``10000``, ``$10,000``, ``2m``.
MONEY: Final = _Money("money", _MONEY, "10000, $10,000 or 2m")
#: Gas units: ``412000``, ``412k``.
UNITS: Final = _Units("units", _UNITS, "412000 or 412k")
#: A share, as a decimal: ``18%``, ``-50%/yr``.
PERCENT: Final = _Percent("percent", _PERCENT, "18% or -50%/yr")
#: Wei per gas unit: ``0.1gwei``.
GAS_PRICE: Final = _GasPrice("gas price", _GAS, "0.1gwei")
#: Seconds: ``90d``, ``1y``.
SPAN: Final = _Span("span", _SPAN, "90d, 26w or 1y")


def wad_of(share: Decimal) -> int:
    """Turn a share into wad."""
    return int(share * WAD)


def bps_of(share: Decimal, option: str, least: int, most: int) -> int:
    """Turn a share into whole basis points within bounds.

    Raises:
        click.BadParameter: outside, or finer than a basis point.
    """
    bps = share * BPS
    if bps != int(bps) or not least <= bps <= most:
        bounds = f"{Decimal(least) / 100:f}% to {Decimal(most) / 100:f}%"
        raise click.BadParameter(f"must be {bounds}, in steps of 0.01%", param_hint=option)
    return int(bps)
