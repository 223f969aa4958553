"""Curve's liquidity gauges: stake an LP token, earn CRV by boosted share, and what others stream beside."""

from __future__ import annotations

from typing import Final

from keeper.abi import Fn
from keeper.domain.money import Address
from keeper.protocols.liquidity_gauge import GaugeFamily, LiquidityGauge

__all__ = ["CurveGauge"]

#: https://github.com/curvefi/curve-dao-contracts/blob/master/contracts/gauges/LiquidityGaugeV5.vy (``MINTER``).
MAINNET_MINTER: Final = Address("0xd061d61a4d941c39e5453435b6345dc261c2fce0")


class CurveGauge(LiquidityGauge):
    """Adapter: gauges V1 to V6 of Ethereum, and the child gauges of other chains; ``target`` is the gauge.

    - The version is found by asking. V1 has CRV only; V2 pays other rewards on every deposit, and its view pays too;
      V3's view is stale and its ``claimable_reward_write`` exact; V4 and later stream for a week at a time.
    - V4 to V6 do not say who mints: Ethereum's Minter is assumed, the param ``minter`` says otherwise.
    - A child gauge is minted by its factory, out of what the bridge has brought. The emission of a week is known only
      when it has come, so its rate is learnt by looking.
    - A killed gauge still takes deposits and earns nothing: they count as paused.
    - A deposit checkpoints the boost: votes that have decayed shrink the share then.
    - ``Minted`` says the running total; what came in is told by Transfer logs.
    """

    name = "curve-gauge"
    family = GaugeFamily(
        kind="a Curve gauge",
        minter=(Fn("minter()", "address"),),
        token=(Fn("token()", "address"), Fn("crv()", "address")),
        controller=Fn("controller()", "address"),
        default_minter=MAINNET_MINTER,
    )
