"""Recorded series: what is read, what is refused and how, and what a year is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from keeper.backtest.runner import Plan, run_years
from keeper.backtest.score import cell_scores
from keeper.backtest.series import Series, read_series, recorded, year_world, years_of
from keeper.backtest.suite import Cell
from keeper.errors import ConfigError

DAY = 86_400


def write(folder, text: str, name: str = "gas.csv"):
    file = folder / name
    file.write_text(text)
    return file


def daily(first: datetime, days: int, value=lambda day: 10.0 + day % 7) -> Series:
    start = int(first.timestamp())
    return Series("made", DAY, {start + day * DAY: value(day) for day in range(days)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '"Date(UTC)","UnixTimeStamp","Value (Wei)"\n"1/1/2020","1577836800","5"\n"1/2/2020","1577923200","7"\n',
            [5, 7],
        ),
        ("date,gwei\n2020-01-01,5\n2020-01-02,7\n", [5e9, 7e9]),
        ("Date,Price\n01/01/2020,5\n01/02/2020,7\n", [5, 7]),
        ("timestamp,open,close\n1577836800000,1,5\n1577923200000,1,7\n", [5, 7]),
        ("\ufeffdatetime,Gas Price\n2020-01-01T00:00:00Z,5\n\n2020-01-02T02:00:00+02:00,7\n", [5, 7]),
        ("time,value\n2020-01-02 00:00:11,7\n2020-01-01 00:00:11,5\n", [5, 7]),
    ],
)
def test_headers_times_and_units_are_found(tmp_path, text, expected):
    found = read_series(write(tmp_path, text))

    assert found.step == DAY
    assert dict(sorted(found.values.items())) == dict(zip((1577836800, 1577923200), expected, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "line 1: found a, b; expected a header"),
        ("date,gwei\n2020-01-01,5\n2020-13-01,6\n", "line 3: '2020-13-01' is not a time; write unix seconds"),
        ("date,gwei\n2020-01-01,x\n2020-01-02,6\n", "line 2: 'x' is not an amount"),
        ("date,gwei\n2020-01-01,-1\n2020-01-02,6\n", "line 2: '-1' is not an amount"),
        ("date,gwei\n2020-01-01,nan\n2020-01-02,6\n", "line 2: 'nan' is not an amount"),
        ("date,gwei\n2020-01-01\n", "line 2: 1 columns, the header has more"),
        ("date,gwei\n2020-01-01,1\n2020-01-01,2\n", "line 3: this time was there before"),
        ("date,gwei\n2020-01-01,1\n", "fewer than two values"),
        ("time,gwei\n0,1\n60,1\n120,1\n", "60 s apart; give hourly"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path, text, said):
    file = write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        read_series(file)

    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="cannot read it"):
        read_series(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read it"):
        read_series(tmp_path / "binary.csv")


def test_only_whole_years_count_and_the_others_are_named():
    gas = daily(
        datetime(2019, 6, 1, tzinfo=UTC), 214 + 366 + 365 + 100, lambda day: 0.0 if day == 700 else 10.0 + day % 7
    )

    years, left = years_of(gas)

    assert [year.year for year in years] == [2020]
    assert [text[:4] for text in left] == ["2019", "2021", "2022"]
    assert "1 of its 365 steps" in left[1]
    assert len(years[0].gas) == 365
    assert np.median(years[0].gas) == 1.0


def test_no_whole_year_is_an_error():
    with pytest.raises(ConfigError, match="no whole calendar year"):
        years_of(daily(datetime(2020, 3, 1, tzinfo=UTC), 200))


def test_the_coins_price_makes_gas_dearer_and_daily_prices_serve_hourly_gas():
    start = datetime(2021, 1, 1, tzinfo=UTC)
    hours = {int((start + timedelta(hours=h)).timestamp()): 5.0 for h in range(8_760)}
    price = daily(start, 365, lambda day: 1.0 if day < 200 else 3.0)

    years, _ = years_of(Series("hourly", 3_600, hours), price)

    assert len(years[0].gas) == 8_760
    assert years[0].gas[0] == 1.0
    assert years[0].gas[-1] == 3.0


def test_recorded_years_are_raced():
    years, _ = years_of(daily(datetime(2020, 1, 1, tzinfo=UTC), 366 + 365, lambda day: 1.0 + (day % 30) / 10))
    cells = (Cell(2e4, 20.0, "recorded", "const"), Cell(2e4, 7.0, "recorded", "epoch"))

    found = run_years(cells, years, Plan(("rule", "daily")))

    assert found.wealth.shape[1] == 4
    assert cell_scores(found, "rule")[0].captured > 0.9
    assert cell_scores(found, "daily")[0].captured < 0.1
    world = year_world(cells, years[0], base=0)
    assert (world.start, world.step, world.steps) == (1577836800, DAY, 365)
    assert world.accrued()[-1, 0] == pytest.approx(1.0)  # a whole year's reward
    assert len(recorded()) == 52
