"""An open compound together with what it needs to go on."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.harvest import Harvest
from keeper.domain.plan import Call, Plan
from keeper.domain.transaction import Simulation
from keeper.domain.valuation import Valuation
from keeper.tx.fees import Bid

__all__ = ["Job", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """An open compound and what it needs to go on."""

    harvest: Harvest
    #: The plan with floors by present prices.
    plan: Plan
    signer: str
    valuation: Valuation
    #: Wei per gas unit above which the first leg is neither sent nor outbid; ``None`` when a person forced it.
    budget_wei: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a compound, simulated, about to be signed."""

    work: Work
    #: Index of the leg in the plan.
    index: int
    #: How many intents this leg had before (reverted, cancelled or never signed).
    tries: int
    call: Call
    #: Simulation of exactly this call.
    simulation: Simulation
    bid: Bid
    eip1559: bool = True
