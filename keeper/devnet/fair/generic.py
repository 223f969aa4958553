"""Farms without an adapter: a StakingRewards in its own code that is described by signatures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.domain.money import Address

__all__ = ["PARAMS", "build", "stalls"]

_FARM: Final = "@uniswap/liquidity-staker/build/StakingRewards.json"
#: Whole tokens: AAVE at $150 is staked, UNI at $8 is paid.
_FARMER: Final = 50_000 * 10**18 // 150
_WHALE: Final = 1_500_000 * 10**18 // 150
_PER_YEAR: Final = 930_000 * 10**18 // 8
#: This build pays for 60 days.
_PERIOD: Final = 60 * 86_400
_YEAR: Final = 365 * 86_400

#: The farm in words.
PARAMS: Final[Mapping[str, str]] = {
    "stake_token": "stakingToken()",
    "reward_tokens": "rewardsToken()",
    "principal": "balanceOf(address:owner)",
    "pending": "earned(address:owner)",
    "claim": "getReward()",
    "deposit": "stake(uint256:amount)",
    "rate_per_second": "rewardRate()",
    "total": "totalSupply()",
    "ends_at": "periodFinish()",
}


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy the farm, stake, and start its emission."""
    stake, reward = yard.token("AAVE"), yard.token("UNI")
    farm = yard.deploy(_FARM, yard.account, reward, stake)
    for who, amount in ((yard.farmer, _FARMER), (yard.whale, _WHALE)):
        yard.deal(stake, who, stake.call("balanceOf", who) + amount)
        stake.send("approve", farm, amount, sender=who)
        farm.send("stake", amount, sender=who)
    paid = _PER_YEAR * _PERIOD // _YEAR
    yard.deal(reward, farm, paid)
    farm.send("notifyRewardAmount", paid)
    return {"farm": farm.address, "owner": yard.account}


def stalls(ground: Ground) -> Sequence[Stall]:
    """The farm."""
    position = ground.position("generic-farm", "generic", ground["farm"], dict(PARAMS), ground.v2)
    return (Stall(position, "@uniswap/liquidity-staker@1.0.2"),)
