"""Compound v2 and Venus, as small fakes of our own: USDC supplied, the rewards are UNI and SUSHI of the world.

Compound's cUSDC is a build of 2019, which tells refusals by a code; Venus' vUSDC reverts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import BLOCK_SECONDS, FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: First exchange rate of cUSDC: 0.02 USDC a cUSDC, in 18 digits more than the two tokens' decimals differ by.
_FIRST_RATE: Final = 2 * 10**14

_USDC: Final = 10**6
_ENDLESS_CAP: Final = 2**256 - 1


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy both, with a second, unrewarded market beside cUSDC, and supply for the farmer and the whale."""
    usdc, dai = yard.token("USDC"), yard.token("DAI")
    comptroller = yard.fake("DevComptroller", yard.world["uni"])
    c_usdc = yard.fake("DevCToken", "cUSDC", usdc, comptroller, _FIRST_RATE, True)
    c_dai = yard.fake("DevCToken", "cDAI", dai, comptroller, _FIRST_RATE * 10**12, False)
    comptroller.send("support", c_dai, 0)
    venus = yard.fake("DevVenusComptroller", yard.world["sushi"])
    v_usdc = yard.fake("DevCToken", "vUSDC", usdc, venus, _FIRST_RATE, False)
    venus.send("setSupplyCap", v_usdc, _ENDLESS_CAP)
    for rewards, market, symbol in ((comptroller, c_usdc, "UNI"), (venus, v_usdc, "SUSHI")):
        _supply(yard, usdc, market, rewards, symbol)
    return {
        "comptroller": comptroller.address,
        "c_usdc": c_usdc.address,
        "c_dai": c_dai.address,
        "compound_lens": yard.fake("DevCompoundLens").address,
        "venus_comptroller": venus.address,
        "v_usdc": v_usdc.address,
        "compound_admin": yard.account,
    }


def _supply(yard: Yard, usdc: Contract, market: Contract, rewards: Contract, symbol: str) -> None:
    per_year = EMISSION_USD_PER_YEAR * 10**18 // PRICES[symbol]
    yard.deal(yard.token(symbol), rewards, per_year)
    rewards.send("support", market, per_year * BLOCK_SECONDS // YEAR)
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        loose = usdc.call("balanceOf", who)
        yard.deal(usdc, who, loose + usd * _USDC)
        usdc.send("approve", market, usd * _USDC, sender=who)
        market.send("mint", usd * _USDC, sender=who)


def stalls(ground: Ground) -> Sequence[Stall]:
    """One position each."""
    params = {"block_time_ms": BLOCK_SECONDS * 1_000}
    found = []
    for name, protocol, market, registry in (
        ("compound-usdc", "compound-v2", "c_usdc", "comptroller"),
        ("venus-usdc", "venus", "v_usdc", "venus_comptroller"),
    ):
        place = Place(protocol, f"{protocol} Comptroller", ground[registry], MappingProxyType({}))
        stall = Stall(ground.position(name, protocol, ground[market], params, ground.v2), FAKE)
        found.append(replace(stall, place=place))
    return found
