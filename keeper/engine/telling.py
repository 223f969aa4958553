"""The events of a compound, in one place: what was planned, sent, mined, set aside."""

from __future__ import annotations

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest
from keeper.domain.money import Amount, usd_decimal
from keeper.domain.plan import Plan
from keeper.domain.transaction import Intent, Receipt, Simulation
from keeper.engine.context import ChainContext

__all__ = ["say_mined", "say_not_begun", "say_planned", "say_quarantined", "say_sent"]


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


def say_sent(
    context: ChainContext, harvest: Harvest, plan: Plan, intent: Intent, tx: str, max_fee_wei: int, *, attempt: int = 1
) -> None:
    """A signed transaction was given to the chain; ``attempt`` above 1 outbids an earlier one."""
    context.emit(
        EventName.HARVEST_SENT,
        position=harvest.position_id,
        harvest=harvest.id,
        leg=intent.leg_index + 1,
        legs=len(plan.legs),
        label=intent.label,
        nonce=intent.nonce,
        tx=tx,
        bid_gwei=f"{max_fee_wei / 10**9:.4g}",
        budget_usd=f"{usd_decimal(harvest.predicted_cost_usd):.2f}",
        attempt=attempt,
    )


def say_mined(context: ChainContext, harvest: Harvest, plan: Plan, intent: Intent, receipt: Receipt) -> None:
    """Its receipt is there, deep enough."""
    gained = [receipt.delta(token, plan.owner) for token in plan.tokens]
    context.emit(
        EventName.HARVEST_MINED,
        position=harvest.position_id,
        harvest=harvest.id,
        leg=intent.leg_index + 1,
        legs=len(plan.legs),
        label=intent.label,
        tx=receipt.tx_hash,
        block=receipt.block_number,
        gas=receipt.gas_used,
        cost_wei=receipt.cost_wei,
        received=", ".join(_word(amount) for amount in gained if amount.raw > 0),
    )


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
