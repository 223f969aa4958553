"""What the end of emission that a contract names is worth: whether it has been seen to move, and how far off it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from keeper.domain.money import Address
from keeper.domain.observation import Accrual
from keeper.domain.position import RewardsEnd
from keeper.strategy.recall import parsed, recalled

__all__ = ["EndMemory", "SeenEnd", "ends_key", "horizon_of", "memory_of", "memory_text", "remember"]

#: An end that is reckoned from block numbers moves a little with every block. It counts as moved by an hour and this
#: part of the time that was left when it was first seen.
_SLACK_SECONDS: Final = 3_600
_SLACK_PART: Final = 20


@dataclass(frozen=True, slots=True)
class SeenEnd:
    """The end of one token's emission, as it was first seen."""

    token: Address
    #: Unix seconds.
    at: int
    seen_at: int
    #: Whether it was ever put off since.
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class EndMemory:
    """The ends that were seen on one position."""

    ends: tuple[SeenEnd, ...] = ()

    def renewed(self, token: Address) -> bool:
        """Whether the end of this token's emission was put off before."""
        return any(end.token == token and end.renewed for end in self.ends)


def ends_key(position_id: str) -> str:
    """Name the flag that keeps a position's memory."""
    return f"ends:{position_id}"


def remember(memory: EndMemory, accruals: Sequence[Accrual], now: int) -> EndMemory:
    """Take in the ends that a contract names now; the very same memory comes back when nothing is new.

    Args:
        memory: what was seen before.
        accruals: present forward rates, those of rate 0 included: an end that has passed is put off as well.
        now: unix seconds of the block.
    """
    known = {end.token: end for end in memory.ends}
    for accrual in accruals:
        token, at = accrual.per_year.token.address, accrual.ends_at
        if at is None or at <= 0:
            continue
        seen = known.get(token)
        if seen is None:
            known[token] = SeenEnd(token, at, now)
        elif at > seen.at + _slack(seen):
            known[token] = SeenEnd(token, at, now, renewed=True)
        elif at < seen.at - _slack(seen):
            known[token] = replace(seen, at=at, seen_at=now)
    ends = tuple(known.values())
    return memory if ends == memory.ends else EndMemory(ends)


def horizon_of(accruals: Sequence[Accrual], rewards_end: RewardsEnd, memory: EndMemory, now: int) -> int | None:
    """Return the seconds until emission stops for good; ``None`` when it does not, or has stopped already.

    With several tokens the last end counts. AUTO takes an end at its word until it has been seen to be put off once.

    Args:
        accruals: present forward rates.
        rewards_end: the owner's option.
        memory: ends seen before.
        now: unix seconds of the block.
    """
    live = [a for a in accruals if a.per_year.raw > 0 and (a.ends_at is None or a.ends_at > now)]
    ends = [a.ends_at for a in live if a.ends_at is not None]
    if rewards_end is RewardsEnd.RENEWED or len(ends) < len(live) or not ends:
        return None
    if rewards_end is RewardsEnd.AUTO and any(memory.renewed(a.per_year.token.address) for a in live):
        return None
    return max(ends) - now


def memory_text(memory: EndMemory) -> str:
    """Write a memory as text for a flag."""
    return json.dumps([asdict(end) for end in memory.ends], separators=(",", ":"))


def memory_of(text: str | None) -> EndMemory:
    """Read what ``memory_text`` wrote; an empty memory where it is missing, garbage, or another version's."""
    try:
        data = parsed(text or "[]")
        return EndMemory(tuple(recalled(SeenEnd, end) for end in data)) if isinstance(data, list) else EndMemory()
    except ValueError:
        return EndMemory()


def _slack(seen: SeenEnd) -> int:
    return _SLACK_SECONDS + max(seen.at - seen.seen_at, 0) // _SLACK_PART
