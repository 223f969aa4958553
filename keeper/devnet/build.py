"""Deploy the whole world onto an empty node. Imports web3, so it is imported only when there is no kept state."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.chain.anvil import LocalNode
from keeper.devnet.aave import Aave, deploy_aave, supply_usdc
from keeper.devnet.accounts import DEPLOYER
from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.farms import CHEF_START_BLOCK, deploy_chef, deploy_farm, open_chef_pools, stake_lp
from keeper.devnet.trading import deploy_ranges
from keeper.devnet.uniswap import Exchange, deploy_exchange, open_pools
from keeper.domain.money import Address

__all__ = ["deploy_world"]


def deploy_world(node: LocalNode) -> Mapping[str, Address]:
    """Deploy, fund and stake everything, and stop just before anything is paid out; returns addresses by name.

    Always the same transactions in the same order from the same account, so the addresses are always the same.
    """
    exchange = deploy_exchange(Deployer(node, DEPLOYER.address))
    chef = deploy_chef(exchange)
    open_pools(exchange)
    open_chef_pools(exchange, chef)
    farm = deploy_farm(exchange)
    aave = deploy_aave(exchange)
    stake_lp(exchange, farm, chef)
    supply_usdc(exchange, aave)
    ranges = deploy_ranges(exchange)
    height = int(node.rpc("eth_blockNumber"), 16)
    assert height < CHEF_START_BLOCK, "the chef would pay before everybody has staked"
    node.rpc("anvil_mine", hex(CHEF_START_BLOCK - height))
    return {**{name: contract.address for name, contract in _named(exchange, farm, chef, aave).items()}, **ranges}


def _named(exchange: Exchange, farm: Contract, chef: Contract, aave: Aave) -> dict[str, Contract]:
    tokens = {symbol.lower(): token for symbol, token in exchange.tokens.items()}
    feeds = {f"feed_{symbol.lower()}": feed for symbol, feed in exchange.feeds.items()}
    pairs = {f"pair_{name}": pair for name, pair in exchange.pools.items()}
    places = {
        "factory": exchange.factory,
        "router": exchange.router,
        "farm": farm,
        "chef": chef,
        "aave_provider": aave.provider,
        "aave_pool": aave.pool,
        "aave_data_provider": aave.data_provider,
        "rewards_controller": aave.controller,
        "emission_manager": aave.emission_manager,
        "reward_strategy": aave.strategy,
        "a_usdc": aave.a_usdc,
    }
    return {**tokens, **feeds, **pairs, **places}
