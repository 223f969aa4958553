"""What all protocol adapters do alike: read params, say clearly that a contract is the wrong one, size a yield."""

from __future__ import annotations

from typing import Any, Final

from keeper.abi import Fn, checksum
from keeper.domain.money import Address, Amount, Token, address
from keeper.domain.observation import Accrual
from keeper.domain.position import Position
from keeper.domain.reads import ReadResult
from keeper.errors import ConfigError, ReadFailed

__all__ = ["YEAR_SECONDS", "accrual", "address_param", "expect", "flag_param", "int_param", "share_ppm", "text_param"]

#: A year of 365 days, as everywhere in keeper.
YEAR_SECONDS: Final = 365 * 86_400


def accrual(token: Token, pool_per_year: int, stake: int, total: int, ends_at: int | None) -> Accrual:
    """Size the position's part of what the whole pool earns a year, in base units of the reward token."""
    if total <= 0:
        return Accrual(Amount(token, 0), 0, ends_at)
    own = min(stake, total)
    return Accrual(Amount(token, pool_per_year * own // total), 1_000_000 * own // total, ends_at)


def expect(fn: Fn, result: ReadResult, position: Position, kind: str) -> Any:
    """Decode the first value of a view that every contract of this ``kind`` has.

    Raises:
        ReadFailed: when it does not answer; the message names the position and what to check.
    """
    try:
        return fn.value(result)
    except ReadFailed as error:
        raise ReadFailed(
            f"position {position.id}: {checksum(position.target)} on {position.chain} does not answer like {kind} "
            f"({error}); check target, chain and protocol"
        ) from error


def int_param(position: Position, key: str) -> int:
    """Return a whole-number param. Raises ConfigError when it is missing or no natural number."""
    value = position.params.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"position {position.id}: {key} must be a whole number, 0 or more, not {value!r}")
    return value


def text_param(position: Position, key: str, default: str) -> str:
    """Return a text param or its default. Raises ConfigError when it is no text."""
    value = position.params.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"position {position.id}: {key} must be text, not {value!r}")
    return value


def address_param(position: Position, key: str) -> Address:
    """Return an address param, lower case. Raises ConfigError when it is missing or no address."""
    try:
        return address(str(position.params.get(key)))
    except ValueError as error:
        raise ConfigError(f"position {position.id}: {key}: {error}") from error


def share_ppm(own: int, total: int) -> int:
    """Return a depositor's share of a vault in parts per million, rounded down; 0 of an empty vault."""
    return 1_000_000 * min(own, total) // total if total > 0 else 0


def flag_param(position: Position, key: str) -> bool:
    """Return a true-or-false param, false unless said. Raises ConfigError when it is neither."""
    value = position.params.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"position {position.id}: {key} must be true or false, not {value!r}")
    return value
