"""What the journal knows: compounds that are open, and every intent with its transactions and receipt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import Track
from keeper.domain.money import Address, UsdWad
from keeper.domain.plan import Plan
from keeper.domain.transaction import IntentState
from keeper.errors import IllegalTransition
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import attempts, harvests, intents, receipts

__all__ = [
    "open_harvest",
    "open_harvests",
    "recent_tracks",
    "spent_usd",
    "track",
    "tracks",
    "tracks_of",
]

#: As the index over these rows is written: SQLite uses it for no other spelling.
_WATCHED: Final = sa.text("intents.final = 0")

_LANE: Final = (
    intents.c.chain == sa.bindparam("lane", required=True),
    intents.c.sender == sa.bindparam("account", required=True),
)
_MINED: Final = Prepared(
    sa.select(receipts.c.cost_usd)
    .join(intents, intents.c.id == receipts.c.intent_id)
    .where(*_LANE, receipts.c.orphaned == 0, receipts.c.recorded_at >= sa.bindparam("since", required=True))
)
_UNMINED: Final = sa.text("intents.state IN ('signed', 'broadcast')")
_IN_FLIGHT: Final = Prepared(
    sa.select(intents.c.id, attempts.c.max_fee_usd)
    .join(attempts, attempts.c.intent_id == intents.c.id)
    .where(_WATCHED, *_LANE, _UNMINED)
)


def open_harvest(db: Database, harvest: Harvest, plan: Plan) -> None:
    """Record a compound before its first leg."""
    if harvest.state is not HarvestState.OPEN or harvest.plan_id != plan.id:
        raise IllegalTransition(f"harvest {harvest.id} must start open and with its own plan")
    with db.write() as connection:
        connection.execute(harvests.insert(), {**rows.harvest_row(harvest), "plan": rows.plan_text(plan)})


def open_harvests(db: Database, chain: str, owner: Address) -> list[tuple[Harvest, Plan]]:
    """Compounds that are not finished, oldest first."""
    query = (
        sa.select(harvests)
        .where(harvests.c.chain == chain, harvests.c.owner == owner, harvests.c.state == HarvestState.OPEN.value)
        .order_by(harvests.c.seq)
    )
    with db.read() as connection:
        found = connection.execute(query).mappings().all()
    return [(rows.harvest_of(row), rows.plan_of(row["plan"])) for row in found]


def tracks(db: Database, chain: str, sender: Address) -> list[Track]:
    """In flight, or settled with a nonce and not final; by nonce, unsigned ones last in the order of their arrival."""
    return _OF_LANE.read(db, {"lane": chain, "account": sender})


def tracks_of(db: Database, harvest_id: str) -> list[Track]:
    """Legs of a compound in order; a leg tried again comes again."""
    return _OF_HARVEST.read(db, {"harvest": harvest_id})


def track(db: Database, intent_id: str) -> Track | None:
    """One intent."""
    found = _OF_INTENT.read(db, {"intent": intent_id})
    return found[0] if found else None


def recent_tracks(db: Database, limit: int) -> list[Track]:
    """Newest first."""
    return _NEWEST.read(db, {"count": limit})


class _Tracks:
    """Some intents with their transactions and receipts: three queries, however many intents they are."""

    def __init__(self, chosen: sa.Select[Any], *order: Any) -> None:
        wanted = chosen.with_only_columns(intents.c.id)
        self._intents = Prepared(chosen.order_by(*order))
        self._signed = Prepared(sa.select(attempts).where(attempts.c.intent_id.in_(wanted)).order_by(attempts.c.seq))
        self._mined = Prepared(sa.select(receipts).where(receipts.c.intent_id.in_(wanted), receipts.c.orphaned == 0))

    def read(self, db: Database, values: Mapping[str, Any]) -> list[Track]:
        """Read them in one snapshot."""
        with db.read() as connection:
            found = self._intents.rows(connection, values)
            if not found:
                return []
            tried = defaultdict(list)
            for row in self._signed.rows(connection, values):
                tried[row["intent_id"]].append(rows.attempt_of(row))
            mined = self._mined.rows(connection, values)
        standing = {row["intent_id"]: rows.receipt_of(row) for row in mined}
        return [
            Track(
                rows.intent_of(row),
                tuple(tried[row["id"]]),
                standing.get(row["id"]),
                final=bool(row["final"]),
                created_at=row["created_at"],
            )
            for row in found
        ]


_NEVER_SIGNED: Final = sa.and_(intents.c.nonce.is_(None), intents.c.state == IntentState.CANCELLED.value)
_OF_LANE: Final = _Tracks(
    sa.select(intents).where(_WATCHED, *_LANE, ~_NEVER_SIGNED),
    intents.c.nonce.is_(None),
    intents.c.nonce,
    intents.c.seq,
)
_OF_HARVEST: Final = _Tracks(
    sa.select(intents).where(intents.c.harvest_id == sa.bindparam("harvest", required=True)),
    intents.c.leg_index,
    intents.c.seq,
)
_OF_INTENT: Final = _Tracks(sa.select(intents).where(intents.c.id == sa.bindparam("intent", required=True)))
_NEWEST: Final = _Tracks(
    sa.select(intents).where(
        intents.c.seq.in_(
            sa.select(intents.c.seq).order_by(intents.c.seq.desc()).limit(sa.bindparam("count", required=True))
        )
    ),
    intents.c.seq.desc(),
)


def spent_usd(db: Database, chain: str, sender: Address, since: int) -> UsdWad:
    """Fees of receipts recorded since, of cancels and filled nonces too, and the highest cap of all in flight.

    A window of transactions asks once for each of them: as long as nobody has written, the answer is the same one.
    """
    asked = {"lane": chain, "account": sender, "since": since}
    with db.read() as connection:
        stamp = db.stamp(connection)
        if db.spent is not None and db.spent[:2] == (stamp, asked):
            return db.spent[2]
        caps: dict[str, int] = {}
        for intent_id, cap in _IN_FLIGHT.run(connection, asked):
            caps[intent_id] = max(int(cap), caps.get(intent_id, 0))
        spent = UsdWad(sum(int(cost) for (cost,) in _MINED.run(connection, asked)) + sum(caps.values()))
    db.spent = (stamp, asked, spent)
    return spent
