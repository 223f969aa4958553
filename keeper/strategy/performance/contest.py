"""The live race of one position: a shadow for each policy, taken along look by look, and written down as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keeper.domain.money import WAD, Address, Token
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.performance.past import Pace
from keeper.strategy.performance.points import Point
from keeper.strategy.performance.shadow import Shadow, begin, step
from keeper.strategy.performance.ticks import Terms, Tick
from keeper.strategy.policies import DEFAULT, POLICIES, Named, describe, rule
from keeper.strategy.policy import Policy
from keeper.strategy.threshold import Rule

__all__ = [
    "REFERENCE",
    "Contest",
    "Entry",
    "advance",
    "begun",
    "contest_of",
    "contest_text",
    "field_of",
    "look_before",
    "own_rule",
]

#: The policy that gains are measured against.
REFERENCE: Final = "never"

#: Of what ``contest_text`` writes; a text of another version is not read, and the race begins anew.
_VERSION: Final = 1


@dataclass(slots=True)
class Entry:
    """One policy's part in it."""

    shadow: Shadow
    #: Unix seconds since which it takes part.
    since: int
    #: What it has come to at the last look, wad.
    worth: int = 0


@dataclass(slots=True)
class Contest:
    """Where the race of a position stands; changed in place."""

    #: Unix seconds of its beginning and of the last look.
    since: int
    at: int
    #: What the position really had at the last look, base units, and of which tokens.
    stake: int
    stake_token: Address
    pending: dict[Address, int]
    own_share_ppm: int
    #: How rewards accrued when nothing disturbed them, and the last terms that a look told.
    pace: dict[Address, tuple[int, int]] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    #: Seconds of looks, and gas price times them, for the mean price.
    seconds: int = 0
    gas_seconds: int = 0
    looks: int = 0
    #: By policy.
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def mean_gas_wei(self) -> int | None:
        """Mean price of gas since the beginning; ``None`` before it lasted."""
        return self.gas_seconds // self.seconds if self.seconds else None

    def gained(self, name: str) -> int:
        """Return what a policy has gained over never, wad."""
        return self.entries[name].worth - self.entries[REFERENCE].worth


def own_rule(terms: Rule) -> Policy:
    """Return keeper's rule with a position's own options."""
    return POLICIES[DEFAULT] if terms == Rule() else Named(DEFAULT, describe(POLICIES[DEFAULT]), rule(terms))


def field_of(terms: Rule) -> Mapping[str, Policy]:
    """Return who takes part: every built-in policy, and keeper's rule with a position's own options."""
    return {**POLICIES, DEFAULT: own_rule(terms)}


def begun(point: Point, tokens: tuple[Token, tuple[Token, ...]], policies: Mapping[str, Policy]) -> Contest:
    """Begin: every shadow stands where the position stands."""
    stake, rewards = tokens
    contest = Contest(point.at, point.at, 0, stake.address, {}, 0)
    contest.entries = {name: Entry(begin(point), point.at) for name in policies}
    _remember(contest, point, rewards, {})
    contest.terms = contest.terms.after(point)
    return contest


def look_before(contest: Contest, after: Point, tokens: tuple[Token, tuple[Token, ...]]) -> tuple[Point, Pace]:
    """Return the last look as a point in front of the next, at the next one's prices, and the pace that was kept."""
    stake, rewards = tokens
    pending = tuple(contest.pending.get(token.address, 0) for token in rewards)
    idle = sum(
        raw * price // token.unit for raw, price, token in zip(pending, after.reward_prices, rewards, strict=True)
    )
    before = replace(
        after,
        at=contest.at,
        stake=contest.stake,
        pending=pending,
        staked=contest.stake * after.price // stake.unit,
        idle=idle,
        own_share_ppm=contest.own_share_ppm,
    )
    return before, {n: contest.pace[t.address] for n, t in enumerate(rewards) if t.address in contest.pace}


def advance(
    contest: Contest,
    tick: Tick,
    rewards: tuple[Token, ...],
    pace: Pace,
    policies: Mapping[str, Policy],
    memory: GasMemory,
) -> None:
    """Take every shadow through a tick.

    Args:
        contest: changed in place.
        tick: from the last look to this one; its terms are those after ``contest.terms``.
        rewards: tokens in the order of the tick.
        pace: as the step left it.
        policies: who takes part, ``never`` among them. One that is new begins where ``never`` stands; one that is not
            among them any more leaves.
        memory: gas up to and with this look.
    """
    contest.entries = {name: contest.entries.get(name) or _joined(contest) for name in policies}
    places = {address: place for place, address in enumerate(contest.pending)}
    order = [places.get(token.address, -1) for token in rewards]
    if order != list(range(len(places))):
        for entry in contest.entries.values():
            _reorder(entry.shadow, order)
    for name, policy in policies.items():
        entry = contest.entries[name]
        entry.worth = step(entry.shadow, tick, policy, memory)
    contest.terms = tick.terms
    contest.looks += 1
    if tick.seen is not None:
        contest.seconds += tick.step.seconds
        contest.gas_seconds += int(tick.seen.gas) * tick.step.seconds
    _remember(contest, tick.step.after, rewards, pace)


def _joined(contest: Contest) -> Entry:
    """Let a policy join where never stands."""
    shadow = contest.entries[REFERENCE].shadow
    return Entry(Shadow(shadow.stake, list(shadow.pending), contest.at, cash=shadow.cash), contest.at)


def _remember(contest: Contest, point: Point, rewards: tuple[Token, ...], pace: Pace) -> None:
    contest.at, contest.stake, contest.own_share_ppm = point.at, point.stake, point.own_share_ppm
    contest.pending = {token.address: raw for token, raw in zip(rewards, point.pending, strict=True)}
    contest.pace = {token.address: pace[place] for place, token in enumerate(rewards) if place in pace}


def _reorder(shadow: Shadow, places: list[int]) -> None:
    """Follow a market whose reward tokens have changed; nothing pends of a new one."""
    shadow.pending = [shadow.pending[place] if place >= 0 else 0 for place in places]


# ---------------------------------------------------------------------------- as text


def contest_text(contest: Contest) -> str:
    """Write it down, compactly and exactly."""
    data = {
        "v": _VERSION,
        "since": contest.since,
        "at": contest.at,
        "stake": [contest.stake_token, contest.stake, contest.own_share_ppm],
        "pending": [[address, raw, *contest.pace.get(address, ())] for address, raw in contest.pending.items()],
        "terms": [contest.terms.kept, contest.terms.cost],
        "gas": [contest.seconds, contest.gas_seconds, contest.looks],
        "policies": {name: _entry_row(entry) for name, entry in contest.entries.items()},
    }
    return json.dumps(data, separators=(",", ":"))


def contest_of(text: str | None) -> Contest | None:
    """Read what ``contest_text`` wrote; ``None`` where it is missing, damaged, or another version's."""
    try:
        data: Any = json.loads(text or "null")
        if data is None or data["v"] != _VERSION:
            return None
        token, stake, share = data["stake"]
        seconds, gas_seconds, looks = data["gas"]
        kept, cost = data["terms"]
        contest = Contest(data["since"], data["at"], stake, Address(token), {}, share)
        contest.pending = {Address(row[0]): row[1] for row in data["pending"]}
        contest.pace = {Address(row[0]): (row[2], row[3]) for row in data["pending"] if len(row) == 4}
        contest.terms = Terms(kept, cost)
        contest.seconds, contest.gas_seconds, contest.looks = seconds, gas_seconds, looks
        contest.entries = {name: _entry_of(row) for name, row in data["policies"].items()}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    sound = all(len(e.shadow.pending) == len(contest.pending) for e in contest.entries.values())
    return contest if sound and REFERENCE in contest.entries and contest.terms.kept <= WAD else None


def _entry_row(entry: Entry) -> list[Any]:
    s = entry.shadow
    return [entry.since, entry.worth, s.stake, s.pending, s.last_at, s.harvests, s.paid, s.gas_wei, s.cash]


def _entry_of(row: list[Any]) -> Entry:
    since, value, stake, pending, last_at, harvests, paid, gas_wei, cash = row
    return Entry(Shadow(stake, list(pending), last_at, harvests, paid, gas_wei, cash), since, value)
