"""``keeper ledger``: what was harvested, what it cost, and each token movement at its value when it happened."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.journal import open_journal, transactions, want_position
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import amount, emit_json, say, table, usd, usd_text
from keeper.cli.views import amounts, day, harvest_json, tell
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import Amount

if TYPE_CHECKING:
    from keeper.store.sqlite import SqliteStore

__all__ = ["command", "parse_since"]

#: More compounds than one person's journal will ever hold.
_ALL = 1_000_000

_SPAN = re.compile(r"([0-9]{1,6})([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

_ENTRY_COLUMNS = (
    "time_utc",
    "position",
    "harvest",
    "kind",
    "token",
    "symbol",
    "amount",
    "value_usd",
    "tx",
    "log_index",
    "block",
)
_HARVEST_COLUMNS = (
    "time_utc",
    "position",
    "harvest",
    "state",
    "received",
    "received_usd",
    "compounded",
    "compounded_usd",
    "gas",
    "cost_wei",
    "cost_usd",
    "predicted_reward_usd",
    "predicted_cost_usd",
    "error",
)


def parse_since(text: str, now: int) -> int:
    """Turn ``30d`` or ``2026-01-31`` (UTC) into unix seconds.

    Raises:
        click.BadParameter: when it is neither.
    """
    if match := _SPAN.match(text):
        return now - int(match[1]) * _SECONDS[match[2]]
    try:
        first = date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f'"{text}" is neither a time span such as 30d nor a date such as 2026-01-31', param_hint="--since"
        ) from None
    return int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())


@click.command(name="ledger")
@click.option("--position", metavar="POSITION", help="Only this position.")
@click.option("--since", metavar="TIME", help="Only from here on: a span (30d, 12h) or a date (2026-01-31, UTC).")
@click.option("--entries", is_flag=True, help="List each token movement instead of each harvest.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, amounts and dollars exact.")
@json_option
@click.pass_context
def command(ctx: click.Context, position: str | None, since: str | None, entries: bool, as_csv: bool) -> None:
    """List what was harvested and what it cost."""
    options = globals_of(ctx)
    if as_csv and options.json:
        raise click.UsageError("--csv and --json exclude each other; choose one")
    loaded = load_config(options, secrets=False)
    start = parse_since(since, int(time.time())) if since else 0
    with open_journal(loaded) as store:
        harvests = [] if store is None else _harvests(store, position, start)
        moves = [] if store is None else store.ledger(position, start)
        if position is not None and not (store is not None and store.harvests(position, limit=1)):
            want_position(loaded, position)
        none = _none(position, start)
        if options.json:
            sent = {} if store is None else {h.id: transactions(store, h.id) for h in harvests}
            emit_json("keeper.ledger/1", _json(harvests, moves, sent))
        elif entries:
            _print_entries(harvests, moves, as_csv=as_csv, none=none)
        else:
            _print_harvests(harvests, as_csv=as_csv, none=none)


def _none(position: str | None, start: int) -> str:
    """Say that there is nothing, and of what."""
    by = f" by {position}" if position else ""
    return f"nothing was harvested{by}{f' since {day(start)} UTC' if start else ' yet'}"


def _harvests(store: SqliteStore, position: str | None, since: int) -> list[Harvest]:
    found = [h for h in store.harvests(position, limit=_ALL) if (h.finished_at or h.started_at) >= since]
    return found[::-1]


def _json(
    harvests: Sequence[Harvest], moves: Sequence[LedgerEntry], sent: dict[str, list[dict[str, object]]]
) -> dict[str, Any]:
    return {
        "harvests": [harvest_json(harvest, sent[harvest.id]) for harvest in harvests],
        "entries": [_move_json(move) for move in moves],
        "totals": {name: usd_text(value) for name, value in _totals(harvests).items()},
    }


def _move_json(move: LedgerEntry) -> dict[str, Any]:
    return {
        "harvest": move.harvest_id,
        "tx": move.tx_hash,
        "log_index": move.log_index,
        "block": move.block_number,
        "time": move.timestamp,
        "kind": move.kind,
        "amount": move.amount,
        "value_usd": None if move.value_usd is None else usd_text(move.value_usd),
    }


def _totals(harvests: Sequence[Harvest]) -> dict[str, int]:
    return {
        "received_usd": sum(h.received_usd for h in harvests),
        "compounded_usd": sum(h.compounded_usd for h in harvests),
        "cost_usd": sum(h.cost_usd for h in harvests),
    }


# ---------------------------------------------------------------------------- for people and spreadsheets


def _print_harvests(harvests: Sequence[Harvest], *, as_csv: bool, none: str) -> None:
    if as_csv:
        _csv(_HARVEST_COLUMNS, [_harvest_csv(harvest) for harvest in harvests])
        return
    if not harvests:
        say(none)
        return
    headers = ("time (UTC)", "position", "state", "received", "worth", "compounded", "cost", "predicted")
    table(headers, [_harvest_row(harvest) for harvest in harvests], right=(4, 6, 7))
    for harvest in harvests:
        if harvest.state is HarvestState.FAILED:
            say(f"  {harvest.position_id} {harvest.id}: {harvest.error}")
    totals = _totals(harvests)
    done = sum(h.state is HarvestState.DONE for h in harvests)
    say()
    say(
        f"{done} compound{'' if done == 1 else 's'}: received {usd(totals['received_usd'])}, "
        f"compounded {usd(totals['compounded_usd'])}, gas {usd(totals['cost_usd'])}"
    )
    recovered = sum(_recovered(h) for h in harvests)
    if recovered:
        tell(f"{recovered} of them were recovered from the chain: their amounts are exact, their dollars not known")


def _recovered(harvest: Harvest) -> bool:
    """Whether it was read from the chain after the journal was lost, so that nobody knows what it was worth then."""
    return harvest.id.startswith("chain-")


def _harvest_row(harvest: Harvest) -> tuple[str, ...]:
    if _recovered(harvest):
        compounded = amounts(harvest.put_back)
        when = day(harvest.finished_at or harvest.started_at)
        return (when, harvest.position_id, harvest.state.value, amounts(harvest.received), "?", compounded, "?", "?")
    return (
        day(harvest.finished_at or harvest.started_at),
        harvest.position_id,
        harvest.state.value,
        amounts(harvest.received),
        usd(harvest.received_usd),
        amounts(harvest.put_back),
        usd(harvest.cost_usd),
        f"{usd(harvest.predicted_reward_usd)} for {usd(harvest.predicted_cost_usd)}",
    )


def _exact(found: Sequence[Amount]) -> str:
    return "; ".join(f"{each.decimal:f} {each.token.symbol}" for each in found)


def _harvest_csv(harvest: Harvest) -> tuple[object, ...]:
    return (
        _iso(harvest.finished_at or harvest.started_at),
        harvest.position_id,
        harvest.id,
        harvest.state.value,
        _exact(harvest.received),
        usd_text(harvest.received_usd),
        _exact(harvest.put_back),
        usd_text(harvest.compounded_usd),
        harvest.gas_used,
        harvest.cost_wei,
        usd_text(harvest.cost_usd),
        usd_text(harvest.predicted_reward_usd),
        usd_text(harvest.predicted_cost_usd),
        harvest.error,
    )


def _print_entries(harvests: Sequence[Harvest], moves: Sequence[LedgerEntry], *, as_csv: bool, none: str) -> None:
    names = {harvest.id: harvest.position_id for harvest in harvests}
    if as_csv:
        _csv(_ENTRY_COLUMNS, [_entry_csv(move, names) for move in moves])
        return
    if not moves:
        say(none)
        return
    rows = [
        (
            day(move.timestamp),
            names.get(move.harvest_id, "?"),
            move.kind,
            amount(move.amount),
            "-" if move.value_usd is None else usd(move.value_usd),
            f"{move.tx_hash[:10]}..{move.tx_hash[-4:]}",
        )
        for move in moves
    ]
    table(("time (UTC)", "position", "kind", "amount", "worth then", "transaction"), rows, right=(3, 4))


def _entry_csv(move: LedgerEntry, names: dict[str, str]) -> tuple[object, ...]:
    return (
        _iso(move.timestamp),
        names.get(move.harvest_id, ""),
        move.harvest_id,
        move.kind,
        move.amount.token.address,
        move.amount.token.symbol,
        f"{move.amount.decimal:f}",
        "" if move.value_usd is None else usd_text(move.value_usd),
        move.tx_hash,
        move.log_index,
        move.block_number,
    )


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write CSV; a text that a spreadsheet would run as a formula (a token names itself) is made plain."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])


def _plain(cell: object) -> object:
    risky = isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} and not re.match(r"-?[\d.]+\Z", cell)
    return f"'{cell}" if risky else cell


def _iso(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
