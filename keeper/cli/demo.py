"""``keeper demo``: watch four positions compound on a local chain, a month in a minute."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option

__all__ = ["command"]


@click.command("demo")
@click.option("--days", type=click.IntRange(1, 120), default=35, show_default=True, help="Chain time to play.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="Real time it takes.")
@click.option("--plain", is_flag=True, help="Lines instead of a living table.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where config and journal are kept afterwards.")
@json_option
def command(days: int, seconds: float, plain: bool, folder: Path | None) -> int:
    """Watch a month of compounding on a local chain.

    Starts a local chain with the protocols' own contracts, stakes in four of them, and runs the daemon with chain
    time going fast. Nothing is real but the code; nothing is left running.
    """
    from keeper.chain.anvil_binary import devnet_home
    from keeper.cli.output import emit_json
    from keeper.demo.play import Pace, play

    as_json = globals_of().json
    live = sys.stdout.isatty() and not plain and not as_json
    place = folder or devnet_home().parent / "demo"
    result = play(place, Pace(days, seconds), out=lambda text: click.echo(text, err=as_json), live=live)
    if as_json:
        score = result.score
        emit_json(
            "keeper.demo/1",
            {
                "days": days,
                "compounds": result.done,
                "start_usd": score.start,
                "keeper_usd": score.keeper,
                "never_usd": score.never,
                "daily_usd": score.daily,
                "gas_paid_usd": score.gas_paid,
            },
        )
    return ExitCode.OK if result.good else ExitCode.UNEXPECTED
