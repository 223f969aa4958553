"""The price of gas over the demo's month: hours and weekdays as on a busy chain, with a spike now and then."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final

__all__ = ["base_fees"]

#: How often something makes everybody pay more for some hours.
_SPIKES_PER_YEAR: Final = 12

#: What gas costs on an ordinary afternoon, wei: 1 gwei.
_ORDINARY: Final = 10**9


def base_fees(start: int, step_seconds: int, *, seed: int = 7) -> Iterator[int]:
    """Yield a base fee in wei for each step from ``start`` (unix seconds) on; the same seed gives the same month.

    Log of the fee: cheap before noon UTC, dear in the afternoon, cheaper at weekends, plus slow noise and rare spikes.
    """
    rng = random.Random(seed)  # noqa: S311  (weather, not secrets)
    slow, spike, now = 0.0, 0.0, start
    pull = math.exp(-step_seconds / (100 * 3600))
    while True:
        hour, weekday = now / 3600 % 24, now // 86_400 % 7  # day 0 of unix time was a Thursday
        season = 0.35 * math.sin((hour - 10) / 24 * 2 * math.pi) - (0.3 if weekday in (2, 3) else 0.0)
        slow = slow * pull + 0.3 * math.sqrt(1 - pull * pull) * rng.gauss(0, 1)
        rare = rng.random() < _SPIKES_PER_YEAR * step_seconds / (365 * 86_400)
        spike = spike * math.exp(-step_seconds / (4 * 3600)) + (rng.expovariate(1 / 1.2) if rare else 0)
        yield int(_ORDINARY * math.exp(season + slow + spike))
        now += step_seconds
