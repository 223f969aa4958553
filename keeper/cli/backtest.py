"""``keeper backtest``: what any policy would have made of the recorded history, or of gas and price from files."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keeper.cli.bench import need
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.plan_inputs import MONEY, PERCENT, UNITS

if TYPE_CHECKING:
    from keeper.backtest.history import History
    from keeper.config.loader import Loaded
    from keeper.store.sqlite import SqliteStore
    from keeper.strategy.performance.windows import Window

__all__ = ["LEAST_SECONDS", "command"]

#: Less of a history than this says nothing.
LEAST_SECONDS: Final = 2 * 86_400

_DEFAULT: Final = "90d"

#: Gas prices are remembered from so long before the window.
_MEMORY_SECONDS: Final = 60 * 86_400

#: More compounds than one position will ever have.
_ALL: Final = 1_000_000

_CSV = click.Path(exists=True, dir_okay=False, path_type=Path)

_INSTEAD: Final = "or give --gas CSV --price CSV --principal USD --apr PERCENT --cost-gas N, which needs no history"


@click.command(name="backtest")
@click.argument("positions", nargs=-1, metavar="[POSITION]...")
@click.option("--policy", "names", multiple=True, metavar="NAME", help="Ask this one; may be repeated. [default: all]")
@click.option("--window", metavar="SPAN", help=f"30d, mtd, all, or a span such as 45d (default {_DEFAULT}).")
@click.option("--since", metavar="TIME", help="From here on: a day (2026-01-31, UTC), a minute, or a span back (45d).")
@click.option("--until", metavar="TIME", help="Up to here, likewise; now by default.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it: .svg or .png.")
@click.option("--gas", type=_CSV, metavar="CSV", help="Prices of gas, hourly or daily, instead of a history; with it:")
@click.option("--price", metavar="CSV|USD", help="Prices of the coin that gas is paid in, or one for all the time.")
@click.option("--principal", type=MONEY, metavar="USD", help="What would be staked: 10000, 2m.")
@click.option("--apr", type=PERCENT, metavar="PERCENT", help="Rewards a year: 18%.")
@click.option("--cost-gas", type=UNITS, metavar="N", help="Gas of one compound (claim, swap, deposit): 412000.")
@click.option("--pool-depth", type=MONEY, metavar="USD", help="Value of the pool's side that rewards are sold into.")
@click.option("--fee", type=PERCENT, metavar="PERCENT", help="Swap fee on the way back into the stake.")
@json_option
def command(
    positions: tuple[str, ...],
    names: tuple[str, ...],
    window: str | None,
    since: str | None,
    until: str | None,
    plot: Path | None,
    gas: Path | None,
    **farm: Any,
) -> None:
    """Live through the recorded history again, under every policy: what each would have gained, and paid.

    Beside them stand what really happened, and perfect foresight: the best schedule that the history allowed.
    """
    _check_plot(plot)
    from keeper.backtest.standing import standing_of
    from keeper.cli.backtest_text import Backtest, print_backtest, tested_json
    from keeper.cli.contenders import contenders
    from keeper.cli.output import emit_json
    from keeper.strategy.performance.contest import own_rule
    from keeper.strategy.threshold import Rule

    options = globals_of()
    asked = (window, since, until)
    loaded = None if gas is not None else load_config(options, secrets=False)
    if gas is not None:
        histories, missing = [_from_files(gas, asked, positions, **farm)], list[tuple[str, str]]()
    else:
        given = [f"--{name.replace('_', '-')}" for name, value in farm.items() if value is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)}: only with --gas")
        assert loaded is not None
        histories, missing = _from_journal(loaded, positions, asked)
    settings = () if loaded is None else loaded.settings.positions
    terms = {position.id: Rule(position.risk_factor, position.payback) for position in settings}
    with contenders(names, loaded) as chosen:
        found = tuple(
            (h, standing_of(h, chosen.for_position(h.name, own_rule(terms.get(h.name, Rule()))))) for h in histories
        )
    result = Backtest(found, tuple(missing))
    if plot is not None:
        _draw(result, plot)
    if options.json:
        emit_json("keeper.backtest/1", tested_json(result))
    else:
        print_backtest(result)


def _check_plot(plot: Path | None) -> None:
    need("numpy")
    if plot is None:
        return
    need("matplotlib")
    if plot.suffix.lower() not in {".svg", ".png"}:
        raise click.BadParameter(f"{plot}: a plot is .svg or .png; name it so", param_hint="--plot")


def _draw(result: Any, plot: Path) -> None:
    from keeper.backtest.plot_money import draw_money

    draw_money(result.total, plot, result.title)
    click.echo(f"drew {plot}", err=True)


# ---------------------------------------------------------------------------- from the journal


def _from_journal(
    loaded: Loaded, positions: Sequence[str], asked: tuple[str | None, str | None, str | None]
) -> tuple[list[History], list[tuple[str, str]]]:
    """Read the histories; also those positions of which there is too little, and why."""
    from keeper.cli.journal import configured, open_journal, want_position
    from keeper.cli.report import asked_window
    from keeper.cli.report_data import journal_now

    with open_journal(loaded) as store:
        wanted = [p if _kept(store, p) else want_position(loaded, p).id for p in dict.fromkeys(positions)]
        names = wanted or [position.id for position in configured(loaded)]
        if store is None:
            raise click.ClickException(f"nothing is recorded yet: let `keeper run` go on for 2 days, {_INSTEAD}")
        window = asked_window(*asked, journal_now(store, names), _DEFAULT)
        histories, missing = [], []
        for name in names:
            found = _history(store, name, window)
            if isinstance(found, str):
                missing.append((name, found))
            else:
                histories.append(found)
    if not histories:
        raise click.ClickException("; ".join(f"{name}: {why}" for name, why in missing) + f"; {_INSTEAD}")
    return histories, missing


def _kept(store: SqliteStore | None, name: str) -> bool:
    """Whether there is a history of a position, configured or not any more."""
    return store is not None and store.latest_observation(name) is not None


def _history(store: SqliteStore, name: str, window: Window) -> History | str:
    """Read one position's history; or say why it is too little."""
    from keeper.backtest.history import history_of
    from keeper.cli.output import duration

    samples = store.samples(name, window.since, window.until)
    if not samples:
        return "nothing is recorded of it in this time; let `keeper run` go on for 2 days"
    since = samples[0].observation.block.timestamp
    gas = store.gas_history(samples[0].observation.block.chain, since - _MEMORY_SECONDS)
    found = history_of(
        name,
        samples,
        store.harvests(name, limit=_ALL),
        store.ledger(name, window.since),
        [row for row in gas if row[0] <= window.until],
        (max(window.since, 1) if window.since else since, window.until),
    )
    if found is None:
        return "fewer than two of its samples can be valued; `keeper explain` says which price is missing"
    if found.cover.seconds < LEAST_SECONDS:
        there = duration(found.cover.seconds) if found.cover.seconds else "nothing"
        return f"{there} of it is recorded in this time, too little to say anything; let `keeper run` go on for 2 days"
    return found


# ---------------------------------------------------------------------------- from files


def _from_files(
    gas: Path,
    asked: tuple[str | None, str | None, str | None],
    positions: Sequence[str],
    *,
    price: str | None,
    principal: int | None,
    apr: Decimal | None,
    cost_gas: int | None,
    pool_depth: int | None,
    fee: Decimal | None,
) -> History:
    from keeper.backtest.invented import Stake, history_from
    from keeper.backtest.series import read_series
    from keeper.cli.report import asked_window
    from keeper.domain.money import WAD

    if positions:
        raise click.UsageError("with --gas nothing recorded is used; leave the positions away, or --gas")
    given = {"--price": price, "--principal": principal, "--apr": apr, "--cost-gas": cost_gas}
    lacking = [name for name, value in given.items() if value is None]
    if lacking or price is None or apr is None or not principal or cost_gas is None:
        raise click.UsageError(f"--gas also needs {', '.join(lacking or ['a --principal above zero'])}")
    series = read_series(gas)
    window = asked_window(*asked, max(series.values), "365d")
    stake = Stake(
        principal=principal / WAD,
        apr=float(apr),
        gas_units=cost_gas,
        depth=None if pool_depth is None else pool_depth / WAD,
        fee=float(fee or 0),
    )
    found = history_from(stake, series, _price(price), since=window.since, until=window.until)
    if found.cover.seconds < LEAST_SECONDS:
        raise click.ClickException(f"{gas}: less than 2 days in this time; give more, or another --window")
    return found


def _price(text: str) -> Any:
    """Read the price of the coin: dollars, or a file of them."""
    from keeper.backtest.series import read_series
    from keeper.domain.money import WAD

    if Path(text).is_file():
        return read_series(Path(text))
    try:
        return MONEY.convert(text, None, None) / WAD
    except click.BadParameter:
        raise click.BadParameter(
            f'"{text}" is neither a file nor an amount such as 2500', param_hint="--price"
        ) from None
