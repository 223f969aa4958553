"""Trader Joe's three chefs and rewarders in their own code: JOE for USDC, UNI and SUSHI, a bonus in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, YEAR
from keeper.devnet.stocks import open_pool, per_step, stake_all, units
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.erc20 import TRANSFER

__all__ = ["build", "stalls"]

_JOE: Final = "@traderjoe-xyz/core/artifacts/contracts/"
_PROVEN: Final = "@traderjoe-xyz/core@2.4.6"
_NOBODY: Final = Address("0x" + "0" * 40)

#: What V2 keeps of the emission for developers, treasury and investors, thousandths.
_CUTS: Final = (200, 200, 100)
#: Part of the boosted pool's JOE for holders of veJOE, basis points.
_VE_BPS: Final = 4_000
#: Fee of each deposit for the exchange's income, of 10**18.
_STABLE_FEE: Final = 10**16


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy JOE with its market, V2 with a pool for each of the others, and a pool in each chef."""
    joe = yard.deploy(_JOE + "JoeToken.sol/JoeToken.json")
    joe.send("mint", yard.account, 5_000_000 * 10**18)
    open_pool(yard, joe)
    keeps = sum(_CUTS)
    rate = per_step(1, parts=1_000 - keeps, of=3_000)
    v2 = yard.deploy(
        _JOE + "MasterChefJoeV2.sol/MasterChefJoeV2.json", joe, *[yard.account] * 3, rate, yard.now, *_CUTS
    )
    joe.send("transferOwnership", v2)
    usdc, uni, sushi = (yard.token(symbol) for symbol in ("USDC", "UNI", "SUSHI"))
    v2.send("add", 100, usdc, _rewarder(yard, "UNI", usdc, v2))
    dummies = [yard.new_token(f"DUMMY{number}") for number in (1, 2)]
    for dummy in dummies:
        dummy.send("mint", yard.account, 10**18)
        v2.send("add", 100, dummy, _NOBODY)
    v3 = yard.deploy(_JOE + "MasterChefJoeV3.sol/MasterChefJoeV3.json", v2, joe, 1)
    ve_joe = yard.deploy(_JOE + "VeJoeToken.sol/VeJoeToken.json")
    boosted = yard.deploy(_JOE + "BoostedMasterChefJoe.sol/BoostedMasterChefJoe.json")
    boosted.send("initialize", v2, joe, ve_joe, 2)
    for chef, dummy in ((v3, dummies[0]), (boosted, dummies[1])):
        dummy.send("approve", chef, 10**18)
        chef.send("init", dummy)
    v3.send("add", 100, uni, _rewarder(yard, "SUSHI", uni, v3))
    boosted.send("add", 100, _VE_BPS, sushi, _NOBODY)
    for who, votes in ((yard.farmer, 1_000), (yard.whale, 2_000)):
        ve_joe.send("mint", who, votes * 10**18)
    ve_joe.send("setBoostedMasterChefJoe", boosted)
    stake_all(yard, usdc, v2, units(yard, "USDC", 1), "deposit", 0)
    stake_all(yard, uni, v3, units(yard, "UNI", 1), "deposit", 0)
    stake_all(yard, sushi, boosted, 10**18, "deposit", 0)
    stable = _stable(yard, joe)
    named = {"stable_joe": stable, "joe": joe, "joe_v2": v2, "joe_v3": v3, "joe_boosted": boosted, "ve_joe": ve_joe}
    return {name: contract.address for name, contract in named.items()} | {"joe_owner": yard.account}


def _rewarder(yard: Yard, symbol: str, staked: Contract, chef: Contract) -> Contract:
    """A tenth of the farm's own emission in another token, held for a year."""
    per_year = EMISSION_USD_PER_YEAR * 10**17 // PRICES[symbol]
    token = yard.token(symbol)
    at = _JOE + "rewarders/SimpleRewarderPerSec.sol/SimpleRewarderPerSec.json"
    rewarder = yard.deploy(at, token, staked, per_year // YEAR, chef, False)
    yard.deal(token, rewarder, per_year)
    return rewarder


def _stable(yard: Yard, joe: Contract) -> Contract:
    """Stake JOE for USDC, with a fee on each deposit; the family's account has what it will pay."""
    usdc = yard.token("USDC")
    stable = yard.deploy(_JOE + "StableJoeStaking.sol/StableJoeStaking.json")
    stable.send("initialize", usdc, joe, yard.account, _STABLE_FEE)
    stake_all(yard, joe, stable, 10**18, "deposit")
    yard.deal(usdc, yard.account, EMISSION_USD_PER_YEAR * 10**6)
    return stable


def stalls(ground: Ground) -> Sequence[Stall]:
    """One pool of each chef, and JOE staked for the exchange's income."""
    income = TRANSFER.encode(ground["stable_joe"], EMISSION_USD_PER_YEAR * 10**6 // 365)
    stable = Stall(
        ground.position("stable-joe", "stable-joe-staking", ground["stable_joe"], None, ground.v2),
        _PROVEN,
        {ground["joe"]: "1"},
        Place("stable-joe-staking", "sJOE", ground["stable_joe"]),
        stir=((ground["joe_owner"], ground["usdc"], income),),
    )
    return [
        stable,
        *(
            Stall(
                ground.position(name, "trader-joe", ground[chef], {"pid": 0}, ground.v2),
                _PROVEN,
                {ground["joe"]: "1"},
                Place("trader-joe", chef, ground[chef]),
            )
            for name, chef in (("joe-v2", "joe_v2"), ("joe-v3", "joe_v3"), ("joe-boosted", "joe_boosted"))
        ),
    ]
