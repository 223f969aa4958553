"""What the journal knows: compounds that are open, and every intent with its transactions and receipt."""

from __future__ import annotations

from collections import defaultdict
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
    never_signed = sa.and_(intents.c.nonce.is_(None), intents.c.state == IntentState.CANCELLED.value)
    chosen = sa.select(intents).where(_WATCHED, intents.c.chain == chain, intents.c.sender == sender, ~never_signed)
    return _tracks(db, chosen.order_by(intents.c.nonce.is_(None), intents.c.nonce, intents.c.seq))


def tracks_of(db: Database, harvest_id: str) -> list[Track]:
    """Legs of a compound in order; a leg tried again comes again."""
    chosen = sa.select(intents).where(intents.c.harvest_id == harvest_id)
    return _tracks(db, chosen.order_by(intents.c.leg_index, intents.c.seq))


def track(db: Database, intent_id: str) -> Track | None:
    """One intent."""
    found = _tracks(db, sa.select(intents).where(intents.c.id == intent_id))
    return found[0] if found else None


def recent_tracks(db: Database, limit: int) -> list[Track]:
    """Newest first."""
    return _tracks(db, sa.select(intents).order_by(intents.c.seq.desc()).limit(limit))


def _tracks(db: Database, chosen: sa.Select[Any]) -> list[Track]:
    """Read the chosen intents with their transactions and receipts: three queries, however many they are."""
    wanted = chosen.with_only_columns(intents.c.id)
    signed = sa.select(attempts).where(attempts.c.intent_id.in_(wanted)).order_by(attempts.c.seq)
    mined = sa.select(receipts).where(receipts.c.intent_id.in_(wanted), receipts.c.orphaned == 0)
    with db.read() as connection:
        found = connection.execute(chosen).mappings().all()
        if not found:
            return []
        tried = defaultdict(list)
        for row in connection.execute(signed).mappings():
            tried[row["intent_id"]].append(rows.attempt_of(row))
        standing = {row["intent_id"]: rows.receipt_of(row) for row in connection.execute(mined).mappings()}
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
