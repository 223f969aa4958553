"""What becomes of a harvest: a part is paid out, a part becomes gas money, the rest is compounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.money import BPS, NO_USD, UsdWad
from keeper.domain.position import StrategyOptions

__all__ = ["SELL_GAS", "UNWRAP_GAS", "GasMoney", "Parts", "parts"]

#: Gas units of turning a reward into gas money: an approval, a swap over one or two pools, unwrapping.
SELL_GAS: Final = 250_000

#: Gas units of unwrapping alone, where the wrapped gas token is itself a reward.
UNWRAP_GAS: Final = 50_000

#: A top-up is worth at least so many times its own gas; else it is left for a later harvest.
_WORTH: Final = 10


@dataclass(frozen=True, slots=True)
class GasMoney:
    """What an account has to pay for gas with, and what gas costs now."""

    #: Wei held.
    balance_wei: int
    #: Wei per gas unit.
    price_wei: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A harvest in three parts: basis points of it that sum to 10,000, and US dollars that sum to its value."""

    payout_bps: int
    top_up_bps: int
    rest_bps: int
    payout_usd: UsdWad = NO_USD
    top_up_usd: UsdWad = NO_USD
    rest_usd: UsdWad = NO_USD


def parts(
    reward_usd: int,
    options: StrategyOptions,
    money: GasMoney | None = None,
    native_usd: int = 0,
    top_up_gas: int = SELL_GAS,
    most_usd: int | None = None,
) -> Parts:
    """Divide a harvest by a position's options. Pure.

    Args:
        reward_usd: value of the whole harvest, USD wad.
        options: of the position.
        money: the owner's gas money; ``None`` buys no gas.
        native_usd: price of one whole gas token, USD wad.
        top_up_gas: gas units that a top-up takes (``SELL_GAS`` or ``UNWRAP_GAS``).
        most_usd: value of what can become gas at all, USD wad; ``None`` for all of the harvest.
    """
    reward = max(reward_usd, 0)
    payout = min(options.payout_bps, BPS) if options.payout_to is not None else 0
    top_up = 0
    if money is not None and reward > 0:
        wanted = max(options.gas_keep_wei - money.balance_wei, 0) * native_usd // 10**18
        wanted = wanted if most_usd is None else min(wanted, most_usd)
        top_up = min(wanted * BPS // reward, options.gas_share_bps, BPS - payout)
        if reward * top_up // BPS < _WORTH * top_up_gas * money.price_wei * native_usd // 10**18:
            top_up = 0
    payout_usd, top_up_usd = reward * payout // BPS, reward * top_up // BPS
    return Parts(
        payout_bps=payout,
        top_up_bps=top_up,
        rest_bps=BPS - payout - top_up,
        payout_usd=UsdWad(payout_usd),
        top_up_usd=UsdWad(top_up_usd),
        rest_usd=UsdWad(reward - payout_usd - top_up_usd),
    )
