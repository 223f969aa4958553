"""One position, fully looked at: what every later step starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.decision import Decision
from keeper.domain.observation import Observation
from keeper.domain.position import Position
from keeper.engine.case import Case
from keeper.engine.decide import decide
from keeper.engine.resolve import Holding

__all__ = ["Assessment", "decide_again"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """One position, fully looked at. ``case`` is ``None`` when it could not be valued."""

    position: Position
    decision: Decision
    holding: Holding | None = None
    observation: Observation | None = None
    case: Case | None = None


def decide_again(case: Case, **changes: object) -> tuple[Case, Decision]:
    """Decide once more with better facts (a simulated claim, measured gas)."""
    better = replace(case, **changes)  # type: ignore[arg-type]  # fields of Case, by name
    return better, decide(better)
