"""``keeper status``: every position and its verdict, from the journal or, with ``--live``, from the chain."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keeper.cli import Globals
from keeper.cli.journal import Known, chain_now, configured, open_journal, read_known
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import duration, emit_json, say, table, usd
from keeper.cli.views import ago, known_json, when_next
from keeper.domain.decision import Verdict
from keeper.domain.harvest import Harvest, HarvestState

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["command", "daemon_state", "look"]

#: Seconds after which a heartbeat is too old to believe in.
_STALE = 60


@click.command(name="status")
@click.option("--live", is_flag=True, help="Look at the chain now instead of reading the journal.")
@json_option
@click.pass_context
def command(ctx: click.Context, live: bool) -> None:
    """Show every position and its verdict."""
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    known = look(loaded, options) if live else _remembered(loaded)
    if options.json:
        emit_json("keeper.status/1", _json(loaded, known, live=live))
        return
    _print(loaded, known, live=live)


def _remembered(loaded: Loaded) -> list[Known]:
    with open_journal(loaded) as store:
        return [read_known(store, position) for position in configured(loaded)]


def look(loaded: Loaded, options: Globals) -> list[Known]:
    """Observe and decide now, with the journal's history behind the guards; sends and records nothing."""
    from keeper.cli.session import looking

    positions = {p.id: p for p in configured(loaded)}
    with looking(loaded, options.overrides) as app:
        return [
            Known(
                positions[a.position.id],
                a.decision,
                app.store.verdict_since(a.position.id),
                a.observation,
                read_known(app.store, positions[a.position.id]).open,
            )
            for a in app.survey()
        ]


def daemon_state(loaded: Loaded) -> dict[str, Any]:
    """Say whether a daemon is alive, by its heartbeat file and its process."""
    try:
        beat, pid = loaded.heartbeat_file.read_text(encoding="ascii").split()
        age = max(0, int(time.time()) - int(beat))
        running = age <= _STALE and (_alive(int(pid)) or any(lane["pid"] == int(pid) for lane in _lanes(loaded)))
        return {"running": running, "pid": int(pid), "heartbeat_age_seconds": age}
    except (OSError, ValueError):
        return {"running": False, "pid": None, "heartbeat_age_seconds": None}


def _alive(pid: int) -> bool:
    """Whether this machine has the process; one in another container is known by the lanes that it holds."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _lanes(loaded: Loaded) -> list[dict[str, Any]]:
    from keeper.store.lock import senders

    return [{"lane": s.lane, "pid": s.pid, "host": s.host, "since": s.since} for s in senders(loaded.journal)]


def _halted(loaded: Loaded) -> dict[str, str]:
    from keeper.cli.unblock import halts

    with open_journal(loaded) as store:
        return halts(store) if store is not None else {}


def _chains(known: Sequence[Known], now: int) -> list[dict[str, Any]]:
    newest: dict[str, Any] = {}
    for item in known:
        if item.decision and item.decision.block.number >= newest.get(item.position.chain, {}).get("block", 0):
            block = item.decision.block
            age = max(0, now - block.timestamp)
            newest[item.position.chain] = {
                "chain": item.position.chain,
                "block": block.number,
                "block_time": block.timestamp,
                "age_seconds": age,
            }
    return list(newest.values())


def _json(loaded: Loaded, known: Sequence[Known], *, live: bool) -> dict[str, Any]:
    return {
        "live": live,
        "journal": loaded.journal if loaded.journal.is_file() else None,
        "daemon": daemon_state(loaded),
        "lanes": _lanes(loaded),
        "halted": _halted(loaded),
        "chains": _chains(known, chain_now(known)),
        "positions": [known_json(item) for item in known],
    }


def _print(loaded: Loaded, known: Sequence[Known], *, live: bool) -> None:
    now = chain_now(known)
    headers = ("position", "verdict", "staked", "pending", "threshold", "cost now", "next", "since")
    table(headers, [_row(item, now) for item in known], right=(2, 3, 4, 5))
    for item in known:
        if item.decision and item.decision.verdict is Verdict.BLOCKED:
            why = item.decision.reasons[0].text.removeprefix(f"{item.position.id}: ")
            say(f"  {item.position.id}: {why}")
        if item.open:
            say(f"  {item.position.id}: a compound is under way since {ago(now, item.open.started_at)}")
        elif last := _ended_since(item):
            how = "compounded" if last.state is HarvestState.DONE else "a compound failed"
            say(f"  {item.position.id}: {how} {ago(now, last.finished_at or now)}; the numbers above are from before")
    say()
    for chain in _chains(known, now):
        age = "now" if chain["age_seconds"] == 0 else f"{duration(chain['age_seconds'])} ago"
        say(f"{chain['chain']}: block {chain['block']:,}, {age}{', asked just now' if live else ''}")
    for lane in _lanes(loaded):
        say(f"lane {lane['lane']}: held by process {lane['pid']} on {lane['host']} since {lane['since']}")
    for account, text in _halted(loaded).items():
        say(f"halted {account}: {text}; `keeper unblock {account}` once you have looked")
    say(_daemon_line(loaded, known, live=live))


def _ended_since(item: Known) -> Harvest | None:
    """Return the compound that ended after the verdict that is shown: its numbers are from before."""
    decision, last = item.decision, item.last
    if decision is None or last is None or (last.finished_at or 0) <= decision.block.timestamp:
        return None
    return last


def _row(item: Known, now: int) -> tuple[str, ...]:
    decision = item.decision
    if decision is None:
        return (item.position.id, "not seen", "-", "-", "-", "-", "-", "-")
    numbers = decision.numbers
    money = (
        ("-", "-", "-", "-")
        if numbers is None
        else (
            usd(numbers.principal_usd),
            usd(numbers.reward_usd),
            "never" if numbers.threshold_usd is None else usd(numbers.threshold_usd),
            usd(numbers.cost_usd),
        )
    )
    since = "-" if item.since is None else duration(now - item.since) if now > item.since else "now"
    return (item.position.id, decision.verdict.value, *money, when_next(decision, now), since)


def _daemon_line(loaded: Loaded, known: Sequence[Known], *, live: bool) -> str:
    state = daemon_state(loaded)
    if state["running"]:
        return f"daemon: running (process {state['pid']}, heartbeat {state['heartbeat_age_seconds']} s ago)"
    if all(item.decision is None for item in known):
        return "nothing is known yet: `keeper run` watches the positions, `keeper status --live` looks once"
    gone = "" if state["pid"] is None else f" (process {state['pid']} is gone)"
    look = "" if live else ", `keeper status --live` looks at the chain now"
    return f"daemon: not running{gone}; `keeper run` starts it{look}"
