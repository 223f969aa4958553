"""What has happened so far, collected from the event stream for the screen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from keeper.domain.events import Event, EventName, Level
from keeper.domain.money import WAD, usd_text

__all__ = ["Story", "Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story."""

    #: Chain time, unix seconds.
    at: int
    text: str
    #: ``"ok"``, ``"bad"`` or ``"quiet"``.
    mood: str


@dataclass(slots=True)
class Story:
    """An event sink that keeps the last lines and what is under way."""

    #: Chain time now, unix seconds.
    clock: Callable[[], int]
    #: Called after each mined leg, in the lane's thread.
    after_leg: Callable[[], None] = lambda: None
    #: Called with each new line.
    tell: Callable[[Told], None] = lambda _: None
    lines: deque[Told] = field(default_factory=lambda: deque(maxlen=6))
    #: Position id to what its compound is doing.
    doing: dict[str, str] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            self._take(event)
        if event.name is EventName.HARVEST_MINED:
            self.after_leg()

    def _take(self, event: Event) -> None:
        get = event.fields.get
        position = str(get("position") or "")
        match event.name:
            case EventName.DECISION_CHANGED:
                self._why[position] = str(get("text"))
            case EventName.HARVEST_SENT | EventName.HARVEST_MINED:
                self.doing[position] = f"leg {get('leg')}/{get('legs')} {get('label')}"
            case EventName.HARVEST_DONE:
                self.doing.pop(position, None)
                why = self._why.get(position, "").partition(";")[0]
                self._say(
                    f"{position}: compounded {_usd(get('compounded_usd'))} for {_usd(get('cost_usd'))} of gas"
                    f"  because {why}",
                    "ok",
                )
            case EventName.HARVEST_FAILED:
                self.doing.pop(position, None)
                self._say(f"{position}: gave up: {get('error')}", "bad")
            case _ if event.level in (Level.WARNING, Level.ERROR):
                self._say(f"{event.name.value}: {get('error') or get('text')}", "bad")
            case _:
                pass

    def _say(self, text: str, mood: str) -> None:
        told = Told(self.clock(), text, mood)
        self.lines.append(told)
        self.tell(told)


def _usd(text: object) -> str:
    """Spell an event's plain decimal like every other sum on the screen."""
    return usd_text(int(Decimal(str(text)) * WAD))
