"""The race: every policy replays every lane of a world, all at once, one vector operation a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.backtest.paths import Floats
from keeper.backtest.world import Ints, World, net
from keeper.errors import KeeperError
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.policy import Policy, Scene

__all__ = ["Run", "never", "race", "thresholds"]

_FOR_ARRAYS: Final = "write it with + - * / and comparisons joined by & and |, without if, and, or, min and max"


@dataclass(frozen=True, slots=True)
class Run:
    """How policies did: one row for each policy, one column for each lane."""

    #: Value at the lane's end, USD: the stake and, at its price of then and after fees and impact, all that is pending.
    #: Claiming it at the end costs nothing, whoever claims: never compounding does it too.
    wealth: Floats
    harvests: Ints
    #: Sum of the gas path at the harvests.
    gas_paid: Floats
    #: Step, policy and lane of every harvest, where they were asked for.
    fired: tuple[tuple[int, int, int], ...] = ()


@dataclass(slots=True)
class _State:
    """What changes while the race goes on; policies by lanes."""

    stake: Floats
    #: Accrued tokens per dollar at the last harvest.
    mark: Floats
    #: Step of the last harvest, 0 before the first.
    since: Ints
    run: Run
    fired: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Now:
    """One step, for all policies: rows of the world's tables, spread over the lanes."""

    step: int
    #: Accrued tokens per dollar.
    grown: Floats
    #: Price of a token after the fee.
    price: Floats
    gas: Floats


def never(world: World) -> Floats:
    """Return the wealth of claiming once, at the end."""
    grown = world.accrued()[world.end, world.rate_of] * world.scale
    pending = world.principal * grown * world.prices[world.end, world.price_of]
    found: Floats = world.principal + net(pending, world.depth, world.fee)
    return found


def race(world: World, policies: Sequence[Policy], *, trace: bool = False) -> Run:
    """Replay the world under each policy.

    A policy is asked at steps 1, 2, ... (every ``poll``-th) before the lane's end. When it wants to, everything pending
    is sold and staked, and that moment's cost is taken from the stake, which cannot fall below nothing. It sees the
    forward rate of now, not what it will be, and remembers gas only as of the steps at which it was asked.

    Args:
        world: lanes.
        policies: rows, in order.
        trace: whether to list every harvest.
    """
    return _replay(world, policies, len(policies), trace=trace)


def thresholds(world: World, multiples: Sequence[float]) -> Run:
    """Replay R > k*g for many k at once: one row for each multiple."""
    return _replay(world, [_Multiples(np.array(multiples)[:, None])], len(multiples), trace=False)


@dataclass(frozen=True, slots=True)
class _Multiples:
    """R > k*g for a column of k, against scenes that hold one row for each."""

    multiples: Floats
    name: str = "multiples"

    def wants(self, scene: Scene) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = scene.reward > self.multiples * scene.cost
        return found


def _replay(world: World, policies: Sequence[Policy], rows: int, *, trace: bool) -> Run:
    accrued = world.accrued()
    state = _begin(world, rows)
    memory = GasMemory()
    for step in range(world.steps):
        if step % world.poll:
            continue
        gas = world.gas[step, world.gas_of]
        memory.observe(world.start + step * world.step, gas * world.errors.gas)
        if step == 0:
            continue
        price = world.prices[step, world.price_of] * (1.0 - world.fee)
        now = _Now(step, accrued[step, world.rate_of] * world.scale, price, gas)
        _decide(world, policies, state, now, memory)
        if trace:
            state.fired += [(step, *divmod(at, world.lanes)) for at in _last_fired(state, step).tolist()]
    _end(world, state, accrued)
    return Run(state.run.wealth, state.run.harvests, state.run.gas_paid, tuple(state.fired))


def _begin(world: World, rows: int) -> _State:
    shape = (rows, world.lanes)
    run = Run(np.zeros(shape), np.zeros(shape, dtype=np.int64), np.zeros(shape))
    return _State(np.tile(world.principal, (rows, 1)), np.zeros(shape), np.zeros(shape, dtype=np.int64), run)


def _end(world: World, state: _State, accrued: Floats) -> None:
    """Claim what is pending at each lane's end; after it nothing was harvested."""
    pending = state.stake * (accrued[world.end, world.rate_of] * world.scale - state.mark)
    price = world.prices[world.end, world.price_of]
    state.run.wealth[:] = state.stake + net(pending * price, world.depth, world.fee)


def _last_fired(state: _State, step: int) -> Ints:
    return np.flatnonzero(state.since == step)


def _decide(world: World, policies: Sequence[Policy], state: _State, now: _Now, memory: GasMemory) -> None:
    """Show every policy what it may see, and harvest where it wants to."""
    value = state.stake * (now.grown - state.mark) * now.price  # after the fee, before impact
    errors, rate = world.errors, world.rates[now.step, world.rate_of] * world.scale * now.price
    forward = state.stake * rate * errors.price
    principal = state.stake * errors.principal
    seen = value * errors.price
    shown = Scene(
        now=world.start + now.step * world.step,
        principal=principal,
        reward=seen / (1.0 + seen / ((1.0 - world.fee) * world.depth)),
        cost=now.gas * world.cost * errors.gas,
        forward=forward,
        yield_=rate * errors.price / errors.principal - world.drift,
        depth=world.depth,
        since=(now.step - state.since) * float(world.step),
        gas=now.gas * errors.gas,
        memory=memory,
    )
    wants = _ask(policies, shown, state.stake.shape)
    wants &= now.step < world.end
    at = np.flatnonzero(wants)
    if len(at):
        _harvest(world, state, now, at, value)


def _ask(policies: Sequence[Policy], shown: Scene, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    wants = np.empty(shape, dtype=np.bool_)
    if len(policies) != shape[0]:  # one policy that decides all rows
        wants[:] = policies[0].wants(shown)
        return wants
    for row, policy in enumerate(policies):
        scene = Scene(
            now=shown.now,
            principal=shown.principal[row],
            reward=shown.reward[row],
            cost=shown.cost,
            forward=shown.forward[row],
            yield_=shown.yield_,
            depth=shown.depth,
            since=shown.since[row],
            gas=shown.gas,
            memory=shown.memory,
        )
        try:
            wants[row] = policy.wants(scene)
        except (TypeError, ValueError) as error:
            text = f"policy {policy.name} cannot decide many positions at once ({error}); {_FOR_ARRAYS}"
            raise KeeperError(text) from error
    return wants


def _harvest(world: World, state: _State, now: _Now, at: Ints, value: Floats) -> None:
    lane = at % world.lanes
    stake, mark, since = state.stake.reshape(-1), state.mark.reshape(-1), state.since.reshape(-1)
    sold = value.reshape(-1)[at]
    brought = sold / (1.0 + sold / ((1.0 - world.fee) * world.depth[lane]))
    stake[at] = np.maximum(stake[at] + brought - now.gas[lane] * world.cost[lane], 0.0)
    mark[at] = now.grown[lane]
    since[at] = now.step
    state.run.harvests.reshape(-1)[at] += 1
    state.run.gas_paid.reshape(-1)[at] += now.gas[lane]
