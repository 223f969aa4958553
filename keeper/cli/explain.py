"""``keeper explain``: why a position is, or is not, compounded: every number, every guard, and what would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from keeper.cli import Globals
from keeper.cli.journal import Known, chain_now, open_journal, read_known, transactions, want_position
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import amount, duration, emit_json, gas_price, percent_wad, say, usd
from keeper.cli.views import (
    ago,
    amounts,
    decision_json,
    gain,
    harvest_json,
    known_json,
    lines,
    when_next,
    yearly,
    yields,
)
from keeper.domain.decision import Decision, DecisionNumbers, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import BPS, Amount
from keeper.domain.observation import Observation

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.store.sqlite import SqliteStore

__all__ = ["command", "rule_rows"]

#: Past decisions and harvests shown.
_HISTORY = 5


@dataclass(frozen=True, slots=True)
class _Story:
    """Everything there is to tell."""

    known: Known
    decisions: Sequence[Decision]
    harvests: Sequence[tuple[Harvest, list[dict[str, object]]]]
    #: What a harvest brought in the simulation; empty without one.
    simulated: Sequence[Amount] = ()
    #: How the chain was asked to simulate; empty without a simulation.
    method: str = ""


@click.command(name="explain")
@click.argument("position")
@click.option("--live", is_flag=True, help="Ask the chain and simulate the compound, instead of reading the journal.")
@json_option
@click.pass_context
def command(ctx: click.Context, position: str, live: bool) -> None:
    """Show why POSITION is or is not compounded, and when it would be."""
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    wanted = want_position(loaded, position)
    story = _ask(loaded, options, wanted) if live else _remember(loaded, wanted)
    if options.json:
        emit_json("keeper.explain/1", _json(story, live=live))
    else:
        _print(story, live=live)


def _remember(loaded: Loaded, position: PositionConfig) -> _Story:
    with open_journal(loaded) as store:
        if store is None:
            return _Story(Known(position), (), ())
        return _Story(read_known(store, position), *_history(store, position.id))


def _history(
    store: SqliteStore, position_id: str
) -> tuple[list[Decision], list[tuple[Harvest, list[dict[str, object]]]]]:
    past = [(harvest, transactions(store, harvest.id)) for harvest in store.harvests(position_id, limit=_HISTORY)]
    return store.decisions(position_id, limit=_HISTORY), past


def _ask(loaded: Loaded, options: Globals, position: PositionConfig) -> _Story:
    """Survey and simulate on the chain, with the journal's history behind the guards; sends and records nothing."""
    from keeper.cli.session import looking

    with looking(loaded, options.overrides) as app:
        decisions, past = _history(app.store, position.id)
        prepared = app.prepare(position.id)
        app.store.record_decision(prepared.decision)
        known = Known(
            position,
            prepared.decision,
            app.store.verdict_since(position.id),
            prepared.assessment.observation,
            read_known(app.store, position).open,
        )
        if prepared.rehearsal is None:
            return _Story(known, decisions, past)
        return _Story(known, decisions, past, prepared.rehearsal.claimed, prepared.rehearsal.simulation.method)


def _json(story: _Story, *, live: bool) -> dict[str, Any]:
    now = chain_now([story.known])
    decision = story.known.decision
    return {
        "live": live,
        "age_seconds": None if decision is None else max(0, now - decision.block.timestamp),
        "position": known_json(story.known),
        "simulated": {"method": story.method, "claimed": list(story.simulated)} if story.method else None,
        "past_decisions": [decision_json(item) for item in story.decisions],
        "harvests": [harvest_json(harvest, sent) for harvest, sent in story.harvests],
    }


# ---------------------------------------------------------------------------- for people


def _print(story: _Story, *, live: bool) -> None:
    known, decision = story.known, story.known.decision
    now = chain_now([known])
    if decision is None:
        say(f"{known.position.id}  not seen yet")
        say("  the journal has no decision about it; `keeper run` makes them,")
        say(f"  `keeper explain {known.position.id} --live` asks the chain now (no key needed, nothing is sent)")
        return
    since = "" if known.since is None or now <= known.since else f"  (since {duration(now - known.since)})"
    age = "asked just now" if live else ago(now, decision.block.timestamp)
    say(f"{known.position.id}  {decision.verdict.value}{since}    block {decision.block.number:,} · {age}")
    rows = [("why" if index == 0 else "", reason.text) for index, reason in enumerate(decision.reasons)]
    if decision.numbers is not None:
        rows += rule_rows(known, decision, decision.numbers, now, story.simulated)
    elif known.observation is not None:
        rows += [("staked", amount(known.observation.principal)), ("pending", amounts(known.observation.pending))]
    rows += [("guards" if index == 0 else "", f"ok  {g.text}") for index, g in enumerate(decision.guards)]
    if known.open is not None:
        rows.append(("open", f"compound {known.open.id} is under way since {ago(now, known.open.started_at)}"))
    rows += _past_rows(story, now)
    lines(rows)


def rule_rows(
    known: Known, decision: Decision, n: DecisionNumbers, now: int, simulated: Sequence[Amount]
) -> list[tuple[str, str]]:
    """Lay out the quantities of the rule, each with where it comes from."""
    staked = f"{usd(n.principal_usd):<12} {_staked(known.observation)}yields {yields(n)}{_paid_in(known.observation)}"
    pending = f"{usd(n.reward_usd):<12} {_pending(known.observation, simulated)}"
    cost = f"{usd(n.cost_usd):<12} {n.gas_units:,} gas x {gas_price(n.gas_price_wei)}{_native(n)}"
    best = f"best rhythm {yearly(n.harvests_per_year_milli)}, {gain(n)}" if n.gain_per_year_usd else ""
    waiting = f"costs {usd(n.waiting_cost_per_day_usd)} a day"
    return [
        ("staked", staked),
        ("pending", pending),
        ("cost now", cost),
        ("threshold", _threshold(known, n)),
        ("", _formula(n)),
        ("would fire", _fires(decision, n, now)),
        ("waiting", f"{waiting:<28} {best or 'compounding gains nothing over never at this cost'}"),
        ("worth", f"{usd(n.budget_usd):<12} is the most that harvesting now is worth paying for"),
    ]


def _staked(observation: Observation | None) -> str:
    return "" if observation is None else f"{amount(observation.principal)}   "


def _paid_in(observation: Observation | None) -> str:
    if observation is None or not observation.accruals:
        return ""
    return " in " + ", ".join(dict.fromkeys(a.per_year.token.symbol for a in observation.accruals))


def _pending(observation: Observation | None, simulated: Sequence[Amount]) -> str:
    viewed = amounts(observation.pending) if observation else ""
    if simulated:
        return f"{amounts(simulated)} (simulated harvest; the contract's own view says {viewed})"
    return f"{viewed} (the contract's own view)" if viewed else ""


def _native(n: DecisionNumbers) -> str:
    """Say what one of the gas token is worth by the recorded cost; only a chain's L1 fee could blur it."""
    wei = n.gas_units * n.gas_price_wei
    return f" x {usd(n.cost_usd * 10**18 // wei)}" if wei else ""


def _threshold(known: Known, n: DecisionNumbers) -> str:
    if n.threshold_usd is None:
        return "never        what is re-deposited earns nothing, so a harvest cannot pay for itself"
    factor = known.position.risk_factor
    scaled = f"{factor / BPS:g} x " if factor != BPS else ""
    more = ""
    if n.reward_usd < n.threshold_usd:
        more = f"      needs {_more(n.threshold_usd, n.reward_usd)}" if n.reward_usd else ""
    return f"{usd(n.threshold_usd):<12} = {scaled}sqrt(2 x cost x yearly rewards / k) + 4/3 x cost{more}"


def _more(wanted: int, reward: int) -> str:
    """Say how far away the threshold is, in the words of the reason above."""
    percent = -(-(wanted - reward) * 100 // reward)
    return f"{percent} % more" if percent < 100 else f"{wanted * 10 // reward / 10:.1f}x as much"


def _formula(n: DecisionNumbers) -> str:
    impact = n.pressure_wad - n.yield_wad
    sale = f" + {percent_wad(impact)} from selling into the pool" if impact > 0 else ""
    return f"{'':<12}   yearly rewards {usd(n.forward_usd_per_year)}, k = {percent_wad(n.yield_wad)} yield{sale}"


def _fires(decision: Decision, n: DecisionNumbers, now: int) -> str:
    when = when_next(decision, now)
    if decision.verdict is not Verdict.HARVEST and n.threshold_usd is not None and n.reward_usd < n.threshold_usd:
        gas = f"   or now if gas fell to {gas_price(n.fire_gas_price_wei)}" if n.fire_gas_price_wei else ""
        return f"{when} at today's gas{gas}"
    if n.fire_gas_price_wei:
        return f"{when}   and as long as gas stays below {gas_price(n.fire_gas_price_wei)}"
    return when


def _past_rows(story: _Story, now: int) -> list[tuple[str, str]]:
    rows = [("last" if index == 0 else "", _harvest_line(*item, now)) for index, item in enumerate(story.harvests)]
    if not rows:
        rows = [("last", "no harvest yet")]
    for index, decision in enumerate(story.decisions):
        when = ago(now, decision.block.timestamp)
        rows.append(
            ("decisions" if index == 0 else "", f"{when}: {decision.verdict.value}  {decision.reasons[0].text}")
        )
    return rows


def _harvest_line(harvest: Harvest, sent: Sequence[dict[str, object]], now: int) -> str:
    head = f"{harvest.state.value} {ago(now, harvest.finished_at or harvest.started_at)}"
    predicted = f"predicted {usd(harvest.predicted_reward_usd)} for {usd(harvest.predicted_cost_usd)}"
    if harvest.state is HarvestState.OPEN:
        return f"{head}: {predicted}, under way"
    got = f"got {usd(harvest.received_usd)} for {usd(harvest.cost_usd)}"
    hashes = [str(item["tx"]) for item in sent if item["tx"]]
    tx = f"   tx {hashes[-1][:6]}..{hashes[-1][-4:]}" if hashes else ""
    return f"{head}: {predicted}, {got}{tx}{f'   {harvest.error}' if harvest.error else ''}"
