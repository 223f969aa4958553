"""The table of every protocol, as measured by the conformance suite: docs/reference/protocols.md.

``KEEPER_WRITE_DOCS=1 pytest tests/conformance/test_protocol_conformance.py`` writes it anew; without, each row is
compared with what was measured just now.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

from filelock import FileLock

from keeper.devnet.fair.stall import FAKE, Stall
from keeper.domain.observation import Observation, RateSource
from keeper.domain.position import Market, SideEffect
from keeper.ports import CompoundsAtOnce, Discovers

ADAPTERS = {point.name: point for point in entry_points(group="keeper.protocols")}
PAGE = Path(__file__).parents[1] / "docs/reference/protocols.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEAD = (
    "protocol",
    "at the fair",
    "rate",
    "harvest",
    "put back by",
    "gas",
    "side effects",
    "found by discover",
    "proven on",
)
WORDS = {
    SideEffect.DEPOSIT_PAYS: "deposit pays",
    SideEffect.OWNER_ONLY: "owner only",
    SideEffect.NO_HARVEST_EVENT: "no harvest event",
    SideEffect.REBASING_PRINCIPAL: "stake grows by itself",
    SideEffect.PER_BLOCK: "per block",
    SideEffect.FOR_EVERYBODY: "for everybody",
    SideEffect.ANYONE_MAY_HARVEST: "anybody may harvest",
    SideEffect.TWO_STEPS: "two steps",
    SideEffect.NFT: "NFT",
    SideEffect.ONE_CALL: "one call",
    SideEffect.COUNTS_NEXT_TIME: "counts from the next harvest",
    SideEffect.RESTARTS_CLOCK: "restarts a clock",
    SideEffect.DEPOSIT_FEE: "deposit fee",
    SideEffect.GROWS_BY_ITSELF: "grows by itself",
}


def cells(stall: Stall, gas: int, market: Market, look: Observation) -> tuple[str, ...]:
    """One row."""
    adapter = ADAPTERS[stall.position.protocol].load()()
    return (
        f"`{stall.position.protocol}`",
        stall.position.id,
        _rate(look, market),
        _harvest(market),
        _put_back(stall, adapter, market),
        f"{round(gas, -3):,}" if gas else "-",
        ", ".join(WORDS[effect] for effect in SideEffect if effect in market.side_effects) or "-",
        "yes" if isinstance(adapter, Discovers) and stall.place is not None else "no",
        "own fake" if stall.proven == FAKE else f"real code ({stall.proven})",
    )


def _rate(look: Observation, market: Market) -> str:
    if not market.reward_tokens:
        return "-"
    if not look.accruals or any(a.source is RateSource.OBSERVED for a in look.accruals):
        return "by looking"
    return "chain, with its end" if any(a.ends_at for a in look.accruals) else "chain"


def _harvest(market: Market) -> str:
    return ", ".join(token.symbol for token in market.reward_tokens) or "nothing"


def _put_back(stall: Stall, adapter: object, market: Market) -> str:
    if stall.grows or stall.for_everybody:
        return "-"
    if isinstance(adapter, CompoundsAtOnce):
        return "the same call"
    if market.basket is not None:
        return f"{market.basket.kind}, then deposit"
    return "into the range" if market.virtual else "deposit"


def check_row(stall: Stall, gas: int, market: Market, look: Observation) -> None:
    """Compare a row with the page, or write it there."""
    row = cells(stall, gas, market, look)
    if os.environ.get("KEEPER_WRITE_DOCS"):
        with FileLock(str(PAGE.parents[2] / ".cache/protocol-table.lock")):
            _write(row)
        return
    found = [line for line in rows() if line[1] == row[1]]
    assert found, f"{PAGE} has no row for {row[1]}; write it with KEEPER_WRITE_DOCS=1"
    known = found[0]
    assert (*known[:5], *known[6:]) == (*row[:5], *row[6:])
    if gas:
        before = int(known[5].replace(",", ""))
        assert abs(gas - before) * 10 <= before, f"{row[1]} takes {gas} gas, the page says {before}"


def rows() -> list[tuple[str, ...]]:
    """Rows of the page."""
    body = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in body.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def _write(row: tuple[str, ...]) -> None:
    text = PAGE.read_text()
    kept = {**{known[1]: known for known in rows()}, row[1]: row}
    table = [
        _line(HEAD),
        _line(["---"] * len(HEAD)),
        *(_line(kept[key]) for key in sorted(kept, key=lambda k: (kept[k][0], k))),
    ]
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n" + END + after)


def _line(row) -> str:
    return "| " + " | ".join(row) + " |"
