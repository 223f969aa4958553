"""What a policy answers in live use, and the port by which the engine asks it, whoever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from keeper.domain.decision import ReasonCode
from keeper.domain.money import UsdWad
from keeper.strategy.policy import Scene

__all__ = ["Answer", "LivePolicy"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One policy's word about one position now. Guards stand around it, whatever it says."""

    harvest: bool
    #: One sentence for people.
    why: str
    code: ReasonCode
    #: Wei per gas unit at or below which it would harvest now; ``None`` when it does not tell.
    fires_below_wei: int | None = None
    #: Reward at which it would harvest at this price of gas; ``None`` when it does not tell.
    threshold_usd: UsdWad | None = None


@runtime_checkable
class LivePolicy(Protocol):
    """A policy as the engine asks it. Never raises: what fails is a WAIT with the reason."""

    name: str

    def judge(self, scene: Scene, position_id: str) -> Answer:
        """Say whether to harvest now, and why. Safe to call from several threads."""
