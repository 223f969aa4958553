"""Write-ahead journal: what is to be done, what was signed, what was sent, what the chain did with it.

Each writing function is one durable commit. The table of transitions is checked here, for the message, and by the
file's triggers, for every other tool.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, UsdWad
from keeper.domain.plan import Plan
from keeper.domain.transaction import INTENT_TRANSITIONS, Attempt, AttemptState, Intent, IntentState, Receipt
from keeper.errors import IllegalTransition
from keeper.store import rows
from keeper.store.database import Database
from keeper.store.prepared import Prepared
from keeper.store.schema import attempts, harvests, intents, ledger, receipts

__all__ = [
    "add_attempt",
    "add_intent",
    "add_receipt",
    "attempts_of",
    "intents_of",
    "mark_broadcast",
    "next_nonce",
    "open_harvest",
    "open_harvests",
    "receipt_of",
    "reopen",
    "settle",
    "spent_usd",
]

#: States in which a fee bump of the same nonce may be added.
_BUMPABLE: Final = frozenset({IntentState.SIGNED, IntentState.BROADCAST})

#: States that ``settle`` can give.
_SETTLED: Final = frozenset({IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED})

#: Every column of a row but the sequence that SQLite gives.
_INTENT_COLUMNS: Final = tuple(column.name for column in intents.c)
_ATTEMPT_COLUMNS: Final = tuple(column.name for column in attempts.c if column.name != "seq")

_ADD_INTENT: Final = Prepared(intents.insert(), *_INTENT_COLUMNS)
_INTENT_NOW: Final = Prepared(
    sa.select(intents.c.state, intents.c.nonce).where(intents.c.id == sa.bindparam("intent", required=True))
)
_SET_STATE: Final = Prepared(
    intents.update()
    .where(intents.c.id == sa.bindparam("intent", required=True))
    .values(state=sa.bindparam("to", required=True))
)
_SIGN: Final = Prepared(
    intents.update()
    .where(intents.c.id == sa.bindparam("intent", required=True))
    .values(state=IntentState.SIGNED.value, nonce=sa.bindparam("number", required=True))
)
_ADD_ATTEMPT: Final = Prepared(attempts.insert(), *_ATTEMPT_COLUMNS)
_ATTEMPT_NOW: Final = Prepared(
    sa.select(attempts.c.state).where(
        attempts.c.hash == sa.bindparam("tx", required=True),
        attempts.c.intent_id == sa.bindparam("intent", required=True),
    )
)
_SET_ATTEMPT: Final = Prepared(
    attempts.update()
    .where(attempts.c.hash == sa.bindparam("tx", required=True))
    .values(state=sa.bindparam("to", required=True))
)
_SET_ATTEMPTS: Final = (
    attempts.update().where(attempts.c.intent_id == sa.bindparam("intent")).values(state=sa.bindparam("to"))
)
_LIVE_RECEIPT: Final = sa.select(receipts).where(
    receipts.c.intent_id == sa.bindparam("intent"), receipts.c.orphaned == 0
)
_ORPHAN: Final = (
    receipts.update().where(receipts.c.intent_id == sa.bindparam("intent"), receipts.c.orphaned == 0).values(orphaned=1)
)
_REVERSE: Final = (
    ledger.update().where(ledger.c.tx_hash == sa.bindparam("tx"), ledger.c.reversed == 0).values(reversed=1)
)


def open_harvest(db: Database, harvest: Harvest, plan: Plan) -> None:
    """Record a compound before its first leg."""
    if harvest.state is not HarvestState.OPEN or harvest.plan_id != plan.id:
        raise IllegalTransition(f"harvest {harvest.id} must start open and with its own plan")
    with db.write() as connection:
        connection.execute(harvests.insert(), {**rows.harvest_row(harvest), "plan": rows.plan_text(plan)})


def add_intent(db: Database, intent: Intent) -> None:
    """Record one leg."""
    if intent.state is not IntentState.PLANNED or intent.nonce is not None:
        raise IllegalTransition(f"intent {intent.key} must start as planned, without a nonce")
    with db.write() as connection:
        _ADD_INTENT.run(connection, {**rows.intent_row(intent), "created_at": db.now()})


def add_attempt(db: Database, attempt: Attempt, max_fee_usd: UsdWad) -> None:
    """Record signed raw bytes; the first one gives the intent its nonce."""
    if attempt.state is not AttemptState.SIGNED:
        raise IllegalTransition(f"attempt {attempt.hash} must start as signed")
    with db.write() as connection:
        state, nonce = _intent_now(connection, attempt.intent_id)
        if state is IntentState.PLANNED:
            _SIGN.run(connection, {"intent": attempt.intent_id, "number": attempt.nonce})
        elif state not in _BUMPABLE or nonce != attempt.nonce:
            raise IllegalTransition(
                f"intent {attempt.intent_id} is {state} with nonce {nonce}; no transaction with nonce {attempt.nonce} "
                "can be added to it"
            )
        row = rows.attempt_row(attempt)
        _ADD_ATTEMPT.run(connection, {**row, "max_fee_usd": max_fee_usd, "created_at": db.now()})


def mark_broadcast(db: Database, intent_id: str, tx_hash: str) -> None:
    """The raw bytes left, or may have left. Marking again (the same bytes were sent again) changes nothing."""
    with db.write() as connection:
        if _attempt_now(connection, intent_id, tx_hash) is AttemptState.SIGNED:
            _SET_ATTEMPT.run(connection, {"tx": tx_hash, "to": AttemptState.BROADCAST.value})
        if _intent_now(connection, intent_id)[0] is IntentState.SIGNED:
            _SET_STATE.run(connection, {"intent": intent_id, "to": IntentState.BROADCAST.value})


def add_receipt(db: Database, intent_id: str, receipt: Receipt, cost_usd: UsdWad) -> None:
    """Mined; the other attempts of the intent are replaced, an earlier receipt is orphaned."""
    with db.write() as connection:
        _attempt_now(connection, intent_id, receipt.tx_hash)
        state, _ = _intent_now(connection, intent_id)
        if state is IntentState.MINED:
            before = connection.execute(_LIVE_RECEIPT, {"intent": intent_id}).mappings().one()
            if rows.receipt_of(before) == receipt:
                return
            connection.execute(_REVERSE, {"tx": before["tx_hash"]})
            connection.execute(_ORPHAN, {"intent": intent_id})
        else:
            _move(connection, intent_id, state, IntentState.MINED)
        connection.execute(_SET_ATTEMPTS, {"intent": intent_id, "to": AttemptState.REPLACED.value})
        _SET_ATTEMPT.run(connection, {"tx": receipt.tx_hash, "to": AttemptState.MINED.value})
        extra = {"intent_id": intent_id, "cost_usd": cost_usd, "recorded_at": db.now()}
        connection.execute(receipts.insert(), {**rows.receipt_row(receipt), **extra})


def settle(db: Database, intent_id: str, state: IntentState) -> None:
    """Settle as CONFIRMED, REVERTED (as the receipt's status says) or CANCELLED."""
    if state not in _SETTLED:
        raise IllegalTransition(f"an intent settles as confirmed, reverted or cancelled, not as {state}")
    with db.write() as connection:
        _move(connection, intent_id, _intent_now(connection, intent_id)[0], state)
        if state is IntentState.CANCELLED:
            # A receipt stays: our own cancelling transaction has one, and what it cost counts.
            unmined = _SET_ATTEMPTS.where(attempts.c.state != AttemptState.MINED.value)
            connection.execute(unmined, {"intent": intent_id, "to": AttemptState.REPLACED.value})
            return
        receipt = connection.execute(_LIVE_RECEIPT, {"intent": intent_id}).mappings().one()
        if receipt["status"] != int(state is IntentState.CONFIRMED):
            raise IllegalTransition(f"intent {intent_id} cannot be {state}: its receipt has status {receipt['status']}")


def reopen(db: Database, intent_id: str) -> None:
    """A reorg took the receipt away: intent and attempts back to broadcast, receipt and ledger rows reversed."""
    with db.write() as connection:
        state, _ = _intent_now(connection, intent_id)
        receipt = connection.execute(_LIVE_RECEIPT, {"intent": intent_id}).mappings().one_or_none()
        if receipt is None:
            raise IllegalTransition(f"intent {intent_id} is {state} and has no receipt that a reorg could take away")
        _move(connection, intent_id, state, IntentState.BROADCAST)
        connection.execute(_ORPHAN, {"intent": intent_id})
        connection.execute(_REVERSE, {"tx": receipt["tx_hash"]})
        connection.execute(_SET_ATTEMPTS, {"intent": intent_id, "to": AttemptState.BROADCAST.value})
        owner = sa.select(intents.c.harvest_id).where(intents.c.id == intent_id).scalar_subquery()
        connection.execute(
            harvests.update().where(harvests.c.id == owner).values(state=HarvestState.OPEN.value, finished_at=None)
        )


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


def intents_of(db: Database, harvest_id: str) -> list[Intent]:
    """Legs of a compound in order."""
    query = sa.select(intents).where(intents.c.harvest_id == harvest_id)
    with db.read() as connection:
        found = connection.execute(query.order_by(intents.c.leg_index, intents.c.created_at)).mappings().all()
    return [rows.intent_of(row) for row in found]


def attempts_of(db: Database, intent_id: str) -> list[Attempt]:
    """Signed transactions of a leg, oldest first."""
    query = sa.select(attempts).where(attempts.c.intent_id == intent_id).order_by(attempts.c.seq)
    with db.read() as connection:
        return [rows.attempt_of(row) for row in connection.execute(query).mappings()]


def receipt_of(db: Database, intent_id: str) -> Receipt | None:
    """Receipt on record."""
    with db.read() as connection:
        row = connection.execute(_LIVE_RECEIPT, {"intent": intent_id}).mappings().one_or_none()
    return None if row is None else rows.receipt_of(row)


def next_nonce(db: Database, chain_id: int, sender: Address) -> int:
    """One above the highest nonce on record."""
    query = sa.select(sa.func.max(intents.c.nonce)).where(intents.c.chain_id == chain_id, intents.c.sender == sender)
    with db.read() as connection:
        highest: int | None = connection.execute(query).scalar()
    return 0 if highest is None else highest + 1


def spent_usd(db: Database, chain: str, sender: Address, since: int) -> UsdWad:
    """Fees of receipts recorded since, and the highest cap of every intent in flight."""
    lane = (intents.c.chain == chain, intents.c.sender == sender)
    mined = (
        sa.select(receipts.c.cost_usd)
        .join(intents, intents.c.id == receipts.c.intent_id)
        .where(*lane, receipts.c.orphaned == 0, receipts.c.recorded_at >= since)
    )
    in_flight = (
        sa.select(intents.c.id, attempts.c.max_fee_usd)
        .join(attempts, attempts.c.intent_id == intents.c.id)
        .where(*lane, intents.c.state.in_([IntentState.SIGNED.value, IntentState.BROADCAST.value]))
    )
    caps: dict[str, int] = {}
    with db.read() as connection:
        spent = sum(connection.execute(mined).scalars())
        for intent_id, cap in connection.execute(in_flight):
            caps[intent_id] = max(cap, caps.get(intent_id, 0))
    return UsdWad(spent + sum(caps.values()))


def _intent_now(connection: sa.Connection, intent_id: str) -> tuple[IntentState, int | None]:
    row: Any = _INTENT_NOW.run(connection, {"intent": intent_id}).fetchone()
    if row is None:
        raise IllegalTransition(f"the journal has no intent {intent_id}")
    return IntentState(row[0]), row[1]


def _attempt_now(connection: sa.Connection, intent_id: str, tx_hash: str) -> AttemptState:
    row = _ATTEMPT_NOW.run(connection, {"tx": tx_hash, "intent": intent_id}).fetchone()
    if row is None:
        raise IllegalTransition(f"the journal has no transaction {tx_hash} of intent {intent_id}")
    return AttemptState(row[0])


def _move(connection: sa.Connection, intent_id: str, before: IntentState, after: IntentState) -> None:
    if after not in INTENT_TRANSITIONS[before]:
        raise IllegalTransition(f"intent {intent_id} is {before} and cannot become {after}")
    _SET_STATE.run(connection, {"intent": intent_id, "to": after.value})
