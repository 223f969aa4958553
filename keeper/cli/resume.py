"""``keeper resume``: go on after ``keeper pause``."""

from __future__ import annotations

import click

from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, say
from keeper.cli.pause import pause_json
from keeper.cli.views import moment, tell
from keeper.engine.pause import PAUSE, Pause, kill_pause, pause_of
from keeper.store import open_store

__all__ = ["command"]


@click.command(name="resume")
@json_option
def command() -> int:
    """Go on after `keeper pause`. Refuses while the kill file is there: only its owner knows whether it may go."""
    loaded = load_config(globals_of(), secrets=False)
    before: Pause | None = None
    if loaded.journal.is_file():
        store = open_store(loaded.journal)
        try:
            before = pause_of(store.get_flag(PAUSE))
            store.set_flag(PAUSE, None)
        finally:
            store.close()
    file = kill_pause(loaded.kill_file)
    if globals_of().json:
        emit_json("keeper.resume/1", {"was": pause_json(before), "paused": pause_json(file)})
    elif file is not None:
        said = "the pause is lifted, but " if before is not None else ""
        click.echo(f"{said}keeper still signs nothing: {file.text}", err=True)
    elif before is None:
        say("keeper was not paused")
    else:
        said = f"since {moment(before.since)} " if before.since is not None else ""
        tell(f"goes on; it was paused {said}({before.reason})")
    return ExitCode.REFUSED if file is not None else ExitCode.OK
