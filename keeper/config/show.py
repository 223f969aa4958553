"""Lists every setting in force with its origin, secrets masked: what ``keeper config show`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from keeper.config import models
from keeper.config.chains import FACT_KEYS, shipped
from keeper.config.fields import mask_url
from keeper.config.loader import Loaded
from keeper.config.position_models import INHERITED
from keeper.config.schema import SECTIONS, Path, dotted, value_at

__all__ = ["DEFAULT", "Row", "rows", "toml"]

#: Origin of values that nothing set.
DEFAULT = "default"


#: Keys whose web address may hold a key of the owner's.
_ADDRESSES: Final = frozenset({"url", "proofs"})


@dataclass(frozen=True, slots=True)
class Row:
    """One setting."""

    #: Dotted key.
    key: str
    #: As written, or the default; endpoints without their secret part.
    value: Any
    #: File, variable, ``default``, or the shipped chain file.
    origin: str


def rows(loaded: Loaded) -> list[Row]:
    """List all settings, section by section."""
    found: list[Row] = []
    for section, model in SECTIONS.items():
        found += _table(loaded, (section,), model)
        if section == "keeper":
            found += _places(loaded)
    for name, chain in loaded.settings.chains.items():
        found += _chain(loaded, name, chain)
    for name, signer in loaded.settings.signers.items():
        found += _table(loaded, ("signers", name), type(signer))
    for name in loaded.settings.policies:
        found += _table(loaded, ("policies", name), models.PolicyConfig)
    for name in loaded.settings.policy_params:
        found += _raw(loaded, ("policies", name))
    for name in loaded.settings.batches:
        found += _table(loaded, ("batches", name), models.BatchConfig)
    for index in range(len(loaded.settings.positions)):
        found += _raw(loaded, ("positions", index))
        found += _inherited(loaded, ("positions", index))
    return found


def toml(value: Any) -> str:
    """Spell a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return str(value)


def _table(loaded: Loaded, path: Path, model: type[models.Table]) -> Iterator[Row]:
    for key, field in model.model_fields.items():
        place = (*path, key)
        given = value_at(loaded.layers.raw, place)
        if given is not None:
            yield from _given(loaded, place, given)
        elif field.default is not None and not field.is_required() and field.default not in ((), {}):
            yield Row(dotted(place), field.default, DEFAULT)


def _given(loaded: Loaded, place: Path, value: Any) -> Iterator[Row]:
    if isinstance(value, Mapping):
        yield from _raw(loaded, place)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for index in range(len(value)):
            yield from _raw(loaded, (*place, index))
    else:
        shown = value.isoformat() if isinstance(value, (date, time)) else value
        if place[-1] in _ADDRESSES and isinstance(value, str) and "://" in value:
            shown = mask_url(value)
        yield Row(dotted(place), shown, loaded.layers.origin(place))


def _raw(loaded: Loaded, path: Path) -> Iterator[Row]:
    table = value_at(loaded.layers.raw, path)
    for key, value in table.items():
        yield from _given(loaded, (*path, key), value)


def _inherited(loaded: Loaded, path: Path) -> Iterator[Row]:
    """What a position takes from ``[strategy]``, where something is set there."""
    for key in ("policy", *INHERITED):
        given = value_at(loaded.layers.raw, ("strategy", key))
        if given is not None and value_at(loaded.layers.raw, (*path, key)) is None:
            origin = loaded.layers.origin(("strategy", key))
            yield Row(dotted((*path, key)), given, f"{origin}: strategy.{key}")


def _places(loaded: Loaded) -> Iterator[Row]:
    """The paths whose defaults depend on the machine."""
    keeper = loaded.settings.keeper
    if keeper.state is None:
        yield Row("keeper.state", str(loaded.state), DEFAULT)
    if keeper.heartbeat_file is None:
        yield Row("keeper.heartbeat_file", str(loaded.heartbeat_file), DEFAULT)
    if keeper.kill_file is None:
        yield Row("keeper.kill_file", str(loaded.kill_file), DEFAULT)


def _chain(loaded: Loaded, name: str, chain: models.ChainConfig) -> Iterator[Row]:
    path: Path = ("chains", name)
    endpoints = {dotted((*path, key)): key for key in ("rpc", "private_rpc")}
    for place, key in endpoints.items():
        hidden = tuple(mask_url(url) for url in getattr(chain, key))
        if hidden or key == "rpc":
            yield Row(place, hidden, loaded.layers.origin((*path, key)) if hidden else DEFAULT)
    for row in _table(loaded, path, models.ChainConfig):
        if row.key not in endpoints:
            yield row
    base = shipped(name)
    if base is None:
        return
    for key in FACT_KEYS:
        if key not in chain.model_fields_set and getattr(base, key) is not None:
            value = getattr(base, key)
            wei = key.endswith("_gwei")
            counted = key in {"feeds", "exchanges", "places"}
            shown = f"{len(value)} {key}" if counted else (f"{value / 10**9:.9g}" if wei else value)
            yield Row(dotted((*path, key)), shown, f"shipped chains/{name}.toml")
