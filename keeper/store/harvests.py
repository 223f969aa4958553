"""Finished compounds: their outcome, their ledger, and what they teach the next decision."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa

from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry, Standing
from keeper.errors import IllegalTransition
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.prepared import driver
from keeper.store.schema import harvests, ledger

__all__ = ["close_harvest", "failures", "harvests_of", "last_gas", "ledger_of", "standings"]

#: For each of many positions what ``last_gas`` and ``failures`` say of one, and its newest compound.
_STANDINGS: Final = f"""
WITH asked AS (
    SELECT value AS position, (SELECT max(seq) FROM harvests WHERE position_id = value) AS newest,
        (SELECT seq FROM harvests WHERE position_id = value AND state = '{HarvestState.DONE}'
            ORDER BY seq DESC LIMIT 1) AS done
    FROM json_each(:asked)
)
SELECT position, h.id, h.state, (SELECT gas_used FROM harvests WHERE seq = done),
    (SELECT count(*) FROM harvests f WHERE f.position_id = position AND f.seq > coalesce(done, 0)
        AND f.state = '{HarvestState.FAILED}')
FROM asked JOIN harvests h ON h.seq = newest
"""  # noqa: S608 (what is put in are two words of our own)


def close_harvest(db: Database, harvest: Harvest, entries: Sequence[LedgerEntry]) -> None:
    """Record outcome and ledger in one commit; rows that a reorg left standing are not repeated."""
    if harvest.state is HarvestState.OPEN or any(entry.harvest_id != harvest.id for entry in entries):
        raise IllegalTransition(f"harvest {harvest.id} must close as done or failed, with its own ledger rows")
    outcome = harvests.update().where(harvests.c.id == harvest.id, harvests.c.state == HarvestState.OPEN.value)
    standing = sa.select(ledger.c.tx_hash, ledger.c.log_index, ledger.c.sign).where(
        ledger.c.harvest_id == harvest.id, ledger.c.reversed == 0
    )
    with db.write() as connection:
        if connection.execute(outcome.values(**rows.harvest_row(harvest))).rowcount != 1:
            raise IllegalTransition(f"the journal has no open harvest {harvest.id} to close")
        known = {tuple(row) for row in connection.execute(standing)}
        new = [rows.entry_row(entry) for entry in entries]
        new = [row for row in new if (row["tx_hash"], row["log_index"], row["sign"]) not in known]
        if new:
            connection.execute(ledger.insert(), new)


def harvests_of(db: Database, position_id: str | None, limit: int) -> list[Harvest]:
    """Compounds of one position or of all, newest first."""
    query = sa.select(harvests).order_by(harvests.c.seq.desc()).limit(limit)
    if position_id is not None:
        query = query.where(harvests.c.position_id == position_id)
    with db.read() as connection:
        return [rows.harvest_of(row) for row in connection.execute(query).mappings()]


def ledger_of(db: Database, position_id: str | None, since: int) -> list[LedgerEntry]:
    """Token movements since a block time, in chain order, reversed ones left out."""
    query = (
        sa.select(ledger)
        .where(ledger.c.reversed == 0, ledger.c.timestamp >= since)
        .order_by(ledger.c.timestamp, ledger.c.block_number, ledger.c.log_index, ledger.c.seq)
    )
    if position_id is not None:
        query = query.join(harvests, harvests.c.id == ledger.c.harvest_id).where(harvests.c.position_id == position_id)
    with db.read() as connection:
        return [rows.entry_of(row) for row in connection.execute(query).mappings()]


def last_gas(db: Database, position_id: str) -> int | None:
    """Gas used by the last compound that was done."""
    query = (
        sa.select(harvests.c.gas_used)
        .where(harvests.c.position_id == position_id, harvests.c.state == HarvestState.DONE.value)
        .order_by(harvests.c.seq.desc())
        .limit(1)
    )
    with db.read() as connection:
        gas: int | None = connection.execute(query).scalar_one_or_none()
    return gas


def failures(db: Database, position_id: str) -> int:
    """Failed compounds in a row since the last one that was done."""
    mine = harvests.c.position_id == position_id
    last_done = (
        sa.select(sa.func.coalesce(sa.func.max(harvests.c.seq), 0))
        .where(mine, harvests.c.state == HarvestState.DONE.value)
        .scalar_subquery()
    )
    query = sa.select(sa.func.count()).where(
        mine, harvests.c.state == HarvestState.FAILED.value, harvests.c.seq > last_done
    )
    with db.read() as connection:
        return int(connection.execute(query).scalar_one())


def standings(db: Database, position_ids: Collection[str]) -> dict[str, Standing]:
    """What the compounds of many positions come to, asked at once; a position without any is left out."""
    with db.read() as connection:
        found = driver(connection).execute(_STANDINGS, {"asked": json.dumps(list(position_ids))})
        return {row[0]: Standing((row[1], row[2]), row[3], row[4]) for row in found}
