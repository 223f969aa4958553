"""What the journal knows about each position: read without asking a chain, so that it is fast and works offline."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.domain.decision import Decision
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.observation import Observation
from keeper.errors import ConfigError, StoreUnavailable
from keeper.store import open_store
from keeper.store.marker import expected, missing

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.store.sqlite import SqliteStore

__all__ = [
    "Known",
    "chain_now",
    "configured",
    "journal_copy",
    "open_journal",
    "read_known",
    "transactions",
    "want_position",
]


@dataclass(frozen=True, slots=True)
class Known:
    """One configured position and the last that was seen of it."""

    position: PositionConfig
    decision: Decision | None = None
    #: Unix seconds of the block at which the verdict began.
    since: int | None = None
    observation: Observation | None = None
    #: The compound under way, if there is one.
    open: Harvest | None = None
    #: The last compound that ended.
    last: Harvest | None = None


@contextmanager
def open_journal(loaded: Loaded) -> Iterator[SqliteStore | None]:
    """Lend the journal, read-only; ``None`` when there is none yet.

    Raises:
        JournalMissing: it was here and is gone.
    """
    if not loaded.journal.is_file():
        if expected(loaded.journal) is not None:
            raise missing(loaded.journal, "was here and is gone")
        yield None
        return
    store = open_store(loaded.journal, read_only=True)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def journal_copy(loaded: Loaded) -> Iterator[Path]:
    """Lend a copy of the journal (or the place for one) that a rehearsal may write to; it is gone afterwards.

    Raises:
        StoreUnavailable: when the journal cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="keeper-look-") as folder:
        copy = Path(folder) / loaded.journal.name
        if loaded.journal.is_file():
            try:
                _back_up(loaded.journal, copy)
            except sqlite3.Error as error:
                raise StoreUnavailable(
                    f"the journal {loaded.journal} cannot be read: {error}; `keeper doctor` looks at it closer"
                ) from error
        yield copy


def _back_up(journal: Path, copy: Path) -> None:
    source = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def configured(loaded: Loaded) -> Sequence[PositionConfig]:
    """Return the configured positions; at least one.

    Raises:
        ConfigError: when there is none.
    """
    if not loaded.settings.positions:
        files = ", ".join(str(file) for file in loaded.files) or "the config"
        raise ConfigError(f"{files}: no position is configured\n  add a [[positions]] block; `keeper protocols` helps")
    return loaded.settings.positions


def want_position(loaded: Loaded, name: str) -> PositionConfig:
    """Return one configured position.

    Raises:
        click.BadParameter: with the nearest name.
    """
    for position in loaded.settings.positions:
        if position.id == name:
            return position
    from difflib import get_close_matches

    known = [position.id for position in loaded.settings.positions]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"?' if close else f"configured: {', '.join(known) or 'none'}"
    raise click.BadParameter(f'no position "{name}"; {hint}', param_hint="POSITION")


def read_known(store: SqliteStore | None, position: PositionConfig) -> Known:
    """Collect what the journal has about one position."""
    if store is None:
        return Known(position)
    newest = store.harvests(position.id, limit=3)
    unfinished = [h for h in newest if h.state is HarvestState.OPEN]
    return Known(
        position,
        store.latest_decision(position.id),
        store.verdict_since(position.id),
        store.latest_observation(position.id),
        unfinished[0] if unfinished else None,
        next((h for h in newest if h.state is not HarvestState.OPEN), None),
    )


def transactions(store: SqliteStore, harvest_id: str) -> list[dict[str, object]]:
    """Return the transactions of a compound in order, for JSON and for the last line of a harvest."""
    found: list[dict[str, object]] = []
    for intent in store.intents(harvest_id):
        receipt, attempts = store.receipt_of(intent.id), store.attempts(intent.id)
        found.append(
            {
                "leg": intent.leg_index + 1,
                "kind": intent.kind.value,
                "label": intent.label,
                "state": intent.state.value,
                "nonce": intent.nonce,
                "tx": receipt.tx_hash if receipt else (attempts[-1].hash if attempts else None),
                "block": receipt.block_number if receipt else None,
                "gas_used": receipt.gas_used if receipt else None,
                "cost_wei": str(receipt.cost_wei) if receipt else None,
            }
        )
    return found


def chain_now(known: Sequence[Known]) -> int:
    """Return the present in unix seconds; a test chain whose clock runs ahead is believed."""
    seen = (item.decision.block.timestamp for item in known if item.decision is not None)
    return max((int(time.time()), *seen))
