"""The documents' numbers are the code's: worked examples are computed again, counts are counted again."""

from __future__ import annotations

import ast
import json
import re
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import pytest

from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.domain.money import WAD, UsdWad
from keeper.strategy.threshold import Economics, Rule, evaluate, fires

ROOT = Path(__file__).resolve().parents[2]
RULE_PAGE = (ROOT / "docs" / "explanation" / "when-to-compound.md").read_text()
README = (ROOT / "README.md").read_text()

CENT = Decimal("0.01")


def case(stake: str, cost: str, *, reward: str = "0", apr: str = "0.2") -> Economics:
    """A farm that pays in proportion to the stake into a pool without end."""

    def wad(text: Decimal) -> UsdWad:
        return UsdWad(int(text * WAD))

    s, y = Decimal(stake), Decimal(apr)
    return Economics(wad(s), wad(Decimal(reward)), wad(Decimal(cost)), wad(s * y), int(y * WAD), None)


def dollars(wad: int) -> Decimal:
    return Decimal(wad) / WAD


def number(text: str) -> Decimal:
    return Decimal(re.sub(r"[$,+ ]", "", text))


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose header line starts with ``heading``."""
    lines = RULE_PAGE.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_worked_example_is_what_the_rule_says():
    numbers = evaluate(case("10000", "2"), Rule())

    assert dollars(numbers.reward).quantize(CENT) == Decimal("202.67")
    assert numbers.harvests_milli == 10_000
    assert dollars(numbers.gain_per_year) == 162
    assert round(numbers.eta_seconds / 86_400) == 37
    for page in (RULE_PAGE, README):
        assert "$202.67" in page
        assert "$162" in page
    assert "In the example: sqrt(2 x 2 x 10,000) + 2.67 = 202.67." in RULE_PAGE


def test_it_harvests_at_the_threshold_and_not_a_dollar_before():
    assert not fires(case("10000", "2", reward="201.67"), Rule())
    assert fires(case("10000", "2", reward="202.67"), Rule())


def played(compounds: int) -> Decimal:
    """Earnings of a year with so many compounds at equal distances, each paid for."""
    stake = Decimal(10_000)
    for _ in range(compounds):
        stake += stake * Decimal("0.2") / compounds - 2
    return stake - 10_000 if compounds else Decimal(2_000)


def test_the_table_of_rhythms_is_played_right():
    table = rows("compounds a year")

    assert len(table) == 8
    for rhythm, earned, against in table:
        expected = played(int(re.match(r"\d+", rhythm)[0]))
        assert number(earned) == expected.quantize(CENT), rhythm
        assert number(against.replace("-$", "$-")) == (expected - 2_000).quantize(CENT), rhythm
    best = max(table, key=lambda row: number(row[1]))
    assert best[0] == "10"


def test_the_daily_loss_in_the_readme_is_the_tables():
    behind = round(2_000 - played(365))
    assert f"ends the year ${behind} behind never" in README


def test_the_table_of_thresholds_is_what_the_rule_says():
    table = rows("staked")

    assert len(table) == 7
    for staked, cost, threshold, often, worth in table:
        numbers = evaluate(case(str(number(staked)), str(number(cost))), Rule())
        assert abs(dollars(numbers.reward) - number(threshold)) <= CENT
        assert (Decimal(numbers.harvests_milli) / 1000).quantize(Decimal("0.1"), ROUND_DOWN) == number(often)
        assert abs(dollars(numbers.gain_per_year) - number(worth)) <= CENT


@pytest.mark.parametrize(
    ("stake", "cost", "multiple"), [("10000", "2", 101), ("10000", "0.05", 634), ("1000", "2", 33)]
)
def test_no_fixed_multiple_of_gas_is_right(stake, cost, multiple):
    assert round(dollars(evaluate(case(stake, cost), Rule()).reward) / Decimal(cost)) == multiple
    assert str(multiple) in RULE_PAGE


def test_a_waiting_hundred_dollars_loses_five_cents_a_day():
    lost = evaluate(case("10000", "2", reward="100"), Rule()).waiting_cost_per_day
    assert dollars(lost).quantize(CENT) == Decimal("0.05")


def test_every_line_of_explain_is_explained():
    shown = re.search(r"```text\n(.*?)```", RULE_PAGE, re.DOTALL)[1]
    labels = set(re.findall(r"^  (\w+(?: \w+)?)  ", shown, re.MULTILINE))
    table = {cell.strip("` ") for row in rows("line") for cell in row[0].split(",")}
    assert labels - {"worth"} <= table
    assert "worth" in shown


def test_the_number_of_crash_points_is_counted():
    tree = ast.parse((ROOT / "tests" / "devnet" / "test_crash.py").read_text())
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    points, legs = ast.literal_eval(values["POINTS"]), ast.literal_eval(values["LEGS"])
    cases = 2 + len(points) * legs

    page = (ROOT / "docs" / "explanation" / "exactly-once.md").read_text()
    assert f"{cases}\ncases" in page or f"{cases} cases" in page
    assert f"any of {cases} points" in README
    for point in ("opened", *points, "recorded"):
        assert f"| `{point}` |" in page, point
        assert any(f'checkpoint("{point}")' in file.read_text() for file in (ROOT / "keeper" / "engine").glob("*.py"))


def test_the_packages_of_what_is_real_are_the_pinned_ones():
    page = (ROOT / "docs" / "explanation" / "what-is-real.md").read_text()
    pinned = json.loads((ROOT / "keeper" / "devnet" / "npm" / "package.json").read_text())
    wanted = pinned["dependencies"] | pinned["optionalDependencies"]
    listed = dict(re.findall(r"\| `(@?[\w/-]+)` \| ([\w.-]+) \|", page))
    assert listed.pop("viem") in (ROOT / "keeper" / "devnet" / "install.py").read_text()
    assert listed == {name: version for name, version in wanted.items() if name in listed}
    assert {*listed, "@foundry-rs/anvil-linux-amd64", "solc"} == set(wanted)
    assert f"**anvil** {wanted['@foundry-rs/anvil-linux-amd64']}" in page


def test_the_pass_lines_are_those_of_the_benchmark():
    page = (ROOT / "docs" / "explanation" / "performance.md").read_text()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")]
    lines = {row[0]: row[1] for row in cells[1:]}
    measured = (ROOT / "tests" / "bench" / "measure.py").read_text()
    limit, head = (int(n) for n in re.search(r"math\.ceil\(positions / (\d+)\) \+ (\d+)", measured).groups())

    assert {lines[f"read cycle / floor, {n}"] for n in ("1,000 positions (3,000 views)", "10,000 positions")} == {
        re.search(r'Row\("P1", detail, ours / floor, ([\d.]+),', measured)[1]
    }
    assert f"exponent, {lines['growth exponent of the time from 1,000 to 10,000']}," in measured
    for size in (1_000, 10_000):
        assert int(lines[f"requests for one cycle, {size:,} positions"]) == -(-size // limit) + head
    assert f"holds about {limit} positions" in page
    assert f"each / 1000, {float(lines['memory for each further position'].split()[0])}," in measured
    assert re.search(rf"median\(cpu\) / bare,\s+{lines['CPU of `keeper --help` / bare python']},", measured)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return installed_catalogue()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-compound.md"])
def test_the_first_position_of_a_page_is_a_config_that_is_accepted(page, tmp_path, catalogue):
    blocks = re.findall(r"^```toml\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    config = tmp_path / "keeper.toml"
    config.write_text(next(block for block in blocks if "[[positions]]" in block))
    endpoints = {"AVALANCHE_RPC": "http://127.0.0.1:1", "BNB_RPC": "http://127.0.0.1:1"}

    loaded = load([config], env=endpoints, catalogue=catalogue, dotenv=None, secrets=False)

    assert len(loaded.settings.positions) == 1
