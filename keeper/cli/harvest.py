"""``keeper harvest``: one lap by hand: show the plan and its simulation, ask, carry it out, say what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.exits import ExitCode
from keeper.cli.journal import configured, transactions, want_position
from keeper.cli.modes import DryRunCommand, dry_run_option, mode_of
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, say, usd
from keeper.cli.progress import Progress
from keeper.cli.views import amounts, harvest_json
from keeper.domain.decision import Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.errors import KeeperError, TxPending

if TYPE_CHECKING:
    from keeper.app import App
    from keeper.engine.context import ChainContext
    from keeper.engine.lap import Prepared

__all__ = ["command"]

#: From best to worst: what a run over several positions ends with is the worst of them that is not "nothing to do".
_ORDER = (
    ExitCode.NOTHING_TO_DO,
    ExitCode.OK,
    ExitCode.REFUSED,
    ExitCode.PENDING,
    ExitCode.TX_FAILED,
)


@dataclass(slots=True)
class _Result:
    """What came of one position."""

    position: str
    code: ExitCode
    prepared: Prepared | None = None
    harvest: Harvest | None = None
    sent: list[dict[str, object]] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the person asked for."""

    mode: str
    yes: bool
    force: bool
    json: bool
    progress: Progress

    @property
    def live(self) -> bool:
        return self.mode == "live"


@click.command(name="harvest", cls=DryRunCommand)
@click.argument("position", required=False)
@click.option("--all", "every", is_flag=True, help="Every position that the rule would harvest now.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also when the rule says wait; guards and limits still hold.")
@dry_run_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 3 when there is nothing to do.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    position: str | None,
    every: bool,
    yes: bool,
    force: bool,
    dry_run: str | None,
    exit_zero: bool,
) -> int:
    """Compound POSITION now, if it pays."""
    options = globals_of(ctx)
    if every == (position is not None):
        raise click.UsageError("name one position, or give --all for every position that is due")
    if every and force:
        raise click.UsageError("--force is for one position: name it instead of --all")
    if dry_run is None and not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here (stdin is no terminal): add --yes, or --dry-run to rehearse")
    mode = mode_of(dry_run)
    loaded = load_config(options, secrets=dry_run is None)
    configured(loaded)
    if position is not None:
        want_position(loaded, position)
    from keeper.cli.session import open_session, quiet

    progress = Progress(named=every, silent=_logs_instead(options.overrides))
    level = quiet(loaded, options.overrides)
    wish = _Wish(mode.value, yes, force, options.json, progress)
    with open_session(loaded, progress, level=level) as session, session.open_app(loaded, mode) as app:
        names = _every(app, wish) if position is None else [position]
        try:
            results = [_harvest(app, wish, name) for name in names]
        except KeyboardInterrupt:
            _tell_open(app, wish)
            raise
    code = _worst(results)
    _report(results, wish, code)
    return ExitCode.OK if exit_zero and code is ExitCode.NOTHING_TO_DO else code


def _every(app: App, wish: _Wish) -> list[str]:
    """Name what ``--all`` means: positions with an unfinished compound first, then those that are due."""
    configured_ids = {p.id for p in app.positions}
    unfinished = [
        harvest.position_id
        for context in app.contexts.values()
        for owner in dict.fromkeys(p.owner for p in context.positions if p.signer is not None)
        for harvest, _ in app.store.open_harvests(context.name, owner)
        if wish.live and harvest.position_id in configured_ids
    ]
    return list(dict.fromkeys([*unfinished, *app.due()]))


def _logs_instead(overrides: dict[str, str]) -> bool:
    """Whether the log was asked to tell what happens, so that telling it twice is noise."""
    return overrides.get("keeper.log_level") in {"info", "debug"}


def _harvest(app: App, wish: _Wish, name: str) -> _Result:
    context = app.context_of(name)
    result = _Result(name, ExitCode.OK)
    try:
        if wish.live and _finish_open(app, context, wish, result):
            return result
        _lap(app, context, wish, result)
    except TxPending as pending:
        result.code, result.text = ExitCode.PENDING, str(pending)
        if not wish.json:
            say(f"pending  {name}: {pending}")
    return result


def _tell_open(app: App, wish: _Wish) -> None:
    """Say what an interruption leaves behind, and that it is not lost."""
    for harvest in app.store.harvests(limit=20) if wish.live else ():
        if harvest.state is HarvestState.OPEN:
            name = harvest.position_id
            text = f"the compound of {name} is unfinished; `keeper harvest {name}` or `keeper run` goes on with it"
            click.echo(f"\n{text}", err=True)


def _finish_open(app: App, context: ChainContext, wish: _Wish, result: _Result) -> bool:
    """Go on with compounds that an earlier run left open; ``True`` when this position's was among them."""
    from keeper.engine.lap import resume

    owner = next(p.owner for p in context.positions if p.id == result.position)
    unfinished = [harvest.position_id for harvest, _ in app.store.open_harvests(context.name, owner)]
    if not unfinished:
        return False
    names = ", ".join(dict.fromkeys(unfinished))
    if not _agreed(wish, f"an earlier compound of {names} is unfinished and goes first. Go on with it?"):
        result.code = ExitCode.NOTHING_TO_DO
        return True
    for position_id, outcome in zip(unfinished, resume(context, app.book(context.name), owner), strict=True):
        if isinstance(outcome, KeeperError):
            if position_id == result.position:
                raise outcome
            click.echo(f"pending  {position_id}: {outcome}", err=True)
        elif position_id == result.position and outcome.state is not HarvestState.CANCELLED:
            _done(app, wish, result, outcome)  # a dropped one was never begun: its lap is taken now
    return result.harvest is not None


def _lap(app: App, context: ChainContext, wish: _Wish, result: _Result) -> None:
    """Look, show, ask, carry out."""
    from keeper.app import Mode

    prepared = app.prepare(result.position, forced=wish.force)
    result.prepared = prepared
    if not wish.json:
        from keeper.cli.planned import print_prepared

        print_prepared(prepared, result.position)
    result.code = _code(prepared.decision.verdict)
    if result.code is not ExitCode.OK or app.mode is Mode.SIMULATE:
        return
    if wish.live and not _agreed(wish, f"Compound {result.position} on {context.name} now?"):
        result.code, result.text = ExitCode.NOTHING_TO_DO, "not harvested"
        return
    outcome = app.compound(result.position, forced=wish.force)
    if outcome.harvest is None:
        result.prepared, result.code = outcome.prepared, _code(outcome.decision.verdict)
        result.text = f"the chain moved on meanwhile: {outcome.decision.reasons[0].text}"
        if not wish.json:
            say(result.text)
        return
    _done(app, wish, result, outcome.harvest)


def _agreed(wish: _Wish, question: str) -> bool:
    return wish.yes or not wish.live or click.confirm(question, err=True)


def _done(app: App, wish: _Wish, result: _Result, harvest: Harvest) -> None:
    result.harvest, result.sent = harvest, transactions(app.store, harvest.id)
    result.code = ExitCode.OK
    if harvest.state is HarvestState.CANCELLED:
        result.code, result.text = ExitCode.REFUSED, harvest.error
    if harvest.state is HarvestState.FAILED:
        result.code = ExitCode.REFUSED if wish.progress.denied else ExitCode.TX_FAILED
    if not wish.json:
        for line in _outcome(harvest, result.sent):
            say(line)


def _outcome(harvest: Harvest, sent: Sequence[dict[str, object]]) -> Iterable[str]:
    if harvest.state is HarvestState.FAILED:
        yield f"failed  {harvest.position_id}: {harvest.error}"
        mined = sum(item["gas_used"] is not None for item in sent)
        yield f"  spent {usd(harvest.cost_usd)} on gas of {mined} transactions"
        return
    if harvest.state is HarvestState.CANCELLED:
        yield f"not begun  {harvest.position_id}: {harvest.error}; nothing was signed"
        return
    compounded = amounts(harvest.put_back)
    yield (
        f"done  {harvest.position_id}: received {amounts(harvest.received)} ({usd(harvest.received_usd)}), "
        f"compounded {compounded} ({usd(harvest.compounded_usd)})"
    )
    yield (
        f"  gas {harvest.gas_used:,} for {usd(harvest.cost_usd)}; "
        f"predicted {usd(harvest.predicted_reward_usd)} for {usd(harvest.predicted_cost_usd)}"
    )


def _code(verdict: Verdict) -> ExitCode:
    if verdict is Verdict.HARVEST:
        return ExitCode.OK
    return ExitCode.NOTHING_TO_DO if verdict is Verdict.WAIT else ExitCode.REFUSED


def _worst(results: Sequence[_Result]) -> ExitCode:
    return max((result.code for result in results), key=_ORDER.index, default=ExitCode.NOTHING_TO_DO)


def _report(results: Sequence[_Result], wish: _Wish, code: ExitCode) -> None:
    if wish.json:
        harvests = [_result_json(result) for result in results]
        emit_json("keeper.harvest/1", {"mode": wish.mode, "exit_code": int(code), "results": harvests})
        return
    if not results:
        say("nothing is due; `keeper status --live` says what each position waits for")
    elif wish.mode == "dry-run":
        say("rehearsed on a fork; nothing was sent to the chain. For real: the same command without --dry-run")
    elif wish.mode == "simulate":
        say("simulated only; nothing was sent. For real: the same command without --dry-run=simulate")
    elif code is ExitCode.NOTHING_TO_DO and len(results) == 1 and not results[0].text:
        say(f"nothing was sent; `keeper explain {results[0].position} --live` says more, --force compounds anyway")


def _result_json(result: _Result) -> dict[str, Any]:
    from keeper.cli.planned import prepared_json

    shown: dict[str, Any] = {"decision": None, "plan": None}
    if result.prepared is not None:
        shown = prepared_json(result.prepared)
    return {
        "position": result.position,
        "exit_code": int(result.code),
        "text": result.text or None,
        **shown,
        "harvest": harvest_json(result.harvest, result.sent) if result.harvest else None,
    }
