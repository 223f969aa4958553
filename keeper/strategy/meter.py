"""The rate of one reward token, from looks at what is pending: exponentially weighted, and not easily fooled.

Looks are gathered into stretches that begin and end where the reward was seen to grow, so that what comes in lumps
(weekly epochs, daily reports) gives its mean and neither a spike nor zero in between. All is integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.money import Address
from keeper.strategy.numbers import SECONDS_PER_YEAR

__all__ = ["STRETCH_SECONDS", "ZERO_SECONDS", "Look", "Meter"]

#: Shortest stretch that counts: a rate is believed after so many seconds, and ``_LOOKS`` looks.
STRETCH_SECONDS: Final = 1_800
_LOOKS: Final = 3

#: Nothing seen to grow for so long, and for two epochs, is believed to be no reward at all.
ZERO_SECONDS: Final = 8 * 86_400

#: Old stretches fade with this time constant (half of their weight is gone after about two days), or with three times
#: the distance of the lumps, where they come more rarely than that.
_FADES_SECONDS: Final = 3 * 86_400
_FADES_LUMPS: Final = 3

#: A stretch that brings more than so many times the expected, and would lift the rate by more than a quarter, is held
#: back (somebody's donation) until so many in a row have done the same.
_ODD_TIMES: Final = 5
_ODD_PART: Final = 4
_CONFIRMED_BY: Final = 3

#: Digits that the fading sums have behind the point.
_SCALE: Final = 10**12


@dataclass(frozen=True, slots=True)
class Look:
    """What one look adds: the time since the last one, and what grew in it."""

    #: Pending now, base units.
    raw: int
    #: What the owner's own compounds have claimed since the last look, base units.
    claimed: int
    #: Seconds since the last look in which rewards could accrue; 0 when the time between tells nothing.
    seconds: int
    #: Stake times seconds.
    work: int
    #: Stake now, and the length of an epoch where rewards come once in each; 0 where they come evenly.
    stake: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Meter:
    """What is known of one token's rate. Sums fade; a rate is growth over work, and work is stake times seconds."""

    token: Address
    #: Unix seconds and pending amount of the last look.
    at: int
    raw: int
    looks: int = 1
    #: Seconds that were watched in all.
    watched: int = 0
    #: Faded sums over the stretches that are closed, and their number.
    growth: int = 0
    work: int = 0
    closed: int = 0
    #: The stretch that is open: growth, work, seconds, and for how long nothing has grown.
    open_growth: int = 0
    open_work: int = 0
    open_seconds: int = 0
    quiet: int = 0
    #: Usual distance of two lumps, seconds.
    gap: int = 0
    #: Whether anything has been seen to grow.
    begun: bool = False
    #: Stretches held back: growth, work, number.
    held_growth: int = 0
    held_work: int = 0
    held: int = 0

    def per_year(self, stake: int, epoch: int) -> int | None:
        """Base units a year at this stake; ``None`` while too little was seen."""
        if not self.closed or self.looks < _LOOKS or self.watched < STRETCH_SECONDS:
            unmoved = not self.begun and self.watched >= max(ZERO_SECONDS, 2 * epoch)
            return 0 if unmoved else None
        late = self.quiet > 2 * max(self.gap, epoch, STRETCH_SECONDS)
        told = _closed(self, epoch) if late else self
        return told.growth * stake * SECONDS_PER_YEAR // told.work if told.work else None

    def restarted(self, at: int, raw: int) -> Meter:
        """Begin the next stretch of time here: what lies between is not known."""
        return replace(self, at=at, raw=raw, looks=self.looks + 1)

    def seen(self, at: int, look: Look) -> Meter:
        """Take in a look."""
        grown = look.raw + look.claimed - self.raw
        moved = self.restarted(at, look.raw)
        if grown < 0 or look.work <= 0:
            # Somebody has claimed it, and how much had come by then is not known; or nothing could come.
            return moved
        moved = replace(
            moved,
            watched=self.watched + look.seconds,
            open_growth=self.open_growth + grown,
            open_work=self.open_work + look.work,
            open_seconds=self.open_seconds + look.seconds,
            quiet=0 if grown else self.quiet + look.seconds,
            begun=self.begun or grown > 0,
        )
        if grown and not self.begun and look.epoch:
            # The first lump: it is what an epoch brings, whenever it was that this one began.
            seconds = max(look.epoch, moved.open_seconds)
            return _closed(replace(moved, open_work=look.stake * seconds, open_seconds=seconds), look.epoch)
        if grown and not self.begun and self.quiet:
            # How long this one took to come is not known; the next one tells.
            return _opened(moved)
        if grown and moved.open_seconds >= STRETCH_SECONDS:
            return _held(moved) if _odd(moved) else _closed(moved, look.epoch)
        return moved


def _closed(meter: Meter, epoch: int) -> Meter:
    """End the open stretch and take it in."""
    fades = max(_FADES_SECONDS, _FADES_LUMPS * max(meter.gap, epoch))
    left = fades + meter.open_seconds
    return replace(
        _opened(meter),
        growth=meter.growth * fades // left + meter.open_growth * _SCALE,
        work=meter.work * fades // left + meter.open_work * _SCALE,
        closed=meter.closed + 1,
        gap=max(meter.gap * 9 // 10, meter.open_seconds),
        held_growth=0,
        held_work=0,
        held=0,
    )


def _odd(meter: Meter) -> bool:
    """Whether the open stretch brings far more than the rate would have let expect, a whole lump if they come so."""
    if meter.closed < _CONFIRMED_BY or not meter.work:
        return False
    work = meter.open_work * max(meter.gap, meter.open_seconds) // meter.open_seconds
    expected = meter.growth * work // meter.work
    lifts = (meter.open_growth - expected) * _SCALE * _ODD_PART > meter.growth
    return lifts and meter.open_growth > _ODD_TIMES * expected


def _held(meter: Meter) -> Meter:
    """End the open stretch and hold it back; when many in a row were like it, it is the rate that has changed."""
    growth, work = meter.held_growth + meter.open_growth, meter.held_work + meter.open_work
    if meter.held + 1 < _CONFIRMED_BY:
        return replace(_opened(meter), held_growth=growth, held_work=work, held=meter.held + 1)
    return replace(
        _opened(meter),
        growth=growth * _SCALE,
        work=work * _SCALE,
        closed=_CONFIRMED_BY,
        gap=meter.open_seconds,
        held_growth=0,
        held_work=0,
        held=0,
    )


def _opened(meter: Meter) -> Meter:
    return replace(meter, open_growth=0, open_work=0, open_seconds=0)
