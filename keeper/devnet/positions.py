"""The local world as keeper's own values: the chain's facts and the farmer's three positions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from keeper.devnet.accounts import FARMER
from keeper.devnet.market import BLOCK_SECONDS, CHAIN_ID, CHAIN_NAME, CHEF_PID, MULTICALL3, PRICES
from keeper.devnet.trading import FARMER_NFT
from keeper.domain.facts import ChainFacts, FeedFact
from keeper.domain.money import Address
from keeper.domain.position import Position, RouteSpec

__all__ = ["FEED_MAX_AGE_SECONDS", "SIGNER", "chain_facts", "positions", "range_position"]

#: Name of the farmer's signer in configs.
SIGNER: Final = "farm"

#: Answers are as old as the newest block, unless a test freezes the feed.
FEED_MAX_AGE_SECONDS: Final = 3_600


def chain_facts(addresses: Mapping[str, Address]) -> ChainFacts:
    """Return the local chain's facts."""
    feeds = {
        addresses[symbol.lower()]: FeedFact(addresses[f"feed_{symbol.lower()}"], FEED_MAX_AGE_SECONDS)
        for symbol in PRICES
    }
    return ChainFacts(
        name=CHAIN_NAME,
        chain_id=CHAIN_ID,
        native_symbol="ETH",
        wrapped_native=addresses["weth"],
        block_time_ms=BLOCK_SECONDS * 1_000,
        fee_model="eip1559",
        tip_floor_wei=10**7,
        tip_cap_wei=2 * 10**9,
        l1_fee="none",
        # Without traffic nobody mines a block on top.
        confirmations=0,
        multicall3=MULTICALL3,
        feeds=MappingProxyType(feeds),
    )


def positions(addresses: Mapping[str, Address]) -> tuple[Position, ...]:
    """Return the farmer's positions, one of each protocol."""
    route = RouteSpec("uniswap-v2", addresses["router"], (addresses["weth"],))
    chef: Mapping[str, str | int | bool] = {
        "pid": CHEF_PID,
        "pending": "pendingSushi(uint256,address)",
        "reward": "sushi()",
        "per_block": "sushiPerBlock()",
        "block_time_ms": BLOCK_SECONDS * 1_000,
    }
    plans: tuple[tuple[str, str, str, Mapping[str, str | int | bool]], ...] = (
        ("uni-farm", "synthetix-staking-rewards", "farm", {}),
        ("sushi-chef", "masterchef", "chef", chef),
        ("usdc-aave", "aave-v3", "aave_pool", {"asset": addresses["usdc"]}),
    )
    return tuple(
        Position(
            id=name,
            chain=CHAIN_NAME,
            protocol=protocol,
            owner=FARMER.address,
            signer=SIGNER,
            target=addresses[target],
            params=MappingProxyType(dict(params)),
            route=route,
        )
        for name, protocol, target, params in plans
    )


def range_position(addresses: Mapping[str, Address]) -> Position:
    """Return the farmer's NFT: a range of the WETH/USDC pool of Uniswap V3, which earns what traders pay."""
    return Position(
        id="v3-range",
        chain=CHAIN_NAME,
        protocol="uniswap-v3",
        owner=FARMER.address,
        signer=SIGNER,
        target=addresses["v3_npm"],
        params=MappingProxyType({"token_id": FARMER_NFT}),
        route=RouteSpec("uniswap-v2", addresses["router"], (addresses["weth"],)),
    )
