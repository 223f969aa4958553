"""The demo's picture fits the terminal it is drawn on, and says the same there."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, ConsoleDimensions

from keeper.demo.score import Moment
from keeper.demo.screen import frame, roomy, row
from keeper.demo.story import Story
from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.events import Event, EventName, Level
from keeper.domain.money import WAD

WHY = "$392.68 pending has passed the threshold of $320.26"


def decision(verdict: Verdict) -> Decision:
    numbers = DecisionNumbers(
        principal_usd=50_768 * WAD,
        reward_usd=395 * WAD,
        threshold_usd=321 * WAD,
        budget_usd=WAD,
        cost_usd=99 * WAD // 100,
        forward_usd_per_year=30_000 * WAD,
        yield_wad=WAD // 2,
        pressure_wad=WAD // 2,
        gas_units=700_000,
        gas_price_wei=450_000_000,
        harvests_per_year_milli=60_000,
        waiting_cost_per_day_usd=0,
        gain_per_year_usd=WAD,
        eta_seconds=3 * 86_400 + 7_200,
        fire_gas_price_wei=140_000_000,
    )
    block = BlockRef("local", 1, "0x" + "00" * 32, 1_800_000_000)
    reason = Reason(ReasonCode.BELOW_THRESHOLD, "$395.00 pending has not reached the threshold of $321.00; more")
    return Decision("sushi-chef", block, verdict, (reason,), numbers)


def drawn(width: int, height: int) -> list[str]:
    """The screen's lines as a terminal of that size shows them."""
    story = Story(clock=lambda: 1_800_000_000)
    for _ in range(6):
        story.emit(Event(EventName.DECISION_CHANGED, Level.INFO, {"position": "sushi-chef", "text": WHY}))
        fields = {"position": "sushi-chef", "compounded_usd": "390.97", "cost_usd": "0.5895"}
        story.emit(Event(EventName.HARVEST_DONE, Level.INFO, fields))
    size = ConsoleDimensions(width, height)
    wide = roomy(size)
    waiting, busy = decision(Verdict.WAIT), decision(Verdict.HARVEST)
    rows = [
        row("sushi-chef", waiting, None, wide=wide),
        row("usdc-aave", busy, "leg 9/10 approve UNI-V2", wide=wide),
        row("uni-farm", None, None, wide=wide),
    ]
    moments = [Moment(day, (150 + day) * WAD, 150 * WAD, 149 * WAD, 10**9) for day in range(30)]
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, no_color=True)
    console.print(frame(1_800_000_000, 1_799_000_000, rows, list(story.lines), moments, size))
    return out.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (100, 24), (120, 30), (140, 40), (200, 50)])
def test_every_screen_fits_and_has_the_positions_the_reason_and_the_chart(width, height):
    lines = drawn(width, height)
    text = "\n".join(lines)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    for part in ("sushi-chef", "usdc-aave", "$50,768.00", "$395.00", "$321.00", "WAIT", "HARVEST", "3 d 2 h", "●"):
        assert part in text
    flat = " ".join(text.split())
    assert f"sushi-chef: compounded $390.97 for $0.59 of gas because {WHY}" in flat
    assert sum(line.startswith("day ") for line in lines) >= 2


@pytest.mark.parametrize(("width", "height"), [(60, 20), (50, 10)])
def test_a_small_window_still_draws_something_and_never_breaks(width, height):
    assert any("sushi" in line for line in drawn(width, height))
    assert drawn(20, 5)
