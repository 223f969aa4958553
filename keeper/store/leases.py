"""Who owns a lane, and small facts that survive a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from keeper.errors import LaneHeld
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import flags, leases

__all__ = ["acquire", "flags_of", "get_flag", "prove_held", "release", "renew", "set_flag", "set_flags"]

_LEASE_NOW: Final = Prepared(
    sa.select(leases.c.holder, leases.c.token, leases.c.expires_at).where(
        leases.c.lane == sa.bindparam("lane", required=True)
    )
)

_FLAG: Final = Prepared(sa.select(flags.c.value).where(flags.c.key == sa.bindparam("key", required=True)))
#: ``last``: above every key that begins with ``first``.
_FLAGS: Final = Prepared(
    sa.select(flags.c.key, flags.c.value)
    .where(flags.c.key >= sa.bindparam("first", required=True), flags.c.key < sa.bindparam("last", required=True))
    .order_by(flags.c.key)
)

_UPSERT: Final = Prepared(
    insert(flags).on_conflict_do_update(
        index_elements=["key"], set_={name: insert(flags).excluded[name] for name in ("value", "updated_at")}
    ),
    *("key", "value", "updated_at"),
)
_DELETE: Final = Prepared(flags.delete().where(flags.c.key == sa.bindparam("gone")))


def acquire(db: Database, lane: str, holder: str, ttl: int) -> int:
    """Own a lane for ``ttl`` seconds; the fencing token is above every earlier one."""
    now = db.now()
    with db.write() as connection:
        row = connection.execute(sa.select(leases).where(leases.c.lane == lane)).mappings().one_or_none()
        if row is not None and row["expires_at"] > now and row["holder"] != holder:
            raise LaneHeld(
                f"lane {lane} is held by {row['holder']} for another {row['expires_at'] - now} s; "
                "stop that keeper, or wait until its lease ends"
            )
        token: int = 1 if row is None else row["token"] + 1
        values = {"holder": holder, "token": token, "expires_at": now + ttl}
        connection.execute(
            insert(leases).values(lane=lane, **values).on_conflict_do_update(index_elements=["lane"], set_=values)
        )
    db.held[lane] = token
    return token


def prove_held(db: Database, connection: sa.Connection, lane: str, now: int) -> None:
    """Refuse to sign for an account whose lane another process has taken, inside the commit that would record it.

    A token that nobody has followed is still ours after its time has run out.
    """
    row = _LEASE_NOW.run(connection, {"lane": lane}).fetchone()
    ours = db.held.get(lane)
    if ours is None:
        if row is not None and row[2] > now:
            raise LaneHeld(
                f"lane {lane} is held by {row[0]} for another {row[2] - now} s; nothing is signed beside it: "
                "stop that keeper, or wait until its lease ends"
            )
    elif row is None or row[1] != ours:
        raise LaneHeld(
            f"lane {lane} was taken over by {row[0] if row else 'nobody'}; this keeper signs nothing more, restart it"
        )


def renew(db: Database, lane: str, token: int, ttl: int) -> None:
    """Own it for ``ttl`` seconds from now, unless a later token has been given out."""
    mine = leases.update().where(leases.c.lane == lane, leases.c.token == token)
    with db.write() as connection:
        if connection.execute(mine.values(expires_at=db.now() + ttl)).rowcount == 1:
            db.held[lane] = token
            return
        holder = connection.execute(sa.select(leases.c.holder).where(leases.c.lane == lane)).scalar_one_or_none()
        raise LaneHeld(f"lane {lane} was taken over by {holder or 'nobody'}; this keeper stops sending, restart it")


def release(db: Database, lane: str, token: int) -> None:
    """Give the lane up when it is still ours; the row stays, so that tokens only grow."""
    with db.write() as connection:
        connection.execute(leases.update().where(leases.c.lane == lane, leases.c.token == token).values(expires_at=0))
    if db.held.get(lane) == token:
        del db.held[lane]


def set_flag(db: Database, key: str, value: str | None) -> None:
    """Remember or forget a fact."""
    with db.write() as connection:
        if value is None:
            connection.execute(flags.delete().where(flags.c.key == key))
            return
        values = {"value": value, "updated_at": db.now()}
        connection.execute(
            insert(flags).values(key=key, **values).on_conflict_do_update(index_elements=["key"], set_=values)
        )


def set_flags(db: Database, values: Mapping[str, str | None]) -> None:
    """Remember or forget many facts in one commit."""
    now = db.now()
    kept = [{"key": key, "value": value, "updated_at": now} for key, value in values.items() if value is not None]
    gone = [{"gone": key} for key, value in values.items() if value is None]
    if not kept and not gone:
        return
    with db.write() as connection:
        _UPSERT.run_many(connection, kept)
        _DELETE.run_many(connection, gone)


def get_flag(db: Database, key: str) -> str | None:
    """A remembered fact."""
    with db.read() as connection:
        row = _FLAG.run(connection, {"key": key}).fetchone()
    return None if row is None else str(row[0])


def flags_of(db: Database, prefix: str) -> dict[str, str]:
    """Remembered facts whose key begins like this, by key."""
    with db.read() as connection:
        # No character sorts above U+10FFFF.
        found = _FLAGS.run(connection, {"first": prefix, "last": prefix + "\U0010ffff"})
        return dict(found.fetchall())
