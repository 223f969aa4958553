"""What the prices of shares in a pot (ERC-4626, cTokens) do alike: bounds against a share price that was pushed.

Whoever gives assets to a vault lifts the price of its shares at once. In a large vault that costs more than it could
bring; so a small one has no price, and a rate outside the configured range has none either.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.money import WAD, Token, UsdWad, usd_text
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError, PriceUnavailable
from keeper.ports import ParamSpec, PriceSpec
from keeper.prices.shared import usd_setting

__all__ = ["BOUNDS", "check_bounds", "share_quote"]

#: Dollars in the vault below which its share price is too cheap to push around.
_MIN_ASSETS: Final = "50000"

#: Settings of every price of a share.
BOUNDS: Final[Mapping[str, ParamSpec]] = MappingProxyType(
    {
        "min_rate": ParamSpec("str", False, 'Assets a share below which there is no price, e.g. "1.00".'),
        "max_rate": ParamSpec("str", False, 'Assets a share above which there is no price, e.g. "1.50".'),
        "min_assets_usd": ParamSpec(
            "int", False, "Dollars in the vault below which its share price does not count; default 50000."
        ),
    }
)


def check_bounds(spec: PriceSpec, token: Token) -> None:
    """Refuse settings that are no numbers. Raises ConfigError."""
    low, high = _bound(spec, token, "min_rate"), _bound(spec, token, "max_rate")
    usd_setting(spec, token, "min_assets_usd", _MIN_ASSETS)
    if low is not None and high is not None and low >= high:
        raise ConfigError(f"{spec.kind} price of {token.symbol}: min_rate must be below max_rate")


def share_quote(
    spec: PriceSpec, token: Token, rate: tuple[int, int], total: tuple[int, int], asset: TokenPrice, block: BlockRef
) -> Quote:
    """Price a share.

    Args:
        spec: its source, with the bounds.
        token: the share.
        rate: base units of the asset that a whole share is worth, as a fraction.
        total: assets in the vault (base units), and shares of it.
        asset: the asset's agreed price.
        block: as of which.

    Raises:
        PriceUnavailable: outside the bounds.
    """
    unit = asset.token.unit
    held = UsdWad(total[0] * asset.low // unit)
    least = usd_setting(spec, token, "min_assets_usd", _MIN_ASSETS)
    if total[1] == 0 or held < least:
        raise PriceUnavailable(
            f"the vault of {token.symbol} holds {usd_text(held)}, below min_assets_usd = {usd_text(least)}: a donation "
            "could push its share price; name another price"
        )
    whole = rate[0] * WAD // (unit * rate[1])
    low, high = _bound(spec, token, "min_rate"), _bound(spec, token, "max_rate")
    if (low is not None and whole < low) or (high is not None and whole > high):
        raise PriceUnavailable(
            f"a share of {token.symbol} is worth {Decimal(whole) / WAD:.6f} of its asset, outside min_rate and "
            "max_rate; look at the vault, and widen them if it is sound"
        )
    price = UsdWad(rate[0] * asset.mid // (unit * rate[1]))
    if price == 0:
        raise PriceUnavailable(f"a share of {token.symbol} is worth nothing by its vault; name another price")
    return Quote(token, price, spec.kind, block.timestamp)


def _bound(spec: PriceSpec, token: Token, key: str) -> int | None:
    value = spec.settings.get(key)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or number <= 0:
        raise ConfigError(
            f'{spec.kind} price of {token.symbol}: {key} must be a number above 0 like "1.05", not {value!r}'
        )
    return int(number * WAD)
