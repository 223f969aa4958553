"""The tables of keeper.toml about one chain: endpoints, how transactions are sent there, and facts that differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from keeper.config.fields import Gwei, HexAddress, NodeWords, OptionalAddress, RpcUrl, Text, Whole, parse_address
from keeper.config.position_models import RouteConfig
from keeper.config.table import Table, as_tuple, split
from keeper.domain.facts import Place
from keeper.domain.transaction import Submission

__all__ = ["ChainConfig", "ErrorsConfig", "ExchangeConfig", "FeedConfig", "PlaceConfig"]


class FeedConfig(Table):
    """``[chains.NAME.feeds."TOKEN"]``: a Chainlink USD feed that you vouch for."""

    feed: HexAddress = Field(description="Aggregator proxy.")
    max_age_seconds: Whole = Field(ge=60, le=604_800, description="Age after which an answer is stale.")


class ExchangeConfig(RouteConfig):
    """``[[chains.NAME.exchanges]]``: where positions without a `route` of their own sell."""

    name: Text = Field(min_length=1, max_length=64, description="For people, e.g. `Uniswap V2`.")


def _is_address(value: str | int | bool) -> bool:
    return isinstance(value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{40}", value) is not None


class PlaceConfig(Table):
    """``[[chains.NAME.places]]``: a farm, pool or registry that `keeper discover` looks in."""

    protocol: Text = Field(min_length=1, description="Protocol adapter; `keeper protocols` lists them.")
    name: Text = Field(min_length=1, max_length=64, description="For people, e.g. `SushiSwap MasterChef`.")
    target: HexAddress = Field(description="The contract to look in: the farm itself, or a registry of farms.")
    params: dict[str, str | int | bool] = Field(
        {}, description="The protocol's own keys that every position found there has."
    )

    @field_validator("params")
    @classmethod
    def _exact_addresses(cls, params: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        return {key: parse_address(value) if _is_address(value) else value for key, value in params.items()}

    def to_domain(self) -> Place:
        """Give the value that the engine takes."""
        return Place(self.protocol, self.name, self.target, MappingProxyType(dict(self.params)))


class ErrorsConfig(Table):
    """``[chains.NAME.errors]``: what this chain's nodes say to a transaction, where keeper's own table errs."""

    maybe: Annotated[tuple[NodeWords, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), description="Parts of error messages after which the transaction may still be mined."
    )
    known: Annotated[tuple[NodeWords, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), description="Parts of error messages that mean: the node has this very transaction."
    )
    nonce_used: Annotated[tuple[NodeWords, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), description="Parts of error messages that mean: the nonce is used; keeper then looks for its receipts."
    )
    refused: Annotated[tuple[NodeWords, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (), description="Parts of error messages that mean: certainly not taken, by no pool, now or later."
    )

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        seen: dict[str, str] = {}
        for key in type(self).model_fields:
            for words in getattr(self, key):
                if seen.setdefault(words, key) != key:
                    raise ValueError(f'gives "{words}" two meanings, {seen[words]} and {key}; keep one')
        return self

    def to_domain(self) -> Mapping[Submission, tuple[str, ...]]:
        """Give the table that comes before the shipped one; empty lists are left out."""
        table = {Submission(key): getattr(self, key) for key in type(self).model_fields}
        return MappingProxyType({meaning: words for meaning, words in table.items() if words})


class ChainConfig(Table):
    """``[chains.NAME]``: endpoints, how transactions are sent, and any fact that differs from the shipped file."""

    rpc: Annotated[tuple[RpcUrl, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (),
        description="JSON-RPC endpoints, best first; needed where a position is. `$NAME` is filled in.",
    )
    quorum: Whole | None = Field(
        None,
        ge=1,
        description="Endpoints that must agree on nonces, receipts and prices before anything is signed or settled; "
        "by default 2, or 1 where only one is set.",
    )
    poll_gas_seconds: Whole = Field(12, ge=1, le=3_600, description="Seconds between looks at the gas price.")
    poll_positions_seconds: Whole = Field(900, ge=1, le=604_800, description="Seconds between reads of positions.")
    max_in_flight: Whole = Field(
        1,
        ge=1,
        le=64,
        description="Most transactions of one account that may wait in the pool; geth guarantees room for 16.",
    )
    submit: Literal["public", "private", "private_then_public"] = Field(
        "public",
        description="Where transactions are sent: to the endpoints of `rpc`, to those of `private_rpc`, or first to "
        "these and to all after `private_blocks`.",
    )
    private_rpc: Annotated[tuple[RpcUrl, ...], BeforeValidator(lambda value: as_tuple(split(value)))] = Field(
        (),
        description="Private relays; transactions are sent to them and nothing is ever asked of them. `$NAME` is "
        "filled in.",
    )
    private_blocks: Whole = Field(
        25, ge=1, le=10_000, description="Blocks after which `private_then_public` sends to the public endpoints too."
    )
    errors: ErrorsConfig | None = Field(None, description="What nodes say, before keeper's own table.")
    chain_id: Whole | None = Field(None, ge=1, lt=2**53, description="EIP-155 chain id.")
    native_symbol: Text | None = Field(None, min_length=1, max_length=12, description="Ticker of the gas token.")
    wrapped_native: HexAddress | None = Field(None, description="ERC-20 wrapper of the gas token.")
    block_time_ms: Whole | None = Field(None, ge=1, le=3_600_000, description="Milliseconds between blocks.")
    fee_model: Literal["eip1559", "legacy"] | None = Field(
        None, description="How transactions pay: `eip1559` or `legacy`."
    )
    tip_floor_gwei: Gwei | None = Field(None, le=10**13, description="Smallest priority fee that nodes accept.")
    tip_cap_gwei: Gwei | None = Field(None, le=10**13, description="Largest priority fee that keeper bids.")
    l1_fee: Literal["none", "op-stack", "arbitrum"] | None = Field(
        None, description="How L1 data is charged: `none`, `op-stack` or `arbitrum`."
    )
    confirmations: Whole | None = Field(None, ge=0, le=10_000, description="Blocks on top before a receipt counts.")
    finality: Literal["tag", "depth"] | None = Field(
        None,
        description="What makes a block final: the `finalized` block that nodes name (`tag`), or `finality_blocks` on "
        "top of it (`depth`, where neither this nor the shipped file says).",
    )
    finality_blocks: Whole | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Blocks on top after which a receipt is never looked at again, where no `finalized` block is "
        "named; 64 where neither this nor the shipped file says, and never less than `confirmations`.",
    )
    multicall3: OptionalAddress = Field(None, description='Multicall3 contract; `"none"` where there is none.')
    sequencer_feed: OptionalAddress = Field(None, description='Sequencer-uptime feed of an L2; `"none"` to do without.')
    feeds: dict[HexAddress, FeedConfig] = Field({}, description="Further Chainlink USD feeds by token address.")
    exchanges: Annotated[tuple[ExchangeConfig, ...], BeforeValidator(as_tuple)] = Field(
        (),
        max_length=32,
        description="Further exchanges, asked before the shipped ones; one of the same `kind` and `router` takes the "
        "shipped one's place, and `exchanges = []` does without all of them.",
    )
    places: Annotated[tuple[PlaceConfig, ...], BeforeValidator(as_tuple)] = Field(
        (),
        max_length=1_000,
        description="Further places, looked in before the shipped ones; one of the same `protocol` and `target` takes "
        "the shipped one's place.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, urls in (("rpc", self.rpc), ("private_rpc", self.private_rpc)):
            if len(set(urls)) < len(urls):
                raise ValueError(
                    f"{key} names the same endpoint twice; two must be two providers, because they check each other"
                )
        if (
            self.tip_floor_gwei is not None
            and self.tip_cap_gwei is not None
            and self.tip_cap_gwei < self.tip_floor_gwei
        ):
            raise ValueError("tip_cap_gwei is below tip_floor_gwei")
        return self
