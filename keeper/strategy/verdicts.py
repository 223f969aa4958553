"""What a configured policy answers about a live position, and the gas price up to which it would say harvest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, isnan
from typing import Final, Protocol, TypeAlias, runtime_checkable

from keeper.domain.decision import ReasonCode
from keeper.domain.money import UsdWad
from keeper.strategy.policy import Bool, Policy, Scene

__all__ = ["Answer", "CostAt", "LivePolicy", "fires_below", "in_proportion", "refusal", "truth"]

#: All-in cost of one compound, USD, if a gas unit cost that many wei.
CostAt: TypeAlias = Callable[[int], float]

#: No gas price is looked for above this, wei.
_HIGHEST: Final = 2**80


@dataclass(frozen=True, slots=True)
class Answer:
    """A policy's word on one position at one moment. The guards around it have not been asked."""

    harvest: bool
    #: One sentence for people.
    why: str
    code: ReasonCode
    #: Wei per gas unit up to which it would harvest now; ``None`` when no price would do, or nobody knows.
    fires_below_wei: int | None = None
    #: The reward at which it would harvest, if it says so.
    threshold_usd: UsdWad | None = None


@runtime_checkable
class LivePolicy(Protocol):
    """A policy other than keeper's rule, as the engine asks it. Several threads may ask at once."""

    @property
    def name(self) -> str:
        """The name it has in the config."""

    def judge(self, scene: Scene, position_id: str, cost_at: CostAt | None = None) -> Answer:
        """Say whether to harvest now. Never raises: what goes wrong is an answer that waits.

        Args:
            scene: numbers of one position, not arrays; ``scene.gas`` in wei.
            position_id: for the policy's own bookkeeping.
            cost_at: cost at other gas prices; in proportion to the price when left out.
        """


def fires_below(policy: Policy, scene: Scene, cost_of_price: CostAt) -> int | None:
    """Return the highest gas price, wei, at which a monotone policy harvests a reward above its cost; else ``None``.

    What is remembered of the gas price is left as it is: only the present price is thought to be another.
    """

    def due(price: int) -> bool:
        cost = cost_of_price(price)
        return scene.reward > cost and truth(policy.wants(replace(scene, gas=float(price), cost=cost)))

    if not due(1):
        return None
    low, high = 1, max(int(scene.gas), 2)
    while due(high):
        low, high = high, 2 * high
        if high > _HIGHEST:
            return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if due(middle) else (low, middle)
    return low


def in_proportion(scene: Scene) -> CostAt:
    """Return the cost at other gas prices where all of it is gas."""
    cost, gas = scene.cost, scene.gas
    return lambda price: float(cost * price / gas) if gas > 0 else float(cost)


def truth(said: Bool) -> bool:
    """Return the bool that a policy answered about one position; numpy's counts.

    Raises:
        TypeError: it is no single bool.
    """
    plain = said.item() if hasattr(said, "item") and getattr(said, "size", 1) == 1 else said
    if not isinstance(plain, bool):
        raise TypeError(f"wants() must return True or False, not {type(said).__name__}")
    return plain


def refusal(scene: Scene) -> Answer | None:
    """Return the answer to a scene that no policy is asked about; ``None`` for one that may be shown."""
    numbers = (scene.principal, scene.reward, scene.cost, scene.forward, scene.yield_, scene.since, scene.gas)
    if not all(isfinite(number) for number in numbers) or isnan(scene.depth):
        text = "a number of the position is beyond all measure, so no policy was asked; check its prices"
        return Answer(harvest=False, why=text, code=ReasonCode.POLICY_FAILED)
    if scene.reward <= 0:
        return Answer(harvest=False, why="nothing is pending yet", code=ReasonCode.NOTHING_PENDING)
    return None
