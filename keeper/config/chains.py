"""Chain facts: the shipped file of a chain with what the config says instead laid over it."""

from __future__ import annotations

import tomllib
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from keeper.config.models import ChainConfig
from keeper.config.packaged import chain_names, locate
from keeper.domain.facts import ChainFacts, FeedFact

__all__ = ["FACT_KEYS", "REQUIRED", "merge", "missing_facts", "shipped"]

#: Keys of a chain table that are facts about the chain (the others are settings).
FACT_KEYS: Final = tuple(key for key in ChainConfig.model_fields if key != "rpc" and "poll" not in key)

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
    )
