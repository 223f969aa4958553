"""Synthetix' StakingRewards: Uniswap's build in its own code, and Sky's, with referral codes and a pause, as a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, YEAR
from keeper.devnet.stocks import stake_all, units
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_PROTOCOL: Final = "synthetix-staking-rewards"
#: ``rewardsDuration`` of Uniswap's build; Sky's is a week, and set to 200 days here.
_UNISWAP_DAYS: Final = 60
_SKY_DAYS: Final = 200


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy a farm that pays the token it stakes (UNI), and one that pays SUSHI for USDC."""
    uni, sushi, usdc = (yard.token(symbol) for symbol in ("UNI", "SUSHI", "USDC"))
    same = yard.deploy("@uniswap/liquidity-staker/build/StakingRewards.json", yard.account, uni, uni)
    sky = yard.fake("DevSkyFarm", sushi, usdc)
    sky.send("setRewardsDuration", _SKY_DAYS * 86_400)
    stake_all(yard, uni, same, units(yard, "UNI", 1), "stake")
    stake_all(yard, usdc, sky, units(yard, "USDC", 1), "stake(uint256)")
    for farm, token, symbol, days in ((same, uni, "UNI", _UNISWAP_DAYS), (sky, sushi, "SUSHI", _SKY_DAYS)):
        reward = units(yard, symbol, EMISSION_USD_PER_YEAR * days * 86_400 // YEAR)
        yard.deal(token, farm, token.call("balanceOf", farm) + reward)
        farm.send("notifyRewardAmount", reward)
    return {"uni_farm": same.address, "sky_farm": sky.address, "sky_owner": yard.account}


def stalls(ground: Ground) -> Sequence[Stall]:
    """One position each; Sky's with a referral code."""
    uni, sky = ground["uni_farm"], ground["sky_farm"]
    return (
        Stall(
            ground.position("uni-for-uni", _PROTOCOL, uni, None, ground.v2),
            "@uniswap/liquidity-staker@1.0.2",
            place=Place(_PROTOCOL, "UNI for UNI", uni),
        ),
        Stall(
            ground.position("sky-farm", _PROTOCOL, sky, {"referral": 7}, ground.v2),
            FAKE,
            place=Place(_PROTOCOL, "Sky farm", sky, {"referral": 7}),
        ),
    )
