"""The words of the line protocol: one JSON object a line to the process, one back. Reference: how-to/write-a-policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isinf
from typing import Any, Final, NoReturn

from keeper.domain.money import UsdWad, usd
from keeper.strategy.policy import Scene

__all__ = ["LONGEST", "VERSION", "Nonsense", "Reply", "plain", "read", "request"]

#: Version of the request; a change that an old policy would misread raises it.
VERSION: Final = 1

#: Bytes of the longest line that is read.
LONGEST: Final = 65_536

#: Characters of ``why`` that are kept.
_LONGEST_WHY: Final = 200

#: Dollars above which a threshold is taken for a mistake (wad where dollars were meant).
_MOST_USD: Final = Decimal(10**15)


class Nonsense(Exception):
    """An answer that means nothing; ``str`` says what is wrong with it, as the end of a sentence about the policy."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was read."""

    #: The request that it answers.
    number: int
    harvest: bool
    why: str = ""
    threshold_usd: UsdWad | None = None


def request(number: int, scene: Scene, position_id: str) -> bytes:
    """Return the line that asks about one position."""
    memory = scene.memory
    known = memory.last is not None
    body = {
        "v": VERSION,
        "id": number,
        "position": position_id,
        "now": int(scene.now),
        "principal_usd": _decimal(scene.principal),
        "reward_usd": _decimal(scene.reward),
        "cost_usd": _decimal(scene.cost),
        "forward_usd_per_year": _decimal(scene.forward),
        "yield": _decimal(scene.yield_),
        "depth_usd": None if isinf(scene.depth) else _decimal(scene.depth),
        "since_seconds": int(scene.since),
        "gas_price_wei": _wei(scene.gas),
        "usual_gas_price_wei": _wei(memory.mean_7d) if known else None,
        "day_gas_price_wei": _wei(memory.ewma_1d) if known else None,
        "month_gas_price_wei": _wei(memory.ewma_30d) if known else None,
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def read(line: bytes) -> Reply:
    """Read an answer.

    Raises:
        Nonsense: it is none.
    """
    try:
        said = json.loads(line.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Nonsense("answered something that is not JSON") from None
    if not isinstance(said, dict):
        raise Nonsense("answered JSON that is not an object")
    number, harvest = said.get("id"), said.get("harvest")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Nonsense("answered without the request's id")
    if not isinstance(harvest, bool):
        raise Nonsense('answered without "harvest": true or "harvest": false')
    return Reply(number, harvest, _why(said.get("why")), _threshold(said.get("threshold_usd")))


def plain(text: str, longest: int) -> str:
    """Return somebody else's text as one line that can be shown and stored: no control characters, bounded."""
    shown = "".join(mark if mark.isprintable() else " " for mark in text[: 2 * longest])
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _why(said: Any) -> str:
    if said is not None and not isinstance(said, str):
        raise Nonsense('answered with a "why" that is not text')
    return plain(said or "", _LONGEST_WHY)


def _threshold(said: Any) -> UsdWad | None:
    if said is None:
        return None
    try:
        amount = Decimal(said) if isinstance(said, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= _MOST_USD:
        raise Nonsense('answered with a "threshold_usd" that is not dollars in quotes, such as "12.50"')
    return usd(amount)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _decimal(number: float) -> str:
    """Return a number as a plain decimal, without exponent, in the digits that Python shows."""
    return format(Decimal(repr(float(number))), "f")


def _wei(price: float) -> str:
    return str(round(price))
