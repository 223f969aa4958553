"""A policy written in Python, asked live: its exceptions and wrong answers become answers that wait."""

from __future__ import annotations

from typing import Final

from keeper.domain.decision import ReasonCode
from keeper.policies.telling import Teller
from keeper.strategy.policy import Policy, Scene
from keeper.strategy.verdicts import Answer, CostAt, fires_below, in_proportion, refusal, truth

__all__ = ["InstalledPolicy", "about"]

_ADVICE: Final = "report it to whoever wrote the policy, or configure another"


def about(policy: object) -> str:
    """Return a policy's line for tables: what it says about itself, or the first line of its class's docstring."""
    said = getattr(policy, "about", None) or type(policy).__doc__ or ""
    return str(said).strip().split("\n", 1)[0].replace("``", "`")


class InstalledPolicy:
    """A built-in or third party's policy as the engine asks it; see ``strategy.verdicts.LivePolicy``."""

    def __init__(self, policy: Policy, teller: Teller) -> None:
        self._policy, self._teller = policy, teller
        self.name = policy.name
        #: Whether a higher reward or a lower gas price never turns harvest into wait: it says so itself.
        self.monotone = getattr(policy, "monotone", False) is True

    def judge(self, scene: Scene, position_id: str, cost_at: CostAt | None = None) -> Answer:  # noqa: ARG002 (a port)
        """Say whether to harvest now, and up to which gas price it would."""
        if (refused := refusal(scene)) is not None:
            return refused
        try:
            harvest = truth(self._policy.wants(scene))
            below = fires_below(self._policy, scene, cost_at or in_proportion(scene)) if self.monotone else None
        except Exception as error:  # noqa: BLE001 (a third party's policy may fail in any way)
            return self._failed(self._teller.clean(f"{type(error).__name__}: {error}"))
        self._teller.fine()
        code = ReasonCode.POLICY_HARVESTS if harvest else ReasonCode.POLICY_WAITS
        word = "harvests" if harvest else "waits"
        return Answer(harvest, f"policy {self.name} {word} ({about(self._policy)})", code, below)

    def _failed(self, error: str) -> Answer:
        self._teller.failed(error, _ADVICE)
        text = f"policy {self.name} failed ({error}), so nothing is harvested by it; {_ADVICE}"
        return Answer(harvest=False, why=text, code=ReasonCode.POLICY_FAILED)
