"""What a position's own past says: when it was last harvested, how far simulations are off, what failures cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.position import Position
from keeper.engine.context import ChainContext
from keeper.strategy.learning import failure_allowance_ppm, gas_correction_ppm
from keeper.strategy.numbers import SECONDS_PER_YEAR

__all__ = ["NO_COMPOUND", "TrackRecord", "known_record", "track_record", "watched_since"]

#: Compounds that are looked at: what older ones tell is old.
_LOOKED_AT: Final = 60


#: The newest compound of a position that has none.
NO_COMPOUND: Final = ("", "")


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """The past of one position, as far as the next decision needs it."""

    #: Newest compound on record, and its state: when both are the same the rest is, too.
    newest: tuple[str, str]
    #: Unix seconds at which the last one was begun; ``None`` when there was none.
    last_at: int | None
    #: Gas units that were simulated for the last one that was done; ``None`` when none was.
    gas_units: int | None
    correction_ppm: int
    failure_ppm: int
    #: Unix seconds at which the last one was begun that did not fail.
    opened_at: int | None
    #: Unix seconds of those that were done, or had claimed when they failed (a receipt is income), newest first.
    done_at: tuple[int, ...]

    def within_a_year(self, now: int) -> int:
        """Count the harvests of the 365 days before ``now`` (unix seconds)."""
        return sum(1 for at in self.done_at if at > now - SECONDS_PER_YEAR)


def track_record(context: ChainContext, position: Position, newest: tuple[str, str] | None = None) -> TrackRecord:
    """Return a position's record; it is worked out anew when a compound was begun or has ended since.

    ``newest``: the newest compound and its state, where the caller has asked for it already.
    """
    key = f"record:{position.id}"
    if newest is None:
        newest = _named(context.store.harvests(position.id, limit=1))
    known = context.learnt.get(key)
    if isinstance(known, TrackRecord) and known.newest == newest:
        return known
    if newest == NO_COMPOUND:
        context.learnt[key] = _EMPTY
        return _EMPTY
    wanted = max(_LOOKED_AT, 2 * (position.options.max_harvests_per_year or 0))
    harvests = context.store.harvests(position.id, limit=wanted)
    limit = wanted
    while len(harvests) == limit and sum(h.state is not HarvestState.CANCELLED for h in harvests) < wanted:
        limit *= 4  # what was dropped unsigned must not hide what was done
        harvests = context.store.harvests(position.id, limit=limit)
    context.learnt[key] = found = _record(harvests)
    return found


def known_record(context: ChainContext, position: Position) -> TrackRecord:
    """Return a position's record as the last look had it: what has changed since then is left for the next look."""
    known = context.learnt.get(f"record:{position.id}")
    return known if isinstance(known, TrackRecord) else track_record(context, position)


def watched_since(context: ChainContext, position: Position, now: int) -> int:
    """Return since when a position is watched, unix seconds; remembered over restarts from the first look on."""
    key = f"watched:{position.id}"
    known = context.learnt.get(key)
    if isinstance(known, int):
        return known
    text = context.store.get_flag(key) or ""
    since = int(text) if text.isdecimal() else now
    if not text.isdecimal():
        context.unwritten[key] = str(now)
    context.learnt[key] = since
    return since


def _named(harvests: Sequence[Harvest]) -> tuple[str, str]:
    return (harvests[0].id, harvests[0].state.value) if harvests else NO_COMPOUND


def _record(harvests: Sequence[Harvest]) -> TrackRecord:
    begun = [h for h in harvests if h.state is not HarvestState.CANCELLED]
    done = [h for h in begun if h.state is HarvestState.DONE]
    return TrackRecord(
        newest=_named(harvests),
        last_at=begun[0].started_at if begun else None,
        gas_units=next((h.predicted_gas for h in done if h.predicted_gas > 0), None),
        correction_ppm=gas_correction_ppm(harvests),
        failure_ppm=failure_allowance_ppm(harvests),
        opened_at=next((h.started_at for h in begun if h.state is not HarvestState.FAILED), None),
        done_at=tuple(h.finished_at or h.started_at for h in begun if h.state is HarvestState.DONE or _income(h)),
    )


def _income(harvest: Harvest) -> bool:
    return harvest.state is HarvestState.FAILED and any(amount.raw > 0 for amount in harvest.received)


#: All positions that were never compounded share this one.
_EMPTY: Final = _record(())
