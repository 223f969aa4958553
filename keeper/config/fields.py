"""Scalars of the config: each takes what a person writes and gives one exact type, and guesses nothing."""

# ruff: noqa: TRY004 (pydantic turns ValueError, not TypeError, into a finding)

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationInfo

from keeper.domain.money import Address, UsdWad, address, usd

__all__ = [
    "Bps",
    "Drift",
    "EnvText",
    "Flag",
    "Gwei",
    "HexAddress",
    "Listen",
    "NamedPath",
    "NativeWei",
    "NodeWords",
    "OptionalAddress",
    "RiskBps",
    "RpcUrl",
    "Seconds",
    "Text",
    "Usd",
    "Whole",
    "exact",
    "interpolate",
    "mask_url",
    "parse_address",
]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,9})\s*([smhd])\Z")
_DECIMAL: Final = re.compile(r"\d{1,30}(\.\d{1,18})?\Z")
_PERCENT: Final = re.compile(r"(-?\d{1,4}(?:\.\d{1,2})?)\s*%\Z")
_VARIABLE: Final = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ZERO: Final = "0x" + "0" * 40
_FEWEST_WORDS: Final = 6
_MOST_WORDS: Final = 200


class EnvText(str):
    """Text from the environment or the command line: the only text that may stand for a number, a flag or a list."""

    __slots__ = ()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f'must be text in quotes, e.g. "{value}"' if _scalar(value) else "must be text in quotes")
    return str(value)


def _scalar(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    if isinstance(value, EnvText) and re.fullmatch(r"-?\d{1,40}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number without quotes")
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, EnvText) and value in {"true", "false"}:
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError("must be true or false, without quotes")
    return value


def exact(value: Any, what: str) -> Decimal:
    """Read a non-negative decimal from an int or text; floats are refused because they are not exact."""
    if isinstance(value, float):
        raise ValueError(f'must be in quotes to stay exact, e.g. "{value}"')
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"must be {what}")
    if not _DECIMAL.match(str(value)):
        raise ValueError(f"must be {what}")
    return Decimal(str(value))


def _usd(value: Any) -> UsdWad:
    plain = value.removeprefix("$") if isinstance(value, str) else value
    return usd(exact(plain, 'an amount of US dollars such as "$5" or "5.00"'))


def _gwei(value: Any) -> int:
    wei = exact(value, 'an amount of gwei such as 30 or "0.05"') * 10**9
    if wei != int(wei):
        raise ValueError("has digits below one wei")
    return int(wei)


def _native(value: Any) -> int:
    return int(exact(value, 'an amount of the gas token such as "0.05"') * 10**18)


def _seconds(value: Any) -> int:
    if isinstance(value, EnvText) and value.isdecimal():
        return int(value)
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return int(match[1]) * _SECONDS[match[2]]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError('must be a time such as "30d", "12h", "5m", "90s", or whole seconds without quotes')


def _bps(value: Any) -> int:
    if isinstance(value, str) and (match := _PERCENT.match(value)):
        return int(Decimal(match[1]) * 100)
    try:
        return _whole(value)
    except ValueError:
        raise ValueError('must be a percentage such as "1%" or whole basis points such as 100') from None


def _drift(value: Any) -> int:
    return _bps(type(value)(value.removesuffix("/yr")) if isinstance(value, str) else value)


def _risk(value: Any) -> int:
    share = exact(value, 'between "0.5" and "1.0"')
    if not Decimal("0.5") <= share <= 1:
        raise ValueError('must be between "0.5" (harvests earlier) and "1.0"')
    return int(share * 10_000)


def parse_address(value: Any) -> Address:
    """Check an address's shape and EIP-55 checksum, and return it in lower case.

    Raises:
        ValueError: with the right spelling when only the checksum is wrong.
    """
    if not isinstance(value, str):
        raise ValueError("must be an address in quotes (0x and 40 hex digits)")
    try:
        plain = address(value)
    except ValueError:
        raise ValueError("must be an address: 0x and 40 hex digits") from None
    if plain == _ZERO:
        raise ValueError("is the zero address, which nobody owns")
    if value != plain:
        from keeper.abi import checksum  # noqa: PLC0415 (keccak is needed for mixed case only)

        if value != checksum(plain):
            raise ValueError(
                f"has a wrong checksum: a digit or its case was mistyped; if sure, write {checksum(plain)}"
            )
    return plain


def _node_words(value: Any) -> str:
    words = " ".join(_text(value).lower().split())
    if not _FEWEST_WORDS <= len(words) <= _MOST_WORDS:
        raise ValueError(
            f"must have {_FEWEST_WORDS} to {_MOST_WORDS} characters: shorter ones "
            "occur in messages that mean something else"
        )
    return words


def _optional_address(value: Any) -> Address | None:
    return None if value is None or value == "none" else parse_address(value)


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """Put environment variables into ``$NAME`` and ``${NAME}``; ``$$`` is a dollar sign.

    Raises:
        ValueError: when a variable is not set.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if not env.get(name):
            raise ValueError(f"environment variable {name} is not set: export it or put it into .env")
        return env[name]

    return _VARIABLE.sub(value_of, text)


def _env(info: ValidationInfo) -> Mapping[str, str]:
    found: Mapping[str, str] = (info.context or {}).get("env", {})
    return found


def _path(value: Any, info: ValidationInfo) -> Path:
    text = interpolate(_text(value), _env(info))
    if not text or "\0" in text:
        raise ValueError("must be a path")
    return Path(text).expanduser()


def _rpc_url(value: Any, info: ValidationInfo) -> str:
    text = interpolate(_text(value), _env(info)).strip()
    try:
        parts = urlsplit(text)
        bad = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or re.search(r"\s", text):
        raise ValueError("must be an http:// or https:// address with a host name")
    return text


def mask_url(text: str) -> str:
    """Show scheme and host only: RPC keys live in paths, queries and user names."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "<hidden>"
    if parts.scheme not in {"http", "https"} or not host:
        return "<hidden>"
    secret = parts.path not in {"", "/"} or parts.query or parts.username or parts.fragment
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}{f':{port}' if port else ''}{'/<hidden>' if secret else ''}"


def _listen(value: Any) -> tuple[str, int]:
    host, _, port = _text(value).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError('must be host:port, e.g. "127.0.0.1:9464"')
    return host.strip("[]"), int(port)


#: Text; numbers in quotes stay text ("00123" keeps its zeros).
Text: TypeAlias = Annotated[str, BeforeValidator(_text)]
#: A whole number.
Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
#: true or false.
Flag: TypeAlias = Annotated[bool, BeforeValidator(_flag)]
#: US dollars as wad.
Usd: TypeAlias = Annotated[UsdWad, BeforeValidator(_usd)]
#: Gwei written, wei stored.
Gwei: TypeAlias = Annotated[int, BeforeValidator(_gwei)]
#: Gas token written, wei stored.
NativeWei: TypeAlias = Annotated[int, BeforeValidator(_native)]
#: A time span, in seconds.
Seconds: TypeAlias = Annotated[int, BeforeValidator(_seconds)]
#: A share, in basis points.
Bps: TypeAlias = Annotated[int, BeforeValidator(_bps)]
#: A yearly drift, in basis points.
Drift: TypeAlias = Annotated[int, BeforeValidator(_drift)]
#: The risk factor, in basis points.
RiskBps: TypeAlias = Annotated[int, BeforeValidator(_risk)]
#: A checksummed or lower-case address, stored in lower case.
HexAddress: TypeAlias = Annotated[Address, BeforeValidator(parse_address)]
#: As HexAddress; ``"none"`` says that there is none.
OptionalAddress: TypeAlias = Annotated[Address | None, BeforeValidator(_optional_address)]
#: Part of a node's error message, stored in lower case.
NodeWords: TypeAlias = Annotated[str, BeforeValidator(_node_words)]
#: A path; ``~`` and ``$NAME`` are filled in.
NamedPath: TypeAlias = Annotated[Path, BeforeValidator(_path)]
#: An endpoint; ``$NAME`` is filled in.
RpcUrl: TypeAlias = Annotated[str, BeforeValidator(_rpc_url)]
#: Host and port to listen on.
Listen: TypeAlias = Annotated[tuple[str, int], BeforeValidator(_listen)]
