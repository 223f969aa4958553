"""The hours of the day and the days of the week in the price of gas, learnt from nothing; in logarithms.

Gas is cheap at certain hours. How much cheaper, and when, is learnt as the mean deviation of each hour from the last
24, and of each day from the last seven, both drawn towards zero while little was seen.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

from keeper.strategy.arithmetic import low

__all__ = ["HOURS", "RATES", "GasSeason", "ahead_of", "slot"]

#: Hours of a week.
HOURS: Final = 168

#: What waiting an hour for a trough must save at least, as log price: the rates for which the drop ahead is tabulated.
RATES: Final = tuple(1 / (4.0 * 3.0**step) for step in range(7))

#: Observations of nothing that the tables start with: days for the hours, weeks for the days.
_PRIOR_DAYS: Final = 2.0
_PRIOR_WEEKS: Final = 1.0

#: The tables are made anew each day for four weeks, and each week after.
_EAGER_DAYS: Final = 28

#: Higher than any log price.
_ABOVE: Final = 1e3


def slot(hour: int) -> int:
    """Place of a unix hour in the week: 0 is Monday 00:00 UTC."""
    return (hour + 72) % HOURS


class GasSeason:
    """Learns from one log price an hour; reads as a table of 168 hours, and the least that each has ahead of it."""

    __slots__ = (
        "_day",
        "_day_count",
        "_day_sum",
        "_days",
        "_hour_count",
        "_hour_sum",
        "_last",
        "_newest",
        "_newest_at",
        "_seen",
        "_today",
        "_today_count",
        "ahead",
        "table",
    )

    def __init__(self) -> None:
        #: Log deviation of each hour of the week from what is usual.
        self.table: list[Any] = [0.0] * HOURS
        #: For each hour of the week and each of ``RATES``: the least of table + rate * hours over the week to come.
        self.ahead: list[list[Any]] = [[0.0] * len(RATES) for _ in range(HOURS)]
        self._newest: list[Any] = [None] * 24
        self._newest_at = [-999] * 24
        self._hour_sum: list[Any] = [0.0] * 24
        self._hour_count = [0] * 24
        self._day: list[Any] = [None] * 7
        self._day_sum: list[Any] = [0.0] * 7
        self._day_count = [0] * 7
        self._today: Any = 0.0
        self._today_count = 0
        self._last: int | None = None
        self._days = self._seen = 0

    def turn(self, hour: int) -> None:
        """Close the day before, where this unix hour begins another."""
        if self._last is not None and hour // 24 > self._last // 24 and self._today_count:
            self._end_day(self._last // 24)

    def learn(self, hour: int, log_price: Any) -> None:
        """Take in the price of one hour (unix hours, rising), after ``turn``."""
        place, gap = hour % 24, 1 if self._last is None else hour - self._last
        self._newest[place], self._newest_at[place] = log_price, hour
        fresh = [x for x, at in zip(self._newest, self._newest_at, strict=True) if hour - at < 24]
        if self._seen >= 23 or gap > 1:
            self._hour_sum[place] = self._hour_sum[place] + (log_price - _sum(fresh) / len(fresh))
            self._hour_count[place] += 1
        self._today = self._today + log_price
        self._today_count += 1
        self._seen += 1
        self._last = hour

    def now(self, hour: int) -> Any:
        """Log deviation that is usual at a unix hour."""
        return self.table[slot(hour)]

    def drops(self, hour: int) -> list[Any]:
        """For each of ``RATES``: by how much the season falls below its present hour, net of the wait; 0 or more."""
        now, ahead = self.table[slot(hour)], self.ahead[slot(hour)]
        return [now - low(least, now) for least in ahead]

    def _end_day(self, day: int) -> None:
        place = (day + 3) % 7
        self._day[place] = self._today / self._today_count
        self._today, self._today_count = 0.0, 0
        self._days += 1
        known = [mean for mean in self._day if mean is not None]
        if len(known) == 7:
            self._day_sum[place] = self._day_sum[place] + (self._day[place] - _sum(known) / 7)
            self._day_count[place] += 1
        if self._days <= _EAGER_DAYS or self._days % 7 == 0:
            self._tabulate()

    def _tabulate(self) -> None:
        hours = [s / (n + _PRIOR_DAYS) for s, n in zip(self._hour_sum, self._hour_count, strict=True)]
        for _ in range(2):  # neighbours know of each other
            hours = [hours[j] * 0.5 + (hours[j - 1] + hours[(j + 1) % 24]) * 0.25 for j in range(24)]
        days = [s / (n + _PRIOR_WEEKS) for s, n in zip(self._day_sum, self._day_count, strict=True)]
        self.table = [hours[j % 24] + days[j // 24] for j in range(HOURS)]
        self.ahead = ahead_of(self.table)


def ahead_of(table: list[Any]) -> list[list[Any]]:
    """For each hour and each of ``RATES``: the least of table + rate * hours over the week that begins there."""
    if all(type(x) is float and isfinite(x) for x in table):
        return _of_floats(table)
    shapes = {getattr(x, "shape", ()) for x in table}
    if len(shapes) > 1 or shapes == {()}:
        return [list(row) for row in zip(*(_column(table, rate) for rate in RATES), strict=True)]
    # Arrays: all rates at once, one row each, which are the same sums in a seventh of the steps.
    rates = table[0].__array_namespace__().asarray(RATES).reshape((-1,) + (1,) * table[0].ndim)
    return [list(row) for row in _column(table, rates)]


def _column(table: list[Any], rate: Any) -> list[Any]:
    ahead: list[Any] = [None] * HOURS
    least: Any = table[0] + _ABOVE
    for j in range(2 * HOURS - 1, -1, -1):
        least = low(table[(j + 1) % HOURS], least) + rate
        ahead[j % HOURS] = least
    return ahead


def _of_floats(table: list[float]) -> list[list[Any]]:
    """``_column`` of each rate; ``low`` is written out, to the digit, since a call of it costs more than its sums."""
    backwards = [*table[:1], *table[:0:-1]] * 2
    columns = []
    for rate in RATES:
        least, column = table[0] + _ABOVE, []
        for x in backwards:
            least = (least + (x - least) if x < least else least) + rate
            column.append(least)
        columns.append(column[: HOURS - 1 : -1])
    return [list(row) for row in zip(*columns, strict=True)]


def _sum(values: list[Any]) -> Any:
    return sum(values[1:], values[0])
