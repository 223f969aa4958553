"""Aave v3 in its own code, as the world has it, with a second reward beside AAVE: UNI out of a vault of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from eth_hash.auto import keccak

from keeper.devnet.accounts import DEPLOYER
from keeper.devnet.fair.stall import Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_REWARDS: Final = "@aave/periphery-v3/artifacts/contracts/rewards/"
_STRATEGY: Final = _REWARDS + "transfer-strategies/PullRewardsTransferStrategy.sol/PullRewardsTransferStrategy.json"
_MANAGER: Final = _REWARDS + "EmissionManager.sol/EmissionManager.json"

#: What the second reward pays in a year, US dollars.
_USD_PER_YEAR: Final = 200_000

_WAD: Final = 10**18

#: Holds the UNI that is paid out.
_VAULT: Final = Address("0x" + keccak(b"fair aave vault")[12:].hex())


def build(yard: Yard) -> Mapping[str, Address]:
    """Add the second reward to supplied USDC; the farmer and the whale have supplied it in the world."""
    uni = yard.token("UNI")
    manager = yard.at(yard.world["emission_manager"], _MANAGER)
    strategy = yard.deploy(_STRATEGY, yard.world["rewards_controller"], yard.account, _VAULT)
    yard.deal(uni, _VAULT, _USD_PER_YEAR * _WAD // PRICES["UNI"])
    yard.node.rpc("anvil_setBalance", _VAULT, hex(_WAD))
    yard.node.rpc("anvil_impersonateAccount", _VAULT)
    uni.send("approve", strategy, 2**256 - 1, sender=_VAULT)
    manager.send("setEmissionAdmin", uni, yard.account, sender=DEPLOYER.address)
    rate = _USD_PER_YEAR * _WAD // PRICES["UNI"] // YEAR
    feed = yard.world["feed_uni"]
    manager.send(
        "configureAssets", [(rate, 0, yard.now + YEAR, yard.world["a_usdc"], uni.address, strategy.address, feed)]
    )
    return {"second_strategy": strategy.address, "second_vault": _VAULT}


def stalls(ground: Ground) -> Sequence[Stall]:
    """The farmer's supplied USDC."""
    pool, params = ground["aave_pool"], MappingProxyType({"asset": str(ground["usdc"])})
    place = Place("aave-v3", "Aave v3 Pool", pool)
    position = ground.position("aave-usdc", "aave-v3", pool, params, ground.v2)
    return (Stall(position, "@aave/core-v3 1.19.3, periphery-v3 3.0.1", place=place),)
