"""Facts about a chain: shipped as data (config/chains/*.toml), each with its source. Never an RPC URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChainFacts", "FeedFact", "Place"]


@dataclass(frozen=True, slots=True)
class FeedFact:
    """One Chainlink USD feed that this chain's file vouches for."""

    #: Aggregator proxy.
    feed: Address
    #: Seconds after which an answer is stale (the feed's heartbeat plus a margin).
    max_age_seconds: int


@dataclass(frozen=True, slots=True)
class Place:
    """One known farm, pool or registry of a chain: where ``keeper discover`` looks for an account's positions."""

    #: Protocol adapter name.
    protocol: str
    #: For people, e.g. ``"SushiSwap MasterChef"``.
    name: str
    #: The contract to look in: the farm itself, or a registry of farms.
    target: Address
    #: Params that every position found there has (a chef's getters).
    params: Mapping[str, str | int | bool] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What keeper needs to know about a chain before it asks the chain anything."""

    name: str
    chain_id: int
    #: Ticker of the gas token.
    native_symbol: str
    #: The gas token's ERC-20 wrapper; prices of the gas token are looked up under it.
    wrapped_native: Address
    #: Milliseconds between blocks.
    block_time_ms: int
    #: ``"eip1559"`` or ``"legacy"``.
    fee_model: str
    #: Smallest priority fee (legacy: gas price) that nodes accept, wei.
    tip_floor_wei: int
    #: Largest priority fee keeper ever bids, wei.
    tip_cap_wei: int
    #: ``"none"``, ``"op-stack"`` (predeploy 0x42..0F) or ``"arbitrum"`` (folded into gas used).
    l1_fee: str
    #: Blocks on top of a receipt before it counts as done.
    confirmations: int
    #: Multicall3, or ``None`` where the chain has none (then JSON-RPC batches are used).
    multicall3: Address | None
    #: USD feeds by lower-case token address.
    feeds: Mapping[Address, FeedFact] = field(default_factory=lambda: MappingProxyType({}))
    #: Sequencer-uptime feed of an L2, when it has one.
    sequencer_feed: Address | None = None
    #: Whether the chain's ``finalized`` block tag means what it says; else ``finality_blocks`` counts.
    finality_tag: bool = False
    #: Blocks on top of a receipt after which it is never looked at again, where there is no such tag.
    finality_blocks: int = 64
    #: Exchanges that positions without a route of their own sell on.
    exchanges: tuple[RouteSpec, ...] = ()
    #: Known farms, pools and registries.
    places: tuple[Place, ...] = ()
