"""Beefy: a vault of an LP token (our own small fake) over Trader Joe's chef and an exchange in their own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.install import artifact
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.erc20 import ZERO_ADDRESS

__all__ = ["build", "stalls"]

_JOE: Final = "@traderjoe-xyz/core/artifacts/contracts/"
_PAIR: Final = "@uniswap/v2-core/build/UniswapV2Pair.json"
_ROUTER: Final = "@uniswap/v2-periphery/build/UniswapV2Router02.json"

_WETH_USD: Final = 3_000
#: Whole US dollars on each side of the pool; the farm's token is worth one.
_SIDE_USD: Final = 4_000_000
_FARMER_USD: Final = 50_000
_WHALE_USD: Final = 1_500_000
_PER_YEAR_USD: Final = 930_000
_YEAR: Final = 365 * 86_400


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy a farm with a token of its own, the pool of that token, and a vault that compounds it."""
    token = yard.deploy(_JOE + "JoeToken.sol/JoeToken.json")
    token.send("mint", yard.account, _SIDE_USD * 10**18)
    pair = _open_pool(yard, token)
    nobody = yard.account
    per_second = _PER_YEAR_USD * 10**18 // _YEAR
    chef = yard.deploy(
        _JOE + "MasterChefJoeV2.sol/MasterChefJoeV2.json", token, *(nobody,) * 3, per_second, yard.now, 0, 0, 0
    )
    token.send("transferOwnership", chef)
    chef.send("add", 100, pair, ZERO_ADDRESS)
    vault = yard.fake("BeefyVaultV7", pair, "Moo JOE-ETH", "mooJOE-ETH")
    weth = yard.world["weth"]
    strategy = yard.fake("BeefyChefStrategy", vault, pair, token, weth, chef, 0, yard.world["router"], yard.account)
    vault.send("setStrategy", strategy)
    strategy.send("setPendingRewardsFunctionName", "pendingTokens")
    supply = pair.call("totalSupply")
    for who, usd in ((yard.farmer, _FARMER_USD), (yard.whale, _WHALE_USD)):
        amount = supply * usd // (2 * _SIDE_USD)
        pair.send("transfer", who, amount)
        pair.send("approve", vault, amount, sender=who)
        vault.send("deposit", amount, sender=who)
    return {
        "vault": vault.address,
        "strategy": strategy.address,
        "token": token.address,
        "want": pair.address,
        "chef": chef.address,
        "owner": yard.account,
    }


def stalls(ground: Ground) -> Sequence[Stall]:
    """The vault, found by its own views; and once more by those of the farm below it."""
    named = {"farm": ground["chef"], "pending": "pendingTokens(uint256=0,address:strategy)", "reward": ground["token"]}
    prices = {ground["token"]: "1"}
    place = Place("beefy", "Beefy JOE-ETH", ground["vault"])
    plain = ground.position("beefy-lp", "beefy", ground["vault"], None, ground.v2)
    by_farm = ground.position("beefy-lp-by-farm", "beefy", ground["vault"], named, ground.v2)
    return (
        Stall(plain, FAKE, prices, place, for_everybody=True),
        Stall(by_farm, FAKE, prices, for_everybody=True),
    )


def _open_pool(yard: Yard, token: Contract) -> Contract:
    router = yard.at(yard.world["router"], _ROUTER)
    weth = yard.token("WETH")
    eth = _SIDE_USD * 10**18 // _WETH_USD
    yard.deal(weth, yard.account, eth)
    amounts = (_SIDE_USD * 10**18, eth)
    for side, amount in zip((token, weth), amounts, strict=True):
        side.send("approve", router, amount)
    router.send("addLiquidity", token, weth, *amounts, *amounts, yard.account, 2**63)
    factory = yard.at(yard.world["factory"], "@uniswap/v2-core/build/UniswapV2Factory.json")
    return yard.deployer.at(Address(factory.call("getPair", token, weth)), artifact(_PAIR)["abi"])
