"""Scenes to show to policies, and what hears them: shared by the tests of policies."""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.events import Event, EventName
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policy import Scene

NOW = 1_754_400_000
GWEI = 10**9


def memory(*prices, end: int = NOW, step: int = 3_600) -> GasMemory:
    """What is remembered after these prices, an hour apart, the last of them now."""
    remembered = GasMemory()
    for place, price in enumerate(prices):
        remembered.observe(end - step * (len(prices) - 1 - place), price)
    return remembered


#: 10,000 dollars at 20 % a year, 250 pending, 2 dollars a compound at 30 gwei: every sane policy could say yes.
SCENE = Scene(
    now=NOW,
    principal=10_000.0,
    reward=250.0,
    cost=2.0,
    forward=2_000.0,
    yield_=0.2,
    depth=float("inf"),
    since=86_400.0 * 45,
    gas=30.0 * GWEI,
    memory=memory(*[30.0 * GWEI] * 48),
)


def scene(**changes) -> Scene:
    return replace(SCENE, **changes)


class Heard:
    """An event sink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def named(self, name: EventName) -> list[Event]:
        return [event for event in self.events if event.name is name]

    @property
    def said(self) -> list[str]:
        return [str(event.fields["text"]) for event in self.named(EventName.POLICY_SAID)]


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
