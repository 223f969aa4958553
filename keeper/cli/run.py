"""``keeper run``: the daemon, and its dry runs."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from keeper.cli import Globals
from keeper.cli.exits import ExitCode
from keeper.cli.journal import configured
from keeper.cli.modes import DryRunCommand, dry_run_option, mode_of
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json

if TYPE_CHECKING:
    from keeper.app import Mode
    from keeper.config.loader import Loaded

__all__ = ["command", "parse_span"]

_SPAN = re.compile(r"([0-9]{1,4})([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

#: Longest warp: prices that stand still for longer say nothing.
_LONGEST = 366 * 86_400


def parse_span(text: str) -> int:
    """Turn ``30d`` into seconds.

    Raises:
        click.BadParameter: when it is no span, nothing, or above a year.
    """
    match = _SPAN.match(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST:
        raise click.BadParameter(f'"{text}": write a time span up to a year, e.g. 30d or 12h', param_hint="--warp")
    return seconds


@click.command(name="run", cls=DryRunCommand)
@dry_run_option
@click.option("--warp", metavar="SPAN", help="With --dry-run: play this much time forward on the fork, e.g. 30d.")
@click.option("--once", is_flag=True, help="With --dry-run: one lap for each position, then the report.")
@json_option
@click.pass_context
def command(ctx: click.Context, dry_run: str | None, warp: str | None, once: bool) -> int:
    """Watch positions and compound when it pays (the daemon).

    SIGTERM and Ctrl-C drain: nothing new is sent, what is under way is confirmed. A second one stops at once; the
    journal makes that safe. SIGHUP reloads the config.
    """
    options = globals_of(ctx)
    if dry_run is None and (warp or once):
        raise click.UsageError("--warp and --once belong to --dry-run; a real chain's time cannot be played forward")
    if dry_run == "simulate" and warp:
        raise click.UsageError("--warp needs a fork: use --dry-run without =simulate")
    if warp and once:
        raise click.UsageError("--warp and --once exclude each other; choose one")
    seconds = parse_span(warp) if warp else 0
    mode = mode_of(dry_run)
    loaded = load_config(options, secrets=dry_run is None)
    configured(loaded)
    if dry_run is None:
        return _serve(options, loaded)
    return _rehearse(options, loaded, mode, seconds, once=once)


def _serve(options: Globals, loaded: Loaded) -> int:
    from keeper import __version__
    from keeper.cli.daemon import Daemon
    from keeper.cli.session import open_session
    from keeper.notify.metrics import MetricsSink

    metrics = MetricsSink(__version__, heartbeat=lambda: daemon.last_beat)
    with open_session(loaded, metrics) as session:
        daemon = Daemon(session, metrics, lambda: load_config(options))
        return daemon.run(loaded)


def _rehearse(options: Globals, loaded: Loaded, mode: Mode, seconds: int, *, once: bool) -> int:
    from keeper.cli.rehearsal import rehearse
    from keeper.cli.rehearsal_report import print_report, report_json
    from keeper.cli.session import open_session, quiet

    with (
        open_session(loaded, level=quiet(loaded, options.overrides)) as session,
        session.open_app(loaded, mode, price_age_seconds=2 * seconds) as app,
    ):
        result = rehearse(app, warp_seconds=seconds, once=once, told=_told)
        _told("")
        if options.json:
            emit_json("keeper.dry-run/1", report_json(app, result))
        else:
            print_report(app, result)
    return 128 + result.signal if result.signal else ExitCode.OK


def _told(text: str) -> None:
    """Keep one line of progress up to date on a terminal; elsewhere say nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
