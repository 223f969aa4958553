"""Balancer's liquidity gauges: Curve's V5 with a minter of their own, which hands out what was bridged on an L2."""

from __future__ import annotations

from typing import Final

from keeper.abi import Fn
from keeper.domain.money import Address
from keeper.protocols.liquidity_gauge import GaugeFamily, LiquidityGauge

__all__ = ["BalancerGauge"]

#: https://docs-v2.balancer.fi/reference/contracts/deployment-addresses/mainnet.html (BalancerMinter).
MAINNET_MINTER: Final = Address("0x239e55f427d44c3cc793f49bfb507ebe76638a2b")


class BalancerGauge(LiquidityGauge):
    """Adapter: ``target`` is the gauge.

    Gauges of other chains name their pseudo minter, which pays BAL that bridges brought; the rate is learnt there.
    ``mintFor`` needs the owner's leave, so that ``mint`` is used. Everything else is as in Curve's V5.
    """

    name = "balancer-gauge"
    family = GaugeFamily(
        kind="a Balancer gauge",
        minter=(Fn("bal_pseudo_minter()", "address"),),
        token=(Fn("getBalancerToken()", "address"),),
        controller=Fn("getGaugeController()", "address"),
        default_minter=MAINNET_MINTER,
    )
