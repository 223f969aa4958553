"""``keeper status``: every position and its verdict, from the journal or, with ``--live``, from the chain."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from keeper.cli import Globals
from keeper.cli.grid import room
from keeper.cli.journal import Known, chain_now, configured, open_journal, read_known
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, address_short, duration, emit_json, gas_price, say, table, usd
from keeper.cli.pause import pause_json, present_stop, stop_line
from keeper.cli.runway import endpoint_line, endpoints_of, lasts
from keeper.cli.tx_views import Seen, age, native, short_id, state_word, track_json
from keeper.cli.views import ago, known_json, tell, when_next
from keeper.domain.decision import Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.transaction import IntentState

if TYPE_CHECKING:
    from keeper.chain.health import EndpointStatus
    from keeper.config.loader import Loaded
    from keeper.domain.money import Address
    from keeper.strategy.runway import Runway

__all__ = ["Live", "command", "daemon_state", "look"]

#: Columns of a terminal on which every column has room.
_WIDE = 90

#: States of what the next look can still change for good.
_UNSETTLED = (IntentState.PLANNED, IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED)

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
    now = look(loaded, options) if live else None
    known = now.known if now is not None else _remembered(loaded)
    if options.json:
        emit_json("keeper.status/1", _json(loaded, known, now))
        return
    _print(loaded, known, now)


def _remembered(loaded: Loaded) -> list[Known]:
    with open_journal(loaded) as store:
        return [read_known(store, position) for position in configured(loaded)]


@dataclass(frozen=True, slots=True)
class Live:
    """What only the chains know."""

    known: list[Known]
    #: How each endpoint stands, by chain.
    endpoints: Mapping[str, Sequence[EndpointStatus]]
    #: How long the gas money lasts, by chain and account.
    runways: Mapping[tuple[str, Address], Runway]


def look(loaded: Loaded, options: Globals) -> Live:
    """Observe and decide now, with the journal's history behind the guards; sends and records nothing."""
    from keeper.cli.runway import runway_of
    from keeper.cli.session import looking

    positions = {p.id: p for p in configured(loaded)}
    with looking(loaded, options.overrides) as app:
        known = [
            Known(
                positions[a.position.id],
                a.decision,
                app.store.verdict_since(a.position.id),
                a.observation,
                read_known(app.store, positions[a.position.id]).open,
            )
            for a in app.survey()
        ]
        signing = {(p.chain, p.owner) for p in app.positions if p.signer is not None}
        return Live(
            known,
            {name: endpoints_of(context.chain) for name, context in app.contexts.items()},
            {lane: runway_of(app, *lane) for lane in sorted(signing)},
        )


def daemon_state(loaded: Loaded) -> dict[str, Any]:
    """Say whether a daemon is alive: its heartbeat, and its process or, in another container, the lanes it holds."""
    from keeper.store.lock import alive

    try:
        beat, pid = loaded.heartbeat_file.read_text(encoding="ascii").split()
        old = max(0, int(time.time()) - int(beat))
        running = old <= _STALE and (alive(int(pid)) or any(lane["pid"] == int(pid) for lane in _lanes(loaded)))
        return {"running": running, "pid": int(pid), "heartbeat_age_seconds": old}
    except (OSError, ValueError):
        return {"running": False, "pid": None, "heartbeat_age_seconds": None}


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
            seconds = max(0, now - block.timestamp)
            newest[item.position.chain] = {
                "chain": item.position.chain,
                "block": block.number,
                "block_time": block.timestamp,
                "age_seconds": seconds,
            }
    return list(newest.values())


def _in_flight(loaded: Loaded) -> list[Seen]:
    """Everything that is not final, the unmined first, by nonce."""
    from keeper.cli.inflight import open_tracks, seen_of

    with open_journal(loaded) as store:
        found = [] if store is None else seen_of(loaded, store, open_tracks(loaded, store))
    return sorted(found, key=lambda seen: (seen.track.intent.state not in _UNSETTLED, seen.track.intent.nonce or 0))


def _json(loaded: Loaded, known: Sequence[Known], now: Live | None) -> dict[str, Any]:
    return {
        "live": now is not None,
        "paused": pause_json(present_stop(loaded)),
        "journal": loaded.journal if loaded.journal.is_file() else None,
        "daemon": daemon_state(loaded),
        "lanes": _lanes(loaded),
        "halted": _halted(loaded),
        "transactions": [track_json(seen) for seen in _in_flight(loaded)],
        "chains": _chains(known, chain_now(known)),
        "endpoints": []
        if now is None
        else [{"chain": c} | asdict(e) for c, all_ in now.endpoints.items() for e in all_],
        "runway": [] if now is None else [_runway_json(*lane, found) for lane, found in now.runways.items()],
        "positions": [known_json(item) for item in known],
    }


def _runway_json(chain: str, owner: Address, found: Runway) -> dict[str, Any]:
    return {
        "chain": chain,
        "account": owner,
        "balance_wei": str(found.balance_wei),
        "days": found.days,
        "low": found.low,
        "top_up_wei": str(found.top_up_wei),
    }


def _print(loaded: Loaded, known: Sequence[Known], live: Live | None) -> None:
    now = chain_now(known)
    headers = ("position", "verdict", "staked", "pending", "threshold", "cost now", "next", "since")
    shown = len(headers) if (room() or _WIDE) >= _WIDE else -1
    table(headers[:shown], [_row(item, now)[:shown] for item in known], right=(2, 3, 4, 5))
    for item in known:
        if item.decision and item.decision.verdict is Verdict.BLOCKED:
            why = item.decision.reasons[0].text.removeprefix(f"{item.position.id}: ")
            tell(f"{item.position.id}: {why}", "  ")
        if item.open:
            tell(f"{item.position.id}: a compound is under way since {ago(now, item.open.started_at)}", "  ")
        elif last := _ended_since(item):
            how = "compounded" if last.state is HarvestState.DONE else "a compound failed"
            tell(
                f"{item.position.id}: {how} {ago(now, last.finished_at or now)}; the numbers above are from before",
                "  ",
            )
    say()
    for chain in _chains(known, now):
        old = "now" if chain["age_seconds"] == 0 else f"{duration(chain['age_seconds'])} ago"
        tell(f"{chain['chain']}: block {chain['block']:,}, {old}{', asked just now' if live else ''}")
    if live is not None:
        _print_live(loaded, live)
    _print_in_flight(_in_flight(loaded))
    for lane in _lanes(loaded):
        name = lane["lane"].replace("_0x", ":0x", 1)
        tell(f"lane {name}: held by process {lane['pid']} on {lane['host']} since {lane['since']}")
    for account, text in _halted(loaded).items():
        tell(f"halted {account}: {text}; `keeper unblock {account}` once you have looked")
    if (stop := present_stop(loaded)) is not None:
        tell(stop_line(stop))
    tell(_daemon_line(loaded, known, live=live is not None))


def _print_live(loaded: Loaded, live: Live) -> None:
    for chain, endpoints in live.endpoints.items():
        for endpoint in endpoints:
            tell(f"{chain}: {endpoint_line(endpoint)}")
    for (chain, owner), found in live.runways.items():
        symbol = loaded.chain_facts(chain).native_symbol
        money = f"gas money of {address_short(owner)}: {native(found.balance_wei, symbol)}"
        more = f"; send {native(found.top_up_wei, symbol)} to {address_long(owner)}" if found.low else ""
        tell(f"{chain}: {money}{f', {lasts(found)}' if found.days is not None else ''}{more}")


def _print_in_flight(seen: Sequence[Seen]) -> None:
    """List what is not settled, and count what only waits to be final."""
    settled = [one for one in seen if one.track.intent.state not in _UNSETTLED]
    for one in seen:
        if one.track.intent.state in _UNSETTLED:
            tell(_flight_line(one))
    if settled:
        many = f"{len(settled)} transactions are" if len(settled) > 1 else "1 transaction is"
        tell(f"{many} done and not final yet: a reorg would be noticed (`keeper tx list --open`)")


def _flight_line(seen: Seen) -> str:
    intent, top, tries = seen.track.intent, seen.top, len(seen.track.attempts)
    nonce = "no nonce yet" if intent.nonce is None else f"nonce {intent.nonce}"
    bid = f", bids {gas_price(top.max_fee_wei)}" if top else ""
    bids = f" in {tries} bids" if tries > 1 else ""
    of = f" of {seen.position}" if seen.position else ""
    return (
        f"{state_word(seen)}: {intent.label}{of} ({nonce}), for {age(seen, int(time.time()))}{bid}{bids}; "
        f"`keeper tx show {short_id(intent.id)}`"
    )


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
