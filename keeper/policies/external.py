"""A policy in any language, as a process that is asked one line at a time; whatever it does, the worst is a wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keeper.domain.decision import ReasonCode
from keeper.policies.child import Child, Gone
from keeper.policies.lines import Nonsense, Reply, read, request
from keeper.policies.telling import Teller
from keeper.ports import Clock, EventSink
from keeper.strategy.policy import Scene
from keeper.strategy.verdicts import Answer, CostAt, refusal

__all__ = ["External", "ExternalPolicy"]

#: Missed deadlines in a row after which the process hangs rather than being slow once.
_PATIENCE: Final = 3

#: Missed answers that are remembered: a late answer to an older request is a mistake.
_MOST_MISSED: Final = 100

#: Seconds for which a failed process is left alone, by how often it failed lately: never, once, twice, three times.
_REST: Final = (0.0, 1.0, 5.0, 60.0)

#: Seconds that "lately" means.
_LATELY: Final = 600.0


@dataclass(frozen=True, slots=True)
class External:
    """One ``[policies.NAME]`` block."""

    #: Program and arguments; no shell.
    command: tuple[str, ...]
    timeout_seconds: float = 2.0


class _Failed(Exception):
    """No answer that counts: what the policy did, as the end of a sentence, and what a person can do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


class _Rests:
    """Says when a process that failed may be started again."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=len(_REST) - 1)
        #: What it did last.
        self.what = ""

    def failed(self, now: float, what: str) -> None:
        self._failures.append(now)
        self.what = what

    def left(self, now: float) -> float:
        """Seconds until then; 0 or less when it may."""
        lately = [at for at in self._failures if now - at < _LATELY]
        return max(lately) + _REST[len(lately)] - now if lately else 0.0


class ExternalPolicy:
    """One process, started when it is first asked and again after it failed. Several threads take turns."""

    def __init__(
        self, name: str, spec: External, events: EventSink, clock: Clock, redact: Callable[[str], str] = str
    ) -> None:
        """Make it; nothing is started yet.

        Args:
            name: its name in the config.
            spec: how to start it.
            events: hears of failures, and what it writes to stderr.
            clock: for the time between two starts.
            redact: removes secrets from what it says.
        """
        self.name = name
        self._spec, self._clock = spec, clock
        self._teller = Teller(name, events, clock, redact)
        self._turn = threading.Lock()
        self._child: Child | None = None
        self._closed = False
        self._rests = _Rests()
        self._number = 0
        #: Requests to the present process whose answers were not waited for any longer; only the newest of them.
        self._missed: set[int] = set()
        self._misses_in_a_row = 0

    def judge(self, scene: Scene, position_id: str, cost_at: CostAt | None = None) -> Answer:  # noqa: ARG002 (a port)
        """Ask the process; wait where it gives no answer in time, or none that counts."""
        if (refused := refusal(scene)) is not None:
            return refused
        with self._turn:
            try:
                reply = self._ask(scene, position_id)
            except _Failed as failed:
                if not self._closed:
                    self._teller.failed(f"it {failed.what}", failed.advice)
                text = f"policy {self.name} {failed.what}, so nothing is harvested by it; {failed.advice}"
                return Answer(harvest=False, why=text, code=ReasonCode.POLICY_FAILED)
        self._teller.fine()
        code = ReasonCode.POLICY_HARVESTS if reply.harvest else ReasonCode.POLICY_WAITS
        word = "harvests" if reply.harvest else "waits"
        why = f": {self._teller.clean(reply.why)}" if reply.why else ""
        return Answer(reply.harvest, f"policy {self.name} {word}{why}", code, threshold_usd=reply.threshold_usd)

    def close(self) -> None:
        """End the process and everything it started, for good; it has half a second to end by itself."""
        self._closed = True
        if (child := self._child) is not None:
            child.stop(kill=False)
        with self._turn:
            if self._child is not None:
                self._child.stop(kill=False)
            self._child = None

    # ----------------------------------------------------------------------------- one question

    def _ask(self, scene: Scene, position_id: str) -> Reply:
        child = self._child or self._start()
        self._number += 1
        child.send(request(self._number, scene, position_id))
        deadline = time.monotonic() + self._spec.timeout_seconds
        try:
            while (line := child.next_line(deadline)) is not None:
                reply = read(line)
                if reply.number == self._number:
                    self._misses_in_a_row = 0
                    return reply
                self._check_late(reply)
        except Nonsense as nonsense:
            raise self._end(str(nonsense), "it must write one answer a line, and everything else to stderr") from None
        except Gone as gone:
            advice = "what it wrote to stderr is in the log (policy.said); run its command by hand to see more"
            raise self._end(str(gone), advice) from None
        raise self._late()

    def _check_late(self, reply: Reply) -> None:
        """Skip an answer that comes too late; any other number is a mistake."""
        if reply.number not in self._missed:
            raise Nonsense(f"answered request {reply.number} when asked {self._number}")
        self._missed.remove(reply.number)

    def _late(self) -> _Failed:
        what = f"gave no answer within {self._spec.timeout_seconds:g} seconds"
        advice = f"make it faster, or raise policies.{self.name}.timeout"
        self._missed.add(self._number)
        if len(self._missed) > _MOST_MISSED:
            self._missed.remove(min(self._missed))
        self._misses_in_a_row += 1
        if self._misses_in_a_row < _PATIENCE:
            return _Failed(what, advice)
        return self._end(f"{what}, {_PATIENCE} times in a row", advice)

    # ----------------------------------------------------------------------------- its process

    def _start(self) -> Child:
        if self._closed:
            raise _Failed("is being ended with keeper", "nothing has to be done")
        now = self._clock.monotonic()
        if (left := self._rests.left(now)) > 0:
            what = f"{self._rests.what} and is started again in {max(1, round(left))} s"
            raise _Failed(what, "see the log for what it wrote (policy.said)")
        try:
            self._child = Child(self._spec.command, self._teller.said)
        except Gone as gone:
            self._rests.failed(now, str(gone))
            raise _Failed(str(gone), "check the machine's limits on processes and open files") from None
        self._missed.clear()
        self._misses_in_a_row = 0
        return self._child

    def _end(self, what: str, advice: str) -> _Failed:
        """End the process, and have it left alone for a while."""
        if self._child is not None:
            self._child.stop()
        self._child = None
        self._rests.failed(self._clock.monotonic(), what)
        return _Failed(what, advice)
