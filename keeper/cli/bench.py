"""``keeper bench policy``: race keeper's rule and everybody else's against perfect foresight."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option

if TYPE_CHECKING:
    from keeper.backtest.report import Report, Row
    from keeper.backtest.runner import Plan
    from keeper.backtest.series import Year
    from keeper.strategy.policy import Policy

__all__ = ["command", "find", "need"]

_CSV = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("bench")
def command() -> None:
    """Measure decisions."""


@command.command("policy")
@click.option("--base-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every random path.")
@click.option("--seeds", type=click.IntRange(1, 64), default=8, show_default=True, help="Paths for each cell.")
@click.option("--policy", "names", multiple=True, metavar="NAME", help="Race this one; may be repeated. [default: all]")
@click.option("--stress", is_flag=True, help="Run the stress suite too; it has its own score.")
@click.option("--gas", type=_CSV, metavar="CSV", help="Race through recorded gas prices instead, year by year.")
@click.option("--price", type=_CSV, metavar="CSV", help="Prices of the coin that gas is paid in; with --gas.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it: .svg or .png.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
@json_option
def policy(
    base_seed: int,
    seeds: int,
    names: tuple[str, ...],
    stress: bool,
    gas: Path | None,
    price: Path | None,
    plot: Path | None,
    jobs: int,
) -> int:
    """Race policies against perfect foresight.

    A score of 1 is what somebody gains who knows the whole year beforehand, 0 is never compounding. Ends with 0 when
    keeper's own rule passes the gate, and with 1 when it does not.
    """
    if price is not None and gas is None:
        raise click.UsageError("--price goes with --gas")
    need("numpy")
    if plot is not None:
        need("matplotlib")
        if plot.suffix.lower() not in {".svg", ".png"}:
            raise click.BadParameter(f"{plot}: a plot is .svg or .png; name it so", param_hint="--plot")
    from keeper.backtest.runner import Plan

    plan = Plan(names=_names(names), base=base_seed, seeds=seeds, jobs=jobs, find=find)
    reports = _run(plan, gas, price, stress=stress)
    if plot is not None:
        _draw(reports[0], plot)
    if globals_of().json:
        document = {"schema": "keeper.bench.policy/1", "reports": [report.as_json() for report in reports]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for report in reports:
            _print(report)
    return ExitCode.UNEXPECTED if any(report.missed for report in reports) else ExitCode.OK


def need(module: str) -> None:
    """Say what to install, where the extra is missing."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise click.ClickException(f'this needs {module}: pip install "keeper[backtest]"')


def find(name: str) -> Policy:
    """Return a built-in policy, or an installed one.

    Raises:
        KeyError: there is none of that name.
    """
    from keeper.config.plugins import load_policies
    from keeper.strategy.policies import policy as built_in

    try:
        return built_in(name)
    except KeyError:
        return load_policies()[name]


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names; all built-in ones without any."""
    from keeper.config.plugins import load_policies
    from keeper.strategy.policies import POLICIES

    for name in names:
        try:
            find(name)
        except KeyError:
            known = ", ".join({**POLICIES, **load_policies()})
            text = f"no policy is called {name!r}; there are {known}, and r>Kg for any K"
            raise click.BadParameter(text, param_hint="--policy") from None
    return tuple(dict.fromkeys(names)) or tuple(POLICIES)


def _run(plan: Plan, gas: Path | None, price: Path | None, *, stress: bool) -> list[Report]:
    from keeper.backtest.report import on_core, on_record, on_stress

    if gas is not None:
        return [on_record(_years(gas, price), plan)]
    return [on_core(plan), *([on_stress(plan)] if stress else [])]


def _years(gas: Path, price: Path | None) -> list[Year]:
    from keeper.backtest.series import read_series, years_of

    years, left = years_of(read_series(gas), read_series(price) if price is not None else None)
    for text in left:
        click.echo(text, err=True)
    return years


def _draw(report: Report, file: Path) -> None:
    from keeper.backtest.plot import draw

    draw(report, file)
    click.echo(f"drew {file}", err=True)


# ---------------------------------------------------------------------------- the table


def _print(report: Report) -> None:
    from keeper.cli.output import say, table

    say(_title(report))
    say()
    if report.suite == "stress":
        _print_stress(report)
    else:
        optima = [label for label, _ in report.rows[0].score.bins]
        headers = ["policy", "score", "worst", *(f"n* {n}" for n in optima), "wealth", "harvests/y", "gas paid"]
        table(headers, [_cells(row) for row in report.rows], right=range(1, len(headers)))
    say()
    for line in _verdict(report):
        say(line)


def _title(report: Report) -> str:
    what = {"core": "Core suite", "stress": "Stress suite", "recorded": "Recorded gas"}[report.suite]
    seed = f"base seed {report.plan.base}"
    per = f"{report.plan.seeds} years each" if report.suite == "recorded" else f"{report.plan.seeds} paths each"
    return f"{what}: {report.cells} cells, {per}, {seed}. 1 is perfect foresight, 0 is never compounding."


def _cells(row: Row) -> list[str]:
    score = row.score
    bins = [f"{mean:.3f}" for _, mean in score.bins]
    paid = "-" if score.gas_paid is None else f"{score.gas_paid:.2f}"
    wealth = f"{score.wealth_ratio:.4f}"
    return [score.name, f"{score.score:.4f}", f"{score.worst:.3f}", *bins, wealth, f"{score.harvests:,.1f}", paid]


def _print_stress(report: Report) -> None:
    """One line for each trouble: there are more of them than fit side by side."""
    from keeper.cli.output import table

    names = [row.score.name for row in report.rows]
    rows = [["score", *(f"{row.score.score:.3f}" for row in report.rows)]]
    rows.append(["worst cell", *(f"{row.score.worst:.3f}" for row in report.rows)])
    for label in dict.fromkeys(label for row in report.rows for label, _ in row.score.bins):
        shares: list[Any] = [dict(row.score.bins).get(label) for row in report.rows]
        rows.append([label, *("-" if share is None else f"{share:.3f}" for share in shares)])
    table(["trouble", *names], rows, right=range(1, len(names) + 1))


def _verdict(report: Report) -> list[str]:
    from keeper.strategy.policies import DEFAULT

    own = next((row for row in report.rows if row.score.name == DEFAULT), None)
    lines = []
    if own is not None and own.regret:
        losses = ", ".join(f"{lost:.2f} bp at n* {n}" for n, lost in own.regret.items())
        lines.append(f"Where it should never compound, {DEFAULT} loses {losses}.")
    if report.missed:
        lines += ["Gate: missed.", *(f"  {text}" for text in report.missed)]
    elif report.missed is not None:
        lines.append(f"Gate: {DEFAULT} passes.")
    return lines
