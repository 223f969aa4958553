"""Slipstream at the fair: the real Uniswap V3 pool and position manager, and a small fake of our own as the gauge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD
from keeper.devnet.uniswap_v3 import deploy_v3, mint, open_pool
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["MIN_STAKE_SECONDS", "PENALTY_BPS", "build", "stalls"]

#: The farmer's NFT is the first that is minted.
_TOKEN_ID: Final = 1

#: Half the width of the range, in tick spacings of 60: about 12 % either way.
_WIDTH: Final = 20

#: Over all prices and not staked, so that no trade leaves the pool empty.
_DEEP_USD: Final = 10_000_000

#: Weeks of rewards that the gauge gets at once.
_WEEKS: Final = 52

#: Claims sooner after a deposit lose this part.
MIN_STAKE_SECONDS: Final = 600
PENALTY_BPS: Final = 5_000


def build(yard: Yard) -> Mapping[str, Address]:
    """Open a pool, stake the farmer's and the whale's range in its gauge, and let the penalty's clock run down."""
    v3 = deploy_v3(yard.deployer, yard.world["weth"], yard.world["factory"])
    pool = open_pool(v3, yard, {yard.world[symbol.lower()]: PRICES[symbol] for symbol in ("WETH", "USDC")})
    cl_pool = yard.fake("DevCLPool", pool.contract)
    factory, voter = yard.fake("DevCLGaugeFactory"), yard.fake("DevVoter")
    gauge = yard.fake("DevCLGauge", cl_pool, v3.npm, yard.token("UNI"), voter, factory)
    cl_pool.send("setGauge", gauge)
    factory.send("setPenaltyRate", PENALTY_BPS)
    factory.send("setMinStakeTime", cl_pool, MIN_STAKE_SECONDS)
    voter.send("register", cl_pool, gauge)
    ticks = pool.ticks(_WIDTH)
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        token_id = mint(v3, yard, pool, who, ticks, usd)
        v3.npm.send("approve", gauge, token_id, sender=who)
        gauge.send("deposit", token_id, sender=who)
    mint(v3, yard, pool, yard.whale, pool.ticks(0), _DEEP_USD)
    uni = yard.token("UNI")
    rewards = EMISSION_USD_PER_YEAR * 10**18 // PRICES["UNI"]
    yard.deal(uni, yard.account, rewards)
    uni.send("approve", gauge, rewards)
    gauge.send("notifyRewardWeeks", rewards, _WEEKS)
    yard.pass_blocks(MIN_STAKE_SECONDS // 12 + 1)
    return {
        **{f"cl_{name.removeprefix('v3_')}": address for name, address in v3.addresses.items()},
        "cl_pool": cl_pool.address,
        "cl_pool_behind": pool.contract.address,
        "cl_gauge": gauge.address,
        "cl_gauge_factory": factory.address,
        "cl_voter": voter.address,
    }


def stalls(ground: Ground) -> Sequence[Stall]:
    """Name the farmer's position."""
    gauge, params = ground["cl_gauge"], {"token_id": _TOKEN_ID}
    position = ground.position("slipstream-weth-usdc", "slipstream", gauge, params, ground.v2)
    place = Place("slipstream", "Slipstream voter", ground["cl_voter"], MappingProxyType({}))
    return [Stall(position, FAKE, place=place)]
