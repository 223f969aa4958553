"""A position's recorded history, ready for any policy to live through, and what really came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.observation import USD_ONE, Sample
from keeper.strategy.performance.past import Past, past_of
from keeper.strategy.performance.points import Point
from keeper.strategy.performance.shadow import FINE, Shadow, worth
from keeper.strategy.performance.ticks import Tick, ticks_of

__all__ = ["GAP_SECONDS", "Cover", "History", "Real", "cover_of", "history_of"]

#: Longer than this without a look is a gap: nobody can act in it, and its gas is not known.
GAP_SECONDS: Final = 12 * 3_600


@dataclass(frozen=True, slots=True)
class Cover:
    """How much of a window was recorded."""

    #: The window, and the first and last look in it, unix seconds.
    since: int
    until: int
    first: int
    last: int
    looks: int
    #: Seconds without gaps.
    seconds: int
    gaps: int = 0
    #: Seconds of the longest gap, and when it began.
    longest: int = 0
    longest_at: int = 0


@dataclass(frozen=True, slots=True)
class Real:
    """What really happened."""

    harvests: int
    #: Fees, wad, of compounds that failed too.
    paid: int
    #: Mean gas price of the compounds that were done, wei; ``None`` without any.
    gas_wei: float | None
    #: What the position had come to at each tick, wad, by the measure of ``shadow.worth``.
    worth: tuple[int, ...]
    #: Places of the ticks next to which it was compounded, for the model to do the same.
    done: tuple[int, ...]
    #: Seconds between compounds, in order.
    intervals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One position, from a first look on."""

    name: str
    start: Point
    ticks: tuple[Tick, ...]
    #: Prices of gas, (unix seconds, wei), oldest first, from before the first look on: what policies may remember.
    gas: tuple[tuple[int, float], ...]
    cover: Cover
    #: ``None`` where nothing did: the history is made up.
    real: Real | None = None


def history_of(
    name: str,
    samples: Sequence[Sample],
    harvests: Sequence[Harvest],
    ledger: Sequence[LedgerEntry],
    gas: Sequence[tuple[int, int, int]],
    window: tuple[int, int],
    *,
    rebasing: bool | None = None,
) -> History | None:
    """Put a position's history together, in US dollars; ``None`` while fewer than two looks can be valued.

    Args:
        name: the position's id.
        samples: its looks within the window, oldest first.
        harvests: its compounds, in any order.
        ledger: movements of those compounds.
        gas: (unix seconds, base fee, tip), wei, oldest first; from before the window too.
        window: unix seconds, both included.
        rebasing: whether the stake grows by itself; told from the samples when not given.
    """
    dollars = [replace(sample, base_usd=USD_ONE) for sample in samples]
    past = past_of(dollars, harvests, ledger, rebasing=rebasing)
    if past is None:
        return None
    numbers = {s.observation.block.timestamp: s.numbers for s in dollars if s.numbers is not None}
    ticks = tuple(ticks_of(past, numbers))
    return History(
        name=name,
        start=past.first,
        ticks=ticks,
        gas=tuple((at, float(base + tip)) for at, base, tip in gas),
        cover=cover_of(window, past.first.at, [tick.at for tick in ticks]),
        real=_real(past, ticks, harvests),
    )


def cover_of(window: tuple[int, int], first: int, looks: Sequence[int], *, gap: int = GAP_SECONDS) -> Cover:
    """Say how much of a window is covered by a first look and those after it; what is longer than ``gap`` is one."""
    spans = [(later - earlier, earlier) for earlier, later in pairwise((first, *looks))]
    gaps = [span for span in spans if span[0] > gap]
    longest, at = max(gaps, default=(0, 0))
    return Cover(
        since=window[0],
        until=window[1],
        first=first,
        last=looks[-1],
        looks=len(looks) + 1,
        seconds=sum(seconds for seconds, _ in spans if seconds <= gap),
        gaps=len(gaps),
        longest=longest,
        longest_at=at,
    )


def _real(past: Past, ticks: Sequence[Tick], harvests: Sequence[Harvest]) -> Real:
    """Follow what there really was, money that came and went through the wallet counted in."""
    cash, found = 0, []
    for tick in ticks:
        step = tick.step
        cash += step.wallet + step.by_hand - step.cost
        if tick.left:  # its shadows are paid off here, and what is left is put in anew
            cash -= step.flow(tick.unit)
        have = Shadow(step.after.stake * FINE, [raw * FINE for raw in step.after.pending], tick.at, cash=cash)
        found.append(worth(have, tick))
    done = [
        h for h in harvests if h.state is HarvestState.DONE and past.first.at < (h.finished_at or 0) <= past.last.at
    ]
    times = sorted(h.finished_at or 0 for h in done)
    return Real(
        harvests=sum(step.harvests for step in past.steps),
        paid=sum(step.cost for step in past.steps),
        gas_wei=_mean_gas(done),
        worth=tuple(found),
        done=tuple(sorted({_nearest(ticks, h.started_at) for h in done})),
        intervals=tuple(later - earlier for earlier, later in pairwise(times)),
    )


def _nearest(ticks: Sequence[Tick], moment: int) -> int:
    """Return the place of the tick that was decided at, or the next one to it."""
    return min(range(len(ticks)), key=lambda place: (abs(ticks[place].at - moment), place))


def _mean_gas(done: Sequence[Harvest]) -> float | None:
    prices = [h.cost_wei / h.gas_used for h in done if h.gas_used]
    return sum(prices) / len(prices) if prices else None
