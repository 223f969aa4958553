"""The command line: names commands without importing them, and turns every error into a sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TextIO

import click

from keeper import __version__
from keeper.cli.exits import ExitCode, exit_code_for
from keeper.errors import ConfigError, KeeperError

__all__ = ["COMMANDS", "Globals", "LazyGroup", "cli", "execute", "main"]

#: Commands: where each lives, and its line in ``keeper --help``. The module is imported when the command is run.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("keeper.cli.run:command", "Watch positions and compound when it pays (the daemon)."),
    "harvest": ("keeper.cli.harvest:command", "Compound one position now."),
    "status": ("keeper.cli.status:command", "Show every position and its verdict."),
    "explain": ("keeper.cli.explain:command", "Show why a position is or is not compounded."),
    "plan": ("keeper.cli.plan:command", "Reckon when, how often and whether to compound a farm."),
    "positions": ("keeper.cli.positions:command", "List the configured positions."),
    "discover": ("keeper.cli.discover:command", "Find the positions of an account in known protocols."),
    "ledger": ("keeper.cli.ledger:command", "List what was harvested and what it cost."),
    "report": ("keeper.cli.report:command", "Show what positions earned, and against doing otherwise."),
    "config": ("keeper.cli.config:command", "Check, show or start a configuration."),
    "keys": ("keeper.cli.keys:command", "Import and inspect keys."),
    "doctor": ("keeper.cli.doctor:command", "Check endpoints, keys, balances, clock and disk."),
    "tx": ("keeper.cli.tx:command", "List, explain, cancel or speed up transactions."),
    "pause": ("keeper.cli.pause:command", "Sign nothing until `keeper resume`."),
    "resume": ("keeper.cli.resume:command", "Go on after `keeper pause`."),
    "recover": ("keeper.cli.recover:command", "Rebuild a lost journal from the chain."),
    "unblock": ("keeper.cli.unblock:command", "Clear a halt after you have looked at its cause."),
    "protocols": ("keeper.cli.protocols:command", "List protocols, exchanges and price sources."),
    "bench": ("keeper.cli.bench:command", "Race policies against perfect foresight."),
    "backtest": ("keeper.cli.backtest:command", "Live through what was recorded again, under any policy."),
    "race": ("keeper.cli.race:command", "Show what every policy would have made of it since it is watched."),
    "demo": ("keeper.cli.demo:command", "Watch a month of compounding on a local chain."),
}


@dataclass(slots=True)
class Globals:
    """The options that stand before the command."""

    #: TOML files of ``--config``, last wins; empty means the usual places.
    config: tuple[str, ...] = ()
    #: ``--state``: folder of the journal.
    state: str | None = None
    log_format: str | None = None
    log_level: str | None = None
    #: Whether to print JSON instead of tables.
    json: bool = False
    #: Whether colours are forbidden.
    no_color: bool = False
    #: 1 or more shows tracebacks of unexpected errors.
    verbosity: int = 0
    #: What ``--state`` and the log options mean as config keys.
    overrides: dict[str, str] = field(default_factory=dict)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        from importlib import import_module

        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly right gets a hint."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], known, n=1, cutoff=0.5)
            hint = f'Did you mean "{close[0]}"?' if close else f"Commands: {', '.join(known)}."
            ctx.fail(f'No such command "{args[0]}". {hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list from the table, importing nothing."""
        if not self.lazy:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: docs/reference/exit-codes.md. Every command takes --json.",
)
@click.option("-c", "--config", multiple=True, metavar="FILE", help="Config file; may be repeated, the last wins.")
@click.option("--state", metavar="DIR", help="Folder of the journal.")
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), help="How the log is written.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level logged.")
@click.option("-v", "--verbose", count=True, help="Log more; show tracebacks.")
@click.option("-q", "--quiet", count=True, help="Log only warnings; twice: only errors.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with a versioned schema.")
@click.option("--no-color", is_flag=True, help="No colours (as NO_COLOR=1).")
@click.version_option(__version__, "-V", "--version", prog_name="keeper", message="%(prog)s %(version)s")
@click.pass_context
def cli(
    ctx: click.Context,
    config: tuple[str, ...],
    state: str | None,
    log_format: str | None,
    log_level: str | None,
    verbose: int,
    quiet: int,
    as_json: bool,
    no_color: bool,
) -> None:
    """Compound DeFi positions when, and only when, it pays."""
    if log_level is None and (verbose or quiet):
        log_level = "debug" if verbose else ("warning" if quiet == 1 else "error")
    if no_color:
        os.environ["NO_COLOR"] = "1"
        os.environ.pop("FORCE_COLOR", None)
    keys = {"keeper.state": state, "keeper.log_format": log_format, "keeper.log_level": log_level}
    ctx.obj = Globals(
        config=config,
        state=state,
        log_format=log_format,
        log_level=log_level,
        json=as_json,
        no_color=no_color,
        verbosity=verbose,
        overrides={key: value for key, value in keys.items() if value is not None},
    )


def execute(argv: Sequence[str] | None = None, command: Callable[..., Any] = cli.main) -> int:
    """Run one command line and return its exit code; no error gets past this."""
    args = list(sys.argv[1:] if argv is None else argv)
    stdout = sys.stdout
    try:
        result = command(args=args, prog_name="keeper", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, EOFError):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        return _ended(error, stdout)
    except KeeperError as error:
        _tell(error)
        return exit_code_for(error)
    except Exception as error:  # noqa: BLE001 (the outermost frame: a person gets a sentence, -v the traceback)
        return _unexpected(error, args)
    return result if isinstance(result, int) else ExitCode.OK


#: What a full disk, a used-up quota or a read-only file system answers.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def main() -> NoReturn:
    """Console script."""
    sys.exit(execute())


def _tell(error: KeeperError) -> None:
    if isinstance(error, ConfigError):
        for problem in error.problems:
            click.echo(f"config error: {problem}", err=True)
    else:
        from keeper.notify.redact import Redactor

        click.echo(f"error: {Redactor().text(str(error))}", err=True)


def _unexpected(error: Exception, args: Sequence[str]) -> int:
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _no_room(error)
    from keeper.notify.redact import Redactor

    redactor = Redactor()
    if any(arg.startswith("-v") or arg == "--verbose" for arg in args):
        click.echo(redactor.exception(error), err=True)
    click.echo(f"error: unexpected {type(error).__name__}: {redactor.text(str(error))}", err=True)
    click.echo("  this is a bug in keeper; run again with -v for the traceback", err=True)
    return ExitCode.UNEXPECTED


def _no_room(error: OSError) -> int:
    where = f" {error.filename}" if error.filename else ""
    click.echo(f"error: cannot write{where}: {error.strerror}; make room, or write elsewhere, and try again", err=True)
    if error.filename is None:  # it may have been stdout, whose rest the interpreter would try once more
        _reader_left()
    return ExitCode.TEMPORARY


def _ended(error: BrokenPipeError | SystemExit, stdout: TextIO) -> int:
    """Judge an early end: where click meets the broken pipe first, it replaces stdout and makes exit 1 of it."""
    if isinstance(error, BrokenPipeError) or sys.stdout is not stdout:
        return _reader_left()
    return error.code if isinstance(error.code, int) else ExitCode.UNEXPECTED


def _reader_left() -> int:
    """``keeper ... | head`` is not an error; point stdout at nothing so that the interpreter's last flush is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return ExitCode.OK
