"""Options and steps that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keeper.cli import Globals

if TYPE_CHECKING:
    from collections.abc import Callable

    from keeper.config.catalogue import Catalogue
    from keeper.config.loader import Loaded

__all__ = ["globals_of", "json_option", "load_config"]

F = TypeVar("F", bound="Callable[..., Any]")


def globals_of(ctx: click.Context | None = None) -> Globals:
    """Return the options that stood before the command."""
    found = (ctx or click.get_current_context()).find_object(Globals)
    return found if found is not None else Globals()


def _want_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Globals).json = True


def json_option(command: F) -> F:
    """Let ``--json`` stand after the command too."""
    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=_want_json, help="Print JSON with a versioned schema."
    )
    return option(command)


def load_config(options: Globals, catalogue: Catalogue | None = None, *, secrets: bool = True) -> Loaded:
    """Load the config that the global options name, checked against the installed plugins unless told otherwise.

    Raises:
        ConfigError: with every mistake found.
    """
    from keeper.config.loader import load
    from keeper.config.plugins import installed_catalogue

    return load(
        [Path(file) for file in options.config],
        overrides=options.overrides,
        catalogue=catalogue or installed_catalogue(),
        secrets=secrets,
    )
