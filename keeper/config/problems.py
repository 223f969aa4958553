"""Words every mistake in a config as: file, key, value, what is wrong, what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from keeper.config.fields import mask_url
from keeper.config.schema import Path, dotted, keys_at, nearest, value_at
from keeper.config.sources import Layers

__all__ = ["Problems", "safe"]

_PLAIN: Final[Mapping[str, str]] = {
    "missing": "is required",
    "int_type": "must be a whole number without quotes",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "tuple_type": 'must be an array, e.g. ["..."]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "too_long": "has too many entries",
    "invalid_key": "must be text",
}
_BOUND: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
#: What texts of these keys are made of.
_SHAPES: Final[Mapping[str, str]] = {
    "id": "lower-case letters, digits, dots and dashes, at most 63",
    "variable": "letters, digits and _",
    "policy": "lower-case letters, digits and -_.>, at most 63",
    "batch": "lower-case letters, digits, dashes and _, at most 63",
    "currency": "three to six capital letters",
}
#: How bounds of these keys are told: divisor and unit.
_UNITS: Final[Mapping[str, tuple[int, str, str]]] = {
    "per_tx": (10**18, "$", ""),
    "per_day": (10**18, "$", ""),
    "max_gas_price_gwei": (10**9, "", " gwei"),
    "tip_floor_gwei": (10**9, "", " gwei"),
    "tip_cap_gwei": (10**9, "", " gwei"),
    "min_native_balance": (10**18, "", " of the gas token"),
    "cancel_max": (10**18, "$", ""),
    "tx_deadline": (60, "", " minutes"),
    "min_runway": (86_400, "", " days"),
    "drain_timeout": (1, "", " seconds"),
    "payback": (86_400, "", " days"),
    "min_interval": (86_400, "", " days"),
    "max_slippage": (1, "", " basis points"),
    "max_deviation_bps": (1, "", " basis points"),
    "reward_drift": (1, "", " basis points a year"),
    "rate_drift": (1, "", " basis points a year"),
    "target_yield": (1, "", " basis points a year"),
    "lock_premium": (1, "", " basis points a year"),
    "max_interval": (3_600, "", " hours"),
    "share": (1, "", " basis points"),
    "max_share": (1, "", " basis points"),
    "exit_cost": (1, "", " basis points"),
    "entry_cost": (1, "", " basis points"),
    "keep": (10**18, "", " of the gas token"),
    "history": (86_400, "", " days"),
    "currency_max_age": (3_600, "", " hours"),
    "timeout": (1, "", " seconds"),
    "shared_cost": (10**18, "$", ""),
}


class Problems:
    """Collects every mistake, in the order of the file."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.lines: list[str] = list(layers.problems)

    def add(self, path: Path, message: str, *, show: bool = True) -> None:
        """Report one mistake at a place; ``show`` prints the value there, secrets masked."""
        value = value_at(self._layers.raw, path) if show else None
        written = f" = {safe(path, value)}" if value is not None and not isinstance(value, (dict, list)) else ""
        self.lines.append(f"{self._layers.origin(path)}: {dotted(path)}{written}\n  {message}")

    def unknown_key(self, path: Path, known: tuple[str, ...] | None = None, *, note: str = "") -> None:
        """Report a key that does not exist, with the nearest one that does."""
        keys = known if known is not None else keys_at(path[:-1], self._layers.raw) or ()
        hint = nearest(path[-1], keys)
        advice = (
            f'did you mean "{hint}"?' if hint else (f"keys here: {', '.join(keys)}" if keys else "nothing goes here")
        )
        self.add(path, f"no such key; {advice}{note}", show=not _secret(path))

    def pydantic(self, path: Path, error: ValidationError) -> None:
        """Report everything that a model found."""
        for item in error.errors(include_url=False):
            # parts in brackets are how the model names its own branches, and stand in no file
            place = (*path, *(part for part in item["loc"] if not str(part).startswith("[")))
            if item["type"] == "extra_forbidden":
                self.unknown_key(place)
            else:
                self.add(place, _say(place, item))


def _say(place: Path, item: Any) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        hint = nearest(item["input"], choices)
        return (f'did you mean "{hint}"? it ' if hint else "") + f"must be one of: {', '.join(choices)}"
    if kind in _BOUND:
        name, words = _BOUND[kind]
        divisor, before, after = _UNITS.get(str(place[-1]), (1, "", ""))
        bound = context[name]
        shown = bound // divisor if bound % divisor == 0 else bound
        return f"{words} {before}{shown}{after if shown else ''}"
    if kind == "string_pattern_mismatch":
        return f"must be made of {_SHAPES.get(str(place[-1]), context['pattern'])}"
    return _PLAIN.get(kind, str(item["msg"]))


def _secret(path: Path) -> bool:
    return any(word in str(path[-1]).lower() for word in ("password", "private", "mnemonic", "secret", "key", "seed"))


def safe(path: Path, value: Any) -> str:
    """Spell a value as TOML without giving a secret away."""
    if isinstance(value, str) and _hide(path, value):
        return '"<hidden>"'
    if isinstance(value, str) and ({"rpc", "private_rpc"} & set(path) or "://" in value):
        return f'"{value if _is_reference(value) else mask_url(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value if len(value) <= 100 else f"{value[:40]}..."
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value)


def _hide(path: Path, text: str) -> bool:
    """Private keys, seed phrases, and passwords that were put where a name belongs."""
    digits = text.removeprefix("0x")
    key = len(digits) >= 64 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    misplaced = path[-1] == "password_env" and not (text.replace("_", "").isalnum() and text.isupper())
    return key or len(text.split()) >= 12 or misplaced


def _is_reference(text: str) -> bool:
    """A lone ``$NAME`` is a name, not a secret."""
    return text.startswith("$") and text.strip("${}").replace("_", "").isalnum() and len(text) < 64
