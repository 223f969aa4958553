"""History of what was seen, what it meant and what gas cost: kept densely while young, thinned as it ages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from keeper.domain.block import BlockRef
from keeper.domain.observation import Observation, Sample
from keeper.domain.transaction import FeeQuote
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.packing import pack, unpack
from keeper.store.prepared import Prepared
from keeper.store.schema import gas_samples, latest_observations, samples
from keeper.store.turns import named, one, turn

__all__ = [
    "forget_before",
    "gas_history",
    "latest_observation",
    "record_gas",
    "record_samples",
    "samples_of",
    "thin",
]

#: A position's history keeps one sample per this many seconds of block time: rewards are linear in between.
KEPT_EVERY_SECONDS: Final = 600

#: One sample of the price of gas is kept in each stretch of so many seconds of block time.
GAS_EVERY_SECONDS: Final = 3600

_DAY: Final = 86_400

#: From these ages on (seconds), one sample is kept in each stretch of so many seconds.
_OLD: Final = 7 * _DAY
_HOURLY: Final = 3600
_ANCIENT: Final = 90 * _DAY
_SPARSE: Final = 6 * 3600

#: Positions whose history is thinned in one commit: the journal's own writes wait no longer than that.
_AT_ONCE: Final = 100

_UPSERT_LATEST: Final = Prepared(
    insert(latest_observations).on_conflict_do_update(
        index_elements=["position_id"],
        set_={name: insert(latest_observations).excluded[name] for name in ("kept_at", "body")},
    ),
    *("position_id", "kept_at", "body"),
)
_INSERT: Final = Prepared(samples.insert(), "position_id", "block_number", "timestamp", "body")

#: Samples next to a compound: the last before it was decided, and the first after it was done.
_BESIDE_HARVESTS: Final = sa.text("""
SELECT (SELECT seq FROM samples s WHERE s.position_id = h.position_id AND s.timestamp <= h.started_at
        ORDER BY s.timestamp DESC, s.seq DESC LIMIT 1),
       (SELECT seq FROM samples s WHERE s.position_id = h.position_id AND s.timestamp > h.started_at
            AND s.timestamp >= coalesce(h.finished_at, 0)
        ORDER BY s.timestamp, s.seq LIMIT 1)
FROM harvests h WHERE h.position_id = :position AND h.started_at >= :oldest AND h.state <> 'cancelled'
""")

#: What is too old, and all but the first sample of each stretch of time.
_SUPERFLUOUS: Final = sa.text("""
SELECT seq, timestamp < :oldest FROM (
    SELECT seq, timestamp, stretch, lag(stretch) OVER (ORDER BY timestamp, seq) AS before FROM (
        SELECT seq, timestamp, CASE
            WHEN timestamp < :oldest THEN -1
            WHEN timestamp < :ancient THEN timestamp - timestamp % :sparse
            WHEN timestamp < :old THEN timestamp - timestamp % :hourly
            ELSE timestamp - timestamp % :young END AS stretch
        FROM samples WHERE position_id = :position
    )
) WHERE timestamp < :oldest OR stretch = before
""")
_DELETE: Final = Prepared(samples.delete().where(samples.c.seq == sa.bindparam("gone")))


def record_samples(db: Database, batch: Sequence[Sample]) -> None:
    """Refresh the latest, keep one per ten minutes of block time, in one commit."""
    latest = latest_observations.c
    query = sa.select(latest.position_id, latest.kept_at)
    seen = [sample.observation for sample in batch]
    in_turn = turn(db, "samples", seen)
    with db.read() as connection:
        kept_at = {row[0]: row[1] for row in connection.execute(named(query, latest.position_id, seen))}
    history: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    for place, sample in enumerate(batch):
        position, block = sample.observation.position_id, sample.observation.block
        # A reorg or a rewound fork may step back in time: keep that too.
        due = abs(block.timestamp - kept_at.get(position, -KEPT_EVERY_SECONDS)) >= KEPT_EVERY_SECONDS
        if due:
            kept_at[position] = block.timestamp
            when = {"position_id": position, "block_number": block.number, "timestamp": block.timestamp}
            history.append({**when, "body": pack(rows.sample_text(sample))})
        if due or in_turn(place):
            body = rows.observation_text(sample.observation)
            fresh.append({"position_id": position, "kept_at": kept_at[position], "body": body})
    if fresh:
        with db.write() as connection:
            _INSERT.run_many(connection, history)
            _UPSERT_LATEST.run_many(connection, fresh)


def latest_observation(db: Database, position_id: str) -> Observation | None:
    """Last observation."""
    body = one(db, latest_observations.c.body, latest_observations.c.position_id, position_id)
    return None if body is None else rows.observation_of(body)


def samples_of(db: Database, position_id: str, since: int, until: int | None) -> list[Sample]:
    """Kept history of a position between two block times, both included, oldest first."""
    mine = samples.c
    query = sa.select(mine.body).where(mine.position_id == position_id, mine.timestamp >= since)
    if until is not None:
        query = query.where(mine.timestamp <= until)
    with db.read() as connection:
        found = connection.execute(query.order_by(mine.timestamp, mine.seq)).scalars().all()
    return [rows.sample_of(unpack(body)) for body in found]


def record_gas(db: Database, block: BlockRef, fees: FeeQuote) -> None:
    """Keep the first sample of each hour of block time; what is not kept costs no commit."""
    hour = block.timestamp // GAS_EVERY_SECONDS
    if db.gas_hours.get(block.chain) == hour:
        return
    mine = gas_samples.c
    before = sa.select(mine.timestamp).where(mine.chain == block.chain, mine.block_number <= block.number)
    with db.read() as connection:
        last = connection.execute(before.order_by(mine.block_number.desc()).limit(1)).scalar_one_or_none()
    if last is None or last // GAS_EVERY_SECONDS != hour:
        row = {"base_fee_wei": fees.base_fee_wei, "tip_wei": fees.tip_wei, "timestamp": block.timestamp}
        with db.write() as connection:
            kept = insert(gas_samples).on_conflict_do_nothing()
            connection.execute(kept, {"chain": block.chain, "block_number": block.number, **row})
    db.gas_hours[block.chain] = hour


def gas_history(db: Database, chain: str, since: int) -> list[tuple[int, int, int]]:
    """Samples since a block time, oldest first: (timestamp, base fee, tip), wei."""
    mine = gas_samples.c
    query = sa.select(mine.timestamp, mine.base_fee_wei, mine.tip_wei).where(mine.chain == chain)
    with db.read() as connection:
        found = connection.execute(query.where(mine.timestamp >= since).order_by(mine.block_number))
        return [(row[0], row[1], row[2]) for row in found]


def forget_before(db: Database, timestamp: int) -> int:
    """Drop samples of positions and gas older than a block time; returns how many. The journal itself is kept."""
    with db.write() as connection:
        gone = connection.execute(samples.delete().where(samples.c.timestamp < timestamp)).rowcount
        return gone + connection.execute(gas_samples.delete().where(gas_samples.c.timestamp < timestamp)).rowcount


def thin(db: Database, now: int, keep_seconds: int) -> int:
    """Thin the history by age, drop what is older than ``keep_seconds``; returns how many samples went.

    What lies next to a compound stays for as long as anything does.
    """
    with db.read() as connection:
        positions = connection.execute(sa.select(latest_observations.c.position_id)).scalars().all()
    oldest, total = now - keep_seconds, 0
    for start in range(0, len(positions), _AT_ONCE):
        # Found by reading alone, so that nobody who writes waits for it.
        with db.read() as connection:
            each = [_superfluous(connection, name, now, oldest) for name in positions[start : start + _AT_ONCE]]
        gone = [{"gone": seq} for found in each for seq in found]
        if gone:
            with db.write() as connection:
                _DELETE.run_many(connection, gone)
        total += len(gone)
    with db.write() as connection:
        return total + connection.execute(gas_samples.delete().where(gas_samples.c.timestamp < oldest)).rowcount


def _superfluous(connection: sa.Connection, position: str, now: int, oldest: int) -> list[int]:
    """Find what may go of one position."""
    beside = connection.execute(_BESIDE_HARVESTS, {"position": position, "oldest": oldest})
    stays = {seq for pair in beside for seq in pair}
    # Whole stretches only: one that grew old piece by piece would keep a sample of each piece.
    ends = {"old": (now - _OLD) // _HOURLY * _HOURLY, "ancient": (now - _ANCIENT) // _SPARSE * _SPARSE}
    steps = {"young": KEPT_EVERY_SECONDS, "hourly": _HOURLY, "sparse": _SPARSE}
    found = connection.execute(_SUPERFLUOUS, {"position": position, "oldest": oldest, **ends, **steps})
    return [seq for seq, too_old in found if too_old or seq not in stays]
