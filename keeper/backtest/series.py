"""Recorded gas and price series from CSV files, and the years in them that policies can be raced through."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from keeper.backtest.paths import KINDS, Floats, rate_path
from keeper.backtest.suite import COST, PAIRS, Cell
from keeper.backtest.world import World
from keeper.errors import ConfigError

__all__ = ["Series", "Year", "read_series", "recorded", "year_world", "years_of"]

_HOUR: Final = 3_600
_DAY: Final = 86_400

#: Headers, without case, quotes and what stands in brackets; the first that a file has is used.
_TIMES: Final = ("unixtimestamp", "unix timestamp", "timestamp", "unix", "time", "datetime", "date")
_VALUES: Final = (
    "value",
    "gas price",
    "gas_price",
    "gasprice",
    "base fee",
    "base_fee",
    "basefee",
    "gas",
    "price",
    "close",
)

#: How dates are spelled where they are not ISO 8601.
_DATES: Final = ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d", "%d.%m.%Y")

_WANTED: Final = (
    "expected a header with a time (UnixTimeStamp, timestamp or date) and a value (Value (Wei), gwei, gas price, price "
    'or close), as in Etherscan\'s export: "Date(UTC)","UnixTimeStamp","Value (Wei)"'
)


@dataclass(frozen=True, slots=True)
class Series:
    """Values at equal steps of an hour or a day; one that is missing is absent."""

    #: Name for people.
    name: str
    #: Seconds between two values.
    step: int
    #: Unix seconds, UTC, on whole steps.
    values: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Year:
    """One calendar year (UTC), cut at 365 days."""

    year: int
    start: int
    step: int
    #: What a unit of gas cost at each step, in any currency, over its median of the year.
    gas: Floats


def read_series(path: Path) -> Series:
    """Read one CSV file.

    Raises:
        ConfigError: naming the file, the line and what to write.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read it ({error}); give a CSV file") from None
    if not rows:
        raise ConfigError(f"{path}: the file is empty; {_WANTED}")
    time_at, value_at, factor = _columns(path, rows[0])
    found: dict[int, float] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        at = _time(path, number, _cell(path, number, row, time_at))
        if at in found:
            raise ConfigError(f"{path}, line {number}: this time was there before; keep one line for each time")
        found[at] = factor * _value(path, number, _cell(path, number, row, value_at))
    step = _step(path, sorted(found))
    return Series(path.name, step, {at - at % step: value for at, value in found.items()})


def years_of(gas: Series, price: Series | None = None) -> tuple[list[Year], list[str]]:
    """Return the whole calendar years that both series have, and a sentence for each that was left out.

    Args:
        gas: price of a unit of gas, in the native coin.
        price: price of the native coin; a constant one without it. Daily prices go with hourly gas.

    Raises:
        ConfigError: no year is whole.
    """
    spans = [datetime.fromtimestamp(at, UTC).year for at in (min(gas.values), max(gas.values))]
    years, left = [], []
    for number in range(spans[0], spans[1] + 1):
        start = int(datetime(number, 1, 1, tzinfo=UTC).timestamp())
        steps = range(start, start + 365 * _DAY, gas.step)
        costs = [gas.values.get(at, 0.0) * _price(price, at) for at in steps]
        lacking = sum(cost <= 0.0 for cost in costs)
        if lacking:
            left.append(f"{number} is left out: {lacking} of its {len(costs)} steps have no gas or price above 0")
            continue
        path = np.array(costs)
        years.append(Year(number, start, gas.step, path / np.median(path)))
    if not years:
        files = gas.name if price is None else f"{gas.name} and {price.name}"
        raise ConfigError(
            f"{files}: no whole calendar year; give at least 1 January to 31 December. " + "; ".join(left)
        )
    return years, left


def recorded() -> tuple[Cell, ...]:
    """Return the cells for recorded gas: the 13 pairs with the 4 reward rates of the core suite."""
    return tuple(Cell(s, n, "recorded", rate) for s, n in PAIRS for rate in ("const", "ou", "decay", "epoch"))


def year_world(cells: Sequence[Cell], year: Year, *, base: int) -> World:
    """Return a world with one lane for each cell: recorded gas, drawn reward rates.

    The year's median gas stands for g, as the path's does in the core suite.
    """
    steps, every = len(year.gas), year.step // _HOUR
    kinds = [kind for kind in KINDS if any(cell.rate == kind for cell in cells)]
    rates = [rate_path(base, year.year, kind, steps * every)[::every] for kind in kinds]
    ratios = np.array([cell.ratio for cell in cells])
    count = len(cells)
    return World(
        gas=year.gas[:, None],
        rates=np.column_stack(rates),
        prices=np.ones((steps + 1, 1)),
        principal=ratios * COST,
        cost=np.full(count, COST),
        scale=np.array([cell.optimum for cell in cells]) * np.sqrt(2.0 / ratios),
        gas_of=np.zeros(count, dtype=np.int64),
        rate_of=np.array([kinds.index(cell.rate) for cell in cells]),
        price_of=np.zeros(count, dtype=np.int64),
        end=np.full(count, steps),
        depth=np.full(count, np.inf),
        drift=np.zeros(count),
        start=year.start,
        step=year.step,
    )


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int, float]:
    """Find the column of the time and of the value, and what the value is multiplied by to be in wei."""
    plain = [cell.strip().strip('"').lower() for cell in header]
    bare = [cell.split("(")[0].strip() for cell in plain]
    times = [bare.index(name) for name in _TIMES if name in bare]
    units = [at for at, cell in enumerate(plain) if "wei" in cell and at not in times]
    values = units or [bare.index(name) for name in _VALUES if name in bare and bare.index(name) not in times]
    if not times or not values:
        raise ConfigError(f"{path}, line 1: found {', '.join(plain) or 'nothing'}; {_WANTED}")
    return times[0], values[0], 1e9 if "gwei" in plain[values[0]] else 1.0


def _cell(path: Path, number: int, row: Sequence[str], at: int) -> str:
    if at >= len(row):
        raise ConfigError(
            f"{path}, line {number}: {len(row)} columns, the header has more; complete or remove the line"
        )
    return row[at].strip()


def _time(path: Path, number: int, text: str) -> int:
    """Read unix seconds, unix milliseconds, ISO 8601 or a date; without a zone it is UTC."""
    try:
        seconds = float(text)
    except ValueError:
        return int(_date(path, number, text).timestamp())
    return int(seconds / 1_000 if seconds > 1e11 else seconds)


def _date(path: Path, number: int, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        for form in _DATES:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                continue
        wanted = "write unix seconds or a date such as 2024-12-31 or 2024-12-31T13:00:00Z"
        raise ConfigError(f"{path}, line {number}: {text!r} is not a time; {wanted}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _value(path: Path, number: int, text: str) -> float:
    try:
        found = float(text.replace(",", ""))
    except ValueError:
        found = float("nan")
    if not 0.0 <= found < float("inf"):
        raise ConfigError(f"{path}, line {number}: {text!r} is not an amount; write a number that is not negative")
    return found


def _step(path: Path, times: Sequence[int]) -> int:
    """Find the rhythm: an hour or a day, the more frequent of the two."""
    if len(times) < 2:
        raise ConfigError(f"{path}: fewer than two values; give hourly or daily ones")
    gaps = [later - earlier for earlier, later in pairwise(times)]
    step = max(set(gaps), key=gaps.count)
    if step not in (_HOUR, _DAY):
        raise ConfigError(f"{path}: most values are {step} s apart; give hourly (3600 s) or daily (86400 s) ones")
    return step


def _price(price: Series | None, at: int) -> float:
    if price is None:
        return 1.0
    return price.values.get(at - at % price.step, 0.0)
