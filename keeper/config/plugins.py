"""Finds installed plugins by entry point, and what their config keys are; a broken plugin is named, never a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from keeper.config.catalogue import Catalogue

__all__ = ["Plugins", "discover", "installed_catalogue"]


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins of one entry point group."""

    #: Instances by entry point name.
    found: Mapping[str, Any]
    #: Why others could not be loaded, by name.
    broken: Mapping[str, str]


def discover(group: str) -> Plugins:
    """Load and make every plugin of a group, e.g. ``"keeper.protocols"``."""
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            found[entry.name] = entry.load()()
        except Exception as error:  # noqa: BLE001 (a third party's plugin may fail in any way)
            broken[entry.name] = f"{type(error).__name__}: {error}"
    return Plugins(MappingProxyType(found), MappingProxyType(broken))


def installed_catalogue() -> Catalogue:
    """Describe everything that is installed."""
    return Catalogue(
        protocols={name: plugin.params for name, plugin in discover("keeper.protocols").found.items()},
        swaps=frozenset(discover("keeper.swaps").found),
        prices={name: plugin.params for name, plugin in discover("keeper.prices").found.items()},
        policies=_policies(),
    )


def _policies() -> frozenset[str] | None:
    """Names of the installed policies; ``None`` where none is registered. They are not loaded: names are enough."""
    return frozenset(entry.name for entry in entry_points(group="keeper.policies")) or None
