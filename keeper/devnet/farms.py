"""Deploy two farms from their own code: a Synthetix StakingRewards and a MasterChef, with the three stakers in them."""

from __future__ import annotations

from typing import Final

from keeper.devnet.accounts import FARMER, TWIN, WHALE
from keeper.devnet.deploy import Contract
from keeper.devnet.market import (
    BLOCK_SECONDS,
    CHEF_PID,
    EMISSION_USD_PER_YEAR,
    FUNDED_DAYS,
    STAKE_USD,
    WHALE_STAKE_USD,
    YEAR,
)
from keeper.devnet.uniswap import Exchange

__all__ = ["CHEF_START_BLOCK", "deploy_chef", "deploy_farm", "open_chef_pools", "stake_lp"]

_SUSHI: Final = "@traderjoe-xyz/core/artifacts/contracts/sushi/"

#: First block of the chef's emission: after everybody has staked.
CHEF_START_BLOCK: Final = 200


def deploy_chef(exchange: Exchange) -> Contract:
    """Deploy SUSHI and its chef; from then on only the chef mints."""
    deployer = exchange.deployer
    sushi = deployer.deploy(_SUSHI + "SushiToken.sol/SushiToken.json")
    sushi.send("mint", deployer.account, 50_000_000 * 10**18)
    sushi.send("mint", FARMER.address, 400 * 10**18)
    exchange.tokens["SUSHI"] = sushi
    # Pool 1 has two thirds of the weight and shall pay the emission of the plan.
    per_block = exchange.units("SUSHI", EMISSION_USD_PER_YEAR) * 3 * BLOCK_SECONDS // (2 * YEAR)
    chef = deployer.deploy(
        _SUSHI + "MasterChef.sol/MasterChef.json", sushi, deployer.account, per_block, CHEF_START_BLOCK, 0
    )
    sushi.send("transferOwnership", chef)
    return chef


def open_chef_pools(exchange: Exchange, chef: Contract) -> None:
    """Add the two pools."""
    chef.send("add", 500, exchange.pools["weth_usdc"], False)
    chef.send("add", 1_000, exchange.pools["sushi_weth"], False)


def deploy_farm(exchange: Exchange) -> Contract:
    """Deploy the farm for the WETH/USDC LP, holding UNI for the funded time; nothing is emitted yet."""
    deployer = exchange.deployer
    uni = exchange.tokens["UNI"]
    farm = deployer.deploy(
        "@uniswap/liquidity-staker/build/StakingRewards.json", deployer.account, uni, exchange.pools["weth_usdc"]
    )
    uni.send("transfer", farm, exchange.units("UNI", EMISSION_USD_PER_YEAR) * FUNDED_DAYS * 86_400 // YEAR)
    return farm


def stake_lp(exchange: Exchange, farm: Contract, chef: Contract) -> None:
    """Stake for the farmer, the twin and the whale, all in one block, so that farmer and twin are equal to the wei."""
    farm_lp, chef_lp = exchange.pools["weth_usdc"], exchange.pools["sushi_weth"]
    stakes = {FARMER: STAKE_USD, TWIN: STAKE_USD, WHALE: WHALE_STAKE_USD}
    orders = [
        (account.address, exchange.lp_units("weth_usdc", usd), exchange.lp_units("sushi_weth", usd))
        for account, usd in stakes.items()
    ]
    with exchange.deployer.together():
        for account, farm_units, chef_units in orders:
            farm_lp.send("transfer", account, farm_units)
            chef_lp.send("transfer", account, chef_units)
    with exchange.deployer.together():
        for account, farm_units, chef_units in orders:
            farm_lp.send("approve", farm, farm_units, sender=account)
            farm.send("stake", farm_units, sender=account)
            chef_lp.send("approve", chef, chef_units, sender=account)
            chef.send("deposit", CHEF_PID, chef_units, sender=account)
