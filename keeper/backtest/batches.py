"""Twenty positions that share one transaction, against the least that any schedule at all could cost.

Each position earns F a year and what it earns is staked elsewhere at yield m, so that idle reward costs h = m*F for
each year it waits: nothing grows, and what a schedule gains can be compared with a bound exactly. One transaction
costs K whoever is in it, and c_i for each position in it; gas is flat.

The bound is that of the joint replenishment problem (Jackson, Maxwell and Muckstadt, "The joint replenishment
problem with a powers-of-two restriction", 1985): no policy has a lower average cost than

    min over T_0 and T_i >= T_0 of  K/T_0 + sum(c_i/T_i + h_i*T_i/2)  a year,

with T_i = max(T_0, sqrt(2*c_i/h_i)). A year that ends in a claim that costs nothing, repeated for ever with a claim
that costs K + sum(c_i), is such a policy; so a year costs at least that bound less K + sum(c_i), and gains at most
sum(h_i)/2 less that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from keeper.backtest.paths import HOURS, START, Floats, uniforms
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policy import Policy, Scene

__all__ = ["SIZE", "Batch", "alone", "batch_of", "bound", "captured", "shared"]

#: Positions in a batch.
SIZE: Final = 20

#: Shared and own cost of a harvest, USD, and the yield of everything, per year.
_SHARED: Final = 4.0
_OWN: Final = 1.0
_YIELD: Final = 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions: one row for each seed."""

    #: Value of the stakes, USD.
    principal: Floats
    #: What they earn a year, USD.
    forward: Floats
    #: m, per year.
    yield_: float = _YIELD
    #: K and c, USD.
    shared: float = _SHARED
    own: float = _OWN


def batch_of(base: int, seeds: int) -> Batch:
    """Draw the stakes from $300 to $300,000, evenly in the logarithm."""
    drawn = np.array([uniforms(base, seed, 2, SIZE) for seed in range(seeds)])
    principal = 300.0 * 1_000.0**drawn
    return Batch(principal, principal * _YIELD)


def bound(batch: Batch) -> Floats:
    """Return the least cost a year that any policy can have, by seed: harvests and idle reward together."""
    found = []
    for forward in batch.forward:
        holding = np.sort(batch.yield_ * forward)[::-1]
        apart = np.sqrt(2.0 * batch.own / holding)  # how often each would go if the transaction were free
        together = 1
        while together < len(apart) and apart[together] < _rhythm(batch, holding[:together]):
            together += 1
        base = _rhythm(batch, holding[:together])
        times = np.maximum(apart, base)
        found.append(batch.shared / base + float(np.sum(batch.own / times + holding * times / 2.0)))
    return np.array(found)


def captured(batch: Batch, gained: Floats) -> float:
    """Return what was gained over what is possible at most, as a ratio of sums over the seeds."""
    size = batch.forward.shape[1]
    spared = batch.shared + size * batch.own  # the claim at the end costs nothing
    possible = np.sum(batch.yield_ * batch.forward, axis=1) / 2.0 - (bound(batch) - spared)
    return float(np.sum(gained) / np.sum(possible))


def alone(batch: Batch, policy: Policy) -> Floats:
    """Play a year in which the policy decides each position by itself, and each pays for a transaction of its own."""
    cost = batch.shared + batch.own
    return _play(batch, lambda scene: np.asarray(policy.wants(scene)), lambda sent: cost * np.sum(sent, axis=1))


def shared(batch: Batch) -> Floats:
    """Play a year in which budgets add: i is in where B_i >= c_i, and they go when sum(B_i - c_i) >= K."""

    def wants(scene: Scene) -> Any:
        spare = scene.reward * scene.reward * scene.yield_ / (2.0 * scene.forward) - batch.own
        ready = spare >= 0
        return ready & (np.sum(spare * ready, axis=1) >= batch.shared)[:, None]

    return _play(batch, wants, lambda sent: batch.own * np.sum(sent, axis=1) + batch.shared * np.any(sent, axis=1))


def _rhythm(batch: Batch, holding: Floats) -> float:
    """Return T_0 when these positions go every time."""
    return float((2.0 * (batch.shared + batch.own * len(holding)) / np.sum(holding)) ** 0.5)


def _play(batch: Batch, wants: Callable[[Scene], Any], price: Callable[[Any], Floats]) -> Floats:
    """Return what compounding gains over never, by seed: m*R for the rest of the year, less the cost, each time."""
    gained, since = np.zeros(len(batch.forward)), np.zeros(batch.forward.shape)
    memory = GasMemory()
    for hour in range(HOURS):
        now = START + hour * 3_600
        memory.observe(now, 1.0)
        years = (hour - since) / HOURS
        sent = wants(
            Scene(
                now=now,
                principal=batch.principal,
                reward=batch.forward * years,
                cost=batch.shared + batch.own,
                forward=batch.forward,
                yield_=batch.yield_,
                depth=float("inf"),
                since=years * (365 * 86_400),
                gas=1.0,
                memory=memory,
            )
        )
        if hour and np.any(sent):
            gained += batch.yield_ * np.sum(batch.forward * years * sent, axis=1) * (1.0 - hour / HOURS) - price(sent)
            since = np.where(sent, hour, since)
    return gained
