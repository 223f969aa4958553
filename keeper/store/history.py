"""What keeper decided: changes kept for ever, the latest kept fresh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from keeper.domain.decision import Decision
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import decisions, latest_decisions
from keeper.store.turns import named, one, turn

__all__ = ["decisions_of", "latest_decision", "record_decisions", "verdict_since"]

_UPSERT_DECISION: Final = Prepared(
    insert(latest_decisions).on_conflict_do_update(
        index_elements=["position_id"],
        set_={name: insert(latest_decisions).excluded[name] for name in ("verdict", "code", "since", "body")},
    ),
    *("position_id", "verdict", "code", "since", "body"),
)


def record_decisions(db: Database, batch: Sequence[Decision]) -> list[bool]:
    """Keep the changed ones, refresh the latest, in one commit."""
    latest = latest_decisions.c
    query = sa.select(latest.position_id, latest.verdict, latest.code, latest.since)
    in_turn = turn(db, "decisions", batch)
    with db.write() as connection:
        found = connection.execute(named(query, latest.position_id, batch))
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
    body = one(db, latest_decisions.c.body, latest_decisions.c.position_id, position_id)
    return None if body is None else rows.decision_of(body)


def verdict_since(db: Database, position_id: str) -> int | None:
    """Block time at which the present verdict began."""
    since: int | None = one(db, latest_decisions.c.since, latest_decisions.c.position_id, position_id)
    return since
