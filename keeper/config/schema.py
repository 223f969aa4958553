"""Where in the config each model sits: names the valid keys of any place, for checks, hints and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from keeper.config import models

__all__ = ["SECTIONS", "SIGNER_KINDS", "Path", "dotted", "keys_at", "nearest", "value_at"]

#: Place of a value: table keys and array indices.
Path: TypeAlias = tuple[str | int, ...]

#: Signer models by ``kind``.
SIGNER_KINDS: Final[Mapping[str, type[models.Table]]] = MappingProxyType(
    {"keystore": models.KeystoreSigner, "env-key": models.EnvKeySigner, "watch": models.WatchSigner}
)

#: Models of the tables that stand alone.
SECTIONS: Final[Mapping[str, type[models.Table]]] = MappingProxyType(
    {
        "keeper": models.KeeperConfig,
        "prices": models.PricesConfig,
        "limits": models.LimitsConfig,
        "quotes": models.QuotesConfig,
        "web": models.WebConfig,
        "notify": models.NotifyConfig,
        "report": models.ReportConfig,
        "strategy": models.StrategyConfig,
    }
)

_TOP: Final = (*SECTIONS, "chains", "signers", "policies", "batches", "positions")


#: Models of tables inside tables; ``*`` stands for a name or an index.
_INSIDE: Final[Mapping[Path, type[models.Table]]] = MappingProxyType(
    {
        ("chains", "*"): models.ChainConfig,
        ("chains", "*", "errors"): models.ErrorsConfig,
        ("chains", "*", "feeds", "*"): models.FeedConfig,
        ("prices", "tokens", "*"): models.PriceTokenConfig,
        ("prices", "sanity"): models.SanityConfig,
        ("policies", "*"): models.PolicyConfig,
        ("batches", "*"): models.BatchConfig,
        ("chains", "*", "exchanges", "*"): models.ExchangeConfig,
        ("chains", "*", "places", "*"): models.PlaceConfig,
        ("positions", "*", "route"): models.RouteConfig,
        ("positions", "*", "route", "*"): models.RouteConfig,
        ("positions", "*", "payout"): models.PayoutConfig,
        ("positions", "*", "gas_top_up"): models.GasTopUpConfig,
    }
)


def keys_at(path: Path, raw: Mapping[str, Any]) -> tuple[str, ...] | None:
    """List the keys that the table at ``path`` may have; ``None`` where names are the user's own."""
    if not path:
        return _TOP
    if len(path) == 1 and path[0] in SECTIONS:
        return tuple(SECTIONS[str(path[0])].model_fields)
    if len(path) == 2 and path[0] == "signers":
        return _signer_keys(value_at(raw, (*path, "kind")))
    if len(path) == 2 and path[0] == "positions":
        return tuple(key for key in models.PositionConfig.model_fields if key in models.PositionConfig.written)
    model = next((model for place, model in _INSIDE.items() if _fits(path, place)), None)
    return tuple(model.model_fields) if model else None


def _fits(path: Path, place: Path) -> bool:
    return len(path) == len(place) and all(want in ("*", part) for part, want in zip(path, place, strict=True))


def _signer_keys(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, str) and kind in SIGNER_KINDS:
        return tuple(SIGNER_KINDS[kind].model_fields)
    return tuple(dict.fromkeys(key for model in SIGNER_KINDS.values() for key in model.model_fields))


def value_at(raw: Any, path: Path) -> Any:
    """Look a value up; ``None`` when it is not there."""
    for part in path:
        inside = isinstance(raw, Mapping) and part in raw
        if not inside and not (isinstance(raw, list) and isinstance(part, int) and part < len(raw)):
            return None
        raw = raw[part]
    return raw


def dotted(path: Path) -> str:
    """Spell a place as a person would: ``positions[2].route.kind``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("-", "").replace("_", "").isalnum()
            text += ("." if text else "") + (part if plain else f'"{part}"')
    return text


def nearest(word: Any, known: Any, cutoff: float = 0.6) -> str | None:
    """Return the known word that ``word`` was probably meant to be."""
    if not isinstance(word, str):
        return None
    lowered = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    return lowered[found[0]] if found else None
