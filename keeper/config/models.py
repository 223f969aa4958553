"""The tables of keeper.toml as frozen models, defaults as a person would write them; the docs are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from keeper.config.chain_models import ChainConfig, ErrorsConfig, ExchangeConfig, FeedConfig, PlaceConfig
from keeper.config.fields import (
    Bps,
    Flag,
    Gwei,
    HexAddress,
    Listen,
    NamedPath,
    NativeWei,
    RpcUrl,
    Seconds,
    Text,
    Usd,
    Whole,
)
from keeper.config.position_models import (
    BatchConfig,
    GasTopUpConfig,
    PayoutConfig,
    PolicyConfig,
    PositionConfig,
    RouteConfig,
    StrategyConfig,
)
from keeper.config.table import Table, as_tuple, written
from keeper.domain.money import UsdWad

__all__ = [
    "BatchConfig",
    "ChainConfig",
    "EnvKeySigner",
    "ErrorsConfig",
    "ExchangeConfig",
    "FeedConfig",
    "GasTopUpConfig",
    "KeeperConfig",
    "KeystoreSigner",
    "LimitsConfig",
    "NotifyConfig",
    "PayoutConfig",
    "PlaceConfig",
    "PolicyConfig",
    "PositionConfig",
    "PriceTokenConfig",
    "PricesConfig",
    "QuotesConfig",
    "ReportConfig",
    "RouteConfig",
    "SanityConfig",
    "Settings",
    "SignerConfig",
    "StrategyConfig",
    "Table",
    "WatchSigner",
    "WebConfig",
]

_YEAR = 365 * 86_400
_MILLION = UsdWad(10**24)


class KeeperConfig(Table):
    """``[keeper]``: the process itself."""

    state: NamedPath | None = Field(
        None, description="Folder of the journal; `$XDG_STATE_HOME/keeper`, or `/data` in the container image."
    )
    drain_timeout: Seconds = Field(
        written("60s"), le=3_600, description="How long a stop waits for transactions under way."
    )
    heartbeat_file: NamedPath | None = Field(
        None, description="File touched by every turn of the loop, for health checks; `heartbeat` in the state folder."
    )
    kill_file: NamedPath | None = Field(
        None,
        description="While this file exists nothing new is sent, whatever else is told; `PAUSE` in the state folder.",
    )
    history: Seconds = Field(
        written("400d"),
        ge=86_400,
        le=20 * _YEAR,
        description="How long samples of positions and gas are kept; the journal and the ledger are kept for ever.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is `console` on a terminal and `json` elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")


class KeystoreSigner(Table):
    """``[signers.NAME]`` with ``kind = "keystore"``: a key in a keystore v3 file (MetaMask, geth)."""

    kind: Literal["keystore"] = Field(description="`keystore`.")
    path: NamedPath = Field(description="The keystore file.")
    password_file: NamedPath | None = Field(None, description="File with the password, readable by its owner only.")
    password_env: Text | None = Field(None, description="Name of the environment variable with the password.")
    address: HexAddress | None = Field(None, description="Address you expect; another key is refused.")

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password_file is None) == (self.password_env is None):
            raise ValueError("needs exactly one of password_file and password_env")
        return self


class EnvKeySigner(Table):
    """``[signers.NAME]`` with ``kind = "env-key"``: a raw key in an environment variable, for tests and throw-aways."""

    kind: Literal["env-key"] = Field(description="`env-key`.")
    variable: Text = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the variable with the hex key.")
    allow_env_key: Flag = Field(
        description="Must be `true`: you know that anybody who can read the environment has the key."
    )
    address: HexAddress | None = Field(None, description="Address you expect; another key is refused.")

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        if not self.allow_env_key:
            raise ValueError('must say allow_env_key = true to use a raw key; kind = "keystore" is safer')
        return self


class WatchSigner(Table):
    """``[signers.NAME]`` with ``kind = "watch"``: an address without a key; its positions are only watched."""

    kind: Literal["watch"] = Field(description="`watch`.")
    address: HexAddress = Field(description="The account to watch.")


#: Any of the three kinds.
SignerConfig = KeystoreSigner | EnvKeySigner | WatchSigner


class PriceTokenConfig(Table):
    """``[[prices.tokens]]``: where a token's price comes from, beside the chain's trusted feed."""

    chain: Text = Field(description="Chain name.")
    token: HexAddress = Field(description="The token.")
    sources: Annotated[tuple[dict[str, Any], ...], BeforeValidator(as_tuple)] = Field(
        min_length=1, description="Tables with `kind` and the source's own keys; `keeper protocols` lists them."
    )


class SanityConfig(Table):
    """``[prices.sanity]``: prices from the web that agreed prices must not be far from; they count as no source."""

    kind: Literal["defillama", "coingecko"] = Field(description="Which service: its form of questions and answers.")
    max_deviation: Bps = Field(
        written("10%"), ge=10, le=9_000, description="A token priced farther from the web's price has none."
    )
    poll: Seconds = Field(written("10m"), ge=30, le=86_400, description="Time between two looks.")
    url: RpcUrl | None = Field(
        None, description="Another address of the service; `$NAME` is filled in, where the key is part of it."
    )
    key_env: Text | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable with the key, where one is sent along (CoinGecko).",
    )
    networks: dict[Text, Text] = Field(
        {}, description="What the service calls a chain, by chain name; the usual chains are known."
    )


class PricesConfig(Table):
    """``[prices]``: when a price may be believed."""

    min_sources: Whole = Field(2, ge=1, le=5, description="Sources that must agree on a price.")
    max_deviation_bps: Bps = Field(200, ge=1, le=5_000, description="Largest difference between sources that agree.")
    tokens: Annotated[tuple[PriceTokenConfig, ...], BeforeValidator(as_tuple)] = Field(
        (), description="Sources by token."
    )
    sanity: SanityConfig | None = Field(None, description="Prices from the web to check by.")


class QuotesConfig(Table):
    """``[quotes]``: an aggregator asked what a due sale would bring elsewhere; it is never traded with."""

    kind: Literal["off", "0x", "1inch", "cow"] = Field("off", description="Which service; `off` asks nobody.")
    max_worse: Bps = Field(
        written("1%"),
        ge=1,
        le=9_000,
        description="A harvest waits when the service would get this much more than its best configured way.",
    )
    timeout: Seconds = Field(written("3s"), ge=1, le=30, description="Longest wait for one answer.")
    url: RpcUrl | None = Field(
        None, description="Another address of the service; `$NAME` is filled in, where the key is part of it."
    )
    key_env: Text | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable with the key; 0x and 1inch want one.",
    )
    networks: dict[Text, Text] = Field(
        {}, description="What the service calls a chain, by chain name; the usual chains are known."
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.kind in {"0x", "1inch"} and self.key_env is None and self.url is None:
            raise ValueError(f"needs key_env for {self.kind}: the name of the environment variable with its API key")
        return self


class LimitsConfig(Table):
    """``[limits]``: hard stops, checked where transactions are signed."""

    per_tx: Usd = Field(written("$5"), gt=0, le=_MILLION, description="Most that one transaction's fee may cost.")
    per_day: Usd = Field(
        written("$20"), gt=0, le=_MILLION, description="Most that a day's fees may cost, for each chain and signer."
    )
    max_gas_price_gwei: Gwei | None = Field(None, gt=0, le=10**15, description="No transaction above this gas price.")
    min_native_balance: NativeWei | None = Field(
        None, le=10**24, description="Nothing is begun while the account holds less of the gas token."
    )

    cancel_max: Usd = Field(
        written("$5"),
        gt=0,
        le=_MILLION,
        description="Most that a transaction may cost which only cancels another; never more than `per_tx`.",
    )
    max_failures_per_day: Whole = Field(
        10,
        ge=1,
        le=10_000,
        description="Failed or reverted compounds of all positions within a day after which everything pauses until "
        "`keeper resume`.",
    )
    tx_deadline: Seconds = Field(
        written("30m"),
        ge=60,
        le=7 * 86_400,
        description="Age after which the first transaction of a compound is cancelled when it is not worth its fee "
        "any more.",
    )
    min_runway: Seconds = Field(
        written("7d"), le=_YEAR, description="Warn when the gas balance lasts less than this at the present rate."
    )

    @field_validator("cancel_max", mode="after")
    @classmethod
    def _capped(cls, value: UsdWad, info: ValidationInfo) -> UsdWad:
        return min(value, cast("UsdWad", info.data.get("per_tx", value)))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.per_tx > self.per_day:
            raise ValueError("per_tx is above per_day, so per_day could never be kept; raise per_day or lower per_tx")
        return self


class WebConfig(Table):
    """``[web]``: health, readiness, metrics and the JSON API, read-only."""

    enabled: Flag = Field(default=True, description="Serve health, readiness, metrics and the JSON API.")
    listen: Listen = Field(written("127.0.0.1:9464"), description="Host and port.")


class NotifyConfig(Table):
    """``[notify]``: reserved; may be empty."""


class ReportConfig(Table):
    """``[report]``: the currency that people are told amounts in; decisions are made in US dollars."""

    currency: Text = Field("USD", pattern=r"^[A-Z]{3,6}$", description="Its code.")
    currency_chain: Text | None = Field(None, description="Chain of the feed; needed for another currency than USD.")
    currency_feed: HexAddress | None = Field(
        None, description="Chainlink feed of the currency in US dollars, e.g. EUR / USD; needed likewise."
    )
    currency_max_age: Seconds = Field(
        written("3d"), ge=3_600, le=30 * 86_400, description="Age after which the feed's answer is stale."
    )

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        given = (self.currency_chain is not None, self.currency_feed is not None)
        if self.currency == "USD" and any(given):
            raise ValueError("needs no currency_chain and no currency_feed for USD; remove them or name the currency")
        if self.currency != "USD" and not all(given):
            raise ValueError(
                f"needs currency_chain and currency_feed, the Chainlink feed {self.currency} / USD and its chain"
            )
        return self


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything of keeper.toml, checked."""

    keeper: KeeperConfig
    chains: Mapping[str, ChainConfig]
    signers: Mapping[str, SignerConfig]
    prices: PricesConfig
    limits: LimitsConfig
    quotes: QuotesConfig
    web: WebConfig
    notify: NotifyConfig
    report: ReportConfig
    strategy: StrategyConfig
    policies: Mapping[str, PolicyConfig]
    batches: Mapping[str, BatchConfig]
    positions: tuple[PositionConfig, ...]
    #: Keys of installed policies, by policy.
    policy_params: Mapping[str, Mapping[str, str | int | bool]] = field(default_factory=dict)
