"""``keeper config``: check, show, or start a configuration."""

from __future__ import annotations

from pathlib import Path

import click

from keeper.cli import Globals
from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, say, table
from keeper.errors import ConfigError, Refused

__all__ = ["command"]


@click.group(name="config")
def command() -> None:
    """Check, show or start a configuration."""


@command.command(name="check")
@click.option("--no-secrets", is_flag=True, help="Do not ask for keystores, passwords and key variables.")
@json_option
@click.pass_context
def check(ctx: click.Context, no_secrets: bool) -> None:
    """Check everything and list every mistake (exit code 78)."""
    options = globals_of(ctx)
    try:
        loaded = load_config(options, secrets=not no_secrets)
    except ConfigError as error:
        if not options.json:
            raise
        emit_json("keeper.config-check/1", {"ok": False, "problems": error.problems})
        ctx.exit(ExitCode.CONFIG)
    counts = {name: len(getattr(loaded.settings, name)) for name in ("positions", "chains", "signers")}
    files = [str(file) for file in loaded.files]
    if options.json:
        emit_json("keeper.config-check/1", {"ok": True, "files": files, **counts})
        return
    for file in files:
        say(f"ok  {file}")
    say(f"    {', '.join(_count(number, name) for name, number in counts.items())}")


def _count(number: int, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


@command.command(name="show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
@click.pass_context
def show(ctx: click.Context, origin: bool) -> None:
    """Print every setting in force, secrets masked."""
    from keeper.config.show import rows, toml

    options = globals_of(ctx)
    found = rows(load_config(options, secrets=False))
    if options.json:
        emit_json("keeper.config/1", {"values": found})
    elif origin:
        table(("key", "value", "origin"), [(row.key, toml(row.value), row.origin) for row in found])
    else:
        for row in found:
            say(f"{row.key} = {toml(row.value)}")


@command.command(name="init")
@click.option("--chain", metavar="NAME", default="ethereum", show_default=True, help="Chain of the first position.")
@json_option
@click.pass_context
def init(ctx: click.Context, chain: str) -> None:
    """Write a first keeper.toml and .env.example here; never overwrites."""
    from keeper.config.packaged import chain_names, locate
    from keeper.config.schema import nearest

    if chain not in chain_names():
        hint = nearest(chain, chain_names())
        raise click.BadParameter(
            f'did you mean "{hint}"?' if hint else f"known: {', '.join(chain_names())}", param_hint="--chain"
        )
    targets = {"keeper.toml": "keeper.toml", ".env.example": "env.example"}
    standing = [name for name in targets if Path(name).exists()]
    if standing:
        raise Refused(f"{' and '.join(standing)} stand here already; move them away or edit them, nothing was written")
    for name, template in targets.items():
        text = locate("templates", template).read_text("utf-8")
        Path(name).write_text(text.replace("@chain@", chain).replace("@CHAIN@", chain.upper()), "utf-8")
    _tell(globals_of(ctx), list(targets))


def _tell(options: Globals, files: list[str]) -> None:
    if options.json:
        emit_json("keeper.config-init/1", {"files": files})
        return
    say("wrote " + ", ".join(files))
    say("next: cp .env.example .env, fill it in, describe a position in keeper.toml, then `keeper config check`")
