"""``keeper tx``: every transaction on record, what happens to it next, and how to cancel it or make it dearer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from keeper.cli.grid import room
from keeper.cli.inflight import EVERY, find, open_tracks, seen_of
from keeper.cli.journal import open_journal
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, emit_json, gas_price, say, table
from keeper.cli.tx_ask import cancel, speed_up
from keeper.cli.tx_views import (
    Seen,
    age,
    attempt_word,
    fee_text,
    native,
    next_step,
    short_id,
    state_word,
    track_json,
)
from keeper.cli.views import lines, moment
from keeper.domain.transaction import Purpose

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.domain.journal import Track
    from keeper.store.sqlite import SqliteStore

__all__ = ["command"]

#: Columns of a terminal on which every column of the list has room.
_WIDE = 100

#: Transactions listed without ``--all``.
_SOME = 20


@click.group(name="tx")
def command() -> None:
    """List, explain, cancel or speed up transactions."""


command.add_command(cancel)
command.add_command(speed_up)


@command.command(name="list")
@click.option("--all", "every", is_flag=True, help="Every transaction there ever was, instead of the last twenty.")
@click.option("--open", "only_open", is_flag=True, help="Only those to which something can still happen.")
@json_option
@click.pass_context
def list_(ctx: click.Context, every: bool, only_open: bool) -> None:
    """List transactions, the newest first. From the journal: fast, and without a network."""
    options = globals_of(ctx)
    if every and only_open:
        raise click.UsageError("--all and --open exclude each other; choose one")
    loaded = load_config(options, secrets=False)
    with open_journal(loaded) as store:
        found = [] if store is None else _chosen(loaded, store, every=every, only_open=only_open)
        shown = [] if store is None else seen_of(loaded, store, found)
    if options.json:
        emit_json("keeper.tx-list/1", {"transactions": [track_json(seen) for seen in shown]})
        return
    if not shown:
        say("no transaction is under way" if only_open else "nothing was ever sent")
        return
    headers = ("id", "nonce", "state", "position", "what", "age", "bid", "tries")
    narrow = (room() or _WIDE) < _WIDE and not only_open  # what they bid matters while they wait
    kept = -2 if narrow else len(headers)
    table(headers[:kept], [_row(seen)[:kept] for seen in shown], right=(1, 6, 7))
    if not (every or only_open) and len(shown) == _SOME:
        say("older ones: --all")


def _chosen(loaded: Loaded, store: SqliteStore, *, every: bool, only_open: bool) -> Sequence[Track]:
    if only_open:
        return sorted(open_tracks(loaded, store), key=lambda track: track.created_at, reverse=True)
    return store.recent_tracks(EVERY if every else _SOME)


def _row(seen: Seen) -> tuple[str, ...]:
    intent, top = seen.track.intent, seen.top
    return (
        short_id(intent.id),
        "-" if intent.nonce is None else str(intent.nonce),
        state_word(seen),
        seen.position or "-",
        intent.label,
        age(seen, int(time.time())),
        gas_price(top.max_fee_wei) if top else "-",
        str(len(seen.track.attempts)),
    )


@command.command(name="show")
@click.argument("what", metavar="ID|HASH")
@json_option
@click.pass_context
def show(ctx: click.Context, what: str) -> None:
    """Show one transaction, by its id or hash: what it does, every bid, its receipt, and what comes next."""
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    with open_journal(loaded) as store:
        if store is None:
            raise click.UsageError("there is no journal yet, so nothing was ever sent")
        (seen,) = seen_of(loaded, store, [find(store, what)])
    if options.json:
        emit_json("keeper.tx/1", {"transaction": track_json(seen)})
        return
    _print(seen)


def _print(seen: Seen) -> None:
    intent, receipt = seen.track.intent, seen.track.receipt
    symbol = seen.facts.native_symbol if seen.facts else ""
    final = ", final" if seen.track.final else ""
    say(f"{short_id(intent.id)}  {state_word(seen)}{final}: {intent.label}")
    whose = f"{seen.position}, leg {intent.leg_index + 1} of compound {intent.harvest_id}" if intent.harvest_id else "-"
    rows = [
        ("id", intent.id),
        (
            "for",
            whose if intent.harvest_id else "no compound: it fills a nonce that would hold up what waits behind it",
        ),
        ("account", f"{address_long(intent.sender)} on {intent.chain}"),
        ("nonce", "none yet" if intent.nonce is None else f"{intent.nonce}, for ever its own"),
        ("call", f"{address_long(intent.to)} with {_call(intent.data)}{_value(intent.value, symbol)}"),
        ("journaled", moment(seen.track.created_at)),
    ]
    for number, attempt in enumerate(seen.track.attempts, 1):
        what = "cancel" if attempt.purpose is Purpose.CANCEL else "bid"
        rows.append((f"{what} {number}", f"{attempt.hash}  {attempt_word(attempt)}"))
        rows.append(("", f"{fee_text(attempt, symbol)}, signed at block {attempt.signed_block:,}"))
    if receipt is not None:
        status = "succeeded" if receipt.status == 1 else "reverted"
        rows.append(("receipt", f"{status} in block {receipt.block_number:,}, {receipt.gas_used:,} gas"))
        price = gas_price(receipt.effective_gas_price_wei)
        rows.append(("", f"cost {native(receipt.cost_wei, symbol)} at {price}; transaction {receipt.tx_hash}"))
    rows.append(("next", next_step(seen)))
    lines(rows)


def _call(data: bytes) -> str:
    return f"{len(data)} bytes, selector 0x{data[:4].hex()}" if data else "no data"


def _value(wei: int, symbol: str) -> str:
    return f" and {native(wei, symbol)}" if wei else ""
