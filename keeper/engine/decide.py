"""Decide, purely: what a compound costs, what the rule or another policy says, and the guards around both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.decision import Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.money import BPS, UsdWad, usd_text
from keeper.domain.observation import Observation
from keeper.domain.position import Position
from keeper.domain.valuation import PriceProblem, Valuation
from keeper.engine.case import Case, Reckoning, cost_at, fire_gas_price, reckon, scene_of
from keeper.engine.wording import why_harvest, why_patient, why_round, why_wait
from keeper.ranges import gap_bps, sqrt_price_of
from keeper.strategy.costs import locks_beyond
from keeper.strategy.guards import Surroundings, check_guards
from keeper.strategy.numbers import PPM
from keeper.strategy.threshold import Economics, fires
from keeper.strategy.verdicts import Answer

__all__ = ["decide", "pool_is_near", "price_reasons", "refuse"]

_PRICE_CODES: Mapping[str, ReasonCode] = {
    "missing": ReasonCode.PRICE_MISSING,
    "stale": ReasonCode.PRICE_STALE,
    "disagree": ReasonCode.PRICE_DISAGREES,
}


#: Basis points that a pool and agreed prices may be apart beside the slippage: fees keep traders from closing less.
_APART: Final = 100


def decide(case: Case) -> Decision:
    """Return HARVEST, WAIT or BLOCKED with every number and reason behind it."""
    r = reckon(case)
    answer = _answer(case, r)
    # A limit is for fees: an event and a restarted clock are paid to nobody, and a call fee is no reason to pay more.
    paid = UsdWad(r.cost.gas_usd + r.cost.l1_usd + r.cost.failure_usd)
    guards = check_guards(case.observation, _around(case), paid)
    verdict, reasons = _verdict(case, r, answer)
    numbers = _numbers(case, r, answer, reasons[0].code)
    if verdict is Verdict.HARVEST and guards.blocked:
        verdict, reasons = Verdict.BLOCKED, guards.blocked
    elif guards.blocked:
        reasons = (*reasons, *guards.blocked)
    return Decision(
        position_id=case.position.id,
        block=case.observation.block,
        verdict=verdict,
        reasons=reasons,
        numbers=numbers,
        guards=(*_price_guards(case.valuation), *guards.passed),
        next_check=None if numbers.eta_seconds is None else case.observation.block.timestamp + numbers.eta_seconds,
    )


def refuse(position: Position, problem: Observation, reasons: Sequence[Reason]) -> Decision:
    """Return BLOCKED for a position that was observed but may not be decided about."""
    return Decision(position.id, problem.block, Verdict.BLOCKED, tuple(reasons), None)


def price_reasons(problems: Sequence[PriceProblem]) -> tuple[Reason, ...]:
    """Word why a position has no valuation."""
    return tuple(Reason(_PRICE_CODES.get(p.kind, ReasonCode.PRICE_MISSING), p.text) for p in problems)


def _around(case: Case) -> Surroundings:
    """Complete what the engine knows with what follows from the clocks of the position."""
    locked = locks_beyond(case.observation.restarts, case.position.options, case.observation.block.timestamp)
    around = case.around if locked is None else replace(case.around, locked_beyond_exit=locked)
    return replace(
        around, pool_gap_bps=_pool_gap(case), max_pool_gap_bps=case.position.options.max_slippage_bps + _APART
    )


def pool_is_near(case: Case) -> bool:
    """Whether a range's pool stands near the agreed prices, so that what is put in now goes in as it should."""
    gap = _pool_gap(case)
    return gap is not None and gap <= case.position.options.max_slippage_bps + _APART


def _pool_gap(case: Case) -> int | None:
    """How far a range's pool is from the agreed prices: whoever pushes it would have the deposit go in lopsided."""
    market, noted = case.holding.market, dict(case.observation.notes).get("sqrt_price_x96")
    if not market.virtual or len(market.stake_parts) != 2 or noted is None:
        return None
    first, second = (case.valuation.price(part) for part in market.stake_parts)
    return gap_bps(noted, sqrt_price_of(first.mid, second.mid, first.token.unit, second.token.unit))


def _verdict(  # noqa: PLR0911  (one line for each answer, the strongest first)
    case: Case, r: Reckoning, answer: Answer | None
) -> tuple[Verdict, tuple[Reason, ...]]:
    e, t = r.economics, r.thresholds
    if e.principal <= 0:
        return Verdict.BLOCKED, (Reason(ReasonCode.NO_PRINCIPAL, "nothing is staked; stake first, or remove it"),)
    if not case.holding.market.reward_tokens:
        text = "nothing is ever harvested here: it grows by itself"
        return Verdict.WAIT, (Reason(ReasonCode.GROWS_BY_ITSELF, text),)
    if e.reward <= 0 and e.cost >= 0:
        return Verdict.WAIT, (Reason(ReasonCode.NOTHING_PENDING, "nothing is pending yet"),)
    if case.forced:
        return Verdict.HARVEST, (why_harvest(ReasonCode.FORCED, e, t, rated=bool(case.accruals)),)
    if _overdue(case, e):
        return Verdict.HARVEST, (why_harvest(ReasonCode.MAX_INTERVAL, e, t, rated=bool(case.accruals)),)
    if case.round is not None:
        return why_round(case.position, case.round, e, t)
    if answer is not None:
        return _by_policy(e, answer)
    if case.learnt != () and fires(e, r.rule):  # a rate that is not known yet is not one that has ended
        return Verdict.HARVEST, (why_harvest(ReasonCode.ABOVE_THRESHOLD, e, t),)
    if r.rule.weight_ppm > PPM and fires(e, replace(r.rule, weight_ppm=PPM)):
        return Verdict.WAIT, (why_patient(e, t, r.rule.weight_ppm, case.fees.price_wei, _normal(case, r)),)
    return Verdict.WAIT, (why_wait(case.accruals, case.observation, case.horizon, e, t),)


def _answer(case: Case, r: Reckoning) -> Answer | None:
    """Ask another's policy where its word counts; ``None`` where a person, an interval, a batch or the rule decides."""
    e = r.economics
    if case.judge is None or case.forced or case.round is not None or e.principal <= 0 or _overdue(case, e):
        return None
    return case.judge.judge(scene_of(case, e), case.position.id, cost_at(case, r))


def _overdue(case: Case, e: Economics) -> bool:
    """Whether the longest interval has passed and the reward is worth fetching."""
    longest = case.position.options.max_interval_seconds
    return longest is not None and case.since_seconds >= longest and e.reward > e.cost


def _by_policy(e: Economics, answer: Answer) -> tuple[Verdict, tuple[Reason, ...]]:
    """Take a policy's word, but never pay more than a harvest fetches, whoever says so."""
    if not answer.harvest:
        return Verdict.WAIT, (Reason(answer.code, answer.why),)
    if e.reward <= e.cost:
        text = f"the policy would harvest ({answer.why}), but {usd_text(e.reward)} is less than the {usd_text(e.cost)}"
        return Verdict.WAIT, (Reason(ReasonCode.BELOW_COST, f"{text} it costs to fetch"),)
    return Verdict.HARVEST, (Reason(answer.code, answer.why),)


def _normal(case: Case, r: Reckoning) -> int | None:
    """Return the price of gas that counts as it is: what is normally to be had soon, once a day or two was seen."""
    if case.usual_gas_wei is None or r.patience is None or (price := r.patience.even) is None:
        return None
    return int(price)


def _price_guards(valuation: Valuation) -> tuple[Reason, ...]:
    """Say which sources agreed on each price, for ``explain``."""
    reasons = []
    for price in valuation.prices:
        said = ", ".join(f"{q.source} {usd_text(q.usd)}" for q in price.quotes)
        reasons.append(Reason(ReasonCode.GUARD_OK, f"price of {price.token.symbol} ok ({said})"))
    return tuple(reasons)


def _fire_gas_price(case: Case, r: Reckoning, answer: Answer | None, code: ReasonCode) -> int | None:
    """Return the highest price of gas at which the decision holds, which is the most that is bid for it."""
    e, told = r.economics, None if answer is None else answer.fires_below_wei
    by_policy = answer is not None and answer.harvest and told is None
    if code is ReasonCode.BATCH_DUE and case.round is not None:  # all members pay the dearer gas together
        spare = (case.round.surplus - case.round.shared) // len(case.round.included)
        most = min(e.cost + spare, r.thresholds.budget, e.reward - 1)
    elif code is ReasonCode.MAX_INTERVAL or (by_policy and e.reward > e.cost):
        most = e.reward - 1  # they ask no more than that the reward is worth fetching
    else:
        return fire_gas_price(case, r) if answer is None else told
    price, gas = case.fees.price_wei, r.cost.gas_usd * (PPM + case.failure_ppm)
    return price + max(most - e.cost, 0) * PPM * price // max(gas, 1)


def _numbers(case: Case, r: Reckoning, answer: Answer | None, code: ReasonCode) -> DecisionNumbers:
    e, t, options = r.economics, r.thresholds, case.position.options
    rates = {accrual.source.value for accrual in case.accruals}
    return DecisionNumbers(
        principal_usd=e.principal,
        reward_usd=e.reward,
        threshold_usd=t.reward if answer is None else answer.threshold_usd,
        budget_usd=t.budget,
        cost_usd=e.cost,
        forward_usd_per_year=e.forward,
        yield_wad=e.yield_wad,
        pressure_wad=t.pressure_wad,
        gas_units=case.gas,
        gas_price_wei=case.fees.price_wei,
        harvests_per_year_milli=t.harvests_milli,
        waiting_cost_per_day_usd=t.waiting_cost_per_day,
        gain_per_year_usd=t.gain_per_year,
        eta_seconds=t.eta_seconds if answer is None else None,
        fire_gas_price_wei=_fire_gas_price(case, r, answer, code),
        policy="rule" if case.judge is None else case.judge.name,
        cost_parts=r.cost,
        gas_correction_ppm=case.correction_ppm,
        horizon_seconds=case.horizon,
        rate_source=min(rates) if rates else "",
        depth_usd=e.depth,
        gas_weight_ppm=r.rule.weight_ppm if answer is None else PPM,
        usual_gas_price_wei=case.usual_gas_wei,
        expected_gas_price_wei=_normal(case, r),
        payout_usd=UsdWad(e.reward * options.payout_bps // BPS),
        top_up_usd=UsdWad(e.reward * case.top_up_bps // BPS),
    )
