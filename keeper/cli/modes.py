"""``--dry-run`` and ``--dry-run=simulate``: the option that says what stands behind a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from keeper.app import Mode

__all__ = ["DryRunCommand", "dry_run_option", "mode_of"]

F = TypeVar("F", bound="Callable[..., Any]")


class DryRunCommand(click.Command):
    """A command whose ``--dry-run`` takes a value only behind an equals sign, so that it never eats an argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell a bare ``--dry-run`` out."""
        stop = args.index("--") if "--" in args else len(args)
        spelled = ["--dry-run=fork" if arg == "--dry-run" and at < stop else arg for at, arg in enumerate(args)]
        return super().parse_args(ctx, spelled)


def dry_run_option(command: F) -> F:
    """Add the option; its value is ``None``, ``fork`` or ``simulate``."""
    return click.option(
        "--dry-run",
        type=click.Choice(["fork", "simulate"]),
        metavar="[=simulate]",
        help="Rehearse on a fork of the chain (needs anvil, no key); =simulate stops before sending and needs neither.",
    )(command)


def mode_of(dry_run: str | None) -> Mode:
    """Return what stands behind the ports."""
    from keeper.app import Mode

    return {None: Mode.LIVE, "fork": Mode.DRY_RUN, "simulate": Mode.SIMULATE}[dry_run]
