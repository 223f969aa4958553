"""A history without anybody's records: a stake at a constant yield, and gas and price as files have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from keeper.backtest.history import GAP_SECONDS, History, cover_of
from keeper.backtest.series import Series
from keeper.domain.money import WAD
from keeper.errors import ConfigError
from keeper.strategy.performance.past import Step
from keeper.strategy.performance.points import Point
from keeper.strategy.performance.ticks import Seen, Terms, Tick

__all__ = ["Stake", "history_from"]

_YEAR: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Stake:
    """What is thought to be staked. US dollars; rates per year."""

    principal: float
    #: 0.2 is 20 %.
    apr: float
    #: Gas units of a whole compound.
    gas_units: int
    #: Value of the reward side of the pool that rewards are sold into; ``None`` where that moves no price.
    depth: float | None = None
    #: Part of a reward that selling it loses.
    fee: float = 0.0


def history_from(
    stake: Stake, gas: Series, price: Series | float, *, since: int | None = None, until: int | None = None
) -> History:
    """Make a history with one look for each step of the gas series.

    Args:
        stake: what is staked.
        gas: wei per unit of gas.
        price: dollars per coin that gas is paid in; a daily series goes with hourly gas.
        since: leave out what is before, unix seconds.
        until: leave out what is after.

    Raises:
        ConfigError: fewer than two steps have a price of gas and of the coin.
    """
    costs = _costs(stake, gas, price, since, until)
    if len(costs) < 2:
        coin = f" and {price.name}" if isinstance(price, Series) else ""
        raise ConfigError(
            f"{gas.name}{coin}: fewer than two steps with a price above 0 in the time asked for; "
            "give files that overlap, or another --since and --until"
        )
    points = [_point(stake, at, cost) for at, (cost, _) in costs.items()]
    ticks = tuple(_tick(stake, before, after, *costs[after.at]) for before, after in pairwise(points))
    times = list(costs)
    # A daily series has a look a day: that is its rhythm, and no gap.
    window = (since or times[0], until or times[-1])
    cover = cover_of(window, times[0], times[1:], gap=max(GAP_SECONDS, 3 * gas.step // 2))
    return History(gas.name, points[0], ticks, ((times[0], costs[times[0]][1]),), cover)


def _costs(
    stake: Stake, gas: Series, price: Series | float, since: int | None, until: int | None
) -> Mapping[int, tuple[float, float]]:
    """Cost of a compound and price of gas by time, where both are known."""
    found = {}
    for at in sorted(gas.values):
        wei = gas.values[at]
        coin = price.values.get(at - at % price.step, 0.0) if isinstance(price, Series) else price
        if wei > 0 and coin > 0 and (since is None or at >= since) and (until is None or at <= until):
            found[at] = (wei * stake.gas_units / WAD * coin, wei)
    return found


def _point(stake: Stake, at: int, cost: float) -> Point:
    """Stake and reward are dollars, and nobody compounds."""
    raw = int(stake.principal * WAD)
    return Point(
        at=at,
        stake=raw,
        pending=(0,),
        price=WAD,
        reward_prices=(WAD,),
        staked=raw,
        idle=0,
        cost=int(cost * WAD),
        kept=int((1.0 - stake.fee) * WAD),
        depth=None if stake.depth is None else int(stake.depth * WAD),
        own_share_ppm=0,
        deposit_fee_bps=0,
        shared=False,
        prices={},
        base_usd=WAD,
    )


def _tick(stake: Stake, before: Point, after: Point, cost: float, gas: float) -> Tick:
    seconds = after.at - before.at
    step = Step(
        before=before,
        after=after,
        external=0,
        compounded=0,
        grown=0,
        accrued=(int(before.stake * stake.apr * seconds / _YEAR),),
        stake_seconds=before.stake * seconds,
        received=0,
        wallet=0,
        paid_out=0,
        by_hand=0,
        cost=0,
        wasted=0,
        harvests=0,
    )
    forward = stake.principal * stake.apr * (1.0 - stake.fee)
    seen = Seen(
        forward=forward,
        yield_=stake.apr * (1.0 - stake.fee),
        cost=cost,
        depth=float("inf") if stake.depth is None else stake.depth,
        gas=gas,
    )
    return Tick(step, WAD, (WAD,), Terms(int((1.0 - stake.fee) * WAD), int(cost * WAD)), seen)
