"""Scalars of the strategy's options: a date in the future, a number of times a year."""

# ruff: noqa: TRY004 (pydantic turns ValueError, not TypeError, into a finding)

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, ValidationInfo

from keeper.config.fields import exact

__all__ = ["ExitDate", "PerYear"]

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?\Z")
_HOW: Final = 'must be a date such as 2027-06-01 or "2027-06-01", or a time such as 2027-06-01T18:00:00Z'
#: Years from now within which an exit is a plan, and beyond which it is a slip of the pen.
_FARTHEST_YEARS: Final = 50
_OFTEN: Final = 365
_YEAR: Final = 365 * 86_400


def _exit(value: Any, info: ValidationInfo) -> int:
    moment = _moment(value)
    now = (info.context or {}).get("now") or int(time.time())
    if moment <= now - _YEAR:  # one that has just passed must not stop a restart: its position waits to be left
        raise ValueError("is long past: write the day on which you now mean to leave, or remove the key if you stay")
    if moment > now + _FARTHEST_YEARS * _YEAR:
        raise ValueError(f"is more than {_FARTHEST_YEARS} years away: remove the key if you stay")
    return moment


def _moment(value: Any) -> int:
    """Read a date (its first second) or a time as Unix seconds; without an offset it is UTC."""
    if isinstance(value, str):
        if not _DATE.match(value):
            raise ValueError(_HOW)
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("is no day of the calendar, or no time of a day") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError(_HOW)
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    try:
        return int(aware.timestamp())
    except (OverflowError, ValueError):  # an offset that leads out of the calendar
        raise ValueError(_HOW) from None


def _per_year(value: Any) -> int:
    times = exact(value, 'a number of times a year such as "1.0" or "0.5"') * 1_000
    if times != int(times):
        raise ValueError("has more than three digits after the point")
    if times > _OFTEN * 1_000:
        raise ValueError(f"must be at most {_OFTEN} times a year")
    return int(times)


#: A day or moment to come, stored in Unix seconds.
ExitDate: TypeAlias = Annotated[int, BeforeValidator(_exit)]
#: Times a year, stored in thousandths.
PerYear: TypeAlias = Annotated[int, BeforeValidator(_per_year)]
