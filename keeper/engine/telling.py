"""The events of a compound, in one place: what was planned, sent, mined, set aside."""

from __future__ import annotations

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest
from keeper.domain.journal import Track
from keeper.domain.money import Address, Amount, usd_decimal
from keeper.domain.plan import Plan
from keeper.domain.transaction import Attempt, AttemptState, Purpose, Simulation
from keeper.engine.context import ChainContext
from keeper.engine.work import Work
from keeper.tx.slot import Slot

__all__ = [
    "say_foreign_waits",
    "say_held",
    "say_mined",
    "say_not_begun",
    "say_planned",
    "say_quarantined",
    "say_reorged",
    "say_sent",
    "say_signed_away",
]


def say_planned(context: ChainContext, harvest: Harvest, plan: Plan, simulation: Simulation) -> None:
    """The compound is in the journal, and the chain says that it would work."""
    reward = f"{usd_decimal(harvest.predicted_reward_usd):.2f}"
    context.emit(
        EventName.HARVEST_PLANNED,
        position=harvest.position_id,
        harvest=harvest.id,
        legs=len(plan.legs),
        reward_usd=reward,
        cost_usd=f"{usd_decimal(harvest.predicted_cost_usd):.2f}",
        plan=plan.id,
    )
    context.emit(
        EventName.HARVEST_SIMULATED,
        Level.DEBUG,
        position=harvest.position_id,
        harvest=harvest.id,
        gas=simulation.gas_used,
        reward_usd=reward,
        method=simulation.method,
    )


def say_sent(context: ChainContext, work: Work | None, track: Track, attempt: Attempt) -> None:
    """Signed bytes are given to the chain for the first time; ``attempt`` above 1 outbids or cancels an earlier one."""
    if attempt.state is not AttemptState.SIGNED:
        return
    intent = track.intent
    number = [a.hash for a in track.attempts].index(attempt.hash) + 1
    context.emit(
        EventName.HARVEST_SENT,
        position=work.harvest.position_id if work else None,
        harvest=intent.harvest_id or None,
        leg=intent.leg_index + 1,
        legs=len(work.plan.legs) if work else None,
        label=intent.label if attempt.purpose is Purpose.WORK else f"cancel {intent.label}",
        nonce=attempt.nonce,
        tx=attempt.hash,
        bid_gwei=f"{attempt.max_fee_wei / 10**9:.4g}",
        budget_usd=f"{usd_decimal(work.harvest.predicted_cost_usd):.2f}" if work else None,
        attempt=number,
    )


def say_mined(context: ChainContext, work: Work | None, track: Track) -> None:
    """Its receipt is there, deep enough."""
    intent, receipt = track.intent, track.receipt
    if receipt is None:
        return
    plan = work.plan if work else None
    gained = [receipt.delta(token, plan.owner) for token in plan.tokens] if plan else []
    context.emit(
        EventName.HARVEST_MINED,
        position=work.harvest.position_id if work else None,
        harvest=intent.harvest_id or None,
        leg=intent.leg_index + 1,
        legs=len(plan.legs) if plan else None,
        label=intent.label,
        tx=receipt.tx_hash,
        block=receipt.block_number,
        gas=receipt.gas_used,
        cost_wei=receipt.cost_wei,
        received=", ".join(_word(amount) for amount in gained if amount.raw > 0),
    )


def say_reorged(context: ChainContext, work: Work | None, slot: Slot, tx_hash: str) -> None:
    """A block that had the transaction is no longer in the chain; its bytes go out again."""
    context.emit(EventName.TX_REORGED, Level.WARNING, **_about(context, work, slot), tx=tx_hash)


def say_held(context: ChainContext, work: Work | None, slot: Slot, why: str) -> None:
    """A transaction waits, and nothing can be done about it within the limits; its bytes go out again regularly."""
    context.emit(EventName.TX_STUCK, Level.WARNING, **_about(context, work, slot), tx=slot.top.hash, why=why)


def say_signed_away(context: ChainContext, work: Work | None, slot: Slot, what: str, detail: str) -> None:
    """A nonce was used by something else than the work: a cancel, a foreign transaction, or a filling."""
    name = {"foreign": EventName.TX_FOREIGN, "gap": EventName.GAP_FILLED}.get(what, EventName.TX_CANCELLED)
    receipt = slot.track.receipt
    tx = detail if what == "foreign" else receipt.tx_hash if receipt else slot.top.hash
    why = detail if what == "cancelled" else None
    context.emit(name, Level.WARNING, **_about(context, work, slot), tx=tx, why=why)


def say_foreign_waits(context: ChainContext, owner: Address, nonce: int) -> None:
    """Somebody else's transaction of the account has waited long enough in a pool; keeper goes on."""
    why = "not of keeper, waited for long enough; keeper goes on with the next nonce of its journal"
    context.emit(EventName.TX_FOREIGN, Level.WARNING, chain=context.name, owner=owner, nonce=nonce, tx=None, why=why)


def _about(context: ChainContext, work: Work | None, slot: Slot) -> dict[str, str | int | bool | None]:
    return {
        "chain": context.name,
        "owner": slot.track.intent.sender,
        "position": work.harvest.position_id if work else None,
        "harvest": slot.track.intent.harvest_id or None,
        "label": slot.track.intent.label,
        "nonce": slot.nonce,
    }


def say_not_begun(context: ChainContext, harvest: Harvest, error: str) -> None:
    """The compound was dropped before anything was signed."""
    context.emit(
        EventName.POSITION_FAILED,
        Level.WARNING,
        position=harvest.position_id,
        chain=context.name,
        step="begin",
        error=error,
    )


def say_quarantined(context: ChainContext, harvest: Harvest, streak: int) -> None:
    """The position is set aside until a person forces it."""
    context.emit(
        EventName.POSITION_QUARANTINED,
        Level.ERROR,
        position=harvest.position_id,
        streak=streak,
        error=f"set aside after {streak} failures in a row; the last: {harvest.error}",
    )


def _word(amount: Amount) -> str:
    return f"{amount.decimal:.6g} {amount.token.symbol}"
