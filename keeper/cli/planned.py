"""A prepared compound as a table and as JSON: what each leg is expected to bring, its floor, its gas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.cli.output import amount, gas_price, say, table, usd
from keeper.cli.views import amounts, decision_json
from keeper.domain.decision import Decision, ReasonCode
from keeper.domain.money import Address, Amount
from keeper.domain.plan import Call, Leg, LegKind, MinOut, Plan
from keeper.engine.lap import Prepared

__all__ = ["prepared_json", "print_prepared"]


def prepared_json(prepared: Prepared) -> dict[str, Any]:
    """The decision, and the plan with its simulated outcome when there is one."""
    plan, rehearsal = prepared.plan, prepared.rehearsal
    result: dict[str, Any] = {"decision": decision_json(prepared.decision), "plan": None}
    if plan is None or rehearsal is None:
        return result
    result["plan"] = {
        "id": plan.id,
        "method": rehearsal.simulation.method,
        "block": rehearsal.simulation.block,
        "gas": rehearsal.simulation.gas_used,
        "claims": list(rehearsal.claimed),
        "deposits": list(rehearsal.deposited),
        "legs": [
            {
                "leg": at + 1,
                "kind": leg.kind.value,
                "label": leg.label,
                "to": leg.to,
                "expected": moved,
                "at_least": floor,
                "gas": gas,
            }
            for at, (leg, moved, floor, gas) in enumerate(_legs(prepared))
        ],
    }
    return result


def print_prepared(prepared: Prepared, position_id: str) -> None:
    """Show verdict, reasons, and the plan when the simulation passed."""
    decision = prepared.decision
    say(f"{position_id}  {decision.verdict.value}")
    noted = [guard for guard in decision.guards if guard.code is ReasonCode.ROUTE_COMPARED]
    for reason in (*decision.reasons, *noted):
        say(f"  {reason.text}")
    plan, rehearsal = prepared.plan, prepared.rehearsal
    if plan is None or rehearsal is None:
        return
    rows = [
        (str(at + 1), leg.label, _moves(moved), amount(floor) if floor else "-", f"{gas:,}")
        for at, (leg, moved, floor, gas) in enumerate(_legs(prepared))
    ]
    table(("leg", "what", "expected", "at least", "gas"), rows, right=(4,))
    say(f"  claims {amounts(rehearsal.claimed)}, stakes {amounts(rehearsal.deposited)}")
    _print_costs(decision)


def _print_costs(decision: Decision) -> None:
    n = decision.numbers
    if n is None:
        return
    threshold = "never" if n.threshold_usd is None else usd(n.threshold_usd)
    cost = f"{n.gas_units:,} gas x {gas_price(n.gas_price_wei)} = {usd(n.cost_usd)}"
    say(f"  worth {usd(n.reward_usd)} after swap fees, threshold {threshold}, cost {cost}")


def _legs(prepared: Prepared) -> list[tuple[Leg, list[Amount], Amount | None, int]]:
    """Pair each leg with what the simulation moved, its floor and its gas."""
    plan, rehearsal = prepared.plan, prepared.rehearsal
    assert plan is not None
    assert rehearsal is not None
    simulated = zip(plan.legs, rehearsal.calls, rehearsal.simulation.calls, strict=True)
    return [(leg, _moved(plan, seen.deltas), _floor(leg, call), seen.gas_used) for leg, call, seen in simulated]


def _moved(plan: Plan, deltas: Sequence[tuple[Address, int]]) -> list[Amount]:
    tokens = {token.address: token for token in plan.tokens}
    return [Amount(tokens[address], raw) for address, raw in deltas if raw and address in tokens]


def _floor(leg: Leg, call: Call) -> Amount | None:
    """Read a swap's floor out of the calldata that would be signed."""
    if leg.kind is not LegKind.SWAP or not leg.brings:
        return None
    for patch in leg.patches:
        if isinstance(patch.rule, MinOut):
            at = 4 + 32 * patch.word
            return Amount(leg.brings[0], int.from_bytes(call.data[at : at + 32], "big"))
    return None


def _moves(moved: Sequence[Amount]) -> str:
    return ", ".join(f"{'+' if each.raw > 0 else ''}{amount(each)}" for each in moved) or "-"
