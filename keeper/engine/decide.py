"""Decide, purely: the rule, the guards around it, and the words for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.decision import Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.money import WAD, Address, Amount, UsdWad, usd_text
from keeper.domain.observation import Observation
from keeper.domain.position import Position
from keeper.domain.transaction import FeeQuote
from keeper.domain.valuation import PriceProblem, Valuation
from keeper.engine.resolve import Holding
from keeper.strategy.economics import SaleTerms, economics
from keeper.strategy.guards import Surroundings, check_guards
from keeper.strategy.threshold import Economics, Rule, Thresholds, evaluate, fires

__all__ = ["Case", "decide", "refuse", "sale_terms"]

_PRICE_CODES: Mapping[str, ReasonCode] = {
    "missing": ReasonCode.PRICE_MISSING,
    "stale": ReasonCode.PRICE_STALE,
    "disagree": ReasonCode.PRICE_DISAGREES,
}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one decision looks at."""

    holding: Holding
    observation: Observation
    valuation: Valuation
    #: What a harvest brings: the simulated claim when there is one, else the views.
    pending: tuple[Amount, ...]
    fees: FeeQuote
    #: Gas units of the whole compound.
    gas_units: int
    #: L1 data fee of the whole compound, wei.
    l1_fee_wei: int
    around: Surroundings
    #: A person asked for it whatever the rule says.
    forced: bool = False

    @property
    def position(self) -> Position:
        """The position decided about."""
        return self.holding.position

    @property
    def cost(self) -> UsdWad:
        """g: all-in cost of one compound now."""
        return self.valuation.gas_cost(self.gas_units * self.fees.price_wei + self.l1_fee_wei)


def decide(case: Case) -> Decision:
    """Return HARVEST, WAIT or BLOCKED with every number and reason behind it."""
    options = case.position.options
    rule = Rule(options.risk_factor_bps, options.payback_seconds)
    e = economics(
        observation=case.observation,
        pending=case.pending,
        valuation=case.valuation,
        sales=sale_terms(case.holding, case.valuation),
        cost=case.cost,
        drift_bps=options.reward_drift_bps,
    )
    t = evaluate(e, rule)
    guards = check_guards(case.observation, case.around, e.cost)
    verdict, reasons = _verdict(case, e, t, fires(e, rule))
    if verdict is Verdict.HARVEST and guards.blocked:
        verdict, reasons = Verdict.BLOCKED, guards.blocked
    elif guards.blocked:
        reasons = (*reasons, *guards.blocked)
    return Decision(
        position_id=case.position.id,
        block=case.observation.block,
        verdict=verdict,
        reasons=reasons,
        numbers=_numbers(case, e, t),
        guards=(*_price_guards(case.valuation), *guards.passed),
        next_check=None if t.eta_seconds is None else case.observation.block.timestamp + t.eta_seconds,
    )


def refuse(position: Position, problem: Observation, reasons: Sequence[Reason]) -> Decision:
    """Return BLOCKED for a position that was observed but may not be decided about."""
    return Decision(position.id, problem.block, Verdict.BLOCKED, tuple(reasons), None)


def price_reasons(problems: Sequence[PriceProblem]) -> tuple[Reason, ...]:
    """Word why a position has no valuation."""
    return tuple(Reason(_PRICE_CODES.get(p.kind, ReasonCode.PRICE_MISSING), p.text) for p in problems)


def sale_terms(holding: Holding, valuation: Valuation) -> dict[Address, SaleTerms]:
    """Collect what selling each reward costs: the worst fee and the shallowest pool of its routes.

    Of an LP's two sides only half of the reward passes each pool, so a pool counts at twice its depth.
    """
    terms: dict[Address, SaleTerms] = {}
    halves = 2 if holding.market.stake_parts else 1
    kept = {part.address for part in holding.market.stake_parts}
    for sale, depth in zip(holding.sales, valuation.depths, strict=True):
        fee = sale.route.fee_bps // 2 if sale.reward.address in kept else sale.route.fee_bps
        before = terms.get(sale.reward.address)
        usd = UsdWad(depth.usd * halves)
        if before is not None:
            fee = max(fee, before.fee_bps)
            usd = min(usd, before.depth or usd)
        terms[sale.reward.address] = SaleTerms(fee, usd)
    return terms


def _verdict(case: Case, e: Economics, t: Thresholds, due: bool) -> tuple[Verdict, tuple[Reason, ...]]:
    if e.principal <= 0:
        return Verdict.BLOCKED, (Reason(ReasonCode.NO_PRINCIPAL, "nothing is staked; stake first, or remove it"),)
    if e.reward <= 0:
        return Verdict.WAIT, (Reason(ReasonCode.NOTHING_PENDING, "nothing is pending yet"),)
    if case.forced:
        return Verdict.HARVEST, (Reason(ReasonCode.FORCED, f"forced by a person; {_standing(e, t)}"),)
    if due:
        return Verdict.HARVEST, (Reason(ReasonCode.ABOVE_THRESHOLD, _standing(e, t)),)
    return Verdict.WAIT, (_why_wait(case, e, t),)


def _standing(e: Economics, t: Thresholds) -> str:
    if t.reward is None:
        return f"{usd_text(e.reward)} pending, a compound costs {usd_text(e.cost)}, and nothing more is earned by it"
    word = "has passed" if e.reward >= t.reward else "has not reached"
    pending, wanted = usd_text(e.reward), usd_text(t.reward)
    return f"{pending} pending {word} the threshold of {wanted}; a compound costs {usd_text(e.cost)}"


def _why_wait(case: Case, e: Economics, t: Thresholds) -> Reason:
    now = case.observation.block.timestamp
    ended = bool(case.observation.accruals) and all(
        a.ends_at is not None and a.ends_at <= now for a in case.observation.accruals
    )
    if ended:
        text = f"rewards have ended; claim the {usd_text(e.reward)} when you leave, re-staking it earns nothing here"
        return Reason(ReasonCode.REWARDS_ENDED, text)
    if t.reward is None:
        text = (
            f"re-depositing earns nothing over holding the reward ({_percent(e.yield_wad)} a year after its drift): "
            "claim at exit"
        )
        return Reason(ReasonCode.NO_YIELD, text)
    if e.reward <= e.cost:
        return Reason(
            ReasonCode.BELOW_COST, f"{usd_text(e.reward)} pending is less than the {usd_text(e.cost)} it costs to fetch"
        )
    if e.reward >= t.reward and not t.pays_back:
        return Reason(ReasonCode.PAYBACK_TOO_LONG, f"the {usd_text(e.cost)} would not be earned back in time")
    return Reason(ReasonCode.BELOW_THRESHOLD, f"{_standing(e, t)}; {_missing(e.reward, t.reward)}")


def _missing(reward: int, wanted: int) -> str:
    """Say how much is missing: in percent when it is near, as a multiple when it is far."""
    percent = -(-(wanted - reward) * 100 // reward)
    return f"needs {percent} % more" if percent < 100 else f"needs {wanted * 10 // reward / 10:.1f}x as much"


def _percent(wad: int) -> str:
    return f"{wad * 10_000 // WAD / 100:.2f} %"


def _price_guards(valuation: Valuation) -> tuple[Reason, ...]:
    """Say which sources agreed on each price, for ``explain``."""
    reasons = []
    for price in valuation.prices:
        said = ", ".join(f"{q.source} {usd_text(q.usd)}" for q in price.quotes)
        reasons.append(Reason(ReasonCode.GUARD_OK, f"price of {price.token.symbol} ok ({said})"))
    return tuple(reasons)


def _numbers(case: Case, e: Economics, t: Thresholds) -> DecisionNumbers:
    return DecisionNumbers(
        principal_usd=e.principal,
        reward_usd=e.reward,
        threshold_usd=t.reward,
        budget_usd=t.budget,
        cost_usd=e.cost,
        forward_usd_per_year=e.forward,
        yield_wad=e.yield_wad,
        pressure_wad=t.pressure_wad,
        gas_units=case.gas_units,
        gas_price_wei=case.fees.price_wei,
        harvests_per_year_milli=t.harvests_milli,
        waiting_cost_per_day_usd=t.waiting_cost_per_day,
        gain_per_year_usd=t.gain_per_year,
        eta_seconds=t.eta_seconds,
        fire_gas_price_wei=_fire_gas_price(case, t.fires_at_cost),
    )


def _fire_gas_price(case: Case, cost: UsdWad) -> int | None:
    """Turn the firing cost into wei per gas unit; ``None`` when no price would do."""
    wei = cost * 10**18 // case.valuation.native.high - case.l1_fee_wei
    price = wei // case.gas_units if case.gas_units else 0
    return price if price > 0 else None
