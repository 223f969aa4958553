"""Writes docs/reference/configuration.md from the models, so that the page cannot lag behind them."""  # noqa: INP001

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from keeper.config import models
from keeper.config.chains import FACT_KEYS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "configuration.md"

#: Words for the annotations of the models.
TYPES = {
    "Seconds": 'time ("30d", "12h", "5m", "90s", or whole seconds)',
    "Usd": 'US dollars ("$5" or "5.00")',
    "Gwei": 'gwei (30 or "0.05")',
    "NativeWei": 'gas tokens ("0.05")',
    "Whole": "whole number",
    "Flag": "true or false",
    "Text": "text",
    "Bps": 'share ("1%" or basis points)',
    "Drift": 'yearly share ("-50%/yr" or basis points)',
    "RiskBps": 'number in quotes, "0.5" to "1.0"',
    "HexAddress": "address",
    "OptionalAddress": 'address or "none"',
    "NamedPath": "path",
    "Listen": "host:port",
    "Routes": "table or array of tables, see below",
    "tuple[FeeTier, ...]": "array of whole numbers",
    "tuple[ExchangeConfig, ...]": "tables, see below",
    "tuple[PlaceConfig, ...]": "tables, see below",
    "dict[str, str | int | bool]": "table",
    "PayoutConfig": "table, see below",
    "GasTopUpConfig": "table, see below",
    "ExitDate": "date or time, in quotes or not",
    "PerYear": 'number in quotes, e.g. "1.0"',
    "tuple[Text, ...]": "array of texts",
    "ErrorsConfig": "table, see below",
    "RpcUrl": "http(s) address",
    "dict[Text, Text]": "table of texts",
    "SanityConfig": "table, see below",
    "tuple[RpcUrl, ...]": "array of http(s) addresses",
    "tuple[NodeWords, ...]": "array of texts",
    "tuple[HexAddress, ...]": "array of addresses",
    "tuple[dict[str, Any], ...]": "array of tables",
    "tuple[PriceTokenConfig, ...]": "tables, see below",
    "dict[HexAddress, FeedConfig]": "tables by token, see below",
}

TABLES = (
    ("[keeper]", models.KeeperConfig),
    ("[chains.NAME]", models.ChainConfig),
    ("[chains.NAME.errors]", models.ErrorsConfig),
    ('[chains.NAME.feeds."TOKEN"]', models.FeedConfig),
    ("[[chains.NAME.exchanges]]", models.ExchangeConfig),
    ("[[chains.NAME.places]]", models.PlaceConfig),
    ("[signers.NAME], a keystore", models.KeystoreSigner),
    ("[signers.NAME], a raw key", models.EnvKeySigner),
    ("[signers.NAME], watched", models.WatchSigner),
    ("[prices]", models.PricesConfig),
    ("[prices.sanity]", models.SanityConfig),
    ("[[prices.tokens]]", models.PriceTokenConfig),
    ("[limits]", models.LimitsConfig),
    ("[quotes]", models.QuotesConfig),
    ("[web]", models.WebConfig),
    ("[notify]", models.NotifyConfig),
    ("[report]", models.ReportConfig),
    ("[strategy]", models.StrategyConfig),
    ("[policies.NAME]", models.PolicyConfig),
    ("[batches.NAME]", models.BatchConfig),
    ("[[positions]]", models.PositionConfig),
    ("route of a position", models.RouteConfig),
    ("payout of a position", models.PayoutConfig),
    ("gas_top_up of a position", models.GasTopUpConfig),
)

HEAD = """# Configuration

Made from the code by `python tools/config_reference.py`; a test compares. A commented example is
`config/keeper.example.toml`; `keeper config init` writes a first file, `keeper config check` lists every mistake (exit
code 78), `keeper config show --origin` says where each value in force comes from.

## Where values come from

Last wins: defaults; files (`--config`, repeatable; without it the first of `./keeper.toml`, `./config/keeper.toml`,
`$XDG_CONFIG_HOME/keeper/keeper.toml`); `.env` in the working directory (never over the process environment); secret
files; environment; command line. Tables merge key by key, arrays (`rpc`, `[[positions]]`) are replaced whole.

- `KEEPER_SECTION__KEY` sets a key: `KEEPER_LIMITS__PER_DAY='$10'`, `KEEPER_CHAINS__bnb__RPC=https://a,https://b`,
  `KEEPER_POSITIONS__0__MIN_INTERVAL=12h`. Keys may be in any case; names of chains and signers keep theirs.
- `KEEPER_SECTION__KEY_FILE` names a file whose content is the value (container secrets).
- `$NAME` and `${NAME}` in endpoints and paths are filled in from the environment; `$$` is a dollar sign there.
- Relative paths start at the working directory; `~` is the home folder.
- Addresses in mixed case must have the right EIP-55 checksum; all-lower-case is accepted.
- Numbers in quotes stay text, money must not be a TOML float: nothing is guessed.

## A price that counts

A token's sources are the chain's trusted Chainlink feed (unless the token's own block names a `chainlink` source) and
the sources of its `[[prices.tokens]]` block; `min_sources` of them must agree within `max_deviation_bps`.

`[prices.sanity]` asks DefiLlama or CoinGecko as well, in the background. What it says is no source: it makes no price
count. But a token whose agreed price is farther from it than its `max_deviation` has no price, and the positions that
need it wait and name both numbers. While the service cannot be reached nothing changes; that is told once.

## Where transactions go

- `submit = "public"`: to every endpoint of `rpc` at once; one that takes them is enough, a dead one delays nothing.
- `submit = "private"`: to the relays of `private_rpc` alone. They are given transactions and asked nothing, not even
  the chain id: nonces, receipts and prices always come from `rpc`, where `quorum` endpoints must agree.
- `submit = "private_then_public"`: to the relays; `private_blocks` blocks after the first transaction of a step was
  signed also to all endpoints. Its fee bumps and its cancel go by the same rule, so they reach it wherever it is.

What a node answers instead of a hash is looked up by its words, in `[chains.NAME.errors]` and then in keeper's own
table; within each, `maybe` before `known` before `nonce_used` before `refused`. Words that stand in neither mean
`maybe`: the same bytes are sent again, and the nonce is given to nothing else.

## Where rewards are sold

A position's `route` names its exchange, and only that one is used. An array of routes (`[[positions.route]]`) offers
several: each harvest is quoted on all of them, and the one that brings most after gas is taken. Without `route`, the
chain's exchanges are offered: those of `[[chains.NAME.exchanges]]`, then those of the shipped file. A key may call no
router but these.

`[quotes]` asks an aggregator, too, once a harvest is due: 0x, 1inch or CoW. It is never traded with. When it would get
more than `max_worse` beyond the best configured way, nothing is sent, and `keeper explain` names both amounts and what
to add to the route. An answer that is no quote, below the floor that keeper itself would accept or far above the agreed
price counts for nothing; so does one that does not come in time. [Why its own transaction is not
signed](../explanation/aggregators.md).

## When to compound, and what becomes of a harvest

`[strategy]` holds for every position that does not say otherwise; `keeper config show --origin` names whose value is in
force. An `exit` that has passed is a mistake, so that nobody goes on compounding into a farm that was to be left.

- `payout = { share = "30%", to = "0x..." }`: this share of every reward token that a harvest claims is sent to `to`, in
  a transaction of its own right after the claim, as it was claimed: what was received, and when, is what many tax
  offices ask for. The rest is compounded. A share worth less than a cent stays with the rest.
- `gas_top_up = { keep = "0.05", max_share = "10%" }`: while the account holds less than `keep` of the gas token, a
  harvest first turns what is missing into gas money, never more than `max_share` of the harvest: it sells part of the
  reward over the position's `route` for the wrapped gas token and unwraps it. Where the wrapped gas token is itself a
  reward, it is only unwrapped. A top-up worth less than ten times the gas of its own transactions is left for later.

A key may send tokens to its position's `payout.to` and to nobody else, and may unwrap only where `gas_top_up` is set.
"""


def annotations(model: type[models.Table]) -> dict[str, str]:
    """Return the annotation of each field as it stands in the source, wrappers stripped."""
    found = {
        key: text for base in reversed(model.__mro__) for key, text in getattr(base, "__annotations__", {}).items()
    }
    return {key: _strip(str(text)) for key, text in found.items() if key in model.model_fields}


def _strip(text: str) -> str:
    wrapped = re.match(r"Annotated\[(.*), BeforeValidator", text)
    return (wrapped[1] if wrapped else text).removesuffix(" | None")


def type_words(text: str) -> str:
    """Say a field's type for people."""
    if text.startswith("Literal["):
        choices = [choice.strip().strip("'\"") for choice in text[8:-1].split(",")]
        return " or ".join(f"`{choice}`" for choice in choices)
    return TYPES[text]


def default_words(model: type[models.Table], key: str) -> str:
    """Say a field's default as it would be written."""
    field = model.model_fields[key]
    if field.is_required():
        return "required"
    if field.default in (None, (), {}):
        return "as shipped" if model is models.ChainConfig and key in FACT_KEYS else ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f'`"{field.default}"`' if isinstance(field.default, str) else f"`{field.default}`"


def render() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, model in TABLES:
        words = inspect.getdoc(model) or ""
        parts.append(f"\n## `{title}`\n" if title.startswith("[") and "," not in title else f"\n## {title}\n")
        parts.append(words.split(": ", 1)[-1][:1].upper() + words.split(": ", 1)[-1][1:].split("\n")[0] + "\n")
        known = annotations(model)
        keys = [key for key in model.model_fields if model is not models.PositionConfig or key in model.written]
        if not keys:
            continue
        parts.append("\n| key | type | default | what it is |\n|---|---|---|---|\n")
        for key in keys:
            about = model.model_fields[key].description or ""
            parts.append(f"| `{key}` | {type_words(known[key])} | {default_words(model, key)} | {about} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
