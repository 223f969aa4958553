"""How a position really did over a window: what it earned and cost, at which rate, and against doing otherwise.

Everything is counted twice over: in the reporting currency, price moves of the stake included, and in kind, which is in
the stake token itself and so without them. Yearly rates use 365 days.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import WAD, Address, Amount
from keeper.domain.observation import Sample
from keeper.strategy.performance.holding import AgainstHolding, PoolLook, against_holding
from keeper.strategy.performance.past import Past, Step, past_of
from keeper.strategy.performance.points import in_base
from keeper.strategy.performance.replay import as_recorded, daily, earned, fit_of, never, replay
from keeper.strategy.performance.results import Against, Bias, Performance, Returns, Total
from keeper.strategy.performance.returns import Mark, annualised, growth, simple_rate

__all__ = ["performance", "total"]


def performance(
    samples: Sequence[Sample],
    harvests: Sequence[Harvest],
    ledger: Sequence[LedgerEntry],
    *,
    currency: str = "USD",
    sides: tuple[Address, Address] | None = None,
    rebasing: bool | None = None,
) -> Performance | None:
    """Measure one position; ``None`` while fewer than two samples can be valued.

    Args:
        samples: its history within the window, oldest first; the window is from the first to the last.
        harvests: its compounds, in any order; those outside the window do no harm.
        ledger: movements of those compounds.
        currency: what the samples' ``base_usd`` is the price of; shown, not used.
        sides: the two tokens of a constant-product pool whose LP token is staked; ``None`` for other stakes.
        rebasing: whether the stake grows by itself; told from the samples when not given.
    """
    past = past_of(samples, harvests, ledger, rebasing=rebasing)
    if past is None:
        return None
    ended = [h for h in harvests if past.first.at < (h.finished_at or 0) <= past.last.at]
    money, compounded, price_gain = _money(past), _compounded(past), _price_gain(past)
    steps, first, last = past.steps, past.first, past.last
    flows = [step.flow(past.stake_token.unit) for step in steps]
    received, by_hand = sum(step.received for step in steps), sum(step.by_hand for step in steps)
    interest = sum(step.grown * step.after.price // past.stake_token.unit for step in steps)
    cost = sum(step.cost for step in steps)
    earned_rewards = received + by_hand + interest + last.idle - first.idle
    against_never, against_daily, error = _alternatives(past)
    return Performance(
        position_id=samples[0].observation.position_id,
        currency=currency,
        since=first.at,
        until=last.at,
        samples=len(steps) + 1,
        longest_gap=max(step.seconds for step in steps),
        principal_start=Amount(past.stake_token, first.stake),
        principal_end=Amount(past.stake_token, last.stake),
        staked_start=first.staked,
        staked_end=last.staked,
        pending_start=first.idle,
        pending_end=last.idle,
        deposits=sum(flow for flow in flows if flow > 0),
        withdrawals=-sum(flow for flow in flows if flow < 0),
        price_gain=price_gain,
        received=received,
        by_hand=by_hand,
        interest=interest,
        cost=cost,
        lost=earned_rewards - cost - (money.profit - price_gain),
        compounded=compounded,
        kept=sum(step.wallet for step in steps),
        harvests=sum(step.harvests for step in steps),
        failed=sum(h.state is HarvestState.FAILED for h in ended),
        money=money,
        in_kind=_in_kind(past),
        never=against_never,
        daily=against_daily,
        model_error=error,
        holding=None if sides is None else _holding(past, sides),
        bias=_bias(ended, last.base_usd),
        rebasing=past.rebasing,
        unvalued=past.unvalued,
        open_since=min((h.started_at for h in harvests if h.state is HarvestState.OPEN), default=None),
    )


def total(found: Sequence[Performance]) -> Total:
    """Add positions up; their yearly rates are weighed by stake and time.

    The growth of the whole is reckoned from its profit on the average stake, as flows between positions are not known.
    """
    stake_seconds = sum(p.money.stake_seconds for p in found)
    seconds = max((p.seconds for p in found), default=0)
    profit = sum(p.money.profit for p in found)
    kind = sum((p.in_kind.apr or 0) * p.money.stake_seconds for p in found)
    grown = WAD + profit * seconds * WAD // stake_seconds if stake_seconds else WAD
    pools = [p.holding for p in found if p.holding is not None]
    return Total(
        staked=sum(p.staked_end for p in found),
        income=sum(p.income for p in found),
        cost=sum(p.cost for p in found),
        net=sum(p.net for p in found),
        profit=profit,
        apr=simple_rate(profit, stake_seconds),
        apr_in_kind=kind // stake_seconds if stake_seconds else None,
        apy=annualised(max(grown, 0), seconds) if stake_seconds else None,
        over_never=_sum_known([None if p.never is None else p.never.gain for p in found]),
        over_daily=_sum_known([None if p.daily is None else p.daily.gain for p in found]),
        model_error=_sum_known([None if p.model_error is None else abs(p.model_error) for p in found]),
        over_holding=sum(pool.difference for pool in pools) if pools else None,
        harvests=sum(p.harvests for p in found),
        seconds=seconds,
    )


def _sum_known(values: Sequence[int | None]) -> int | None:
    return None if None in values else sum(value or 0 for value in values)


# ---------------------------------------------------------------------------- in two units of account


def _money(past: Past) -> Returns:
    """In the reporting currency."""
    unit = past.stake_token.unit
    return _returns(past, [(step.profit(unit), WAD, WAD) for step in past.steps])


def _in_kind(past: Past) -> Returns:
    """In the stake token: what is worth something else is turned into it at the price of its moment."""
    steps: list[tuple[int, int, int]] = []
    for step in past.steps:
        before, after = step.before.price, step.after.price
        have = (step.after.staked + step.after.idle) * WAD // after
        had = (step.before.staked + step.before.idle) * WAD // before
        moved = step.flow(past.stake_token.unit) - step.wallet - step.by_hand + step.cost
        steps.append((have - had - moved * WAD // after, before, after))
    return _returns(past, steps)


def _returns(past: Past, steps: Sequence[tuple[int, int, int]]) -> Returns:
    """Sum up steps given as (profit, price of the unit of account before, and after)."""
    marks: list[Mark] = []
    stake_seconds = seconds = 0
    for step, (profit, before, after) in zip(past.steps, steps, strict=True):
        had = (step.before.staked + step.before.idle) * WAD // before
        have = (step.after.staked + step.after.idle) * WAD // after
        if not marks:
            marks.append(Mark(had, had))
        marks.append(Mark(had + profit, have))
        stake_seconds += step.before.staked * WAD // before * step.seconds
        seconds += step.seconds if step.before.stake > 0 else 0
    return Returns(sum(profit for profit, _, _ in steps), stake_seconds, growth(marks), seconds)


def _price_gain(past: Past) -> int:
    unit = past.stake_token.unit
    return sum(step.before.stake * (step.after.price - step.before.price) // unit for step in past.steps)


def _compounded(past: Past) -> int:
    return sum(step.compounded * step.after.price // past.stake_token.unit for step in past.steps)


# ---------------------------------------------------------------------------- against doing otherwise


def _alternatives(past: Past) -> tuple[Against | None, Against | None, int | None]:
    """Against never and against daily, and by how much the model misses what really happened."""
    real, paid_out = earned(past), sum(step.paid_out for step in past.steps)
    back = _compounded(past)
    part = back * WAD // (back + paid_out) if back > 0 and paid_out > 0 else WAD
    fit = fit_of(past)
    modelled = replay(past, as_recorded, compounded=part, fit=fit)
    if modelled is None:
        return None, None, None
    found: list[Against | None] = []
    for when in (never, daily):
        other = replay(past, when, compounded=part, fit=fit)
        same = when is never and not any(map(_touched, past.steps))
        found.append(
            None
            if other is None
            else Against(
                0 if same else real - other.profit,
                other.harvests,
                other.cost,
                0 if same else past.last.staked - other.staked,
            )
        )
    return found[0], found[1], modelled.profit - sum(step.wasted for step in past.steps) - real


def _touched(step: Step) -> bool:
    return bool(step.compounded or step.harvests or step.cost or step.received)


def _holding(past: Past, sides: tuple[Address, Address]) -> AgainstHolding | None:
    points = [past.first, *(step.after for step in past.steps)]
    looks = [
        PoolLook(point.stake, point.price, (point.prices.get(sides[0], 0), point.prices.get(sides[1], 0)))
        for point in points
    ]
    return against_holding(looks, past.stake_token.unit)


def _bias(ended: Sequence[Harvest], base_usd: int) -> Bias:
    done = [h for h in ended if h.state is HarvestState.DONE and h.predicted_reward_usd > 0]
    sums = (
        sum(h.predicted_reward_usd for h in done),
        sum(h.received_usd for h in done),
        sum(h.predicted_cost_usd for h in done),
        sum(h.cost_usd for h in done),
    )
    return Bias(*(in_base(value, base_usd) for value in sums))
