"""Positions of a batch are decided together: one round pays what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.decision import Verdict
from keeper.domain.money import NO_USD, UsdWad
from keeper.domain.position import Position
from keeper.engine.assessment import Assessment
from keeper.engine.case import Case, reckon
from keeper.engine.context import ChainContext
from keeper.engine.decide import decide
from keeper.strategy.batching import Item, Round, round_of
from keeper.strategy.numbers import PPM
from keeper.strategy.threshold import cost_ceiling

__all__ = ["in_rounds", "mates", "round_for"]

#: Seconds after a member's harvest for which a round is open: what is shared has been paid.
_OPEN_SECONDS: Final = 3_600


def mates(context: ChainContext, position: Position) -> set[str]:
    """Return the ids of a position's batch, its own included; its own alone without a batch."""
    name = position.options.batch
    same = {p.id for p in context.positions if name and p.options.batch == name and p.owner == position.owner}
    return same | {position.id}


def in_rounds(context: ChainContext, assessments: Sequence[Assessment]) -> list[Assessment]:
    """Decide again, as batches, the positions that belong to one; the others come back as they are."""
    cases: dict[tuple[str, str], list[Case]] = {}
    for a in assessments:
        if a.case is not None and a.position.options.batch and not a.case.forced:
            cases.setdefault((a.position.owner, a.position.options.batch), []).append(a.case)
    rounds = {key: round_for(context, members) for key, members in cases.items()}
    result = []
    for a in assessments:
        found = rounds.get((a.position.owner, a.position.options.batch))
        if found is None or a.case is None or a.case.forced:
            result.append(a)
            continue
        case = replace(a.case, round=found)
        result.append(replace(a, case=case, decision=decide(case)))
    return result


def round_for(context: ChainContext, members: Sequence[Case]) -> Round:
    """Work out one batch from its members' cases, which share an account and a moment."""
    items = []
    for case in members:
        alone = decide(replace(case, round=None, judge=None))  # a batch asks no policy
        # One that waits tells after its own reason what would hold it: it could not be harvested with the others.
        held = alone.verdict is Verdict.BLOCKED or len(alone.reasons) > 1
        if not held and alone.numbers is not None:
            n = alone.numbers
            # Dear gas holds a round back, too: what it is worth counts for less where the price counts for more.
            r = reckon(case)
            worth = min(n.budget_usd * PPM // n.gas_weight_ppm, cost_ceiling(r.economics, r.rule))
            items.append(Item(case.position.id, UsdWad(worth), n.cost_usd))
    return round_of(items, _shared(context, members))


def _shared(context: ChainContext, members: Sequence[Case]) -> UsdWad:
    """Return what the round costs once: nothing more while one is open already."""
    first = members[0]
    terms = context.batches.get(first.position.options.batch)
    if terms is None:
        return NO_USD
    now = first.observation.block.timestamp
    begun = [c.around.round_open_since for c in members if c.around.round_open_since is not None]
    if any(now - at < _OPEN_SECONDS for at in begun):  # one that failed has opened no round
        return NO_USD
    return UsdWad(terms.shared_usd + first.valuation.gas_cost(terms.shared_gas * first.fees.price_wei))
