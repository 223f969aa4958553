"""A shadow of a position: what would have become of it under another policy, at the real rates and prices.

Between two ticks a unit of stake earns what a unit of the real stake earned (less, where a larger stake dilutes
itself). A harvest sells everything that pends at the tick's prices, fees and depth; gas is taken out of what is put
back, so that one number says what a rhythm has come to. What is put in or taken out from outside is put in or taken
out of every shadow, token for token. Where nearly all is taken out, the shadows are paid off, and begin anew with what
is left. What a person claimed by hand is left to pend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.money import BPS, WAD
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.performance.past import Step
from keeper.strategy.performance.points import Point
from keeper.strategy.performance.ticks import Tick
from keeper.strategy.policy import Policy, Scene

__all__ = [
    "FINE",
    "Shadow",
    "accrue",
    "begin",
    "deposit",
    "diluted",
    "grow",
    "harvest",
    "idle",
    "live",
    "net",
    "net_of",
    "pass_through",
    "step",
    "worth",
]

#: Digits below a base unit that a shadow keeps.
FINE: Final = 10**18


@dataclass(slots=True)
class Shadow:
    """Where one policy stands; changed in place. Amounts in base units times ``FINE``, money in wad."""

    stake: int
    #: One for each reward.
    pending: list[int]
    #: Unix seconds of the last harvest, or of the beginning.
    last_at: int
    harvests: int = 0
    #: What the harvests cost, and the sum of the gas prices at them, wei.
    paid: int = 0
    gas_wei: int = 0
    #: What has left the position.
    cash: int = 0


def begin(point: Point) -> Shadow:
    """Stand where the real position stands."""
    return Shadow(point.stake * FINE, [raw * FINE for raw in point.pending], point.at)


def step(shadow: Shadow, tick: Tick, policy: Policy, memory: GasMemory) -> int:
    """Live through a tick, ask the policy, and harvest if it says so; returns what it has come to, as ``worth``.

    Args:
        shadow: changed in place.
        tick: the next one.
        policy: sees this shadow's own stake and reward, and the tick; bare, without keeper's guards.
        memory: gas up to and with this tick.
    """
    pass_through(shadow, tick)
    reward = net(shadow, tick)
    known = tick.seen is not None and tick.terms.cost is not None
    if known and reward > 0 and shadow.stake > 0 and policy.wants(_scene(shadow, tick, reward, memory)):
        harvest(shadow, tick)
        reward = 0
    return shadow.stake * tick.step.after.price // (tick.unit * FINE) + reward + shadow.cash


def pass_through(shadow: Shadow, tick: Tick) -> None:
    """Let everything happen that is nobody's choice."""
    live(shadow, tick.step)
    if tick.left:
        _pay_off(shadow, tick)
    elif tick.step.external:
        shadow.stake += tick.step.external * FINE


def harvest(shadow: Shadow, tick: Tick) -> None:
    """Sell what pends, put it back, and take gas out of it. The cost must be known."""
    assert tick.terms.cost is not None
    brought = net(shadow, tick)
    back = brought * tick.put_back // WAD
    deposit(shadow, tick, back)
    shadow.stake -= tick.terms.cost * tick.unit * FINE // tick.step.after.price
    shadow.cash += brought - back
    shadow.paid += tick.terms.cost
    shadow.gas_wei += 0 if tick.seen is None else int(tick.seen.gas)
    shadow.harvests += 1
    shadow.last_at = tick.at
    shadow.pending = [0] * len(shadow.pending)


def worth(shadow: Shadow, tick: Tick) -> int:
    """Value of the stake, of what pends once it is sold, and of what has left, wad; claiming costs nothing here."""
    return shadow.stake * tick.step.after.price // (tick.unit * FINE) + net(shadow, tick) + shadow.cash


# ---------------------------------------------------------------------------- what every rhythm has in common


def live(shadow: Shadow, past: Step) -> None:
    """Let the rewards accrue and the stake grow."""
    accrue(shadow, past, past.seconds)
    grow(shadow, past)


def accrue(shadow: Shadow, past: Step, seconds: int) -> None:
    """Let the rewards accrue for a part of a step."""
    if past.stake_seconds > 0:
        weight = diluted(shadow.stake, past.before.stake * FINE, past.before.own_share_ppm)
        # The real step may have been compounded within: that is the real stake's, not this one's.
        for place, raw in enumerate(past.accrued):
            shadow.pending[place] += raw * weight * seconds // past.stake_seconds


def grow(shadow: Shadow, past: Step) -> None:
    """Let the stake grow by itself, as in the whole step."""
    if past.grown and past.before.stake:
        shadow.stake += shadow.stake * past.grown // past.before.stake


def diluted(stake: int, real: int, share_ppm: int) -> int:
    """Stake that counts for the rewards: a pool that one owns a share of pays a larger stake less for each unit."""
    if stake <= 0:
        return 0
    if share_ppm == 0 or real == 0:
        return stake
    return stake * 10**6 * real // (10**6 * real + share_ppm * (stake - real))


def idle(shadow: Shadow, tick: Tick) -> int:
    """Value of what pends, as it stands."""
    total = 0
    for raw, price, unit in zip(shadow.pending, tick.step.after.reward_prices, tick.units, strict=True):
        total += raw * price // (unit * FINE)
    return total


def net(shadow: Shadow, tick: Tick) -> int:
    """Value of what pends once it is sold: fees and the impact of its size taken off."""
    return net_of(idle(shadow, tick), tick)


def net_of(value: int, tick: Tick) -> int:
    """Value that selling rewards worth so much brings."""
    found = value * tick.terms.kept // WAD
    depth = tick.step.after.depth
    return found * depth // (depth + found) if depth and found > 0 else found


def deposit(shadow: Shadow, tick: Tick, value: int) -> None:
    """Put so much back."""
    after = tick.step.after
    kept = value * (BPS - after.deposit_fee_bps) // BPS
    shadow.stake += kept * tick.unit * FINE // after.price


# ---------------------------------------------------------------------------- helpers


def _pay_off(shadow: Shadow, tick: Tick) -> None:
    """Take out everything, and stand again where the real position stands."""
    before = worth(shadow, tick)
    anew = begin(tick.step.after)
    shadow.stake, shadow.pending, shadow.last_at, shadow.cash = anew.stake, anew.pending, anew.last_at, 0
    shadow.cash = before - worth(shadow, tick)


def _scene(shadow: Shadow, tick: Tick, reward: int, memory: GasMemory) -> Scene:
    after, seen = tick.step.after, tick.seen
    assert seen is not None
    real = after.stake * FINE
    part = diluted(shadow.stake, real, after.own_share_ppm) / real if real else 0.0
    return Scene(
        now=after.at,
        principal=shadow.stake * after.price / (tick.unit * FINE * WAD),
        reward=reward * (BPS - after.deposit_fee_bps) / (BPS * WAD),
        cost=seen.cost,
        forward=seen.forward * part,
        yield_=seen.yield_,
        depth=seen.depth,
        since=float(after.at - shadow.last_at),
        gas=seen.gas,
        memory=memory,
    )
