"""What all price sources do alike: read their settings, and look up prices that must be known first."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from keeper.domain.money import Address, Token, UsdWad, address, usd
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import TokenPrice
from keeper.errors import ConfigError, PriceUnavailable
from keeper.ports import PriceSpec

__all__ = ["address_setting", "known_price", "nothing_to_ask", "seconds_setting", "usd_setting"]


def nothing_to_ask() -> Generator[Sequence[Read], Sequence[ReadResult], Mapping[str, str]]:
    """Hold the conversation of a source that has nothing to ask."""
    return {}
    yield []  # type: ignore[unreachable]  # makes this a generator, as the port wants


def address_setting(spec: PriceSpec, token: Token, key: str) -> Address:
    """Return an address setting, lower case. Raises ConfigError when it is missing or no address."""
    try:
        return address(str(spec.settings.get(key)))
    except ValueError as error:
        raise ConfigError(f"{spec.kind} price of {token.symbol}: {key}: {error}") from error


def seconds_setting(spec: PriceSpec, token: Token, key: str) -> int:
    """Return a time span in seconds. Raises ConfigError when it is missing or not above 0."""
    value = spec.settings.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"{spec.kind} price of {token.symbol}: {key} must be whole seconds above 0, not {value!r}")
    return value


def usd_setting(spec: PriceSpec, token: Token, key: str, default: str | None = None) -> UsdWad:
    """Return dollars, given as text or whole number. Raises ConfigError when missing, negative or no number."""
    value = spec.settings.get(key, default)
    try:
        dollars = Decimal(str(value))
    except InvalidOperation:
        dollars = Decimal(-1)
    if not dollars.is_finite() or dollars < 0:
        raise ConfigError(
            f'{spec.kind} price of {token.symbol}: {key} must be dollars like "1.25", 0 or more, not {value!r}'
        )
    return usd(dollars)


def known_price(known: Mapping[Address, TokenPrice], needed: Address, token: Token) -> TokenPrice:
    """Return the agreed price that ``token``'s price builds on. Raises PriceUnavailable when there is none."""
    price = known.get(needed)
    if price is None:
        raise PriceUnavailable(f"the price of {token.symbol} builds on that of {needed}, which has none at present")
    return price
