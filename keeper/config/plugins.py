"""Finds installed plugins by entry point, and what their config keys are; a broken plugin is named, never a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from keeper.config.catalogue import Catalogue
from keeper.errors import ConfigError
from keeper.strategy.policy import Policy

__all__ = ["Plugins", "discover", "installed_catalogue", "load_policies"]


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
    entries = sorted(entry_points(group=group), key=lambda point: point.name)
    for entry in entries:
        if others := {other.value for other in entries if other.name == entry.name} - {entry.value}:
            broken[entry.name] = f"two packages bring it: {', '.join(sorted({entry.value, *others}))}"
            continue
        try:
            found[entry.name] = entry.load()()
        except Exception as error:  # noqa: BLE001 (a third party's plugin may fail in any way)
            broken[entry.name] = f"{type(error).__name__}: {error}"
    return Plugins(MappingProxyType(found), MappingProxyType(broken))


def installed_catalogue() -> Catalogue:
    """Describe everything that is installed."""
    protocols = discover("keeper.protocols").found
    return Catalogue(
        protocols={name: plugin.params for name, plugin in protocols.items()},
        place_params={name: getattr(plugin, "place_params", {}) for name, plugin in protocols.items()},
        swaps=frozenset(discover("keeper.swaps").found),
        prices={name: plugin.params for name, plugin in discover("keeper.prices").found.items()},
        policies=_policies(),
        policy_params={
            name: params
            for name, plugin in discover("keeper.policies").found.items()
            if (params := getattr(plugin, "params", None))
        },
    )


def load_policies() -> Mapping[str, Policy]:
    """Load every installed policy, keeper's own among them, by name.

    Raises:
        ConfigError: naming a plugin that does not load, or is no policy of that name.
    """
    plugins = discover("keeper.policies")
    broken = dict(plugins.broken)
    for name, found in plugins.found.items():
        if not isinstance(found, Policy) or found.name != name:
            broken[name] = f"it gives {type(found).__name__}, which is no policy named {name}"
    if broken:
        raise ConfigError(
            [
                f"plugin {name} of keeper.policies does not load ({why}); fix or uninstall it"
                for name, why in sorted(broken.items())
            ]
        )
    return plugins.found


def _policies() -> frozenset[str] | None:
    """Names of the installed policies, broken ones among them; ``None`` where none is registered."""
    return frozenset(entry.name for entry in entry_points(group="keeper.policies")) or None
