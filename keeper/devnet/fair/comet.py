"""Compound III, as a small fake of our own: USDC supplied, paid in UNI of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_USDC: Final = 10**6

#: Base of the tracking index.
_SCALE: Final = 10**15

#: Three per cent a year, a second, in 18 digits.
_INTEREST: Final = 3 * 10**16 // YEAR

#: Dollars below which the pool pays no rewards.
_LEAST: Final = 100_000

#: Rewards are multiplied by a half, and tracked twice as fast.
_MULTIPLIER: Final = 5 * 10**17


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy the Comet and its rewards, and supply for the farmer and the whale."""
    usdc, uni = yard.token("USDC"), yard.token("UNI")
    per_year = EMISSION_USD_PER_YEAR // PRICES["UNI"]
    comet = yard.fake("DevComet", usdc, 2 * per_year * _SCALE // YEAR, _LEAST * _USDC, _INTEREST)
    rewards = yard.fake("DevCometRewards")
    rewards.send("setRewardConfigWithMultiplier", comet, uni, _MULTIPLIER)
    yard.deal(uni, rewards, per_year * 10**18)
    # Interest is paid from here.
    yard.deal(usdc, comet, WHALE_STAKE_USD * _USDC)
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        yard.deal(usdc, who, usdc.call("balanceOf", who) + usd * _USDC)
        usdc.send("approve", comet, usd * _USDC, sender=who)
        comet.send("supply", usdc, usd * _USDC, sender=who)
    return {"comet": comet.address, "comet_rewards": rewards.address, "comet_admin": yard.account}


def stalls(ground: Ground) -> Sequence[Stall]:
    """The farmer's supply."""
    params = MappingProxyType({"rewards": str(ground["comet_rewards"])})
    place = Place("compound-v3", "Compound III USDC", ground["comet"], params)
    return (Stall(ground.position("comet-usdc", "compound-v3", ground["comet"], params, ground.v2), FAKE, place=place),)
