"""``keeper pause``: sign nothing from now on, also while a daemon runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.exits import ExitCode
from keeper.cli.journal import open_journal
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json
from keeper.cli.views import moment, tell
from keeper.engine.pause import PAUSE, Pause, kill_pause, paused_text, stop_of
from keeper.errors import StoreError
from keeper.store import open_store

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["command", "pause_json", "present_stop", "stop_line"]


@click.command(name="pause")
@click.argument("reason", nargs=-1)
@json_option
def command(reason: tuple[str, ...]) -> int:
    """Sign nothing from now on, for the REASON that you give. A running daemon obeys at its next look.

    Positions are still looked at, and transactions that are on their way are still watched: they can be mined.
    """
    loaded = load_config(globals_of(), secrets=False)
    words = " ".join(reason)
    try:
        store = open_store(loaded.journal)
        try:
            store.set_flag(PAUSE, paused_text(words, int(time.time())))
            stop = stop_of(store, loaded.kill_file)
        finally:
            store.close()
    except StoreError as error:
        stop = _by_file(loaded, words)
        click.echo(f"the journal cannot take it ({error}); the file {loaded.kill_file} stops keeper instead", err=True)
    assert stop is not None
    if globals_of().json:
        emit_json("keeper.pause/1", {"paused": pause_json(stop)})
    else:
        tell(stop_line(stop, since=False))
        tell("nothing is signed any more; what is already on its way can still be mined (`keeper tx list --open`)")
    return ExitCode.OK


def _by_file(loaded: Loaded, reason: str) -> Pause | None:
    loaded.kill_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    loaded.kill_file.write_text(f"{reason}\n", encoding="utf-8")
    return kill_pause(loaded.kill_file)


def present_stop(loaded: Loaded) -> Pause | None:
    """Say what stops keeper from signing now, read without writing anything."""
    with open_journal(loaded) as store:
        return kill_pause(loaded.kill_file) if store is None else stop_of(store, loaded.kill_file)


def stop_line(stop: Pause, *, since: bool = True) -> str:
    """Spell a pause in one line: since when, why, how to undo it."""
    began = f" since {moment(stop.since)}" if since and stop.since is not None else ""
    return f"paused{began}: {stop.text}"


def pause_json(stop: Pause | None) -> dict[str, Any] | None:
    """A pause for programs."""
    if stop is None:
        return None
    return {"since": stop.since, "reason": stop.reason or None, "file": stop.file, "undo": stop.undo}
