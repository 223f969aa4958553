"""Find transactions of the journal by what a person types, and gather what stands around them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from keeper.cli.tx_views import Seen, is_open, short_id
from keeper.engine.context import ask_key, halt_key
from keeper.engine.pause import stop_of
from keeper.errors import ConfigError

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.domain.facts import ChainFacts
    from keeper.domain.journal import Track
    from keeper.domain.money import Address
    from keeper.store.lock import Sender
    from keeper.store.sqlite import SqliteStore

__all__ = ["EVERY", "find", "holder_of", "open_tracks", "seen_of"]

#: More transactions than one person's journal will ever hold.
EVERY = 1_000_000

#: Letters that must be given of a part of an id, or of a hash.
_LEAST = 4


def find(store: SqliteStore, text: str) -> Track:
    """Return the one transaction whose id or hash begins like this.

    Raises:
        click.BadParameter: when there is none, or more than one.
    """
    wanted = text.strip().lower()
    exact = store.track(wanted)
    if exact is not None:
        return exact
    if len(wanted.removeprefix("0x")) < _LEAST:
        raise click.BadParameter(f'"{text}" is too short; give at least {_LEAST} letters', param_hint="ID")
    found = [track for track in store.recent_tracks(EVERY) if _means(track, wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.BadParameter(f'no transaction "{text}"; `keeper tx list` lists them', param_hint="ID")
    names = ", ".join(short_id(track.intent.id) for track in found[:6])
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    raise click.BadParameter(f'"{text}" may be {names}{more}; say which', param_hint="ID")


def _means(track: Track, wanted: str) -> bool:
    if wanted.startswith("0x"):
        return any(attempt.hash.startswith(wanted) for attempt in track.attempts)
    given, full = wanted.split("-"), track.intent.id.lower().split("-")
    return len(given) <= len(full) and all(
        own == part or (len(part) >= _LEAST and own.startswith(part)) for part, own in zip(given, full, strict=False)
    )


def open_tracks(loaded: Loaded, store: SqliteStore) -> list[Track]:
    """Return everything to which something can still happen, of every account that the journal or config knows."""
    lanes = dict.fromkeys((h.chain, h.owner) for h in store.harvests(limit=EVERY))
    lanes |= dict.fromkeys(
        (p.chain, owner) for p in loaded.settings.positions if (owner := loaded.owner_of(p)) is not None
    )
    return [track for chain, owner in lanes for track in store.tracks(chain, owner) if is_open(track)]


def seen_of(loaded: Loaded, store: SqliteStore, tracks: Sequence[Track]) -> list[Seen]:
    """Put each transaction together with what stands around it."""
    positions = _positions(store, tracks)
    heads = _heads(loaded, store)
    stop = stop_of(store, loaded.kill_file)
    asked = store.flags(ask_key("cancel", ""))
    reorged = _reorged(loaded)
    seen = []
    for track in tracks:
        intent = track.intent
        halt = store.get_flag(halt_key(intent.chain, intent.sender))
        seen.append(
            Seen(
                track,
                position=positions.get(intent.harvest_id, ""),
                facts=_facts(loaded, intent.chain),
                head=heads.get(intent.chain),
                held=holder_of(loaded, intent.chain, intent.sender) is not None,
                stopped=stop.text if stop is not None else f"the account is halted: {halt}" if halt else "",
                cancel_asked=ask_key("cancel", intent.id) in asked,
                reorged=intent.id in reorged and track.receipt is None,
            )
        )
    return seen


def _reorged(loaded: Loaded) -> set[str]:
    """Return the intents that a reorg took a receipt of, by plain SQL: no port asks for what stands no more."""
    query = "SELECT DISTINCT intent_id FROM receipts WHERE orphaned = 1"
    with closing(sqlite3.connect(f"{loaded.journal.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute(query)}


def _positions(store: SqliteStore, tracks: Sequence[Track]) -> Mapping[str, str]:
    wanted = {track.intent.harvest_id for track in tracks} - {""}
    found: dict[str, str] = {}
    limit = 256
    while wanted - found.keys():
        harvests = store.harvests(limit=limit)
        found = {h.id: h.position_id for h in harvests}
        if len(harvests) < limit:
            break
        limit *= 16
    return found


def _heads(loaded: Loaded, store: SqliteStore) -> Mapping[str, int]:
    heads: dict[str, int] = {}
    for position in loaded.settings.positions:
        decision = store.latest_decision(position.id)
        if decision is not None:
            heads[position.chain] = max(decision.block.number, heads.get(position.chain, 0))
    return heads


def _facts(loaded: Loaded, chain: str) -> ChainFacts | None:
    try:
        return loaded.chain_facts(chain)
    except ConfigError:
        return None


def holder_of(loaded: Loaded, chain: str, owner: Address) -> Sender | None:
    """Return the process that holds an account's lane, by the note that it left beside the journal."""
    from keeper.store.lock import senders

    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{chain}:{owner}")
    return next((sender for sender in senders(loaded.journal) if sender.lane == name), None)
