"""Checks the keys that belong to a plugin (a protocol's params, a price source's settings) against what it declares."""

# ruff: noqa: TRY004 (wrong types are findings like all others)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.config.fields import EnvText, parse_address
from keeper.config.problems import Problems
from keeper.config.schema import Path
from keeper.ports import ParamSpec

__all__ = ["check_keys"]

_WIDEST = 2**256


def check_keys(
    problems: Problems,
    path: Path,
    given: Mapping[str, Any],
    specs: Mapping[str, ParamSpec],
    *,
    beside: tuple[str, ...] = (),
    whose: str,
) -> dict[str, str | int | bool]:
    """Return the plugin's keys in exact types; report unknown, missing and wrong ones. ``beside`` are valid too."""
    values: dict[str, str | int | bool] = {}
    for key, value in given.items():
        if key not in specs:
            problems.unknown_key((*path, key), (*beside, *specs), note=f" ({_takes(whose, specs)})")
            continue
        try:
            values[key] = _convert(specs[key].kind, value)
        except ValueError as error:
            problems.add((*path, key), f"{error} ({whose}: {specs[key].doc})")
    for key, spec in specs.items():
        if spec.required and key not in given:
            problems.add((*path, key), f"is required by {whose}: {spec.doc}")
    return values


def _takes(whose: str, specs: Mapping[str, ParamSpec]) -> str:
    return f"{whose} takes {', '.join(specs)}" if specs else f"{whose} takes no keys of its own"


def _convert(kind: str, value: Any) -> str | int | bool:
    if kind == "address":
        return parse_address(value)
    if kind == "int":
        return _int(value)
    if kind == "bool":
        if isinstance(value, EnvText) and value in {"true", "false"}:
            return value == "true"
        if not isinstance(value, bool):
            raise ValueError("must be true or false, without quotes")
        return value
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    return str(value)


def _int(value: Any) -> int:
    if isinstance(value, EnvText) and value.isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number without quotes")
    if not 0 <= value < _WIDEST:
        raise ValueError("must be between 0 and 2**256 - 1")
    return value
