"""``keeper doctor``: one line for each thing that must be right before money is moved, with the fix in the line."""

from __future__ import annotations

from typing import Any

import click

from keeper.cli.checkup import CODES, Row, State, examine
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import colored, emit_json, say

__all__ = ["command"]

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.SKIP: "bright_black"}


@click.command(name="doctor")
@click.option("--no-keys", is_flag=True, help="Do not open keys.")
@json_option
@click.pass_context
def command(ctx: click.Context, no_keys: bool) -> None:
    """Check endpoints, keys, balances, clock and disk.

    The exit code is the health: 0 without a failure, else the code of the gravest one.
    """
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    rows: list[Row] = []
    for row in examine(loaded, options.overrides, open_keys=not no_keys):
        rows.append(row)
        if not options.json:
            _print(row)
    failed = [row.code for row in rows if row.state is State.FAIL]
    code = min(failed, key=CODES.index) if failed else 0
    if options.json:
        emit_json("keeper.doctor/1", {"exit_code": int(code), "rows": [_entry(row) for row in rows]})
    ctx.exit(code)


def _entry(row: Row) -> dict[str, Any]:
    return {"state": row.state.value, "subject": row.subject, "text": row.text, "fix": row.fix or None}


def _print(row: Row) -> None:
    word = row.state.value.ljust(4)
    shown = click.style(word, fg=_COLOURS[row.state]) if colored() else word
    say(f"{shown}  {row.subject.ljust(12)}  {row.text}{f'  ->  {row.fix}' if row.fix else ''}")
