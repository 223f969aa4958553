"""The documents' numbers are the code's: worked examples are computed again, counts are counted again."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from keeper import __version__
from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


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


def test_what_is_shown_of_a_start_names_the_present_version():
    shown = {
        (page.name, version)
        for page in (ROOT / "docs").rglob("*.md")
        for version in re.findall(r"daemon\.started +version=(\S+)", page.read_text())
    }
    assert {name for name, _ in shown} >= {"bad-day.md", "commands.md"}
    assert {version for _, version in shown} == {__version__}


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
