"""``keeper report``: what positions earned and cost over a window, at which rates, and against doing otherwise."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from keeper.cli.journal import configured, open_journal, want_position
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, say
from keeper.cli.report_data import USD, journal_now, report_of
from keeper.cli.report_json import COLUMNS, csv_row, report_json
from keeper.cli.report_text import FEW, print_report
from keeper.strategy.performance.windows import NAMES, Window, moment_of, window_of

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["asked_window", "command"]

_DEFAULT = "30d"

#: Positions from which on progress is shown.
_MANY = 10


@click.command(name="report")
@click.argument("positions", nargs=-1, metavar="[POSITION]...")
@click.option("--window", metavar="SPAN", help=f"{', '.join(NAMES)}, or a span such as 45d (default {_DEFAULT}).")
@click.option("--since", metavar="TIME", help="From here on: a day (2026-01-31, UTC), a minute, or a span back (45d).")
@click.option("--until", metavar="TIME", help="Up to here, likewise; now by default.")
@click.option("--currency", metavar="CODE", help="USD, or the currency of [report], which is the default.")
@click.option("--annualise", is_flag=True, help="Show an APY of less than 7 days as well.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write CSV, amounts exact, to a file (- for stdout).")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    positions: tuple[str, ...],
    window: str | None,
    since: str | None,
    until: str | None,
    currency: str | None,
    annualise: bool,
    csv_file: str | None,
) -> None:
    """Show how positions did: all of them, or each POSITION in detail.

    Income is what came in and what pends; rates are in kind, that is without price moves of what is staked, unless
    said otherwise. The comparisons live through the recorded rates, prices and gas once more with another rhythm.
    """
    options = globals_of(ctx)
    if csv_file is not None and options.json:
        raise click.UsageError("--csv and --json exclude each other; choose one")
    loaded = load_config(options, secrets=False)
    wanted = [want_position(loaded, name).id for name in dict.fromkeys(positions)]
    names = wanted or [position.id for position in configured(loaded)]
    told = _currency(loaded, currency)
    with open_journal(loaded) as store:
        if store is None:
            raise click.ClickException("there is no journal yet; `keeper run` begins one, and with it the history")
        span = asked_window(window, since, until, journal_now(store, names))
        report = report_of(store, names, span, told, told_of=_progress(len(names)))
    if options.json:
        emit_json("keeper.report/1", report_json(report, annualise=annualise))
    elif csv_file is not None:
        _write_csv([csv_row(report, found, annualise=annualise) for found in report.found], csv_file)
    else:
        print_report(report, detailed=bool(wanted) or len(names) <= FEW, annualise=annualise)


def asked_window(name: str | None, since: str | None, until: str | None, now: int, default: str = _DEFAULT) -> Window:
    """Return the window that --window, --since and --until ask for.

    Raises:
        click.UsageError: they contradict each other, or one of them is not understood.
    """
    if name is not None and (since or until):
        raise click.UsageError("--window excludes --since and --until; choose one way")
    try:
        if not since and not until:
            return window_of(name or default, now)
        begin = moment_of(since, now) if since else 0
        end = moment_of(until, now) if until else now
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if begin >= end:
        raise click.UsageError("--since lies at or after --until; nothing is between them")
    return Window(f"{since or ''}..{until or ''}", begin, end)


def _progress(count: int) -> Callable[[int], None]:
    """Keep one line up to date where many positions take their time and somebody watches."""
    if count < _MANY or not sys.stderr.isatty():
        return lambda _done: None

    def tell(done: int) -> None:
        last = done + 1 >= count
        sys.stderr.write("\r\x1b[2K" + ("" if last else f"reading the history of {count} positions: {done} done"))
        sys.stderr.flush()

    return tell


def _currency(loaded: Loaded, asked: str | None) -> str:
    """Return the currency to tell money in: the one that was asked for must be on record."""
    known = loaded.settings.report.currency
    if asked is None:
        return known
    if asked.upper() not in {USD, known}:
        raise click.BadParameter(
            f'amounts are recorded in {" and ".join(dict.fromkeys((USD, known)))}; "currency" and "currency_feed" of '
            "[report] add another one from then on",
            param_hint="--currency",
        )
    return asked.upper()


def _write_csv(rows: Sequence[Sequence[object]], file: str) -> None:
    if file == "-":
        _csv(sys.stdout, rows)
        return
    with Path(file).open("w", encoding="utf-8", newline="") as stream:
        _csv(stream, rows)
    say(f"{len(rows)} position{'' if len(rows) == 1 else 's'} written to {file}")


def _csv(stream: TextIO, rows: Sequence[Sequence[object]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
