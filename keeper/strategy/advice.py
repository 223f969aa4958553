"""What a person might do about a position: it is too small, better claimed at the exit, or would earn more elsewhere.

Advice never moves anything. It is exact where the rule is, and says "about" where it looks ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from keeper.domain.decision import DecisionNumbers, Reason, ReasonCode
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import WAD, usd_decimal, usd_text
from keeper.domain.observation import Observation
from keeper.domain.position import Position, RewardsEnd
from keeper.strategy.breakeven import cost_limit, principal_limit
from keeper.strategy.horizon import harvests_left
from keeper.strategy.switching import Candidate, Move, compare, doubt, economics_of
from keeper.strategy.threshold import Rule, evaluate, pressure

__all__ = ["Candidate", "about_gwei", "about_usd", "advise", "gas_price_limit"]

_DAY: Final = 86_400


def advise(
    position: Position,
    observation: Observation,
    numbers: DecisionNumbers | None,
    harvests: Sequence[Harvest] = (),
    *,
    candidates: Sequence[Candidate] = (),
    now: int | None = None,
) -> tuple[Reason, ...]:
    """Return what a person might do about a position, most fundamental first; empty when all is well.

    Args:
        position: the position, with its options.
        observation: what was last seen of it.
        numbers: what the last decision reckoned with; ``None`` when it could not be valued, then nothing is advised.
        harvests: its past compounds.
        candidates: the last that is known of the positions that ``candidates`` names, in that order; others are left
            out of account.
        now: unix seconds; the observation's block by default.
    """
    if numbers is None or numbers.principal_usd <= 0:
        return ()
    moment = observation.block.timestamp if now is None else now
    here = Candidate(position, observation, numbers, observation.block.timestamp)
    own = _ended(position, observation, numbers) or _at_exit(position, numbers) or _too_small(here, harvests)
    listed = [one for one in candidates if one.position.id in position.options.candidates]
    return (*([own] if own else []), *_switch(here, listed, moment))


# ---------------------------------------------------------------------------- the position by itself


def _ended(position: Position, observation: Observation, numbers: DecisionNumbers) -> Reason | None:
    ends = [accrual.ends_at for accrual in observation.accruals]
    over = bool(ends) and all(end is not None and end <= observation.block.timestamp for end in ends)
    if not over or position.options.rewards_end is RewardsEnd.RENEWED:
        return None
    pending = usd_text(numbers.reward_usd)
    claim = f"claim the {pending}" if numbers.reward_usd > numbers.cost_usd else f"the {pending} left is below its gas"
    text = f"rewards have ended, so the stake earns nothing here: {claim} and leave, or move to a farm that pays"
    return Reason(ReasonCode.REWARDS_ENDED, text)


def _at_exit(position: Position, numbers: DecisionNumbers) -> Reason | None:
    if numbers.forward_usd_per_year <= 0 or numbers.cost_usd <= 0:
        return None
    if numbers.yield_wad <= 0:
        rate = f"{numbers.yield_wad * 10_000 // WAD / 100:.2f} %"
        text = f"re-depositing earns nothing over holding the reward ({rate} a year): claim once, when you leave"
        return Reason(ReasonCode.CLAIM_AT_EXIT, text)
    left, e = numbers.horizon_seconds, economics_of(numbers)
    if left is None or harvests_left(numbers.reward_usd, e.cost, e.forward, pressure(e), left) > 0:
        return None
    leaves = position.options.exit_at is not None
    until = "until you leave" if leaves else "until rewards end"
    text = (
        f"no compound earns its {usd_text(e.cost)} back in the {_span(left)} {until}: "
        f"claim once, when {'you leave' if leaves else 'they do'}"
    )
    return Reason(ReasonCode.CLAIM_AT_EXIT, text)


def _too_small(here: Candidate, harvests: Sequence[Harvest]) -> Reason | None:
    numbers = here.numbers
    assert numbers is not None
    e = economics_of(numbers)
    due = numbers.threshold_usd is not None and numbers.reward_usd >= numbers.threshold_usd
    if e.cost <= 0 or e.forward <= 0 or due or numbers.horizon_seconds is not None or cost_limit(e) >= e.cost:
        return None
    often = Decimal(evaluate(e, Rule()).harvests_milli) / 1000
    shares = [accrual.own_share_ppm for accrual in here.observation.accruals] if here.observation else []
    size = principal_limit(e, own_share_ppm=max(shares, default=0))
    price = gas_price_limit(numbers, cost_limit(e))
    ways = [] if size is None else [f"from about {about_usd(size)} staked"]
    if price:
        ways.append(f"with gas below {about_gwei(price)}")
    would = f"; it would {', or '.join(ways)}" if ways else ""
    spent = sum(h.cost_usd for h in harvests if h.state is HarvestState.DONE)
    so_far = f"; the compounds so far cost {usd_text(spent)}" if spent else ""
    text = (
        f"too small: at {usd_text(e.cost)} a time, compounding this does not beat its cost within a year "
        f"(n* = {often:.1f}){would}{so_far}; until then claim when you leave"
    )
    return Reason(ReasonCode.TOO_SMALL, text)


def gas_price_limit(numbers: DecisionNumbers, limit: int) -> int | None:
    """Return the wei per gas unit at which a compound costs ``limit`` (USD wad); ``None`` when no price does.

    Gas and the allowance for failures follow the price of gas, the rest of the cost does not.
    """
    parts = numbers.cost_parts
    follows = parts.gas_usd + parts.failure_usd if parts.gas_usd else numbers.cost_usd
    fixed = numbers.cost_usd - parts.event_usd - follows if parts.gas_usd else 0
    if follows <= 0 or limit <= fixed:
        return None
    return (limit - fixed) * numbers.gas_price_wei // follows or None


# ---------------------------------------------------------------------------- elsewhere


def _switch(here: Candidate, candidates: Sequence[Candidate], now: int) -> list[Reason]:
    """Advise the best move that pays; say of each other one that might pay why it is not advised."""
    said: list[Reason] = []
    best: tuple[Move, Candidate] | None = None
    for there in candidates:
        move = compare(here, there, now)
        problem = _obstacle(here, there, now)
        if move is None and problem is None:
            continue
        if problem is not None:
            if move is None or move.pays:
                said.append(Reason(ReasonCode.RATE_UNKNOWN, _withheld(there, move, problem)))
        elif move is not None and move.pays and (best is None or move.net > best[0].net):
            best = (move, there)
    return said if best is None else [Reason(ReasonCode.SWITCH, _advice(here, best[1], best[0])), *said]


def _obstacle(here: Candidate, there: Candidate, now: int) -> str | None:
    """Say why a move may not be advised whatever it brings: unsound numbers, or a lock."""
    problem = doubt(there, now, whose=f"{there.position.id}'s") or doubt(here, now, whose="this position's")
    if problem is not None:
        return problem
    locked = _locked_until(here, now)
    if locked:
        return f"this stake is locked until {_day(locked)}"
    exit_at, bound = here.position.options.exit_at, _lock_seconds(there)
    if exit_at is not None and bound and now + bound > exit_at:
        return f"it would lock the stake until {_day(now + bound)}, after you mean to leave"
    return None


def _withheld(there: Candidate, move: Move | None, problem: str) -> str:
    name = there.position.id
    if move is None:
        return f"no advice about moving to {name}: {problem}"
    return f"{name} seems to earn {_percent(move.yearly(move.moved))} a year, but moving is not advised: {problem}"


def _advice(here: Candidate, there: Candidate, move: Move) -> str:
    ours, theirs = here.position, there.position
    back = move.payback_seconds or 0
    yields = f"{ours.id} {_percent(move.yearly(move.stays))}, {theirs.id} {_percent(move.yearly(move.moved))}"
    text = (
        f"moving to {theirs.id} is worth {usd_text(move.per_year)} a year ({yields} after compounding, each at its own "
        f"best rhythm and cost); it costs {usd_text(move.cost)} once, paid back in {_span(back)}"
    )
    notes = []
    if ours.chain != theirs.chain:
        notes.append(f"a bridge from {ours.chain} to {theirs.chain} comes on top")
    if bound := _lock_seconds(there):
        notes.append(f"it locks the stake for {_span(bound)}")
    return "; ".join([text, *notes, "advice only, keeper moves nothing"])


def _locked_until(one: Candidate, now: int) -> int | None:
    if one.observation is None:
        return None
    ends = [r.runs_until for r in one.observation.restarts if r.penalty_bps is None and r.runs_until]
    return max((end for end in ends if end > now), default=None)


def _lock_seconds(one: Candidate) -> int:
    if one.observation is None:
        return 0
    return max((r.seconds for r in one.observation.restarts if r.penalty_bps is None), default=0)


# ---------------------------------------------------------------------------- words


def about_usd(wad: int) -> str:
    """Word a least amount of dollars with two digits, rounded up: ``$4,100``, ``$3.20``, ``$0.37``."""
    value = _rounded(usd_decimal(wad), ROUND_CEILING)
    return f"${value:,.2f}" if 1 <= value < 10 and value % 1 else f"${value:,f}"


def about_gwei(wei: int) -> str:
    """Word a highest gas price with two digits, rounded down: ``0.3 gwei``."""
    return f"{_rounded(Decimal(wei) / 10**9, ROUND_FLOOR):,f} gwei"


def _rounded(value: Decimal, rounding: str) -> Decimal:
    if value <= 0:
        return Decimal(0)
    step = Decimal(1).scaleb(value.adjusted() - 1)
    plain = (value / step).to_integral_value(rounding) * step
    return plain.normalize() if plain.adjusted() < 0 else plain.quantize(Decimal(1)) if step >= 1 else plain.normalize()


def _percent(wad: int) -> str:
    return f"{Decimal(wad) * 100 / WAD:.1f} %"


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


def _span(seconds: int) -> str:
    days = -(-seconds // _DAY)
    return f"{days} days" if seconds > 2 * _DAY else f"{max(-(-seconds // 3_600), 1)} hours"
