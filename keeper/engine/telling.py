"""The events of a compound, in one place: what was planned, sent, mined, set aside."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest
from keeper.domain.journal import Track
from keeper.domain.money import Address, Amount, usd_decimal
from keeper.domain.plan import Plan
from keeper.domain.transaction import IN_FLIGHT, Attempt, AttemptState, Intent, IntentState, Purpose, Simulation
from keeper.engine.context import ChainContext
from keeper.engine.work import Work
from keeper.tx.slot import Slot

__all__ = [
    "say_foreign_waits",
    "say_gap_waits",
    "say_held",
    "say_mined",
    "say_not_begun",
    "say_planned",
    "say_quarantined",
    "say_reorged",
    "say_resumed",
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


def say_resumed(context: ChainContext, harvest: Harvest, plan: Plan, tracks: Sequence[Track]) -> None:
    """Say once for each leg that an open compound goes on, at its first leg that is not done.

    A lane comes here every few seconds. A leg whose transaction is on its way already is named with it.
    """
    landed = (IntentState.MINED, IntentState.CONFIRMED)  # a cancel has a receipt, too, and does nothing
    done = {track.intent.leg_index for track in tracks if track.intent.state in landed}
    leg = next((index for index in range(len(plan.legs)) if index not in done), len(plan.legs) - 1)
    key = f"resumed:{harvest.id}:{leg}"
    if key in context.said:
        return
    context.said[key] = context.clock.monotonic()
    flying = [t for t in tracks if t.intent.leg_index == leg and t.intent.state in IN_FLIGHT and t.attempts]
    context.emit(
        EventName.HARVEST_RESUMED,
        position=harvest.position_id,
        harvest=harvest.id,
        leg=leg + 1,
        legs=len(plan.legs),
        nonce=flying[-1].intent.nonce if flying else None,
        tx=flying[-1].attempts[-1].hash if flying else None,
        next="what it had signed is sent again, unchanged, unless it is mined already" if flying else None,
    )


def say_sent(context: ChainContext, work: Work | None, track: Track, attempt: Attempt) -> None:
    """Signed bytes are given to the chain for the first time; ``attempt`` above 1 outbids or cancels an earlier one."""
    if attempt.state is not AttemptState.SIGNED:
        return
    intent, first = track.intent, track.intent.leg_index == 0 and attempt.purpose is Purpose.WORK
    number = [a.hash for a in track.attempts].index(attempt.hash) + 1
    before = track.attempts[number - 2] if number > 1 else None
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
        # Only a first leg is held to what was predicted: what has been claimed is brought to its end.
        budget_usd=f"{usd_decimal(work.harvest.predicted_cost_usd):.2f}" if work and first else None,
        attempt=number,
        outbids_gwei=f"{before.max_fee_wei / 10**9:.4g}" if before else None,
    )


def say_mined(context: ChainContext, work: Work | None, track: Track) -> None:
    """Its receipt is there, deep enough."""
    intent, receipt = track.intent, track.receipt
    if receipt is None:
        return
    plan = work.plan if work else None
    native = context.prices_seen.get("native", 0)
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
        cost_usd=f"{usd_decimal(receipt.cost_wei * native // 10**18):.2f}" if native else None,
        received=", ".join(_word(amount) for amount in gained if amount.raw > 0) or None,
    )


def say_reorged(context: ChainContext, work: Work | None, slot: Slot, tx_hash: str) -> None:
    """A block that had the transaction is no longer in the chain; its bytes go out again."""
    words = "the same bytes are sent again; nothing need be done"
    if slot.giving_up:
        words = "its work was given up, so a cancel takes its nonce; nothing need be done"
    context.emit(EventName.TX_REORGED, Level.WARNING, **_about(context, work, slot), tx=tx_hash, next=words)


def say_held(context: ChainContext, work: Work | None, slot: Slot, why: str) -> None:
    """A transaction waits, and nothing can be done about it within the limits; its bytes go out again regularly."""
    harvest, _, place = slot.track.intent.id.partition("-")
    name = f"{harvest[:8]}-{place}"
    words = (
        f"it goes on by itself when that changes; `keeper tx show {name}` says more, `keeper tx cancel {name}` ends it"
    )
    about = _about(context, work, slot)
    context.emit(EventName.TX_STUCK, Level.WARNING, **about, tx=slot.top.hash, why=why, next=words)


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


def say_gap_waits(context: ChainContext, gap: Intent, nonce: int, why: str) -> None:
    """Say once that a missing nonce, which everything above it waits for, may not be filled now."""
    key = f"gap:{gap.id}"
    if key in context.said:
        return
    context.said[key] = context.clock.monotonic()
    context.emit(
        EventName.TX_STUCK,
        Level.WARNING,
        chain=context.name,
        owner=gap.sender,
        label=gap.label,
        nonce=nonce,
        tx=None,
        why=why,
        next="everything above this nonce waits for it; it is filled as soon as that changes",
    )


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
