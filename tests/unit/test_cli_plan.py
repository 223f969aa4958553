"""keeper plan: what may be written, what is answered, and that it is the rule that answers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.cli import execute
from keeper.cli.output import duration
from keeper.cli.output import usd as usd_
from keeper.cli.plan_gas import Bill, typical_gas
from keeper.cli.plan_inputs import GAS_PRICE, MONEY, PERCENT, SPAN, UNITS, bps_of
from keeper.cli.plan_text import plan_json
from keeper.domain.money import WAD, UsdWad, usd
from keeper.strategy.calculator import Farm, economics_of, forecast
from keeper.strategy.threshold import Rule, evaluate

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
BASE = ("--principal", "10000", "--apr", "20%", "--cost", "2")


def said(*args: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert execute(["plan", *args]) == 0
    return out.getvalue()


def parsed(*args: str) -> dict:
    return json.loads(said(*args, "--json"))


# ---------------------------------------------------------------------------- what may be written


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (MONEY, "10000", usd(10_000)),
        (MONEY, "$10,000", usd(10_000)),
        (MONEY, "2m", usd(2_000_000)),
        (MONEY, "1.5k", usd(1_500)),
        (MONEY, "0.31", usd("0.31")),
        (UNITS, "412000", 412_000),
        (UNITS, "412,000", 412_000),
        (UNITS, "412k", 412_000),
        (PERCENT, "18%", Decimal("0.18")),
        (PERCENT, "18 %", Decimal("0.18")),
        (PERCENT, "-50%/yr", Decimal("-0.5")),
        (GAS_PRICE, "0.1gwei", 10**8),
        (GAS_PRICE, "30 gwei", 30 * 10**9),
        (GAS_PRICE, "7wei", 7),
        (SPAN, "90d", 90 * 86_400),
        (SPAN, "1y", 365 * 86_400),
        (SPAN, "26w", 26 * 7 * 86_400),
    ],
)
def test_inputs_are_read_exactly(kind, text, value):
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (MONEY, ["", "ten", "1,00", "-5", "1e5", "10000000000000000b", "5 EUR"]),
        (UNITS, ["0", "1.5", "-1", "many"]),
        (PERCENT, ["18", "0.18", "%", "18 percent"]),
        (GAS_PRICE, ["0.1", "0gwei", "0.0000000001gwei", "5eth"]),
        (SPAN, ["90", "0d", "101y", "3 months"]),
    ],
)
def test_what_is_not_understood_is_refused_with_an_example(kind, texts):
    for text in texts:
        with pytest.raises(click.BadParameter, match=r"write e\.g\."):
            kind.convert(text, None, None)


def test_shares_keep_within_bounds():
    assert bps_of(Decimal("0.003"), "--fee", 0, 5_000) == 30
    for share in (Decimal("0.00001"), Decimal("0.6"), Decimal("-0.1")):
        with pytest.raises(click.BadParameter):
            bps_of(share, "--fee", 0, 5_000)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--principal", "10000", "--apr", "20%"), "what does a compound cost?"),
        (("--principal", "10000", "--apr", "20%", "--gas-price", "1gwei"), "--gas-units and --native-price missing"),
        ((*BASE, "--gas-price", "1gwei"), "leave the gas options away"),
        ((*BASE, "--horizon", "1y", "--exit", "2099-01-01"), "give one of them"),
        ((*BASE, "--exit", "soon"), "is no date"),
        ((*BASE, "--exit", "2001-01-01"), "not within the next"),
        (("--principal", "0", "--apr", "20%", "--cost", "2"), "must be above zero"),
        (("--principal", "1", "--apr", "0%", "--cost", "2"), "must be above 0%"),
        (("--principal", "1", "--apr", "1%", "--cost", "0"), "always worth it"),
        ((*BASE, "--pool-depth", "0"), "must be above zero"),
        (("--principal", "1", "--apr", "1%", "--protocol", "aave"), 'did you mean "aave-v3"?'),
        ((*BASE, "--fee", "90%"), "must be 0% to 50%"),
    ],
)
def test_contradictions_and_gaps_are_usage_errors(args, words, capsys):
    assert execute(["plan", *args]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_negative_drift_may_stand_by_itself():
    assert parsed(*BASE, "--drift", "-50%/yr")["farm"]["drift_per_year"] == "-0.5"


# ---------------------------------------------------------------------------- what is answered


def test_the_farm_of_the_documents_in_words():
    out = said(*BASE)
    t = evaluate(economics_of(Farm(usd(10_000), int(usd("0.2")), usd(2))), Rule())
    every = duration(t.eta_seconds or 0)
    for words in (
        "$10,000.00 at 20 % a year, $2.00 a compound",
        "yes: +$170.04 a year over never compounding",
        f"after {every} · when {usd_(t.reward)} is pending",
        f"about every {every} · about 10 a year",
        "from about $200 staked · or while a compound costs less than $100.00",
    ):
        assert words in out
    rows = {line[:13].strip(): line.split() for line in out.splitlines() if "$" in line and not line.startswith(" ")}
    assert rows["never"][-1] == "-"
    assert rows["weekly"][1:] == ["52", "$104.00", "$2,094.33", "+$94.33"]
    assert rows["daily"][1:] == ["364", "$728.00", "$1,407.48", "-$592.52"]
    assert rows["keeper's rule"][2:] == ["9", "$18.00", "$2,170.04", "+$170.04"]
    sizes = [line.split() for line in out.splitlines() if line.strip().startswith("$1")][-3:]
    assert [row[0] for row in sizes] == ["$100,000.00", "$10,000.00", "$1,000.00"]


def test_a_rhythm_that_goes_on_and_the_first_year_of_it_are_told_apart():
    note = "the first year has 9 of about 10 a year; what pends at its end is claimed"
    assert note in said(*BASE)
    assert "the first year" not in said(*BASE, "--horizon", "1y")  # the table counts until the end then
    assert "the first year" not in said("--principal", "50", "--apr", "2%", "--cost", "2")  # never


def test_a_farm_that_is_too_small_is_told_so_and_from_when_on_it_is_not():
    out = said(
        "--principal", "300", "--apr", "18%", "--gas-price", "22gwei", "--gas-units", "400k", "--native-price", "612"
    )
    assert "never: claim once, when you leave" in out
    assert "within a year no compound earns its $5.39 back (n* = 0.9)" in out
    assert "from about $670 staked · or while a compound costs less than $2.43 (gas below 9.9 gwei)" in out


def test_a_reward_that_rises_faster_than_the_farm_pays_is_held():
    out = said(*BASE, "--drift", "30%")
    assert "never: claim once, when you leave" in out
    assert "the reward is expected to gain more than the farm pays" in out


def test_until_an_exit_only_what_fits_before_it_counts(monkeypatch):
    monkeypatch.setattr("time.time", lambda: datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    out = said(*BASE, "--exit", "2027-02-21")
    assert "until you leave in 90 d" in out
    assert "2 compounds in all" in out
    assert "earned in 90 d" in out
    assert said(*BASE, "--horizon", "90d") == out
    assert "never: claim once" in said(*BASE, "--horizon", "20d")


def test_gas_is_multiplied_out_and_a_protocol_knows_its_own():
    cost = parsed(*BASE[:4], "--gas-price", "1gwei", "--protocol", "aave-v3", "--native-price", "3000")["cost"]
    assert cost["gas_units"] == typical_gas("aave-v3") == 580_000
    assert Decimal(cost["cost_usd"]) == Decimal("1.74")
    assert typical_gas("masterchef") == 780_000


def test_it_needs_no_config_and_imports_no_chain(tmp_path, monkeypatch):
    import subprocess
    import sys

    code = (
        "import sys; from keeper.cli import execute; rc = execute(sys.argv[1:]); "
        "print(*{'web3', 'eth_account', 'sqlalchemy', 'pydantic'} & set(sys.modules), file=sys.stderr); sys.exit(rc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", *BASE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""
    assert "yes: +$170.04" in done.stdout


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal(width, monkeypatch):
    monkeypatch.setattr("keeper.cli.plan_text.room", lambda: width)
    monkeypatch.setattr("keeper.cli.grid.room", lambda: width)
    out = said(*BASE[:4], "--gas-price", "0.1gwei", "--gas-units", "412000", "--native-price", "612", "--fee", "0.3%")
    assert max(map(len, out.splitlines())) <= width
    assert not re.search(r"(never|year) [+$]", out.split("rhythm")[1]), "a table is folded"


@given(
    st.integers(10**18, 10**25),
    st.integers(10**15, 3 * 10**18),
    st.integers(10**15, 10**20),
    st.none() | st.integers(86_400, 10**8),
)
def test_the_numbers_for_programs_are_the_rules(principal, apr, cost, horizon):
    farm = Farm(UsdWad(principal), apr, UsdWad(cost), fee_bps=30, depth=usd(10**6), horizon=horizon)
    document = plan_json(farm, Bill(UsdWad(cost)), forecast(farm))
    t = evaluate(economics_of(farm), Rule())
    assert document["threshold_usd"] is None or Decimal(document["threshold_usd"]) * WAD == t.reward
    assert document["first_after_seconds"] == t.eta_seconds
    assert Decimal(document["harvests_per_year"]) * 1_000 == t.harvests_milli
    assert Decimal(document["gain_per_year_usd"]) * WAD == t.gain_per_year
    assert t.gain_per_year > 0 or document["worth_it"] is False


def test_every_key_for_programs_is_documented():
    page = REFERENCE.read_text()
    section = page.split("\n## keeper plan\n")[1].split("\n## ")[0]

    def keys(value) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for item in value.values() for key in keys(item)}
        return {key for item in value for key in keys(item)} if isinstance(value, list) else set()

    missing = {key for key in keys(parsed(*BASE)) if f"`{key}`" not in section}
    assert missing == set()


def test_the_screen_of_the_reference_is_what_is_printed():
    page = REFERENCE.read_text()
    shown = page.split("\n## keeper plan\n")[1].split("    $ keeper plan ")[1].split("\nWhat a compound")[0]
    line, _, printed = shown.partition("\n")
    now = said(*line.split())
    if os.environ.get("KEEPER_WRITE_DOCS"):
        fresh = "".join(f"    {row}".rstrip() + "\n" for row in now.splitlines())
        REFERENCE.write_text(page.replace(printed, fresh))
        return
    assert "\n".join(row[4:] for row in printed.splitlines()).rstrip() == now.rstrip(), "KEEPER_WRITE_DOCS=1 writes it"


def test_the_clock_is_asked_for_an_exit_only(monkeypatch):
    def no_clock() -> float:
        raise AssertionError

    monkeypatch.setattr(time, "time", no_clock)
    assert "yes: +$170.04" in said(*BASE)
