"""How decisions, harvests and their numbers are spelled: once for people, once for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from keeper.cli.grid import room
from keeper.cli.journal import Known
from keeper.cli.output import amount, duration, percent_wad, say, usd, usd_text
from keeper.domain.decision import Decision, DecisionNumbers, Reason, Verdict
from keeper.domain.harvest import Harvest
from keeper.domain.money import Amount

__all__ = [
    "ago",
    "amounts",
    "day",
    "decision_json",
    "harvest_json",
    "known_json",
    "lines",
    "moment",
    "numbers_json",
    "reasons_json",
    "tell",
    "when_next",
    "wrapped",
    "yearly",
]

#: Columns below which breaking sentences makes them worse.
_NARROW = 20


def ago(now: int, then: int) -> str:
    """Spell how long ago a moment was: ``12 s ago``, ``now``."""
    return f"{duration(now - then)} ago" if now > then else "now"


def day(timestamp: int) -> str:
    """Spell a moment in UTC to the minute."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")


def moment(timestamp: int) -> str:
    """Spell a moment in UTC to the minute, and say so."""
    return f"{day(timestamp)} UTC"


def amounts(values: Sequence[Amount]) -> str:
    """Spell several amounts, nothing as a dash."""
    return ", ".join(amount(value) for value in values) or "-"


def yearly(milli: int) -> str:
    """Spell how often a year: ``about 23 a year``."""
    times = Decimal(milli) / 1000
    return f"about {times:.0f} a year" if times >= 2 else f"about {times:.1f} a year"


def when_next(decision: Decision, now: int) -> str:
    """Spell when the position would be harvested, as far as that can be said."""
    if decision.verdict is Verdict.HARVEST:
        return "now"
    if decision.verdict is Verdict.BLOCKED:
        return "when unblocked"
    if decision.next_check is None or decision.numbers is None or decision.numbers.threshold_usd is None:
        return "never as it is"
    left = decision.next_check - now
    return f"in {duration(left)}" if left > 0 else "at the next look"


def lines(rows: Sequence[tuple[str, str]], indent: str = "  ") -> None:
    """Print labelled lines, the labels aligned, no wider than the terminal; an empty label continues the line above."""
    width = max((len(label) for label, _ in rows), default=0)
    before = len(indent) + width + 2
    for label, text in rows:
        first, *rest = wrapped(text, before)
        say(f"{indent}{label.ljust(width)}  {first}".rstrip())
        for line in rest:
            say(" " * before + line)


def tell(text: str, indent: str = "") -> None:
    """Print a sentence, broken where the terminal ends, its further lines set in."""
    first, *rest = wrapped(text, len(indent))
    say(indent + first)
    for line in rest:
        say(f"{indent}  {line}")


def wrapped(text: str, before: int = 0) -> list[str]:
    """Break a sentence so that it fits the terminal behind ``before`` columns; one line where stdout is none."""
    columns = room()
    if columns is None or len(text) <= columns - before or columns - before < _NARROW:
        return [text]
    return textwrap.wrap(text, columns - before - 2, break_long_words=False, break_on_hyphens=False) or [text]


# ---------------------------------------------------------------------------- for programs


def reasons_json(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    """Codes and sentences."""
    return [{"code": reason.code.value, "text": reason.text} for reason in reasons]


def _share(wad: int) -> str:
    return usd_text(wad)


def _optional_usd(value: int | None) -> str | None:
    return None if value is None else usd_text(value)


def _optional_wei(value: int | None) -> str | None:
    return None if value is None else str(value)


def numbers_json(numbers: DecisionNumbers | None) -> dict[str, Any] | None:
    """The numbers of the rule: dollars, wei and shares as exact text."""
    if numbers is None:
        return None
    return {
        "principal_usd": usd_text(numbers.principal_usd),
        "reward_usd": usd_text(numbers.reward_usd),
        "threshold_usd": _optional_usd(numbers.threshold_usd),
        "budget_usd": usd_text(numbers.budget_usd),
        "cost_usd": usd_text(numbers.cost_usd),
        "forward_usd_per_year": usd_text(numbers.forward_usd_per_year),
        "yield_per_year": _share(numbers.yield_wad),
        "pressure_per_year": _share(numbers.pressure_wad),
        "gas_units": numbers.gas_units,
        "gas_price_wei": str(numbers.gas_price_wei),
        "harvests_per_year": str(Decimal(numbers.harvests_per_year_milli) / 1000),
        "waiting_cost_per_day_usd": usd_text(numbers.waiting_cost_per_day_usd),
        "gain_per_year_usd": usd_text(numbers.gain_per_year_usd),
        "eta_seconds": numbers.eta_seconds,
        "fire_gas_price_wei": _optional_wei(numbers.fire_gas_price_wei),
        "policy": numbers.policy,
        "cost_parts": {
            "gas_usd": usd_text(numbers.cost_parts.gas_usd),
            "l1_usd": usd_text(numbers.cost_parts.l1_usd),
            "failure_usd": usd_text(numbers.cost_parts.failure_usd),
            "restart_usd": usd_text(numbers.cost_parts.restart_usd),
            "event_usd": usd_text(numbers.cost_parts.event_usd),
            "call_fee_usd": usd_text(numbers.cost_parts.call_fee_usd),
        },
        "gas_correction": str(Decimal(numbers.gas_correction_ppm) / 10**6),
        "horizon_seconds": numbers.horizon_seconds,
        "rate_source": numbers.rate_source or None,
        "depth_usd": _optional_usd(numbers.depth_usd),
        "usual_gas_price_wei": _optional_wei(numbers.usual_gas_price_wei),
        "expected_gas_price_wei": _optional_wei(numbers.expected_gas_price_wei),
        "expected_in_seconds": numbers.expected_in_seconds,
        "gas_weight": str(Decimal(numbers.gas_weight_ppm) / 10**6),
        "payout_usd": usd_text(numbers.payout_usd),
        "top_up_usd": usd_text(numbers.top_up_usd),
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """A decision with everything behind it."""
    return {
        "verdict": decision.verdict.value,
        "code": decision.code.value,
        "reasons": reasons_json(decision.reasons),
        "guards": reasons_json(decision.guards),
        "advice": reasons_json(decision.advice),
        "block": decision.block.number,
        "block_time": decision.block.timestamp,
        "next_check": decision.next_check,
        "numbers": numbers_json(decision.numbers),
    }


def harvest_json(harvest: Harvest, transactions: Sequence[dict[str, object]] = ()) -> dict[str, Any]:
    """A compound, predicted beside realised."""
    return {
        "id": harvest.id,
        "position": harvest.position_id,
        "chain": harvest.chain,
        "owner": harvest.owner,
        "state": harvest.state.value,
        "decided_block": harvest.decided_block,
        "started_at": harvest.started_at,
        "finished_at": harvest.finished_at,
        "predicted": {
            "reward_usd": usd_text(harvest.predicted_reward_usd),
            "cost_usd": usd_text(harvest.predicted_cost_usd),
            "gas": harvest.predicted_gas,
        },
        "realised": {
            "received": list(harvest.received),
            "received_usd": usd_text(harvest.received_usd),
            "compounded": harvest.compounded,
            "deposited": list(harvest.deposited),
            "compounded_usd": usd_text(harvest.compounded_usd),
            "gas": harvest.gas_used,
            "cost_wei": str(harvest.cost_wei),
            "cost_usd": usd_text(harvest.cost_usd),
        },
        "error": harvest.error or None,
        "transactions": list(transactions),
    }


def known_json(known: Known) -> dict[str, Any]:
    """A position and the last that was seen of it."""
    decision, observation = known.decision, known.observation
    return {
        "id": known.position.id,
        "chain": known.position.chain,
        "protocol": known.position.protocol,
        "since": known.since,
        "staked": observation.principal if observation else None,
        "pending": list(observation.pending) if observation else [],
        "open_harvest": known.open.id if known.open else None,
        "decision": decision_json(decision) if decision else None,
    }


def yields(numbers: DecisionNumbers) -> str:
    """Spell the yield of a re-deposited dollar."""
    return f"{percent_wad(numbers.yield_wad)} a year"


def gain(numbers: DecisionNumbers) -> str:
    """Spell what compounding is worth over never doing it."""
    return f"worth +{usd(numbers.gain_per_year_usd)} a year over never" if numbers.gain_per_year_usd else ""
