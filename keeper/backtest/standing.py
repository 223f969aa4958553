"""Every policy lives through a history, beside perfect foresight, never compounding, and what really happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.backtest.hindsight import foresee
from keeper.backtest.history import History
from keeper.backtest.results import CLAIRVOYANT
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.performance.shadow import Shadow, begin, harvest, pass_through, step, worth
from keeper.strategy.performance.ticks import Tick
from keeper.strategy.policy import Policy

__all__ = ["NEVER", "REAL", "Line", "Standing", "standing_of", "total"]

#: Names of the rows that are no policy's of their own.
NEVER: Final = "never"
REAL: Final = "what really happened"


@dataclass(frozen=True, slots=True)
class Line:
    """How one policy did; wad."""

    name: str
    #: More than never compounding has come to.
    gained: int
    harvests: int
    paid: int
    #: Mean gas price of its harvests over the mean of the time; ``None`` without harvests.
    gas_ratio: float | None
    #: What it had gained at each tick.
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """All policies over one history; or over several, added up."""

    #: Unix seconds of the marks.
    times: tuple[int, ...]
    #: Policies in the order they were given in, ``never`` among them; then ``CLAIRVOYANT``, then ``REAL``, where known.
    lines: tuple[Line, ...]
    #: What the model makes of compounds at the same looks, less what they really came to; ``None`` without real ones.
    model_error: int | None = None

    def line(self, name: str) -> Line | None:
        """Return a policy's line."""
        return next((line for line in self.lines if line.name == name), None)

    def regret(self, line: Line) -> int:
        """Return what it lacks to perfect foresight, wad."""
        best = self.line(CLAIRVOYANT)
        return 0 if best is None else best.gained - line.gained

    def captured(self, line: Line) -> float | None:
        """Return its share of what perfect foresight gained; ``None`` where nothing could be gained."""
        best = self.line(CLAIRVOYANT)
        return line.gained / best.gained if best is not None and best.gained > 0 else None


@dataclass(slots=True)
class _Runner:
    """One policy on its way."""

    name: str
    shadow: Shadow
    worth: list[int]
    fired: list[int]


def standing_of(history: History, policies: Sequence[Policy]) -> Standing:
    """Let every policy live through a history.

    Args:
        history: at least one tick.
        policies: asked at every tick whose look was complete, the last one included; bare, without keeper's guards.
    """
    runners = _run(history, policies)
    never = _follow(NEVER, history, ())
    best = max(
        (_follow(CLAIRVOYANT, history, foresee(history.start, history.ticks)), *runners), key=lambda r: r.worth[-1]
    )
    if best.name != CLAIRVOYANT:  # a share is paid out, or the last digit: what somebody did can be done
        best = _follow(CLAIRVOYANT, history, best.fired)
    mean = _mean_gas(history.ticks)
    lines = [_line(runner, never, mean) for runner in (*runners, best)]
    if not any(line.name == NEVER for line in lines):
        lines.insert(0, _line(never, never, mean))
    error = None
    if history.real is not None:
        real = history.real
        gains = tuple(have - less for have, less in zip(real.worth, never.worth, strict=True))
        ratio = None if real.gas_wei is None or not mean else real.gas_wei / mean
        lines.append(Line(REAL, gains[-1], real.harvests, real.paid, ratio, gains))
        error = _follow(REAL, history, real.done).worth[-1] - real.worth[-1]
    return Standing(tuple(tick.at for tick in history.ticks), tuple(lines), error)


def total(parts: Sequence[Standing]) -> Standing:
    """Add up several positions; a line is there where all of them have it."""
    times = tuple(sorted({at for part in parts for at in part.times}))
    names = [line.name for line in parts[0].lines if all(part.line(line.name) is not None for part in parts)]
    lines = []
    for name in names:
        found = [(part, line) for part in parts for line in part.lines if line.name == name]
        harvests = sum(line.harvests for _, line in found)
        gas = sum(line.gas_ratio * line.harvests for _, line in found if line.gas_ratio is not None)
        known = sum(line.harvests for _, line in found if line.gas_ratio is not None)
        lines.append(
            Line(
                name=name,
                gained=sum(line.gained for _, line in found),
                harvests=harvests,
                paid=sum(line.paid for _, line in found),
                gas_ratio=gas / known if known else None,
                marks=_together(times, [dict(zip(part.times, line.marks, strict=True)) for part, line in found]),
            )
        )
    errors = [part.model_error for part in parts if part.model_error is not None]
    return Standing(times, tuple(lines), sum(errors) if len(errors) == len(parts) else None)


def _together(times: Sequence[int], each: Sequence[Mapping[int, int]]) -> tuple[int, ...]:
    """Add marks up; between its ticks a position stands where it stood."""
    last = [0] * len(each)
    found = []
    for at in times:
        last = [marks.get(at, before) for marks, before in zip(each, last, strict=True)]
        found.append(sum(last))
    return tuple(found)


def _run(history: History, policies: Sequence[Policy]) -> list[_Runner]:
    """Take every policy through all ticks; they see the price of gas up to each, and nothing later."""
    runners = [_Runner(policy.name, begin(history.start), [], []) for policy in policies]
    memory, gas, upto = GasMemory(), history.gas, 0
    for place, tick in enumerate(history.ticks):
        while upto < len(gas) and gas[upto][0] < tick.at:
            _observe(memory, *gas[upto])
            upto += 1
        if tick.seen is not None:
            _observe(memory, tick.at, tick.seen.gas)
        for runner, policy in zip(runners, policies, strict=True):
            before = runner.shadow.harvests
            runner.worth.append(step(runner.shadow, tick, policy, memory))
            if runner.shadow.harvests > before:
                runner.fired.append(place)
    return runners


def _observe(memory: GasMemory, at: int, gas: float) -> None:
    if gas > 0 and (memory.last_at is None or at > memory.last_at):
        memory.observe(at, gas)


def _follow(name: str, history: History, schedule: Sequence[int]) -> _Runner:
    """Live through a history with harvests at these ticks."""
    runner = _Runner(name, begin(history.start), [], list(schedule))
    wanted = frozenset(schedule)
    for place, tick in enumerate(history.ticks):
        pass_through(runner.shadow, tick)
        if place in wanted and tick.terms.cost is not None:
            harvest(runner.shadow, tick)
        runner.worth.append(worth(runner.shadow, tick))
    return runner


def _line(runner: _Runner, never: _Runner, mean: float | None) -> Line:
    shadow = runner.shadow
    marks = tuple(have - less for have, less in zip(runner.worth, never.worth, strict=True))
    ratio = shadow.gas_wei / shadow.harvests / mean if shadow.harvests and mean else None
    return Line(runner.name, marks[-1], shadow.harvests, shadow.paid, ratio, marks)


def _mean_gas(ticks: Sequence[Tick]) -> float | None:
    """Mean price over the time, wei; looks come more often when they are young."""
    seen = [(tick.seen.gas, tick.step.seconds) for tick in ticks if tick.seen is not None]
    seconds = sum(length for _, length in seen)
    return sum(gas * length for gas, length in seen) / seconds if seconds else None
