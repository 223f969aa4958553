"""Play the month: chain time runs, the daemon looks and compounds, the screen shows it, and the end is summed up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from keeper.app import App, Mode, open_app
from keeper.demo.score import Score, Scorer, measured_gas
from keeper.demo.screen import frame, roomy, row, summary
from keeper.demo.stage import Stage, set_stage
from keeper.demo.story import Story, Told
from keeper.demo.weather import base_fees
from keeper.domain.events import Event
from keeper.domain.harvest import HarvestState
from keeper.domain.money import usd_text
from keeper.engine.assessment import Assessment
from keeper.engine.supervisor import Supervisor
from keeper.errors import KeeperError

__all__ = ["Pace", "Result", "play"]

#: Longest wait for one step's look and harvests, seconds.
_STEP_PATIENCE: Final = 60.0

#: US dollars that others sell, and buy back, in the Uniswap V3 pool in a day: what its ranges earn comes from them.
_TRADED_USD_PER_DAY: Final = 440_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the month is played."""

    #: Chain time in all.
    days: int = 35
    #: Real seconds that takes, at least.
    seconds: float = 60.0
    #: Chain time between two looks.
    step_seconds: int = 6 * 3600

    @property
    def steps(self) -> int:
        """Number of looks."""
        return self.days * 86_400 // self.step_seconds


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    score: Score
    #: Compounds done by position.
    done: dict[str, int]
    #: Growth of each stake, US dollars (wad).
    grown: dict[str, int]

    @property
    def good(self) -> bool:
        """Every position was compounded at least twice, and its stake has grown."""
        return all(self.done[p] >= 2 and self.grown[p] > 0 for p in self.done)


class _Silent:
    """Takes the twin's events: nothing ever happens to it."""

    def emit(self, event: Event) -> None:
        """Drop it."""


def play(folder: Path, pace: Pace, *, out: Callable[[str], None], live: bool) -> Result:
    """Run the demo.

    Args:
        folder: where config, key and journal are kept.
        pace: how fast.
        out: prints one line.
        live: draw a living table on the terminal; plain lines otherwise.

    Raises:
        KeeperError: when something is missing or goes wrong, with what to do.
    """
    with set_stage(folder, out) as stage, ExitStack() as stack:
        theatre = _Theatre(stage, pace, out, live=live)
        stack.enter_context(theatre.ours)
        stack.enter_context(theatre.twin)
        supervisor = Supervisor(theatre.ours.watches(), heartbeat=lambda: None)
        try:
            supervisor.start()
            result = theatre.run(supervisor)
        finally:
            theatre.ours.clock.stop()
            supervisor.drain(10)
    for line in summary(result.score, pace.days, _next_commands(stage)):
        out(line)
    return result


class _Theatre:
    """Everything one performance needs."""

    def __init__(self, stage: Stage, pace: Pace, out: Callable[[str], None], *, live: bool) -> None:
        self.stage, self.pace, self.out, self.live = stage, pace, out, live
        self.started = self.now = stage.world.now
        self.fee = 10**9
        self.story = Story(clock=lambda: self.now, after_leg=self._hold_gas_price)
        if not live:
            self.story.tell = self._tell_plainly
        self.ours: App = open_app(stage.ours, events=self.story)
        self.twin: App = open_app(stage.twin, mode=Mode.SIMULATE, events=_Silent())
        self.scorer = Scorer()
        self.weather = base_fees(self.started, pace.step_seconds)

    def run(self, supervisor: Supervisor) -> Result:
        """Step through the month."""
        if not self.live:
            for step in range(self.pace.steps):
                self._step(supervisor, step)
            return self._result()
        console = Console()
        with Live(console=console, refresh_per_second=8, get_renderable=lambda: self._frame(console.size)) as screen:
            for step in range(self.pace.steps):
                self._step(supervisor, step)
            screen.refresh()
        return self._result()

    def _step(self, supervisor: Supervisor, step: int) -> None:
        """Let some hours pass, have the daemon look, and wait until it has done what it wants to do."""
        begun = time.monotonic()
        self.fee = next(self.weather)
        self.stage.world.advance(self.pace.step_seconds, base_fee_wei=self.fee)
        self.stage.world.trade(_TRADED_USD_PER_DAY * self.pace.step_seconds // 86_400)
        self.stage.world.set_base_fee(self.fee)
        self.now = self.stage.world.now
        for watch in supervisor.watches:
            watch.look()
        self._await_idle(supervisor)
        if (step + 1) * self.pace.step_seconds % 86_400 == 0 or step == 0:
            self._look()
        left = self.pace.seconds / self.pace.steps - (time.monotonic() - begun)
        if left > 0:
            time.sleep(left)

    def _await_idle(self, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + _STEP_PATIENCE
        calm = 0
        while calm < 2:  # twice, because a lane that ends may just have asked for another look
            for watch in supervisor.watches:
                died = [w.died for w in (watch.worker, *(x.worker for x in watch.lanes.values())) if w.died]
                if died:
                    raise died[0]
            calm = calm + 1 if all(watch.idle for watch in supervisor.watches) else 0
            if time.monotonic() > deadline:
                raise KeeperError("the demo's daemon did not come to rest within a minute; run it again with -v")
            time.sleep(0.005)

    def _look(self) -> None:
        """Compare with the twin, once a day."""
        if self.scorer.moments and self.scorer.moments[-1].at == self.now:
            return
        harvests = self.ours.store.harvests(limit=10_000)
        self.scorer.gas_used = measured_gas([h for h in harvests if h.state is HarvestState.DONE])
        seen = self.ours.survey()
        self.scorer.look(seen, self.twin.survey(), sum(h.cost_usd for h in harvests), self._loose(seen))
        if not self.live:
            last = self.scorer.moments[-1]
            day = (self.now - self.started) / 86_400
            self.out(
                f"day {day:4.1f}  gas {last.gas_price_wei / 10**9:.2f} gwei  worth {usd_text(last.keeper)} after gas, "
                f"{usd_text(last.keeper - last.never)} ahead of never, {usd_text(last.keeper - last.daily)} of daily"
            )

    def _loose(self, seen: Sequence[Assessment]) -> int:
        """Value what harvests brought and did not deposit: dust beside the LP, and what deposits paid out."""
        prices = {p.token.address: p for a in seen if a.case for p in a.case.valuation.prices}
        total = 0
        for entry in self.ours.store.ledger():
            price = prices.get(entry.amount.token.address)
            total += entry.amount.raw * price.mid // entry.amount.token.unit if price else 0
        return total

    def _hold_gas_price(self) -> None:
        """Keep the base fee where the hour has it; on an otherwise empty chain it would fall with each block."""
        self.stage.world.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.fee))

    def _frame(self, size: ConsoleDimensions) -> RenderableType:
        store, doing, wide = self.ours.store, self.story.doing, roomy(size)
        rows = [row(p.id, store.latest_decision(p.id), doing.get(p.id), wide=wide) for p in self.ours.positions]
        return frame(self.now, self.started, rows, list(self.story.lines), self.scorer.moments, size)

    def _tell_plainly(self, told: Told) -> None:
        self.out(f"day {(told.at - self.started) / 86_400:4.1f}  {told.text}")

    def _result(self) -> Result:
        self._look()
        harvests = [h for h in self.ours.store.harvests(limit=10_000) if h.state is HarvestState.DONE]
        ids = [p.id for p in self.ours.positions]
        return Result(
            score=self.scorer.score(harvests),
            done={p: sum(h.position_id == p for h in harvests) for p in ids},
            grown={p: sum(h.compounded_usd for h in harvests if h.position_id == p) for p in ids},
        )


def _next_commands(stage: Stage) -> list[str]:
    command = f"{sys.argv[0] if sys.argv[0].endswith('keeper') else 'keeper'} -c {stage.config}"
    return [f"{command} explain {stage.ours.settings.positions[0].id}", f"{command} ledger", f"{command} status"]
