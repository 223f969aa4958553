"""What looking at a position teaches: rates that its protocol does not name, and ends that were put off before.

Kept in memory for every look and in the store for the next start; a rate is written at most every ten minutes.
"""

from __future__ import annotations

from typing import Final

from keeper.domain.observation import Accrual, Observation
from keeper.domain.position import Position
from keeper.engine.context import ChainContext
from keeper.strategy.accrual import RateState, accruals_of, learn, must_learn, rate_key, state_of, state_text
from keeper.strategy.ends import EndMemory, ends_key, horizon_of, memory_of, memory_text, remember

__all__ = ["learnt_horizon", "learnt_rates", "write_learnt"]

#: Seconds of block time between two writes of a position's rate.
_WRITTEN_EVERY: Final = 600

#: Newest compounds that a rate looks at: what they claimed between two looks is no fall of what is pending.
_COMPOUNDS: Final = 5


def learnt_rates(
    context: ChainContext, position: Position, observation: Observation, *, compounded: bool = True
) -> tuple[Accrual, ...] | None:
    """Take in a look and return the position's forward rates; ``None`` where the protocol names them all.

    ``compounded``: whether the position was ever compounded, as far as the caller knows.
    """
    if not must_learn(observation):
        return None
    key, now = rate_key(position.id), observation.block.timestamp
    state = context.learnt.get(key)
    if not isinstance(state, RateState):
        state = state_of(context.store.get_flag(key))
    fresh = learn(state, observation, context.store.harvests(position.id, limit=_COMPOUNDS) if compounded else [])
    context.learnt[key] = fresh
    written = context.learnt.get(f"written:{key}")
    if not isinstance(written, int) or abs(now - written) >= _WRITTEN_EVERY:
        context.unwritten[key] = state_text(fresh)
        context.learnt[f"written:{key}"] = now
    return accruals_of(fresh, observation)


def write_learnt(context: ChainContext) -> None:
    """Write down what a look has learnt of all its positions, in one commit."""
    flags = dict(context.unwritten)
    if flags:
        context.store.set_flags(flags)
    for key, text in flags.items():
        if context.unwritten.get(key) == text:  # another thread may have learnt something newer meanwhile
            context.unwritten.pop(key, None)


def learnt_horizon(context: ChainContext, position: Position, accruals: tuple[Accrual, ...], now: int) -> int | None:
    """Return the seconds until the owner leaves or emission stops for good; ``None`` when neither is known.

    Ends that have been seen to move count by ``rewards_end`` (see ``keeper.strategy.ends``).
    """
    stops = horizon_of(accruals, position.options.rewards_end, _remembered(context, position, accruals, now), now)
    exit_at = position.options.exit_at
    leaves = None if exit_at is None else max(exit_at - now, 0)
    return leaves if stops is None else stops if leaves is None else min(stops, leaves)


def _remembered(context: ChainContext, position: Position, accruals: tuple[Accrual, ...], now: int) -> EndMemory:
    key = ends_key(position.id)
    known = context.learnt.get(key)
    if not isinstance(known, EndMemory):
        known = memory_of(context.store.get_flag(key))
    fresh = remember(known, accruals, now)
    if fresh is not known:
        context.unwritten[key] = memory_text(fresh)
    context.learnt[key] = fresh
    return fresh
