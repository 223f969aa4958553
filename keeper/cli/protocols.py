"""``keeper protocols``: what is installed, and which keys each plugin takes in the config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from keeper.cli.options import globals_of, json_option
from keeper.cli.output import emit_json, say
from keeper.strategy.policies import DEFAULT, POLICIES

__all__ = ["command"]

#: Kinds of values as docs/reference/configuration.md calls them.
_KINDS = {"int": "whole number", "str": "text", "bool": "true or false"}

#: Entry point groups by the word for what they hold.
_GROUPS = {
    "protocol": "keeper.protocols",
    "exchange": "keeper.swaps",
    "pool": "keeper.pools",
    "price source": "keeper.prices",
    "policy": "keeper.policies",
}


@click.command(name="protocols")
@json_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """List installed protocols, exchanges, pools, price sources and policies with their config keys."""
    from keeper.config.plugins import discover

    found = {what: discover(group) for what, group in _GROUPS.items()}
    for what, plugins in found.items():
        for name, reason in plugins.broken.items():
            click.echo(f"warning: {what} {name} cannot be loaded: {reason}", err=True)
    if globals_of(ctx).json:
        entries = [_entry(what, name, item) for what, group in found.items() for name, item in group.found.items()]
        emit_json("keeper.protocols/1", {"plugins": entries})
        return
    for what, group in found.items():
        say("policies" if what == "policy" else f"{what}s")
        for name, item in group.found.items():
            _print(name, item)


def _params(plugin: Any) -> Mapping[str, Any]:
    params: Mapping[str, Any] = getattr(plugin, "params", {})
    return params


def _about(plugin: Any) -> str:
    said = getattr(plugin, "about", None) or type(plugin).__doc__ or ""
    return str(said).strip().split("\n", 1)[0].replace("``", "`")


def _entry(what: str, name: str, plugin: Any) -> dict[str, Any]:
    entry = {"type": what, "name": name, "about": _about(plugin), "params": _params(plugin)}
    return entry | ({"default": name == DEFAULT} if what == "policy" else {})


def _print(name: str, plugin: Any) -> None:
    default = " (the default)" if plugin is POLICIES[DEFAULT] else ""
    say(f"  {name}  {_about(plugin)}{default}")
    params = _params(plugin)
    width = max((len(key) for key in params), default=0)
    for key, spec in params.items():
        kind = _KINDS.get(spec.kind, spec.kind)
        say(f"    {key.ljust(width)}  {kind}{'' if spec.required else ', optional'}: {spec.doc}")
