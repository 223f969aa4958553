"""Every number of docs/explanation/when-to-compound.md is computed here; with KEEPER_WRITE_DOCS=1 it is written anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from adapter_kit import BLOCK
from advice_kit import candidate, numbers_of

from keeper.cli import execute
from keeper.cli.output import duration, percent_wad, usd
from keeper.domain.money import BPS, WAD, UsdWad
from keeper.domain.money import usd as dollars
from keeper.domain.observation import Restart
from keeper.domain.position import StrategyOptions
from keeper.engine.case import effective_payback
from keeper.strategy.advice import advise
from keeper.strategy.batching import Item, round_of
from keeper.strategy.calculator import Farm, economics_of, played
from keeper.strategy.costs import event_price, restart_charge
from keeper.strategy.horizon import harvests_left
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.switching import compare
from keeper.strategy.threshold import Economics, Rule, evaluate, fires, pressure

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "when-to-compound.md"
BLOCKS = re.compile(r"(<!-- computed ([a-z_]+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)

DAY = 86_400
STORY = Farm(dollars(10_000), int(dollars("0.2")), dollars(2))
BASE = economics_of(STORY)

Rows = list[Sequence[str]]


def compounds(e: Economics, rule: Rule | None = None) -> int:
    """How often the rule harvests within a year, from nothing pending."""
    eta = evaluate(e, rule or Rule()).eta_seconds
    return (SECONDS_PER_YEAR - 1) // eta if eta else 0


def against_never(e: Economics, times: int, *, cost: int | None = None) -> int:
    """What so many compounds earn in a year more than none; at another cost than the rule thinks of, if one is given."""
    real = e if cost is None else replace(e, cost=UsdWad(cost))
    return played(real, times, SECONDS_PER_YEAR) - played(real, 0, SECONDS_PER_YEAR)


def signed(wad: int) -> str:
    return f"{'+' if wad >= 0 else ''}{usd(wad)}"


def threshold(e: Economics, rule: Rule | None = None) -> str:
    found = evaluate(e, rule or Rule()).reward
    return "never" if found is None else usd(found)


def least(pays: Callable[[int], bool]) -> str:
    """The smallest amount from which something holds, to the millionth of a cent."""
    low, high = 0, WAD
    while not pays(high):
        low, high = high, 2 * high
        if high > 10**9 * WAD:
            return "never"
    while high - low > 10**10:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return usd(high)


# ---------------------------------------------------------------------------- the story


def neighbours() -> Rows:
    """R > g fires each time that the reward has grown to the gas."""
    greedy = (SECONDS_PER_YEAR - 1) * BASE.forward // (BASE.cost * SECONDS_PER_YEAR)
    told = (
        ("Nina, never", 0),
        ("Dan, every day", 364),
        ("Gus, reward > gas", greedy),
        ("Kim, keeper", compounds(BASE)),
    )
    return [
        (
            who,
            f"{times:,}",
            usd(BASE.cost * times),
            usd(played(BASE, times, SECONDS_PER_YEAR)),
            signed(against_never(BASE, times)),
        )
        for who, times in told
    ]


def rhythms() -> Rows:
    marked = {0: "0 (never)", 9: "**9**", 52: "52 (weekly)", 364: "364 (daily)"}
    return [
        (
            marked.get(times, str(times)),
            usd(played(BASE, times, SECONDS_PER_YEAR)),
            signed(against_never(BASE, times)),
        )
        for times in (0, 2, 5, 9, 20, 52, 120, 364)
    ]


def sizes() -> Rows:
    rows: Rows = []
    for stake, cost in (
        (10_000, "0.05"),
        (10_000, "0.50"),
        (10_000, "2"),
        (10_000, "8"),
        (40_000, "2"),
        (1_000, "2"),
        (100, "2"),
    ):
        e = economics_of(replace(STORY, principal=dollars(stake), cost=dollars(cost)))
        t, times = evaluate(e, Rule()), compounds(e)
        more = signed(against_never(e, times)) if t.gain_per_year else "-"
        shown = str(times) if t.gain_per_year else "never"
        rows.append((f"${stake:,}", usd(e.cost), threshold(e), duration(t.eta_seconds or 0), shown, more))
    return rows


def plan() -> str:
    args = ["plan", "--principal", "10000", "--apr", "20%", "--cost", "2"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert execute(args) == 0
    return f"$ keeper {' '.join(args)}\n{out.getvalue()}"


# ---------------------------------------------------------------------------- situations


def situations() -> Rows:
    poor = replace(BASE, forward=UsdWad(BASE.forward // 2), yield_wad=BASE.yield_wad // 2)
    fee = replace(BASE, forward=UsdWad(BASE.forward * 99 // 100), yield_wad=BASE.yield_wad * 99 // 100)
    told: list[tuple[str, Economics, str]] = [
        ("the story's farm: more stake, more rewards", BASE, "nothing"),
        (
            "the emission is fixed, and half of the pool is yours",
            economics_of(replace(STORY, share_ppm=500_000)),
            "nothing",
        ),
        (
            "rewards are sold into a pool of $200,000 a side, for 0.3 %",
            economics_of(replace(STORY, depth=dollars(200_000), fee_bps=30)),
            "`route`",
        ),
        ("the farm takes 1 % of every deposit", fee, "nothing"),
        ("the emission was halved last week", poor, "nothing"),
        ("rewards go into something that pays 4 %", replace(BASE, yield_wad=4 * 10**16), '`target_yield = "4%/yr"`'),
        (
            "the reward loses half of its value a year",
            economics_of(replace(STORY, drift_bps=-5_000)),
            '`reward_drift = "-50%/yr"`',
        ),
        (
            "the reward gains a quarter a year",
            economics_of(replace(STORY, drift_bps=2_500)),
            '`reward_drift = "25%/yr"`',
        ),
        ("rewards end in half a year", replace(BASE, horizon=SECONDS_PER_YEAR // 2), "nothing, or `rewards_end`"),
        ("you leave in a month", replace(BASE, horizon=30 * DAY), "`exit`"),
        ("rewards have ended", replace(BASE, forward=UsdWad(0), yield_wad=0), "nothing"),
        ("the vault pays $1.50 for the call", replace(BASE, cost=dollars("0.5")), "nothing"),
    ]
    return [(name, _loses(e), _wanted(e), _times(e), write) for name, e, write in told]


def _loses(e: Economics) -> str:
    return percent_wad(pressure(e)) if pressure(e) > 0 else "nothing"


def _wanted(e: Economics) -> str:
    return threshold(e) if e.horizon is None or evaluate(e, Rule()).gain_per_year else "never"


def _times(e: Economics) -> str:
    if not evaluate(e, Rule()).gain_per_year:
        return "never"
    if e.horizon is not None:
        return f"{harvests_left(0, e.cost, e.forward, pressure(e), e.horizon)} before the end"
    return str(compounds(e))


# ---------------------------------------------------------------------------- options


def risk_factor() -> Rows:
    rows: Rows = []
    for factor in ("1.0", "0.75", "0.5"):
        rule = Rule(risk_factor_bps=int(Decimal(factor) * BPS))
        times = compounds(BASE, rule)
        rows.append((f'`"{factor}"`', threshold(BASE, rule), str(times), signed(against_never(BASE, times))))
    return rows


def payback() -> Rows:
    rows: Rows = []
    for days in (365, 30, 10, 5):
        rule = Rule(payback_seconds=days * DAY)

        def pays(reward: int, rule: Rule = rule) -> bool:
            return fires(replace(BASE, reward=UsdWad(reward)), rule)

        rows.append((f'`"{days}d"`', least(pays)))
    return rows


def reward_drift() -> Rows:
    rows: Rows = []
    for percent in (10, 0, -20, -50, -100):
        e = economics_of(replace(STORY, drift_bps=100 * percent))
        rows.append(
            (f'`"{percent}%/yr"`' if percent else "`0`", percent_wad(pressure(e)), threshold(e), str(compounds(e)))
        )
    e = economics_of(replace(STORY, drift_bps=2_500))
    return [('`"25%/yr"`', _loses(e), threshold(e), "never"), *rows]


def rate_drift() -> Rows:
    return [
        (
            f'`"{percent}%/yr"`' if percent else "`0`",
            f"{effective_payback(SECONDS_PER_YEAR, 100 * percent) // DAY} days",
        )
        for percent in (0, -20, -50, -100, -200)
    ]


def exit_() -> Rows:
    rows: Rows = []
    for days in (30, 60, 90, 180, 365):
        e = replace(BASE, horizon=days * DAY)
        times = harvests_left(0, e.cost, e.forward, pressure(e), days * DAY)
        more = played(e, times, days * DAY) - played(e, 0, days * DAY)
        rows.append((f"{days} days", threshold(e) if times else "never", str(times), signed(more) if times else "-"))
    return rows


def target_yield() -> Rows:
    rows: Rows = [("none: back into the farm, 20 %", threshold(BASE), str(compounds(BASE)))]
    for percent in (10, 4, 0):
        e = replace(BASE, yield_wad=percent * 10**16)
        worth = evaluate(e, Rule()).gain_per_year > 0
        rows.append((f'`"{percent}%/yr"`', threshold(e), str(compounds(e)) if worth else "never"))
    return rows


def max_harvests_per_year() -> Rows:
    rows: Rows = [
        ("none", "$0.00", threshold(BASE), str(compounds(BASE)), signed(against_never(BASE, compounds(BASE))))
    ]
    for allowed in (6, 4, 2):
        price = event_price(allowed, BASE.forward, pressure(BASE), BASE.cost)
        e = replace(BASE, cost=UsdWad(BASE.cost + price))
        times = compounds(e)
        more = signed(against_never(e, times, cost=BASE.cost))
        rows.append((f"`{allowed}`", usd(price), threshold(e), str(times), more))
    return rows


def max_interval() -> Rows:
    rows: Rows = [("none", str(compounds(BASE)), signed(against_never(BASE, compounds(BASE))))]
    for days in (30, 14, 7, 1):
        times = -(-365 // days) - 1
        rows.append((f'`"{days}d"`', str(times), signed(against_never(BASE, times))))
    return rows


def clocks() -> Rows:
    told = (
        ("nothing", ()),
        ("3 days in which leaving costs 0.1 %", (Restart(3 * DAY, 10),)),
        ("30 days in which leaving costs 0.5 %", (Restart(30 * DAY, 50),)),
        ("a lock of 7 days", (Restart(7 * DAY),)),
        ("a lock of 90 days", (Restart(90 * DAY),)),
    )
    rows: Rows = []
    for name, restarts in told:
        charge = restart_charge(restarts, BASE.principal, StrategyOptions(), BLOCK.timestamp)
        e = replace(BASE, cost=UsdWad(BASE.cost + charge))
        rows.append(
            (name, usd(charge), threshold(e), str(compounds(e)) if evaluate(e, Rule()).gain_per_year else "never")
        )
    return rows


def payout() -> Rows:
    rows: Rows = []
    for share in (0, 30, 60, 90):
        e = replace(BASE, yield_wad=BASE.yield_wad * (100 - share) // 100)
        worth = evaluate(e, Rule()).gain_per_year > 0
        rows.append((f'`"{share}%"`' if share else "none", threshold(e), str(compounds(e)) if worth else "never"))
    return rows


def batch() -> Rows:
    alone = least(lambda reward: fires(replace(BASE, reward=UsdWad(reward)), Rule()))

    def due(reward: int) -> bool:
        worth = evaluate(replace(BASE, cost=dollars("0.5"), reward=UsdWad(reward)), Rule()).budget
        return round_of([Item(name, worth, dollars("0.5")) for name in "abc"], dollars("1.5")).due

    return [("alone, each paying its $0.50 and the $1.50", alone), ("together", least(due))]


def candidates() -> Rows:
    here = candidate("a", numbers_of("10000", "0.2", cost="2"))
    rows: Rows = []
    for entry in (0, 50, 200, 400):
        there = candidate("b", numbers_of("10000", "0.24", cost="2"), entry_cost_bps=entry)
        move = compare(here, there, BLOCK.timestamp)
        told = advise(here.position, here.observation, here.numbers, candidates=[there])
        assert move is not None
        assert bool(told) is move.pays
        shown = "`0`" if not entry else f'`"{Decimal(entry) / 100:g}%"`'
        rows.append((shown, signed(move.net), duration(move.payback_seconds or 0), "yes" if told else "no"))
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    "neighbours": neighbours,
    "rhythms": rhythms,
    "sizes": sizes,
    "situations": situations,
    "risk_factor": risk_factor,
    "payback": payback,
    "reward_drift": reward_drift,
    "rate_drift": rate_drift,
    "exit": exit_,
    "target_yield": target_yield,
    "max_harvests_per_year": max_harvests_per_year,
    "max_interval": max_interval,
    "clocks": clocks,
    "payout": payout,
    "batch": batch,
    "candidates": candidates,
}


def block(name: str, before: str) -> str:
    """What stands between the marks; of a table the two first lines are kept."""
    if name == "plan":
        return f"```text\n{plan()}```\n"
    header = before.splitlines(keepends=True)[:2]
    return "".join(header) + "".join(f"| {' | '.join(row)} |\n" for row in TABLES[name]())


@pytest.mark.parametrize("name", [*TABLES, "plan"])
def test_each_block_of_the_page_is_what_the_code_says(name):
    text = PAGE.read_text()
    found = {match[2]: match[3] for match in BLOCKS.finditer(text)}
    wanted = block(name, found[name])
    if os.environ.get("KEEPER_WRITE_DOCS"):
        PAGE.write_text(BLOCKS.sub(lambda m: m[1] + (wanted if m[2] == name else m[3]) + m[4], text))
        return
    assert found[name] == wanted, "KEEPER_WRITE_DOCS=1 pytest tests/unit/test_docs_when_to_compound.py writes it anew"


def test_every_block_is_known_and_each_row_has_as_many_cells_as_its_header():
    blocks = {match[2]: match[3] for match in BLOCKS.finditer(PAGE.read_text())}
    assert set(blocks) == {*TABLES, "plan"}
    for name in TABLES:
        assert len({line.count("|") for line in blocks[name].splitlines()}) == 1, name


# ---------------------------------------------------------------------------- numbers in the text


def multiple(stake: int, cost: str) -> str:
    e = economics_of(replace(STORY, principal=dollars(stake), cost=dollars(cost)))
    return f"{round(Decimal(evaluate(e, Rule()).reward or 0) / e.cost)}"


def whole(wad: int) -> str:
    return f"{round(Decimal(wad) / WAD):,}"


WORDS = ("none", "once", "twice", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

#: Sentences with numbers in them, wherever they stand: what each group must be.
PROSE: tuple[tuple[Path, str, Callable[[], tuple[str, ...]]], ...] = (
    (PAGE, r"is owed (\$[\d.,]+) more every day", lambda: (usd(BASE.forward // 365),)),
    (
        PAGE,
        r"In the story it is (\$[\d.,]+), reached every (\d+) days",
        lambda: (threshold(BASE), str(round((evaluate(BASE, Rule()).eta_seconds or 0) / DAY))),
    ),
    (PAGE, r"Kim compounded (\w+) times", lambda: (WORDS[compounds(BASE)],)),
    (
        PAGE,
        r"right multiple is (\d+) in the story, (\d+) at",
        lambda: (multiple(10_000, "2"), multiple(10_000, "0.05")),
    ),
    (PAGE, r"five cents of gas, (\d+) with \$1,000 staked", lambda: (multiple(1_000, "2"),)),
    (PAGE, r"the story's threshold becomes (\$[\d.,]+)\.", lambda: (threshold(BASE),)),
    (
        PAGE,
        r"\$(\d+) in the story, where playing the year gives \$(\d+)",
        lambda: (whole(evaluate(BASE, Rule()).gain_per_year), whole(against_never(BASE, compounds(BASE)))),
    ),
    (
        ROOT / "README.md",
        r"\$2 a compound that is (\$[\d.,]+): reached every (\d+) days, worth \$(\d+) a year over never",
        lambda: (
            threshold(BASE),
            str(round((evaluate(BASE, Rule()).eta_seconds or 0) / DAY)),
            whole(against_never(BASE, compounds(BASE))),
        ),
    ),
    (ROOT / "README.md", r"cron ends the year \$(\d+) behind never", lambda: (whole(-against_never(BASE, 364)),)),
)


@pytest.mark.parametrize(("page", "sentence", "values"), PROSE, ids=[sentence for _, sentence, _ in PROSE])
def test_the_numbers_in_the_text_are_the_codes(page, sentence, values):
    text = page.read_text()
    match = re.search(sentence, text)
    assert match is not None, "the sentence is gone; take it out of PROSE too"
    if os.environ.get("KEEPER_WRITE_DOCS"):
        new = match[0]
        for old, value in zip(match.groups(), values(), strict=True):
            new = new.replace(old, value, 1)
        page.write_text(text.replace(match[0], new))
        return
    assert match.groups() == values(), (
        "KEEPER_WRITE_DOCS=1 pytest tests/unit/test_docs_when_to_compound.py writes it anew"
    )


def test_the_plain_formula_of_the_page_is_reckoned_right():
    assert "sqrt(2 x 2 x 10,000) + 2.67 = 202.67" in PAGE.read_text()
    assert round(Decimal(2 * 2 * 10_000).sqrt() + Decimal(8) / 3, 2) == Decimal("202.67")
    waiting = evaluate(replace(BASE, reward=dollars(100)), Rule()).waiting_cost_per_day
    assert round(Decimal(waiting) / WAD, 2) == Decimal("0.05")
    assert "a waiting $100 loses about five cents\na day" in PAGE.read_text()


def test_four_times_the_stake_nearly_doubles_the_threshold():
    first, fourth = (
        evaluate(economics_of(replace(STORY, principal=dollars(size))), Rule()).reward or 0 for size in (10_000, 40_000)
    )
    assert Decimal("1.9") < Decimal(fourth) / first < Decimal("2.02")


def test_a_lower_risk_factor_harvests_from_the_line_that_the_table_says():
    for factor, wanted, *_ in risk_factor():
        rule = Rule(risk_factor_bps=int(Decimal(factor.strip('`"')) * BPS))
        line = dollars(wanted.removeprefix("$"))
        assert fires(replace(BASE, reward=UsdWad(line + WAD // 100)), rule)
        assert not fires(replace(BASE, reward=UsdWad(line - WAD // 100)), rule)


def test_every_option_of_the_strategy_has_its_section():
    text = PAGE.read_text()
    from keeper.config.position_models import INHERITED, PositionConfig

    about_when = {
        *INHERITED,
        *("max_interval", "reward_drift", "rate_drift", "rewards_end", "exit", "target_yield", "max_harvests_per_year"),
        *("exits_per_year", "lock_premium", "payout", "gas_top_up", "batch", "candidates", "exit_cost", "entry_cost"),
    } - {"max_slippage"}
    assert about_when <= set(PositionConfig.model_fields)
    headings = " ".join(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert [key for key in sorted(about_when) if f"`{key}`" not in headings] == []


def test_every_line_of_explain_is_explained():
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {label for row in rows for label in re.findall(r"`([a-z ]+)`", row)}
    sources = "".join((ROOT / "keeper" / "cli" / f"explain_{part}.py").read_text() for part in ("rows", "text"))
    labels = set(re.findall(r'Row\(\s*"([a-z ]+)"', sources))
    assert len(labels) > 15
    assert labels <= told, labels - told
