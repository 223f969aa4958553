"""Chain facts: the shipped file of a chain with what the config says instead laid over it."""

from __future__ import annotations

import tomllib
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from keeper.config.chain_models import ChainConfig
from keeper.config.packaged import chain_names, locate
from keeper.domain.facts import ChainFacts, FeedFact, Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["FACT_KEYS", "REQUIRED", "merge", "missing_facts", "shipped"]

#: Keys of a chain table that say what to do there, and are nobody's but the operator's.
_SETTINGS: Final = frozenset(
    {
        "rpc",
        "quorum",
        "poll_gas_seconds",
        "poll_positions_seconds",
        "max_in_flight",
        "submit",
        "private_rpc",
        "private_blocks",
        "errors",
    }
)

#: Keys of a chain table that are facts about the chain.
FACT_KEYS: Final = tuple(key for key in ChainConfig.model_fields if key not in _SETTINGS)

#: Blocks after which a receipt is final where nothing says otherwise.
_FINALITY_BLOCKS: Final = 64

#: Facts without which a chain cannot be used.
REQUIRED: Final = (
    "chain_id",
    "native_symbol",
    "wrapped_native",
    "block_time_ms",
    "fee_model",
    "tip_floor_gwei",
    "tip_cap_gwei",
    "l1_fee",
    "confirmations",
)


@cache
def shipped(name: str) -> ChainConfig | None:
    """Read the shipped facts of a chain; ``None`` when keeper ships none under that name."""
    if name not in chain_names():
        return None
    return ChainConfig.model_validate(tomllib.loads(locate("chains", f"{name}.toml").read_text("utf-8")))


def _value(name: str, config: ChainConfig, key: str) -> Any:
    base = shipped(name)
    return getattr(config if key in config.model_fields_set or base is None else base, key)


def missing_facts(name: str, config: ChainConfig) -> tuple[str, ...]:
    """List the required facts that neither the config nor a shipped file gives."""
    return tuple(key for key in REQUIRED if _value(name, config, key) is None)


def merge(name: str, config: ChainConfig) -> ChainFacts:
    """Build the facts of a chain; ``missing_facts`` must have found nothing."""
    base = shipped(name)
    feeds = {**(base.feeds if base else {}), **config.feeds}
    return ChainFacts(
        name=name,
        chain_id=_value(name, config, "chain_id"),
        native_symbol=_value(name, config, "native_symbol"),
        wrapped_native=_value(name, config, "wrapped_native"),
        block_time_ms=_value(name, config, "block_time_ms"),
        fee_model=_value(name, config, "fee_model"),
        tip_floor_wei=_value(name, config, "tip_floor_gwei"),
        tip_cap_wei=_value(name, config, "tip_cap_gwei"),
        l1_fee=_value(name, config, "l1_fee"),
        confirmations=_value(name, config, "confirmations"),
        multicall3=_value(name, config, "multicall3"),
        feeds=MappingProxyType({token: FeedFact(feed.feed, feed.max_age_seconds) for token, feed in feeds.items()}),
        sequencer_feed=_value(name, config, "sequencer_feed"),
        finality_tag=_value(name, config, "finality") == "tag",
        finality_blocks=_finality_blocks(name, config),
        exchanges=_exchanges(base, config),
        places=_places(base, config),
    )


def _exchanges(base: ChainConfig | None, config: ChainConfig) -> tuple[RouteSpec, ...]:
    """The config's own come first, in place of shipped ones with the same router; an empty array is none at all."""
    if "exchanges" in config.model_fields_set and not config.exchanges:
        return ()
    routes: dict[tuple[str, Address], RouteSpec] = {}
    for exchange in (*config.exchanges, *(base.exchanges if base else ())):
        routes.setdefault((exchange.kind, exchange.router), exchange.to_domain())
    return tuple(routes.values())


def _places(base: ChainConfig | None, config: ChainConfig) -> tuple[Place, ...]:
    places: dict[tuple[str, Address], Place] = {}
    for place in (*config.places, *(base.places if base else ())):
        places.setdefault((place.protocol, place.target), place.to_domain())
    return tuple(places.values())


def _finality_blocks(name: str, config: ChainConfig) -> int:
    """Never less than the confirmations: what does not count yet cannot be final."""
    if config.finality_blocks is not None:
        return config.finality_blocks
    blocks: int = _value(name, config, "finality_blocks") or _FINALITY_BLOCKS
    confirmations: int = _value(name, config, "confirmations")
    return max(blocks, confirmations)
