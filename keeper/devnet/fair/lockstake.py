"""Sky's LockstakeEngine, as a small fake of our own: UNI stands in for SKY, the farm pays USDC for USDS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_USDC: Final = 10**6
_WAD: Final = 10**18

#: Five per cent on what is freed, as the first engine took.
_EXIT_FEE: Final = 5 * 10**16


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy the engine and its farm, and lock for the farmer (in his second urn) and the whale."""
    sky, usds = yard.token("UNI"), yard.token("USDC")
    engine = yard.fake("DevLockstakeEngine", sky, _EXIT_FEE)
    farm = yard.fake("DevLockstakeFarm", engine, usds)
    engine.send("addFarm", farm)
    engine.send("open", 0, sender=yard.farmer)
    for who, index, usd in ((yard.farmer, 1, STAKE_USD), (yard.whale, 0, WHALE_STAKE_USD)):
        wad = usd * _WAD // PRICES["UNI"]
        engine.send("open", index, sender=who)
        engine.send("selectFarm", who, index, farm, 0, sender=who)
        yard.deal(sky, who, sky.call("balanceOf", who) + wad)
        sky.send("approve", engine, wad, sender=who)
        engine.send("lock", who, index, wad, 0, sender=who)
    yard.deal(usds, farm, EMISSION_USD_PER_YEAR * _USDC)
    farm.send("notifyRewardAmount", EMISSION_USD_PER_YEAR * _USDC, YEAR)
    return {"lockstake": engine.address, "lockstake_farm": farm.address, "lockstake_admin": yard.account}


def stalls(ground: Ground) -> Sequence[Stall]:
    """The farmer's second urn."""
    engine = ground["lockstake"]
    position = ground.position("sky-urn", "sky-lockstake", engine, {"index": 1}, ground.v2)
    return (Stall(position, FAKE, place=Place("sky-lockstake", "Sky LockstakeEngine", engine)),)
