"""What keeper decided and saw: changes kept for ever, the latest kept fresh, history thinned for backtests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision
from keeper.domain.money import UsdWad
from keeper.domain.observation import Observation
from keeper.domain.transaction import FeeQuote
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import decisions, gas_samples, latest_decisions, latest_observations, observations

__all__ = [
    "decisions_of",
    "forget_before",
    "gas_history",
    "latest_decision",
    "latest_observation",
    "observations_of",
    "record_decisions",
    "record_gas",
    "record_observations",
    "verdict_since",
]

#: A position's history keeps one observation per this many seconds of block time: rewards are linear in between.
KEPT_EVERY_SECONDS: Final = 600

#: A longer batch refreshes the latest copies of what has not changed in turns, so many at a time.
REFRESHED: Final = 500

_UPSERT_DECISION: Final = Prepared(
    insert(latest_decisions).on_conflict_do_update(
        index_elements=["position_id"],
        set_={name: insert(latest_decisions).excluded[name] for name in ("verdict", "code", "since", "body")},
    ),
    *("position_id", "verdict", "code", "since", "body"),
)
_UPSERT_OBSERVATION: Final = Prepared(
    insert(latest_observations).on_conflict_do_update(
        index_elements=["position_id"],
        set_={name: insert(latest_observations).excluded[name] for name in ("kept_at", "body")},
    ),
    *("position_id", "kept_at", "body"),
)
#: Above this many positions one scan is cheaper than naming them.
_MANY: Final = 500


def record_decisions(db: Database, batch: Sequence[Decision]) -> list[bool]:
    """Keep the changed ones, refresh the latest, in one commit."""
    latest = latest_decisions.c
    query = sa.select(latest.position_id, latest.verdict, latest.code, latest.since)
    in_turn = _turn(db, "decisions", batch)
    with db.write() as connection:
        found = connection.execute(_named(query, latest.position_id, batch))
        before: dict[str, tuple[str, str, int]] = {row[0]: (row[1], row[2], row[3]) for row in found}
        changed: list[bool] = []
        kept: list[dict[str, Any]] = []
        fresh: list[dict[str, Any]] = []
        for place, decision in enumerate(batch):
            position, verdict, code = decision.position_id, decision.verdict.value, decision.code.value
            last = before.get(position)
            changed.append(last is None or last[:2] != (verdict, code))
            if not changed[-1] and not in_turn(place):
                continue
            since = last[2] if last and last[0] == verdict else decision.block.timestamp
            before[position] = (verdict, code, since)
            row = {"position_id": position, "verdict": verdict, "code": code, "body": rows.decision_text(decision)}
            fresh.append({**row, "since": since})
            if changed[-1]:
                kept.append({**row, "block_number": decision.block.number, "timestamp": decision.block.timestamp})
        if kept:
            connection.execute(decisions.insert(), kept)
        _UPSERT_DECISION.run_many(connection, fresh)
    return changed


def decisions_of(db: Database, position_id: str, limit: int) -> list[Decision]:
    """Changes of a position, newest first."""
    query = sa.select(decisions.c.body).where(decisions.c.position_id == position_id)
    with db.read() as connection:
        found = connection.execute(query.order_by(decisions.c.seq.desc()).limit(limit)).scalars()
        return [rows.decision_of(body) for body in found]


def latest_decision(db: Database, position_id: str) -> Decision | None:
    """Last decision with its fresh numbers."""
    body = _one(db, latest_decisions.c.body, latest_decisions.c.position_id, position_id)
    return None if body is None else rows.decision_of(body)


def verdict_since(db: Database, position_id: str) -> int | None:
    """Block time at which the present verdict began."""
    since: int | None = _one(db, latest_decisions.c.since, latest_decisions.c.position_id, position_id)
    return since


def record_observations(db: Database, batch: Sequence[tuple[Observation, UsdWad, int]]) -> None:
    """Refresh the latest, keep one per ten minutes of block time, in one commit."""
    latest = latest_observations.c
    query = sa.select(latest.position_id, latest.kept_at)
    positions = [observation for observation, _, _ in batch]
    in_turn = _turn(db, "observations", positions)
    with db.write() as connection:
        kept_at = {row[0]: row[1] for row in connection.execute(_named(query, latest.position_id, positions))}
        history: list[dict[str, Any]] = []
        fresh: list[dict[str, Any]] = []
        for place, (observation, reward_usd, gas_price_wei) in enumerate(batch):
            position, block = observation.position_id, observation.block
            # A reorg or a rewound fork may step back in time: keep that too.
            due = abs(block.timestamp - kept_at.get(position, -KEPT_EVERY_SECONDS)) >= KEPT_EVERY_SECONDS
            if not due and not in_turn(place):
                continue
            body = rows.observation_text(observation)
            if due:
                kept_at[position] = block.timestamp
                when = {"position_id": position, "block_number": block.number, "timestamp": block.timestamp}
                history.append({**when, "reward_usd": reward_usd, "gas_price_wei": gas_price_wei, "body": body})
            fresh.append({"position_id": position, "kept_at": kept_at[position], "body": body})
        if history:
            connection.execute(observations.insert(), history)
        _UPSERT_OBSERVATION.run_many(connection, fresh)


def latest_observation(db: Database, position_id: str) -> Observation | None:
    """Last observation."""
    body = _one(db, latest_observations.c.body, latest_observations.c.position_id, position_id)
    return None if body is None else rows.observation_of(body)


def observations_of(db: Database, position_id: str, since: int) -> list[tuple[Observation, UsdWad, int]]:
    """Kept history of a position since a block time, oldest first: observation, reward value, gas price."""
    mine = observations.c
    query = (
        sa.select(mine.body, mine.reward_usd, mine.gas_price_wei)
        .where(mine.position_id == position_id, mine.timestamp >= since)
        .order_by(mine.timestamp, mine.seq)
    )
    with db.read() as connection:
        found = connection.execute(query).all()
    return [(rows.observation_of(body), UsdWad(reward), price) for body, reward, price in found]


def record_gas(db: Database, block: BlockRef, fees: FeeQuote) -> None:
    """Keep one sample of the price of gas; a second one of the same block changes nothing."""
    row = {
        "chain": block.chain,
        "block_number": block.number,
        "timestamp": block.timestamp,
        "base_fee_wei": fees.base_fee_wei,
        "tip_wei": fees.tip_wei,
    }
    with db.write() as connection:
        connection.execute(insert(gas_samples).on_conflict_do_nothing(), row)


def gas_history(db: Database, chain: str, since: int) -> list[tuple[int, int, int]]:
    """Samples since a block time, oldest first: (timestamp, base fee, tip), wei."""
    mine = gas_samples.c
    query = sa.select(mine.timestamp, mine.base_fee_wei, mine.tip_wei).where(mine.chain == chain)
    with db.read() as connection:
        found = connection.execute(query.where(mine.timestamp >= since).order_by(mine.block_number))
        return [(row[0], row[1], row[2]) for row in found]


def forget_before(db: Database, timestamp: int) -> int:
    """Drop observations and gas samples older than a block time; returns how many. The journal itself is kept."""
    with db.write() as connection:
        gone = connection.execute(observations.delete().where(observations.c.timestamp < timestamp)).rowcount
        return gone + connection.execute(gas_samples.delete().where(gas_samples.c.timestamp < timestamp)).rowcount


def _turn(db: Database, kind: str, batch: Sequence[Decision] | Sequence[Observation]) -> Callable[[int], bool]:
    """Say which places of a batch are refreshed this time: all of a short one, every n-th of a long one in rotation."""
    rounds = -(-len(batch) // REFRESHED) or 1
    key = f"{kind}:{batch[0].position_id if batch else ''}"
    now = db.turns[key] % rounds
    db.turns[key] += 1
    return lambda place: place % rounds == now


def _named(
    query: sa.Select[Any], column: sa.ColumnElement[str], batch: Sequence[Decision] | Sequence[Observation]
) -> sa.Select[Any]:
    return query if len(batch) > _MANY else query.where(column.in_([item.position_id for item in batch]))


def _one(db: Database, wanted: sa.ColumnElement[Any], key: sa.ColumnElement[str], value: str) -> Any:
    with db.read() as connection:
        return connection.execute(sa.select(wanted).where(key == value)).scalar_one_or_none()
