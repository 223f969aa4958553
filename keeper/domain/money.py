"""Tokens and amounts: integers in base units, and US dollars as integers scaled by 10**18 (wad).

Nothing in a decision is ever a float. ``Decimal`` appears only where a person reads a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NewType

__all__ = ["BPS", "NO_USD", "WAD", "Address", "Amount", "Token", "UsdWad", "address", "usd", "usd_decimal", "usd_text"]

#: A lower-case, 0x-prefixed, 20-byte hex address. Checksums are checked at the edge (config) and shown by the CLI.
Address = NewType("Address", str)

#: US dollars times 10**18. Integer arithmetic only.
UsdWad = NewType("UsdWad", int)

#: No dollars.
NO_USD: Final = UsdWad(0)

#: Fixed-point one: 10**18, as in MakerDAO's wad.
WAD: Final = 10**18

#: Basis points in one.
BPS: Final = 10_000

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")


def address(text: str) -> Address:
    """Normalise a hex address to lower case.

    Raises:
        ValueError: when ``text`` is not 0x and 40 hex digits.
    """
    if not _ADDRESS.match(text):
        raise ValueError(f"{text!r} is not an address (0x and 40 hex digits)")
    return Address(text.lower())


def usd(value: Decimal | int | str) -> UsdWad:
    """Turn dollars as a person writes them into wad; digits beyond 10**-18 are cut."""
    return UsdWad(int(Decimal(value) * WAD))


def usd_decimal(value: int) -> Decimal:
    """Turn wad into dollars for a person to read."""
    return Decimal(value) / WAD


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """An ERC-20 token on one chain. Identity is chain and address; symbol and decimals are metadata."""

    #: Chain name as in the config, e.g. ``"ethereum"``.
    chain: str
    #: Contract address, lower case.
    address: Address
    #: Ticker for display only; never trusted for identity.
    symbol: str
    #: Base units per whole token as a power of ten.
    decimals: int

    @property
    def unit(self) -> int:
        """Base units in one whole token."""
        return int(10**self.decimals)


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity of one token in base units. Only amounts of the same token add or compare."""

    token: Token
    #: Base units (wei for an 18-decimals token). May be negative for a delta.
    raw: int

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.token, self.raw + self._same(other))

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.token, self.raw - self._same(other))

    def __lt__(self, other: Amount) -> bool:
        return self.raw < self._same(other)

    def __le__(self, other: Amount) -> bool:
        return self.raw <= self._same(other)

    def _same(self, other: Amount) -> int:
        if (other.token.chain, other.token.address) != (self.token.chain, self.token.address):
            raise ValueError(f"cannot mix {self.token.symbol} and {other.token.symbol}: different tokens")
        return other.raw

    @property
    def decimal(self) -> Decimal:
        """Whole tokens, exact, for display."""
        return Decimal(self.raw).scaleb(-self.token.decimals)


def usd_text(value: int) -> str:
    """Word an amount of dollars for a sentence: ``$10,240.18``, with more digits below a dollar."""
    amount = usd_decimal(abs(value))
    sign = "-" if value < 0 else ""
    if amount == 0 or amount >= 1:
        return f"{sign}${amount:,.2f}"
    return f"{sign}${amount:.2f}" if amount >= Decimal("0.1") else f"{sign}${amount:.2g}".replace("e-0", "e-")
