"""Gas and reward-rate paths of one simulated year, hour by hour; every path follows from its seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOURS", "KINDS", "REGIMES", "START", "Floats", "Regime", "gas_path", "rate_path", "season", "uniforms"]

Floats: TypeAlias = NDArray[np.float64]

#: Steps of a year.
HOURS: Final = 8_760

#: Unix seconds of the first step: Monday 1 January 2024, 00:00 UTC.
START: Final = 1_704_067_200

#: Log gas by UTC hour, with a mean of 0: a trough of -0.3 from 05 to 11, a peak of +0.42 from 14 to 17.
_BY_HOUR: Final = (
    *(0.02, -0.05, -0.12, -0.18, -0.24),
    *(-0.30, -0.30, -0.30, -0.30, -0.30, -0.30, -0.30),
    *(-0.08, 0.17),
    *(0.42, 0.42, 0.42, 0.42),
    *(0.33, 0.25, 0.18, 0.12, 0.07, -0.05),
)

#: Log gas by weekday, Monday first, with a mean of 0: a weekend of -0.3, Tuesday to Thursday of +0.17.
_BY_DAY: Final = (0.05, 0.17, 0.17, 0.17, 0.04, -0.30, -0.30)

#: Time constants of the three Ornstein-Uhlenbeck terms, hours.
_TAUS: Final = (6.0, 100.0, 1_200.0)


@dataclass(frozen=True, slots=True)
class Regime:
    """One kind of gas market. All sizes are in log gas."""

    #: Standard deviation of the noise that lasts an hour.
    white: float
    #: Stationary standard deviations of the terms that last 6, 100 and 1,200 hours.
    terms: tuple[float, float, float]
    #: Multiplies the season.
    amplitude: float
    #: Spikes a year, and the mean of their exponentially distributed log size.
    spikes: float
    size: float
    #: Drift a year; the path is centred, so that mid-year is where it would be without.
    drift: float = 0.0


REGIMES: Final[dict[str, Regime]] = {
    "flat": Regime(0.0, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0),
    "main": Regime(0.20, (0.30, 0.33, 0.45), 1.0, 12.0, 1.2),
    "calm": Regime(0.10, (0.15, 0.20, 0.20), 0.7, 3.0, 0.8),
    "wild": Regime(0.30, (0.40, 0.45, 0.70), 1.0, 40.0, 1.6),
    "trend": Regime(0.20, (0.30, 0.33, 0.45), 1.0, 12.0, 1.2, -1.5),
    "l2": Regime(0.05, (0.10, 0.15, 0.30), 0.4, 25.0, 2.0),
}

#: Reward rates: constant; Ornstein-Uhlenbeck in the log (sd 0.4, 30 days); falling by e over the year; a new log-normal
#: rate every week (sd 0.5); constant until it stops for good between 30 % and 90 % of the year. All but the last have a
#: mean of 1 over the year, or in expectation.
KINDS: Final = ("const", "ou", "decay", "epoch", "stop")

#: What a stream of random numbers is for; a new use gets a new number, so that the others stay as they are.
_GAS, _RATE, _UNIFORM = 1, 2, 3


def season(hours: int, start: int = START) -> Floats:
    """Return the season of log gas at amplitude 1 for each hour from ``start``."""
    clock = start // 3_600 + np.arange(hours)
    days = (clock // 24 + 3) % 7  # 1 January 1970 was a Thursday, and Monday counts as 0
    found: Floats = np.array(_BY_HOUR)[clock % 24] + np.array(_BY_DAY)[days]
    return found


def gas_path(base: int, seed: int, name: str, hours: int = HOURS) -> Floats:
    """Return the gas price over the path's own median for each hour: exp(season + white + three OU + drift + spikes).

    A year of recorded gas is measured against its median in the same way (``keeper.backtest.series``).

    Args:
        base: base seed of the whole benchmark.
        seed: number of the path.
        name: regime.
        hours: steps.
    """
    regime = REGIMES[name]
    rng = _rng(base, _GAS, seed, list(REGIMES).index(name))
    logs = regime.amplitude * season(hours) + regime.white * rng.standard_normal(hours)
    for deviation, tau in zip(regime.terms, _TAUS, strict=True):
        logs += deviation * _ornstein(rng, hours, tau)
    logs += regime.drift * (np.arange(hours) / hours - 0.5)
    found: Floats = np.exp(logs + _spikes(rng, regime, hours))
    return np.asarray(found / np.median(found))


def rate_path(base: int, seed: int, kind: str, hours: int = HOURS) -> Floats:
    """Return the reward rate over its yearly mean, for each hour that follows a step."""
    rng = _rng(base, _RATE, seed, KINDS.index(kind))
    if kind == "ou":
        return np.asarray(np.exp(0.4 * _ornstein(rng, hours, 720.0) - 0.4**2 / 2))
    if kind == "decay":
        return np.asarray(np.exp(-np.arange(hours) / hours) / (1.0 - exp(-1.0)))
    if kind == "epoch":
        weeks = np.exp(0.5 * rng.standard_normal(hours // 168 + 1) - 0.5**2 / 2)
        return np.repeat(weeks, 168)[:hours]
    rates = np.ones(hours)
    if kind == "stop":
        rates[int(hours * (0.3 + 0.6 * rng.random())) :] = 0.0
    return rates


def uniforms(base: int, seed: int, use: int, count: int) -> Floats:
    """Return numbers in [0, 1) for anything else that a suite draws; ``use`` tells its streams apart."""
    return _rng(base, _UNIFORM, seed, use).random(count)


def _rng(base: int, purpose: int, seed: int, which: int) -> np.random.Generator:
    """Make a generator of its own for each path, so that none depends on which others are drawn."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(base, spawn_key=(purpose, seed, which))))


def _ornstein(rng: np.random.Generator, hours: int, tau: float) -> Floats:
    """Return a stationary Ornstein-Uhlenbeck path of standard deviation 1."""
    keep = exp(-1.0 / tau)
    shocks = rng.standard_normal(hours) * (1.0 - keep * keep) ** 0.5
    value = float(rng.standard_normal())
    path = np.empty(hours)
    for hour, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        path[hour] = value
    return path


def _spikes(rng: np.random.Generator, regime: Regime, hours: int) -> Floats:
    """Return what spikes add to log gas: each jumps and decays with a time constant of its own, 1 to 6 hours."""
    total = np.zeros(hours)
    for _ in range(_count(rng, regime.spikes * hours / HOURS)):
        at, size, tau = int(hours * rng.random()), -regime.size * log(1.0 - rng.random()), 1.0 + 5.0 * rng.random()
        tail = np.arange(min(hours - at, 72))
        total[at : at + len(tail)] += size * np.exp(-tail / tau)
    return total


def _count(rng: np.random.Generator, mean: float) -> int:
    """Draw a Poisson number by the waiting times between events: only uniform numbers, whose stream is fixed."""
    count, left = 0, mean
    while (left := left + log(1.0 - rng.random())) > 0.0:
        count += 1
    return count
