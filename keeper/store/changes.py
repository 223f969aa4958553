"""The journal's one way to write: any number of changes, in order, in one durable commit or not at all.

The table of transitions is checked here, for the message, and by the file's triggers, for every other tool. Changes of
one kind that follow each other are written together, as a window of transactions is signed and sent together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from keeper.domain.harvest import HarvestState
from keeper.domain.journal import (
    AddAttempt,
    AddIntent,
    AddReceipt,
    Change,
    Finalise,
    MarkBroadcast,
    Reopen,
    Settle,
)
from keeper.domain.money import Address
from keeper.domain.plan import LegKind
from keeper.domain.transaction import INTENT_TRANSITIONS, AttemptState, IntentState, Purpose
from keeper.errors import IllegalTransition
from keeper.store import rows, statements
from keeper.store.database import Database
from keeper.store.floors import prove_recovered
from keeper.store.leases import prove_held

__all__ = ["apply"]

#: States in which another transaction with the same nonce may be added.
_BUMPABLE: Final = frozenset({IntentState.SIGNED, IntentState.BROADCAST})

#: States that ``Settle`` can give.
_SETTLED: Final = frozenset({IntentState.CONFIRMED, IntentState.REVERTED, IntentState.CANCELLED})


def apply(db: Database, changes: Sequence[Change]) -> None:
    """Make all changes or none.

    Raises:
        IllegalTransition: one of them is not allowed, after those before it.
        LaneHeld: another process has the account's lease.
    """
    if not changes:
        return
    with db.write() as connection:
        batch = _Batch(db, connection, db.now(), {}, set())
        for kind, run in groupby(changes, type):
            _WRITERS[kind](batch, list(run))


@dataclass(slots=True)
class _Now:
    """An intent as this commit leaves it so far."""

    state: IntentState
    nonce: int | None
    chain: str
    chain_id: int
    sender: Address
    kind: str
    harvest_id: str | None
    #: 0 or 1.
    final: int

    @property
    def lane(self) -> str:
        """What the lease of the account is called."""
        return f"{self.chain}:{self.sender}"


@dataclass(slots=True)
class _Batch:
    """One commit in the making; each intent is read once."""

    db: Database
    connection: sa.Connection
    at: int
    seen: dict[str, _Now]
    #: Lanes whose lease this commit has looked at.
    proven: set[str]

    def intent(self, intent_id: str) -> _Now:
        """Return the intent as it stands. Raises IllegalTransition when there is none."""
        if intent_id not in self.seen:
            row = statements.INTENT_NOW.run(self.connection, {"intent": intent_id}).fetchone()
            if row is None:
                raise IllegalTransition(f"the journal has no intent {intent_id}")
            self.seen[intent_id] = _Now(IntentState(row[0]), *row[1:])
        return self.seen[intent_id]

    def attempt(self, intent_id: str, tx_hash: str) -> tuple[AttemptState, Purpose]:
        """Return an attempt of that intent as it stands."""
        row = statements.ATTEMPT_NOW.run(self.connection, {"tx": tx_hash, "intent": intent_id}).fetchone()
        if row is None:
            raise IllegalTransition(f"the journal has no transaction {tx_hash} of intent {intent_id}")
        return AttemptState(row[0]), Purpose(row[1])

    def live_receipt(self, intent_id: str) -> Any:
        """Return the row of the receipt that stands, or ``None``."""
        found = self.connection.execute(statements.LIVE_RECEIPT, {"intent": intent_id})
        return found.mappings().one_or_none()

    def move(self, intent_id: str, after: IntentState, *, final: bool = False) -> None:
        """Bring the intent to a state that the table allows."""
        now = self.intent(intent_id)
        if after not in INTENT_TRANSITIONS[now.state]:
            raise IllegalTransition(f"intent {intent_id} is {now.state} and cannot become {after}")
        values = {"intent": intent_id, "to": after.value, "last": int(final)}
        statements.SET_STATE.run(self.connection, values)
        now.state, now.final = after, int(final)

    def take_back(self, intent_id: str, tx_hash: str) -> None:
        """Orphan the receipt that stands, and reverse what was booked from it."""
        statements.ORPHAN.run(self.connection, {"intent": intent_id})
        statements.REVERSE.run(self.connection, {"tx": tx_hash})


def _add_intents(batch: _Batch, run: Sequence[AddIntent]) -> None:
    """Record what is to be done."""
    for change in run:
        intent = change.intent
        if intent.state is not IntentState.PLANNED or intent.nonce is not None:
            raise IllegalTransition(f"intent {intent.key} must start as planned, without a nonce")
        if not intent.harvest_id and intent.kind is not LegKind.CANCEL:
            raise IllegalTransition(f"intent {intent.key} belongs to no harvest, and is no nonce to be filled")
    values = [{**rows.intent_row(change.intent), "created_at": batch.at} for change in run]
    statements.ADD_INTENT.run_many(batch.connection, values)


def _add_attempts(batch: _Batch, run: Sequence[AddAttempt]) -> None:
    """Record signed bytes; the first ones give their intent its nonce."""
    first = []
    for change in run:
        attempt = change.attempt
        now = batch.intent(attempt.intent_id)
        if now.lane not in batch.proven:
            prove_held(batch.db, batch.connection, now.lane, batch.at)
            if batch.db.rebuilt:
                prove_recovered(batch.connection, now.chain_id, now.sender)
            batch.proven.add(now.lane)
        if _signs(change, now):
            first.append({"intent": attempt.intent_id, "number": attempt.nonce})
            now.state, now.nonce = IntentState.SIGNED, attempt.nonce
    values = [
        {**rows.attempt_row(change.attempt), "max_fee_usd": change.max_fee_usd, "created_at": batch.at}
        for change in run
    ]
    statements.SIGN.run_many(batch.connection, first)
    statements.ADD_ATTEMPT.run_many(batch.connection, values)


def _signs(change: AddAttempt, now: _Now) -> bool:
    """Return whether this attempt is the first of its intent; refuse what may not be signed."""
    attempt = change.attempt
    if attempt.state is not AttemptState.SIGNED:
        raise IllegalTransition(f"attempt {attempt.hash} must start as signed")
    if now.state is IntentState.PLANNED:
        if attempt.purpose is Purpose.CANCEL and now.kind != LegKind.CANCEL.value:
            raise IllegalTransition(f"intent {attempt.intent_id} has no transaction that {attempt.hash} could cancel")
        return True
    if now.state not in _BUMPABLE:
        raise IllegalTransition(f"intent {attempt.intent_id} is {now.state}: nothing more is signed for it")
    if attempt.nonce != now.nonce:
        raise IllegalTransition(f"intent {attempt.intent_id} has nonce {now.nonce} for ever, not {attempt.nonce}")
    return False


def _mark_broadcast(batch: _Batch, run: Sequence[MarkBroadcast]) -> None:
    """The raw bytes left, or may have left. Marking again (the same bytes were sent again) changes nothing."""
    sent, begun = [], []
    for change in run:
        if batch.attempt(change.intent_id, change.tx_hash)[0] is AttemptState.SIGNED:
            sent.append({"tx": change.tx_hash, "to": AttemptState.BROADCAST.value})
        now = batch.intent(change.intent_id)
        if now.state is IntentState.SIGNED:
            begun.append({"intent": change.intent_id, "to": IntentState.BROADCAST.value, "last": 0})
            now.state = IntentState.BROADCAST
    statements.SET_ATTEMPT.run_many(batch.connection, sent)
    statements.SET_STATE.run_many(batch.connection, begun)


def _add_receipts(batch: _Batch, run: Sequence[AddReceipt]) -> None:
    for change in run:
        _add_receipt(batch, change)


def _add_receipt(batch: _Batch, change: AddReceipt) -> None:
    """Mined; the other attempts of the intent are replaced, an earlier receipt is orphaned."""
    intent_id, receipt = change.intent_id, change.receipt
    batch.attempt(intent_id, receipt.tx_hash)
    if batch.intent(intent_id).state is IntentState.MINED:
        before = batch.live_receipt(intent_id)
        if rows.receipt_of(before) == receipt:
            return
        batch.take_back(intent_id, before["tx_hash"])
    else:
        batch.move(intent_id, IntentState.MINED)
    statements.SET_ATTEMPTS.run(batch.connection, {"intent": intent_id, "to": AttemptState.REPLACED.value})
    statements.SET_ATTEMPT.run(batch.connection, {"tx": receipt.tx_hash, "to": AttemptState.MINED.value})
    extra = {"intent_id": intent_id, "cost_usd": change.cost_usd, "recorded_at": batch.at}
    statements.ADD_RECEIPT.run(batch.connection, {**rows.receipt_row(receipt), **extra})


def _settle(batch: _Batch, run: Sequence[Settle]) -> None:
    """Settle as the receipt's status and its transaction's purpose say, or as cancelled without a receipt."""
    for change in run:
        intent_id, after = change.intent_id, change.state
        if after not in _SETTLED:
            raise IllegalTransition(f"an intent settles as confirmed, reverted or cancelled, not as {after}")
        never_signed = batch.intent(intent_id).nonce is None
        # What never had a nonce can never be mined: nothing about it is looked at again.
        batch.move(intent_id, after, final=never_signed)
        receipt = batch.live_receipt(intent_id)
        if receipt is not None:
            _agree(batch, change, receipt)
        elif after is IntentState.CANCELLED:
            statements.SET_ATTEMPTS.run(batch.connection, {"intent": intent_id, "to": AttemptState.REPLACED.value})


def _agree(batch: _Batch, change: Settle, receipt: Any) -> None:
    """Refuse an outcome that the receipt on record contradicts."""
    _, purpose = batch.attempt(change.intent_id, receipt["tx_hash"])
    outcome = IntentState.CONFIRMED if receipt["status"] == 1 else IntentState.REVERTED
    if purpose is Purpose.CANCEL:
        outcome = IntentState.CANCELLED
    if change.state is not outcome:
        raise IllegalTransition(
            f"intent {change.intent_id} cannot be {change.state}: its {purpose} transaction was mined with status "
            f"{receipt['status']}, so it is {outcome}"
        )


def _reopen(batch: _Batch, run: Sequence[Reopen]) -> None:
    """A reorg took away what settled it: intent and attempts back to broadcast, receipt and ledger rows reversed."""
    for change in run:
        intent_id = change.intent_id
        now = batch.intent(intent_id)
        receipt = batch.live_receipt(intent_id)
        by_proof = now.state is IntentState.CANCELLED and now.nonce is not None
        if now.final or (receipt is None and not by_proof):
            how = "final" if now.final else f"{now.state} without a receipt"
            raise IllegalTransition(f"intent {intent_id} is {how}: there is nothing that a reorg could take away")
        batch.move(intent_id, IntentState.BROADCAST)
        if receipt is not None:
            batch.take_back(intent_id, receipt["tx_hash"])
        statements.SET_ATTEMPTS.run(batch.connection, {"intent": intent_id, "to": AttemptState.BROADCAST.value})
        if now.harvest_id is not None:
            values = {"harvest": now.harvest_id, "to": HarvestState.OPEN.value}
            statements.OPEN_AGAIN.run(batch.connection, values)


def _finalise(batch: _Batch, run: Sequence[Finalise]) -> None:
    """No reorg can reach it any more. Doing so again changes nothing."""
    for change in run:
        now = batch.intent(change.intent_id)
        if now.state not in _SETTLED:
            raise IllegalTransition(f"intent {change.intent_id} is {now.state}: only what is settled becomes final")
        now.final = 1
    values = [{"intent": change.intent_id} for change in run]
    statements.FINALISE.run_many(batch.connection, values)
    statements.FINALISE_RECEIPT.run_many(batch.connection, values)


_WRITERS: Final[dict[type, Callable[[_Batch, Any], None]]] = {
    AddIntent: _add_intents,
    AddAttempt: _add_attempts,
    MarkBroadcast: _mark_broadcast,
    AddReceipt: _add_receipts,
    Settle: _settle,
    Reopen: _reopen,
    Finalise: _finalise,
}
