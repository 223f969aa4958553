"""How amounts of the reporting currency are spelled."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from keeper.cli.output import usd

__all__ = ["gained", "money", "rate"]

#: What stands before an amount; a currency that is not here has its code there.
_SIGNS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def money(wad: int, currency: str) -> str:
    """Spell an amount as ``usd`` does: ``€10,240.18``, ``CHF 31.20``, ``-$0.011``."""
    return usd(wad).replace("$", _SIGNS.get(currency, f"{currency} "))


def gained(wad: int, currency: str) -> str:
    """Spell a difference with its sign: ``+$31.20``."""
    return f"+{money(wad, currency)}" if wad > 0 else money(wad, currency)


def rate(wad: int | None) -> str:
    """Spell a yearly rate: ``18.4 %``, ``0.31 %``, ``1,840 %``; a dash where it is not known or says nothing."""
    if wad is None:
        return "-"
    percent = Decimal(wad) / 10**16
    digits = 2 if abs(percent) < 1 and percent else 1 if abs(percent) < 100 else 0
    return f"{percent:,.{digits}f} %"
