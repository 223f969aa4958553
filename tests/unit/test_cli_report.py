"""``keeper report`` on a journal: what people read at any width, what programs get, and what is said of bad questions."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from fractions import Fraction

import pytest
import time_machine
from journal_kit import CONFIG, settle
from past_kit import BNB, CAKE, DAY, HOUR, START, Farm, always, keep

from keeper.cli import execute as run
from keeper.cli import grid
from keeper.cli.money import gained, money, rate
from keeper.cli.report_data import Report
from keeper.cli.report_text import summary
from keeper.domain.harvest import HarvestState
from keeper.domain.money import WAD
from keeper.store import open_store
from keeper.strategy.performance.measure import performance
from keeper.strategy.performance.windows import Window

OTHER = CONFIG[CONFIG.index("[[positions]]") :].replace("cake-bnb", "other").replace("pid = 2", "pid = 3")
EURO = """
[report]
currency = "EUR"
currency_chain = "bnb"
currency_feed = "0x5555555555555555555555555555555555555555"
"""
NOW = START + 40 * DAY


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    return settle(tmp_path, monkeypatch, CONFIG + OTHER)


@pytest.fixture
def journal(home):
    store = open_store(home / "state" / "keeper.db")
    yield lambda farm: keep(store, farm)
    store.close()


@pytest.fixture
def line(capsys):
    def ask(*args: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["report", *args]) == code
        shown = capsys.readouterr()
        return shown.out if code == 0 else shown.err

    return ask


def grown(**changes) -> Farm:
    farm = Farm(**{"cost": always("0.3"), "fee": Fraction(3, 1_000), **changes})
    farm.run(40, every=6 * HOUR, compound_each=5 * DAY)
    return farm


def test_the_screen_says_what_was_earned_at_which_rate_and_against_what(journal, line):
    journal(grown())
    out = line()
    assert "the last 30 days: 2025-01-11 00:00 to 2025-02-10 00:00 UTC, in USD" in out
    row = next(text for text in out.splitlines() if text.startswith("cake-bnb"))
    assert re.search(r"\$10,22\d\.\d\d +\$16\d\.\d\d +\$1\.80 +\$16\d\.\d\d +19\.7 % +21\.\d % +\$0\.00", row)
    assert re.search(
        r"compounding 6 times earned \$\S+ less than never and \$\S+ more than daily, and cost \$1\.80", out
    )
    assert "other: no samples in this window" in out
    assert "over holding" not in out


def test_two_positions_have_a_total_and_named_ones_their_details(journal, line):
    journal(grown())
    journal(grown(position_id="other", stake=Fraction(10)))
    out = line("cake-bnb")
    assert "total" not in out
    for part in ("became", "in CAKE-BNB: APR", "in USD with price moves", "over never", "model error", "± "):
        assert part in out
    both = line()
    assert "total" in both
    assert "became" in both  # few enough to tell all of them
    assert line("other").count("became") == 1


def test_a_pool_shows_loss_and_fees_apart(journal, line):
    farm = grown(others={BNB.address: lambda at: Fraction(600) + Fraction(at, 40 * DAY)})
    journal(farm)
    out = line("cake-bnb")
    assert "over holding" in out
    assert re.search(r"impermanent loss -?<?\$\S+ · fees of the pool", out)


@pytest.mark.parametrize("width", [80, 60])
def test_it_fits_the_terminal(journal, line, monkeypatch, width):
    journal(grown(others={BNB.address: always(600)}))
    journal(grown(position_id="other", stake=Fraction(5_000_000)))
    for module in ("output", "grid", "views", "report_text"):
        monkeypatch.setattr(f"keeper.cli.{module}.room", lambda: width, raising=False)
    monkeypatch.setattr(grid, "room", lambda: width)
    assert max(map(len, line("cake-bnb", "other").splitlines())) <= width
    assert max(map(len, line().splitlines())) <= width


def test_of_a_few_days_no_apy_is_told_unless_it_is_asked_for(journal, line):
    journal(grown())
    short = line("--window", "3d")
    assert "3 d of data: annualised figures say little, so no APY is shown (--annualise shows it)" in short
    assert re.search(r"19\.\d % +- ", short)
    assert json.loads(line("--window", "3d", "--json"))["positions"][0]["in_kind"]["apy"] is None
    asked = line("--window", "3d", "--annualise")
    assert re.search(r"19\.\d % +2\d\.\d % ", asked)
    assert "so no APY" not in asked
    assert json.loads(line("--window", "3d", "--annualise", "--json"))["positions"][0]["in_kind"]["apy"]


def test_a_compound_that_has_not_paid_back_yet_is_told_so(journal, line):
    farm = Farm(cost=always(3))
    farm.run(20, every=6 * HOUR, compound_each=10 * DAY)
    journal(farm)
    out = line("--window", "all")
    assert re.search(r"earned \$\S+ less than never .* so far; what it put back earns \$\S+ a year more from here", out)


def test_nothing_compounded_is_the_same_as_never(journal, line):
    farm = Farm()
    farm.run(10, every=6 * HOUR)
    journal(farm)
    out = line("--window", "all")
    assert re.search(r"nothing was compounded: the same as never, and daily would have earned \$\S+ less", out)


def test_what_was_put_in_failed_or_went_unseen_is_told(journal, line):
    farm = Farm()
    farm.run(10, every=6 * HOUR)
    farm.go(5 * DAY)
    farm.move(10)
    farm.look()
    farm.go(HOUR)
    farm.compound(state=HarvestState.FAILED)
    farm.look()
    farm.run(2, every=6 * HOUR)
    journal(farm)
    out = line("--window", "all", "cake-bnb")
    assert "cake-bnb: you put in $1,000.00 and took out $0.00; neither counts as earned or lost" in out
    assert "cake-bnb: nothing was recorded for 5 d; rates in between are averages" in out
    assert "cake-bnb: 1 compound failed; `keeper ledger` says why" in out
    assert "put in $1,000.00" in out


def test_a_window_may_be_named_spanned_or_written_out(journal, line):
    journal(grown())
    names = {name: json.loads(line("--window", name, "--json"))["window"] for name in ("all", "mtd", "90d", "12h")}
    assert names["all"] == {"name": "all", "since": 0, "until": NOW}
    assert names["mtd"]["since"] == START + 31 * DAY
    assert names["12h"]["since"] == NOW - 12 * HOUR
    written = json.loads(line("--since", "2025-01-05", "--until", "2025-01-10T12:00", "--json"))
    assert written["window"]["since"] == START + 4 * DAY
    assert written["window"]["until"] == START + 9 * DAY + 12 * HOUR
    assert written["positions"][0]["harvests"] == 1
    assert "2025-01-05 00:00 to 2025-01-10 12:00 UTC" in line("--since", "2025-01-05", "--until", "2025-01-10T12:00")
    assert json.loads(line("--since", "10d", "--json"))["window"]["since"] == NOW - 10 * DAY


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--window", "3y"], "choose one of 24h, 7d, 30d, 90d, 365d, mtd, all"),
        (["--window", "0d"], "is no window"),
        (["--window", "30d", "--since", "3d"], "--window excludes --since and --until"),
        (["--since", "yesterday"], "neither a span such as 30d nor a day"),
        (["--since", "2025-02-01", "--until", "2025-01-01"], "nothing is between them"),
        (["--currency", "EUR"], '"currency" and "currency_feed" of [report]'),
        (["nix"], 'no position "nix"'),
        (["--csv", "-", "--json"], "exclude each other"),
    ],
)
def test_bad_questions_are_answered_with_what_to_do(journal, line, args, said):
    journal(Farm())
    assert said in " ".join(line(*args, code=2).split())


def test_without_a_journal_it_says_how_to_begin(home, line):
    assert "`keeper run` begins one" in line(code=1)


def test_json_is_exact_and_adds_up(journal, line):
    farm = grown()
    journal(farm)
    document = json.loads(line("--window", "all", "--json"))
    assert document["schema"] == "keeper.report/1"
    (found,) = document["positions"]
    number = {
        key: Decimal(value) for key, value in found.items() if isinstance(value, str) and re.match(r"-?\d", value)
    }
    assert number["income"] == number["received"] + number["by_hand"] + number["interest"] + (
        number["pending_end"] - number["pending_start"]
    )
    assert number["net"] == number["income"] - number["cost"] - number["lost"]
    assert Decimal(found["money"]["profit"]) == number["net"] + number["price_gain"]
    assert document["total"]["net"] == found["net"]
    assert document["missing"] == [{"position": "other", "text": document["missing"][0]["text"]}]
    real = performance(*farm.books)
    assert int(Decimal(found["over_never"]["gain"]) * WAD) == real.never.gain


def test_csv_has_the_same_figures(journal, line, tmp_path):
    journal(grown())
    rows = list(csv.DictReader(io.StringIO(line("--csv", "-"))))
    document = json.loads(line("--json"))["positions"][0]
    assert [row["position"] for row in rows] == ["cake-bnb"]
    assert rows[0]["net"] == document["net"]
    assert rows[0]["in_kind.apr"] == document["in_kind"]["apr"]
    assert rows[0]["over_holding.fees"] == ""
    assert "1 position written to" in line("--csv", str(tmp_path / "out.csv"))
    assert list(csv.DictReader((tmp_path / "out.csv").open())) == rows


# ---------------------------------------------------------------------------- in another currency


@pytest.fixture
def euros(tmp_path, monkeypatch):
    return settle(tmp_path, monkeypatch, CONFIG + EURO)


def test_amounts_are_told_in_the_reporting_currency_of_their_time(euros, line):
    store = open_store(euros / "state" / "keeper.db")
    keep(store, grown(base=always("1.25")))
    store.close()
    out = line("--window", "all")
    assert "in EUR" in out
    assert re.search(r"€8,17\d\.\d\d", out)
    found, dollars = (json.loads(line("--json", *more))["positions"][0] for more in ([], ["--currency", "usd"]))
    assert abs(Decimal(dollars["staked_end"]) - Decimal(found["staked_end"]) * Decimal("1.25")) < Decimal("1e-9")
    assert "$10,2" in line("--currency", "USD")


def test_without_a_rate_dollars_are_told_and_it_is_said(euros, line):
    store = open_store(euros / "state" / "keeper.db")
    keep(store, grown())
    store.close()
    out = line()
    assert "in USD" in out
    assert "no rate of EUR is on record for this time, so amounts are in USD" in " ".join(out.split())
    assert json.loads(line("--json"))["without_rate"] == "EUR"


def test_how_money_and_rates_are_spelled():
    assert money(31 * WAD, "CHF") == "CHF 31.00"
    assert gained(-31 * WAD, "EUR") == "-€31.00"
    assert gained(31 * WAD, "USD") == "+$31.00"
    assert [rate(value) for value in (None, 0, 184 * 10**15, 31 * 10**14, -5 * 10**16, 18 * WAD)] == [
        *("-", "0.0 %", "18.4 %", "0.31 %", "-5.0 %", "1,800 %")
    ]


def test_the_sentence_leaves_out_what_is_not_known():
    farm = Farm()
    farm.run(10, every=6 * HOUR, compound_each=5 * DAY)
    samples = [type(s)(s.observation, None, s.prices) for s in farm.samples]
    found = performance(samples, farm.harvests, farm.ledger)
    assert summary(Report(Window("all", 0, 1), "USD", "", (found,), ())) == "compounding 2 times cost $1.00 in gas"
    assert CAKE.symbol in {a.token.symbol for a in farm.harvests[0].received}
