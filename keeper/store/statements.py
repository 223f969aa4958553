"""What the journal writes, compiled once."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from keeper.domain.transaction import IntentState
from keeper.store.prepared import Prepared
from keeper.store.schema import attempts, harvests, intents, ledger, receipts

__all__ = [
    "ADD_ATTEMPT",
    "ADD_INTENT",
    "ADD_RECEIPT",
    "ATTEMPT_NOW",
    "FINALISE",
    "FINALISE_RECEIPT",
    "INTENT_NOW",
    "LIVE_RECEIPT",
    "OPEN_AGAIN",
    "ORPHAN",
    "REVERSE",
    "SET_ATTEMPT",
    "SET_ATTEMPTS",
    "SET_STATE",
    "SIGN",
]


def _given(name: str) -> Any:
    return sa.bindparam(name, required=True)


def _filled(table: sa.Table, *given_by_the_file: str) -> tuple[str, ...]:
    return tuple(column.name for column in table.c if column.name not in given_by_the_file)


_ONE_INTENT: Final = intents.update().where(intents.c.id == _given("intent"))
_OF_INTENT: Final = attempts.update().where(attempts.c.intent_id == _given("intent"))
_LIVE: Final = receipts.update().where(receipts.c.intent_id == _given("intent"), receipts.c.orphaned == 0)

ADD_INTENT: Final = Prepared(intents.insert(), *_filled(intents, "seq", "final"))
INTENT_NOW: Final = Prepared(
    sa.select(
        intents.c.state,
        intents.c.nonce,
        intents.c.chain,
        intents.c.chain_id,
        intents.c.sender,
        intents.c.kind,
        intents.c.harvest_id,
        intents.c.final,
    ).where(intents.c.id == _given("intent"))
)
SET_STATE: Final = Prepared(_ONE_INTENT.values(state=_given("to"), final=_given("last")))
SIGN: Final = Prepared(_ONE_INTENT.values(state=IntentState.SIGNED.value, nonce=_given("number")))
FINALISE: Final = Prepared(_ONE_INTENT.values(final=1))

ADD_ATTEMPT: Final = Prepared(attempts.insert(), *_filled(attempts, "seq"))
ATTEMPT_NOW: Final = Prepared(
    sa.select(attempts.c.state, attempts.c.purpose).where(
        attempts.c.hash == _given("tx"), attempts.c.intent_id == _given("intent")
    )
)
SET_ATTEMPT: Final = Prepared(attempts.update().where(attempts.c.hash == _given("tx")).values(state=_given("to")))
SET_ATTEMPTS: Final = Prepared(_OF_INTENT.values(state=_given("to")))

ADD_RECEIPT: Final = Prepared(receipts.insert(), *_filled(receipts, "seq", "orphaned", "final"))
#: Run by SQLAlchemy, as the whole row is read back.
LIVE_RECEIPT: Final = sa.select(receipts).where(receipts.c.intent_id == _given("intent"), receipts.c.orphaned == 0)
ORPHAN: Final = Prepared(_LIVE.values(orphaned=1))
FINALISE_RECEIPT: Final = Prepared(_LIVE.values(final=1))

#: Ledger rows of a transaction whose receipt was taken back.
REVERSE: Final = Prepared(
    ledger.update().where(ledger.c.tx_hash == _given("tx"), ledger.c.reversed == 0).values(reversed=1)
)
#: The compound of a leg that is in flight again.
OPEN_AGAIN: Final = Prepared(
    harvests.update().where(harvests.c.id == _given("harvest")).values(state=_given("to"), finished_at=None)
)
