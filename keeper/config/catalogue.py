"""What the installed plugins understand, so that the config can be checked without importing a single adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from keeper.ports import ParamSpec

__all__ = ["Catalogue"]

_NONE: Mapping[str, Mapping[str, ParamSpec]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Names and keys of protocols, exchanges and price sources, names of policies."""

    #: Keys of a ``[[positions]]`` block by protocol name.
    protocols: Mapping[str, Mapping[str, ParamSpec]] = field(default_factory=lambda: _NONE)
    #: Values of a route's ``kind``.
    swaps: frozenset[str] = frozenset()
    #: Keys of a price source by its ``kind``.
    prices: Mapping[str, Mapping[str, ParamSpec]] = field(default_factory=lambda: _NONE)
    #: Names of policies that are part of keeper or of a plugin; ``None`` when they are not known, and not checked then.
    policies: frozenset[str] | None = None
    #: Keys of a ``[policies.NAME]`` block by installed policy; one that takes none is left out.
    policy_params: Mapping[str, Mapping[str, ParamSpec]] = field(default_factory=lambda: _NONE)
    #: Further keys that a place of a protocol may have (what to look for, where no view lists it), by protocol name.
    place_params: Mapping[str, Mapping[str, ParamSpec]] = field(default_factory=lambda: _NONE)
