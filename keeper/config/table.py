"""What all tables of keeper.toml have in common: the base model, and how lists and defaults are read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from keeper.config.fields import EnvText

__all__ = ["Table", "as_tuple", "split", "written"]


def split(value: Any) -> Any:
    """Read a list from the environment: parts between commas."""
    return [EnvText(part.strip()) for part in value.split(",")] if isinstance(value, EnvText) else value


def as_tuple(value: Any) -> Any:
    """TOML arrays arrive as lists; strict tuples want tuples."""
    return tuple(value) if isinstance(value, list) else value


def written(default: str) -> Any:
    """A default in the words of the file; it is checked and converted like a value that was read."""
    return default


class Table(BaseModel):
    """One table: unknown keys are errors, values are never coerced, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)
