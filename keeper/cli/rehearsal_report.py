"""A dry run's report: what would have been done, with real gas, what was skipped and why, and how to do it for real."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from keeper.app import App, Mode
from keeper.cli.output import address_short, amount, duration, say, table, usd, usd_text
from keeper.cli.rehearsal import Rehearsal
from keeper.cli.views import amounts, day, decision_json, harvest_json
from keeper.domain.decision import Verdict
from keeper.domain.harvest import Harvest, HarvestState

__all__ = ["print_report", "report_json"]


def report_json(app: App, result: Rehearsal) -> dict[str, Any]:
    """The report for programs."""
    return {
        "mode": result.mode.value,
        "warp_seconds": result.warp_seconds,
        "chains": [
            {
                "chain": name,
                "from_block": began[0],
                "from_time": began[1],
                "to_block": result.ended[name][0],
                "to_time": result.ended[name][1],
            }
            for name, began in result.began.items()
        ],
        "compounds": [harvest_json(harvest) for harvest in result.harvests],
        "skipped": [
            {"position": p.id, "error": result.errors.get(p.id), "decision": _decision(result, p.id)}
            for p in app.positions
            if not _done(result, p.id)
        ],
        "stakes": [{"position": name, "before": pair[0], "after": pair[-1]} for name, pair in result.stakes.items()],
        "native": [
            {"account": name, "before_wei": str(pair[0]), "after_wei": str(pair[-1])}
            for name, pair in result.native.items()
        ],
        "totals": {
            "received_usd": usd_text(sum(h.received_usd for h in result.harvests)),
            "compounded_usd": usd_text(sum(h.compounded_usd for h in result.harvests)),
            "cost_usd": usd_text(sum(_cost(h, result) for h in result.harvests)),
            "gas": sum(h.gas_used for h in result.harvests),
        },
        "key_used": False,
        "sent_to_origin": False,
    }


def _decision(result: Rehearsal, position_id: str) -> dict[str, Any] | None:
    found = result.decisions.get(position_id)
    return None if found is None else decision_json(found)


def _done(result: Rehearsal, position_id: str) -> bool:
    return any(h.position_id == position_id and h.state is HarvestState.DONE for h in result.harvests)


def _cost(harvest: Harvest, result: Rehearsal) -> int:
    return harvest.predicted_cost_usd if result.mode is Mode.SIMULATE else harvest.cost_usd


# ---------------------------------------------------------------------------- for people


def print_report(app: App, result: Rehearsal) -> None:
    """The report for people."""
    _print_head(result)
    _print_compounds(result)
    _print_skipped(app, result)
    if result.mode is Mode.DRY_RUN:
        _print_balances(app, result)
    _print_end(result)


def _print_head(result: Rehearsal) -> None:
    where = "on a fork" if result.mode is Mode.DRY_RUN else "by simulation"
    for name, (block, moment) in result.began.items():
        passed = result.ended[name][1] - moment
        span = f", {duration(passed)} played forward" if result.warp_seconds and passed > 0 else ""
        say(f"dry run {where}: {name} from block {block:,} ({day(moment)} UTC){span}")
    if result.warp_seconds:
        say("prices and gas stay as they were at the fork's block; what others would do meanwhile is not played")
    say()


def _print_compounds(result: Rehearsal) -> None:
    if not result.harvests:
        say("compounds: none")
        say()
        return
    simulated = result.mode is Mode.SIMULATE
    rows = [
        (
            day(h.finished_at or h.started_at),
            h.position_id,
            "would pass" if simulated else h.state.value,
            "-" if simulated else amounts(h.received),
            usd(h.predicted_reward_usd if simulated else h.received_usd),
            amounts(h.put_back),
            f"{h.gas_used:,}",
            usd(_cost(h, result)),
        )
        for h in result.harvests
    ]
    table(("when (UTC)", "position", "state", "received", "worth", "compounded", "gas", "cost"), rows, right=(4, 6, 7))
    for harvest in result.harvests:
        if harvest.state is HarvestState.FAILED:
            say(f"  {harvest.position_id}: {harvest.error}")
    worth = sum(h.predicted_reward_usd if simulated else h.received_usd for h in result.harvests)
    cost, gas = sum(_cost(h, result) for h in result.harvests), sum(h.gas_used for h in result.harvests)
    say(f"  {len(result.harvests)} compounds: {usd(worth)} for {usd(cost)}, {gas:,} gas")
    say()


def _print_skipped(app: App, result: Rehearsal) -> None:
    skipped = [p.id for p in app.positions if not _done(result, p.id)]
    for name in skipped:
        decision = result.decisions.get(name)
        if name in result.errors:
            say(f"skipped  {name}: {result.errors[name]}")
        elif decision is None:
            say(f"skipped  {name}: nothing was decided")
        else:
            word = "would go on" if decision.verdict is Verdict.HARVEST else decision.verdict.value
            say(f"skipped  {name}: {word}: {decision.reasons[0].text}")
    if skipped:
        say()


def _print_balances(app: App, result: Rehearsal) -> None:
    rows: list[tuple[str, ...]] = []
    for name, pair in result.stakes.items():
        before, after = pair[0], pair[-1]
        if before is not None and after is not None:
            rows.append((f"stake of {name}", amount(before, 8), amount(after, 8), amount(after - before)))
    for name, wei in result.native.items():
        chain, _, owner = name.partition("/")
        symbol = app.contexts[chain].chain.facts.native_symbol
        spent = Decimal(wei[-1] - wei[0]).scaleb(-18)
        texts = [f"{Decimal(value).scaleb(-18):.6f} {symbol}" for value in (wei[0], wei[-1])]
        rows.append((f"gas money of {address_short(owner)}", *texts, f"{spent:.6f} {symbol}"))
    table(("balance", "before", "after", "change"), rows, right=(1, 2, 3))
    say()


def _print_end(result: Rehearsal) -> None:
    say("no key was used; the origin chain saw only reads")
    if result.harvests:
        say(f"for real: `keeper run`, or one now: `keeper harvest {result.harvests[0].position_id}`")
    else:
        say("for real: `keeper run` watches and compounds when it pays")
