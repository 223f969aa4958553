"""Configured pieces that a plugin understands: its own keys, and one source of one price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ParamSpec", "PriceSpec"]


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One protocol-specific key of a ``[[positions]]`` block, so that the config checker can name mistakes."""

    #: ``"int"``, ``"str"``, ``"bool"`` or ``"address"``.
    kind: str
    required: bool
    #: One line for ``keeper protocols`` and the docs.
    doc: str


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """One configured source of one token's price. ``settings`` are the source's own keys (checked by the source)."""

    kind: str
    settings: Mapping[str, str | int]
