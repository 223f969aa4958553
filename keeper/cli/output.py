"""What people and programs read: tables and JSON on stdout, and how money, gas and time are spelled."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal, localcontext
from enum import Enum
from pathlib import PurePath
from typing import IO, Any, Final

from keeper.domain.money import BPS, WAD, Amount
from keeper.domain.spans import span_text

__all__ = [
    "address_long",
    "address_short",
    "amount",
    "colored",
    "duration",
    "emit_json",
    "gas_price",
    "jsonable",
    "percent",
    "percent_bps",
    "percent_wad",
    "say",
    "table",
    "usd",
    "usd_text",
]

#: Integers above this lose digits in JavaScript and jq, so they are written as text.
_SAFE_INT: Final = 2**53


# ---------------------------------------------------------------------------- where it goes


def colored(stream: IO[str] | None = None) -> bool:
    """Whether colours may be used: never with NO_COLOR or TERM=dumb, always with FORCE_COLOR, else on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and (stream or sys.stdout).isatty()


def say(text: str = "") -> None:
    """Print one line of data."""
    sys.stdout.write(text + "\n")


def emit_json(schema: str, payload: Mapping[str, Any]) -> None:
    """Print one JSON document, ``{"schema": "keeper.status/1", ...}``. Amounts must come as text already."""
    sys.stdout.write(json.dumps({"schema": schema, **jsonable(payload)}, indent=2, ensure_ascii=False) + "\n")


def jsonable(value: Any) -> Any:  # noqa: C901, PLR0911 (one line per kind of value)
    """Turn domain values into JSON data in which no reader loses a digit.

    Raises:
        TypeError: for a float or anything unknown.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE_INT else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Amount):
        return {"token": value.token.address, "symbol": value.token.symbol, "raw": str(value.raw)} | {
            "amount": format(_scaled(value.raw, value.token.decimals), "f")
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        return [jsonable(item) for item in (value if isinstance(value, Sequence) else sorted(value))]
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table that fits the terminal, all of it where stdout is none. ``right`` columns align right."""
    from keeper.cli.grid import draw, room

    for line in draw(headers, rows, right, room(), colour=colored() and sys.stdout.isatty()):
        say(line)


# ---------------------------------------------------------------------------- how it is spelled


def usd(wad: int) -> str:
    """Spell US dollars: ``$10,240.18``; below ten cents with two significant digits: ``$0.011``."""
    sign, cents = "-" if wad < 0 else "", abs(wad)
    if cents == 0:
        return "$0.00"
    if cents >= WAD // 10:
        return f"{sign}${_scaled(cents, 18):,.2f}"
    if cents < WAD // 10**6:
        return f"{sign}<$0.000001"
    return f"{sign}${_significant(_scaled(cents, 18), 2)}"


def usd_text(wad: int) -> str:
    """Spell US dollars for JSON, exact: ``"10240.18"``."""
    return _plain(_scaled(wad, 18))


def amount(value: Amount, digits: int = 6) -> str:
    """Spell a token amount with its symbol: ``9.31 CAKE``, ``0.000123 WETH``, ``1,204.5 USDC``."""
    return f"{_significant(_scaled(value.raw, value.token.decimals), digits)} {value.token.symbol}"


def duration(seconds: int) -> str:
    """Spell a time in its two largest units: ``11 d 6 h``."""
    return span_text(seconds)


def gas_price(wei: int) -> str:
    """Spell a gas price: ``0.11 gwei``."""
    return f"{_significant(_scaled(wei, 9), 3)} gwei"


def address_long(address: str) -> str:
    """Spell an address with its checksum."""
    from keeper.abi import checksum

    return checksum(address)


def address_short(address: str) -> str:
    """Spell an address as ``0xAb58..eC9B``."""
    full = address_long(address)
    return f"{full[:6]}..{full[-4:]}"


def percent(share: Decimal) -> str:
    """Spell a share: ``18.4 %``."""
    return f"{_significant(share * 100, 3)} %"


def percent_bps(bps: int) -> str:
    """Spell basis points as a percentage."""
    return percent(Decimal(bps) / BPS)


def percent_wad(wad: int) -> str:
    """Spell a wad share (10**18 is one) as a percentage."""
    return percent(_scaled(wad, 18))


def _scaled(raw: int, places: int) -> Decimal:
    """Shift the point, exactly: unlike arithmetic, reading text does not round to the context's 28 digits."""
    return Decimal(f"{raw}E-{places}")


def _significant(value: Decimal, digits: int) -> str:
    """Keep ``digits`` significant digits, but every digit before the point."""
    if value == 0:
        return "0"
    with localcontext(prec=120):  # wide enough for any uint256
        return _plain(round(value, max(0, digits - 1 - value.adjusted())), grouped=True)


def _plain(value: Decimal, *, grouped: bool = False) -> str:
    text = f"{value:,f}" if grouped else f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
