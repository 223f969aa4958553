"""Savings, as small fakes of our own: DAI in the Pot, sDAI, a plain vault; and a real farm that stakes its shares.

Beside them stand vaults over tokens that mean trouble: one that taxes transfers, and one like USDT, at its address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: Five per cent a year, a second, as a ray: Maker's own number for it.
_DSR: Final = 1_000_000_001_547_125_957_863_212_448

_USDC: Final = 10**6
_WAD: Final = 10**18

#: Profit of the plain vault, which gets into its share price within a year.
_PROFIT_USD: Final = 100_000

#: ``rewardsDuration`` of Uniswap's StakingRewards.
_PERIOD: Final = 60 * 86_400

#: Where keeper knows of a token that wants its approvals reset.
_USDT: Final = Address("0xdac17f958d2ee523a2206206994597c13d831ec7")

_FARM: Final = "@uniswap/liquidity-staker/build/StakingRewards.json"


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy everything, and put in what the farmer and the whale have."""
    dai, usdc = yard.token("DAI"), yard.token("USDC")
    pot = yard.fake("DevPot", dai, _DSR)
    s_dai = yard.fake("DevSavingsDai", pot)
    vault = yard.fake("DevVault", "yvUSDC", usdc)
    taxed = yard.fake("DevTaxedToken", "TAX")
    tax_vault = yard.fake("DevVault", "vTAX", taxed)
    shy = yard.fake("DevShyToken")
    yard.node.rpc("anvil_setCode", _USDT, yard.node.rpc("eth_getCode", shy.address, "latest"))
    yard.node.rpc("anvil_setStorageAt", _USDT, hex(0), yard.node.rpc("eth_getStorageAt", shy.address, "0x0", "latest"))
    shy_vault = yard.fake("DevVault", "vUSDT", _USDT)
    yard.deal(dai, pot, WHALE_STAKE_USD * _WAD)  # interest is paid from here
    _save(yard, dai, pot, s_dai)
    farm = _share_farm(yard, usdc, vault)
    return {
        "pot": pot.address,
        "s_dai": s_dai.address,
        "vault": vault.address,
        "share_farm": farm.address,
        "taxed": taxed.address,
        "tax_vault": tax_vault.address,
        "usdt": _USDT,
        "usdt_vault": shy_vault.address,
        "false_token": yard.fake("DevFalseToken").address,
        "savings_admin": yard.account,
    }


def _save(yard: Yard, dai: Contract, pot: Contract, s_dai: Contract) -> None:
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        loose = dai.call("balanceOf", who)
        yard.deal(dai, who, loose + 3 * usd * _WAD)
        dai.send("approve", s_dai, usd * _WAD, sender=who)
        s_dai.send("deposit", usd * _WAD, who, sender=who)
        dai.send("approve", pot, 2 * usd * _WAD, sender=who)
        with yard.deployer.together():  # the Pot takes nothing but in a block in which somebody has dripped
            pot.send("drip")
            pot.send("join", usd * _WAD, sender=who)
        dai.send("approve", pot, 0, sender=who)
        yard.deal(dai, who, loose)


def _share_farm(yard: Yard, usdc: Contract, vault: Contract) -> Contract:
    uni = yard.token("UNI")
    farm = yard.deploy(_FARM, yard.account, uni, vault)
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        loose = usdc.call("balanceOf", who)
        yard.deal(usdc, who, loose + 2 * usd * _USDC)
        usdc.send("approve", vault, 2 * usd * _USDC, sender=who)
        vault.send("deposit", 2 * usd * _USDC, who, sender=who)
        vault.send("approve", farm, usd * _USDC, sender=who)
        farm.send("stake", usd * _USDC, sender=who)
    yard.deal(usdc, yard.account, _PROFIT_USD * _USDC)
    usdc.send("approve", vault, _PROFIT_USD * _USDC)
    vault.send("report", _PROFIT_USD * _USDC, YEAR)
    reward = EMISSION_USD_PER_YEAR * _WAD // PRICES["UNI"] * _PERIOD // YEAR
    yard.deal(uni, farm, 2 * reward)
    farm.send("notifyRewardAmount", reward)
    return farm


def stalls(ground: Ground) -> Sequence[Stall]:
    """DAI in the Pot, sDAI, shares of a vault, and shares that are staked."""
    dai: Mapping[str, str | int | bool] = MappingProxyType({"dai": str(ground["dai"])})
    grow = Stall(ground.position("dai-pot", "maker-dsr", ground["pot"], dai), FAKE, grows=True)
    found = [replace(grow, place=Place("maker-dsr", "Dai Savings Rate", ground["pot"], dai))]
    for name, vault, title in (("sdai", "s_dai", "Savings Dai"), ("yvusdc", "vault", "yvUSDC")):
        place = Place("erc4626", title, ground[vault])
        found.append(replace(grow, position=ground.position(name, "erc4626", ground[vault]), place=place))
    farm = ground.position("share-farm", "synthetix-staking-rewards", ground["share_farm"], None, ground.v2)
    place = Place("synthetix-staking-rewards", "yvUSDC farm", ground["share_farm"])
    return (*found, Stall(farm, "@uniswap/liquidity-staker 1.0.2", place=place))
