"""What is done about once a day, whatever else happens: history is thinned as it ages."""

from __future__ import annotations

from typing import Final

from keeper.domain.events import EventName, Level
from keeper.engine.context import ChainContext
from keeper.errors import StoreUnavailable

__all__ = ["upkeep"]

_FLAG: Final = "thinned"
_DAY: Final = 86_400


def upkeep(context: ChainContext, now: int) -> None:
    """Thin the history when a day has passed since it was done; one that fails is tried at the next look.

    Args:
        context: any chain; the store is the same for all, and so is the day.
        now: block time, unix seconds.
    """
    last = context.store.get_flag(_FLAG) or ""
    if last.isdecimal() and 0 <= now - int(last) < _DAY:
        return
    try:
        gone = context.store.thin(now, context.history_seconds)
        context.store.set_flag(_FLAG, str(now))
    except StoreUnavailable as error:
        context.emit(
            EventName.CYCLE_FAILED, Level.WARNING, chain=context.name, error=f"history is not thinned: {error}"
        )
        return
    context.emit(EventName.HISTORY_THINNED, Level.DEBUG, chain=context.name, dropped=gone)
