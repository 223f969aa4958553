"""``keeper unblock``: clear what keeper refuses to go on with until a person has looked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, say
from keeper.store import open_store

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["command", "halts"]

#: Flags of halted accounts: ``halt:CHAIN:ACCOUNT``.
_HALT = "halt:"
#: Flags of what a position's contracts said first: ``pin:POSITION``.
_PIN = "pin:"


@click.command("unblock")
@click.argument("what", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(what: str | None, yes: bool) -> int:
    """Clear a halt, or accept what a position's contracts say now.

    WHAT is an account (its halt is cleared) or a position (the next look at its contracts is believed and remembered).
    Without it, lists the halted accounts. Stop the daemon first; it takes notice at its next start.
    """
    loaded = load_config(globals_of(), secrets=False)
    if not loaded.journal.is_file():
        if what is not None:
            raise click.UsageError("there is no journal yet, so nothing is blocked")
        return _list({})
    store = open_store(loaded.journal)
    try:
        found = store.flags(_HALT)
        if what is None:
            return _list(found)
        keys = [key for key in (*found, *store.flags(_PIN)) if key.endswith(f":{what.lower()}") or key == _PIN + what]
        if not keys:
            raise click.UsageError(f"nothing is blocked under {what!r}; `keeper unblock` lists what is")
        return _clear(store, keys, found, yes=yes)
    finally:
        store.close()


def halts(store: SqliteStore) -> dict[str, str]:
    """Return the reasons of halted accounts by ``CHAIN:ACCOUNT``."""
    return {key.removeprefix(_HALT): text for key, text in store.flags(_HALT).items()}


def _list(found: Mapping[str, str]) -> int:
    if globals_of().json:
        emit_json("keeper.unblock/1", {"halted": {key.removeprefix(_HALT): text for key, text in found.items()}})
        return ExitCode.OK
    for key, text in found.items():
        say(f"halted  {key.removeprefix(_HALT)}\n        {text}")
    if not found:
        say("no account is halted; `keeper status` says whether a position is blocked, and by what")
    return ExitCode.OK


def _let_go_on(store: SqliteStore, key: str) -> None:
    """Note for each open compound of a halted account that a person has looked: what was seen is not judged again."""
    from keeper.domain.money import address
    from keeper.engine.context import looked_key

    if key.startswith(_HALT):
        chain, _, account = key.removeprefix(_HALT).partition(":")
        for harvest, _plan in store.open_harvests(chain, address(account)):
            store.set_flag(looked_key(harvest.id), "yes")


def _clear(store: SqliteStore, keys: list[str], found: Mapping[str, str], *, yes: bool) -> int:
    for key in keys:
        text = found.get(key, "what its contracts say at the next look is to be believed and remembered")
        click.echo(f"{key.partition(':')[2]}: {text}", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on; say --yes once you have looked")
        if not click.confirm("Have you looked at this, and shall keeper go on?", err=True):
            return ExitCode.NOTHING_TO_DO
    for key in keys:
        _let_go_on(store, key)
        store.set_flag(key, None)
    if globals_of().json:
        emit_json("keeper.unblock/1", {"cleared": [key.partition(":")[2] for key in keys]})
    else:
        say(f"cleared: {', '.join(key.partition(':')[2] for key in keys)}")
    return ExitCode.OK
