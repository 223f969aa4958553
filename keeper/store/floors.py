"""Nonces of an account: those on record, and the floor that `keeper recover` found on the chain."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from keeper.domain.money import Address
from keeper.errors import JournalMissing
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import flags, intents

__all__ = ["next_nonce", "nonces_used", "prove_recovered", "raise_floor"]


_OURS: Final = (
    intents.c.chain_id == sa.bindparam("chain", required=True),
    intents.c.sender == sa.bindparam("account", required=True),
)
_USED: Final = Prepared(
    sa.select(intents.c.nonce).where(*_OURS, intents.c.nonce >= sa.bindparam("start", required=True))
)
_HIGHEST: Final = Prepared(sa.select(sa.func.max(intents.c.nonce)).where(*_OURS))
_FLOOR: Final = Prepared(sa.select(flags.c.value).where(flags.c.key == sa.bindparam("key", required=True)))


def nonces_used(db: Database, chain_id: int, sender: Address, start: int) -> set[int]:
    """Nonces from ``start`` on that an intent has."""
    with db.read() as connection:
        found = _USED.run(connection, {"chain": chain_id, "account": sender, "start": start})
        return {nonce for (nonce,) in found}


def next_nonce(db: Database, chain_id: int, sender: Address) -> int:
    """One above the highest nonce on record, and not below the recovered floor."""
    with db.read() as connection:
        known = _HIGHEST.run(connection, {"chain": chain_id, "account": sender}).fetchone()[0]
        least = _FLOOR.run(connection, {"key": _floor_key(chain_id, sender)}).fetchone()
    return max(0 if known is None else known + 1, 0 if least is None else int(least[0]))


def raise_floor(db: Database, chain_id: int, sender: Address, nonce: int) -> None:
    """Let no nonce below this one be given out again; never lowers."""
    key = _floor_key(chain_id, sender)
    with db.write() as connection:
        before = connection.execute(sa.select(flags.c.value).where(flags.c.key == key)).scalar_one_or_none()
        values = {"value": str(max(nonce, int(before or 0))), "updated_at": db.now()}
        connection.execute(
            insert(flags).values(key=key, **values).on_conflict_do_update(index_elements=["key"], set_=values)
        )


def _floor_key(chain_id: int, sender: Address) -> str:
    return f"floor:{chain_id}:{sender}"


def prove_recovered(connection: sa.Connection, chain_id: int, sender: Address) -> None:
    """Refuse to sign from a rebuilt journal that has not been told where the account's nonces begin.

    Raises:
        JournalMissing: rebuilding was cut short, or the account was not part of it.
    """
    floor = sa.select(flags.c.key).where(flags.c.key == _floor_key(chain_id, sender))
    if connection.execute(floor).scalar_one_or_none() is None:
        raise JournalMissing(
            f"the journal was rebuilt without the account {sender} on chain {chain_id}; nothing is signed for it "
            "until `keeper recover` has looked at its nonces"
        )
