"""One position in numbers: everything a decision looks at, what a compound costs, and the rule's quantities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, inf, sqrt
from typing import Final

from keeper.domain.decision import CostParts
from keeper.domain.money import BPS, NO_USD, WAD, Address, Amount, UsdWad
from keeper.domain.observation import Accrual, Observation
from keeper.domain.position import Position
from keeper.domain.transaction import FeeQuote
from keeper.domain.valuation import Valuation
from keeper.engine.book import Holding
from keeper.strategy.batching import Round
from keeper.strategy.costs import Bill, parts
from keeper.strategy.economics import SaleTerms, Terms, economics
from keeper.strategy.gas_memory import GasMemory
from keeper.strategy.guards import Surroundings
from keeper.strategy.numbers import PPM, SECONDS_PER_YEAR, ceil_div
from keeper.strategy.patience import Patience, patience
from keeper.strategy.policy import Scene
from keeper.strategy.split import GasMoney
from keeper.strategy.threshold import (
    Economics,
    Rule,
    Thresholds,
    affordable,
    at_cost,
    cost_ceiling,
    evaluate,
    fires,
    pressure,
)
from keeper.strategy.verdicts import CostAt, LivePolicy

__all__ = [
    "Case",
    "Reckoning",
    "cost_at",
    "effective_payback",
    "fire_gas_price",
    "reckon",
    "sale_terms",
    "scene_of",
]


_HOURS_PER_YEAR: Final = 8_760.0
#: Rounds of a guess, and how close two of them are at its end.
_ROUNDS: Final = 12
_CLOSE: Final = 1e-11

#: No cycle is shorter than a minute.
_SHORTEST_YEARS: Final = 1 / (365 * 1_440)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one decision looks at."""

    holding: Holding
    observation: Observation
    valuation: Valuation
    #: What a harvest brings: the simulated claim when there is one, else the views.
    pending: tuple[Amount, ...]
    fees: FeeQuote
    #: Gas units of the whole compound, as simulated or as typical.
    gas_units: int
    #: L1 data fee of the whole compound, wei.
    l1_fee_wei: int
    around: Surroundings
    #: A person asked for it whatever the rule says.
    forced: bool = False
    #: Forward rates learnt by looking, for protocols that name none; ``None`` where the observation has its own.
    learnt: tuple[Accrual, ...] | None = None
    #: Seconds until the owner leaves or emission stops for good; ``None`` when no end is known.
    horizon: int | None = None
    #: Realised over predicted gas, and allowance for failures, of this position's own record; parts per million.
    correction_ppm: int = PPM
    failure_ppm: int = 0
    #: Price of gas that is usual at present, wei; ``None`` before enough was seen.
    usual_gas_wei: int | None = None
    memory: GasMemory | None = None
    #: Who says when; ``None`` for keeper's rule.
    judge: LivePolicy | None = None
    #: Unix seconds since which the position is watched, for intervals before its first harvest.
    watched_since: int | None = None
    #: What the account has for gas, where a part of this harvest may become gas.
    gas_money: GasMoney | None = None
    #: Part of this harvest that becomes gas, basis points.
    top_up_bps: int = 0
    #: What the batch that it belongs to comes to; ``None`` when it is decided alone.
    round: Round | None = None

    @property
    def position(self) -> Position:
        """The position decided about."""
        return self.holding.position

    @property
    def accruals(self) -> tuple[Accrual, ...]:
        """Forward rates: what was learnt where the contract leaves them open, else its own."""
        return self.observation.accruals if self.learnt is None else self.learnt

    @property
    def since_seconds(self) -> int:
        """Seconds since the last harvest, or since the position is watched."""
        before = self.around.last_harvest_at or self.watched_since
        return max(self.observation.block.timestamp - before, 0) if before is not None else 0

    @property
    def gas(self) -> int:
        """Gas units as the position's own record corrects them."""
        return -(-self.gas_units * self.correction_ppm // PPM)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """One case in numbers."""

    economics: Economics
    cost: CostParts
    rule: Rule
    thresholds: Thresholds
    #: What the memory of gas makes of its price; ``None`` without one.
    patience: Patience | None = None


def reckon(case: Case) -> Reckoning:
    """Work out S, R, g, F, m, L and every number of the rule."""
    options = case.position.options
    rule = Rule(options.risk_factor_bps, effective_payback(options.payback_seconds, options.rate_drift_bps))
    bare = economics(
        observation=case.observation,
        accruals=case.accruals,
        pending=case.pending,
        valuation=case.valuation,
        sales=sale_terms(case.holding, case.valuation),
        cost=NO_USD,
        terms=Terms.of(options, horizon=case.horizon, top_up_bps=case.top_up_bps),
    )
    cost = parts(
        _bill(case),
        principal=bare.principal,
        forward=bare.forward,
        k=max(pressure(bare), 0),
        restarts=case.observation.restarts,
        options=options,
        now=case.observation.block.timestamp,
    )
    e = replace(bare, cost=cost.total)
    found = _patience(case, e, cost)
    if found is not None:
        rule = replace(rule, weight_ppm=_weight(found, case.fees.price_wei, _fixed(case, cost), e.cost))
    return Reckoning(e, cost, rule, evaluate(e, rule), found)


def _patience(case: Case, e: Economics, cost: CostParts) -> Patience | None:
    """Ask the memory of gas from the point of view of the cycle that the position has at this season's price."""
    k, price = pressure(e), case.fees.price_wei
    values = case.memory.levels.values if case.memory is not None else None
    if case.memory is None or values is None or min(k, e.forward, e.cost, price) <= 0:
        return None
    at_level = _fixed(case, cost) / WAD + exp(values[2]) * _per_wei(case) / WAD  # whatever the price is now
    years = sqrt(2 * max(at_level, 0.0) / (e.forward / WAD * (k / WAD)))
    return patience(case.memory.levels, max(years, _SHORTEST_YEARS) * _HOURS_PER_YEAR)


def _weight(found: Patience, price_wei: float, fixed: int, cost: float) -> int:
    """Weigh all of g, ppm: its gas by rho; what does not follow the price of gas is no dearer now than later."""
    if cost <= 0:
        return PPM
    return max(int((fixed + (cost - fixed) * found.weight(float(price_wei))) / cost * PPM), 1)


def effective_payback(seconds: int, rate_drift_bps: int) -> int:
    """Shorten the payback time to what it is worth where the reward rate falls (or lengthen it where it rises).

    Earning falls as exp(d*t), so a time T earns as much as (exp(x)-1)/x of it does at the present rate, x = d*T; it is
    1 / (1 - x/2 + x^2/12) to the fourth power of x, and 1 / -x far below zero; in integers, within 6 %.
    """
    if not rate_drift_bps:
        return seconds
    x = min(rate_drift_bps * seconds * WAD // (BPS * SECONDS_PER_YEAR), 2 * WAD)
    worth = -x if x < -4 * WAD else WAD - x // 2 + x * x // (12 * WAD)
    return max(seconds * WAD // worth, 1)


def fire_gas_price(case: Case, r: Reckoning) -> int | None:
    """Return the highest price of gas, wei, at which the rule would fire now; ``None`` when no price would do.

    What is no gas (L1 fee, restarted clocks, the price of an event, less the call fee) is paid at any price of gas, so
    the bid has only the rest; and a price counts as the memory of gas weighs it.
    """
    fixed, per_wei = _fixed(case, r.cost), case.valuation.native.high * case.gas * (PPM + case.failure_ppm)
    if per_wei <= 0:
        return None

    def fires_at(price: int) -> bool:
        at = at_cost(r.economics, fixed + ceil_div(price * per_wei, 10**18 * PPM))
        if r.patience is None:
            return fires(at, r.rule)
        rule = Rule(r.rule.risk_factor_bps, r.rule.payback_seconds, _weight(r.patience, price, fixed, at.cost))
        return fires(at, rule)

    return _highest(fires_at, _likely(case, r, fixed, per_wei / 10**18 / PPM))


def _likely(case: Case, r: Reckoning, fixed: int, per_wei: float) -> int:
    """Guess that price: where what is affordable is what is asked, cost and weight together."""
    price, slope = float(case.fees.price_wei), 0.0 if r.patience is None else float(r.patience.slope)
    for _ in range(_ROUNDS):
        cost = fixed + per_wei * price
        weight = (r.rule.weight_ppm if r.patience is None else _weight(r.patience, price, fixed, cost)) / PPM
        worth = affordable(at_cost(r.economics, int(cost)), r.rule)
        times = min(max(worth / (cost * weight), 1e-3), 1e3) if cost > 0 else 1e3
        price = max(price * times ** (1 / (1 + slope)), 1.0)
        if abs(times - 1) < _CLOSE:
            break
    most = (cost_ceiling(r.economics, r.rule) - fixed) / per_wei
    return max(int(min(price, most)), 1)


def _highest(fires_at: Callable[[int], bool], guess: int) -> int | None:
    """Return the highest price that fires, to a hundred millionth, looking outwards from a guess; ``None`` for none."""
    below, above, step = guess, guess, max(guess >> 30, 1)
    while below > 0 and not fires_at(below):
        above, below, step = below, below - step, step * 4
    below = max(0, below)
    if above == guess:
        while fires_at(above := above + step):
            below, step = above, step * 4
    while above - below > 1 + (below >> 26):
        middle = (above + below) // 2
        if fires_at(middle):
            below = middle
        else:
            above = middle
    return below or None


def _fixed(case: Case, cost: CostParts) -> int:
    """Return the part of g that does not follow the price of gas, USD wad."""
    return cost.total - cost.gas_usd - cost.failure_usd + cost.l1_usd * case.failure_ppm // PPM


def cost_at(case: Case, r: Reckoning) -> CostAt:
    """Return g in dollars as a function of the price of gas in wei."""
    fixed = _fixed(case, r.cost) / WAD
    per_wei = _per_wei(case) / WAD
    return lambda price_wei: fixed + per_wei * price_wei


def _per_wei(case: Case) -> float:
    """Return what one wei on the price of gas adds to g, USD wad."""
    return case.gas * case.valuation.native.high / 10**18 * (1 + case.failure_ppm / PPM)


def scene_of(case: Case, e: Economics) -> Scene:
    """Show a policy what it may see: dollars and years as floats; when, never how much, follows from it."""
    return Scene(
        now=case.observation.block.timestamp,
        principal=e.principal / WAD,
        reward=e.reward / WAD,
        cost=e.cost / WAD,
        forward=e.forward / WAD,
        yield_=e.yield_wad / WAD,
        depth=e.depth / WAD if e.depth else inf,
        since=float(case.since_seconds),
        gas=float(case.fees.price_wei),
        memory=case.memory or _memory_of(case),
    )


def sale_terms(holding: Holding, valuation: Valuation) -> dict[Address, SaleTerms]:
    """Collect what selling each reward costs: the worst fee and the shallowest pool of its routes.

    Of an LP's two sides only half of the reward passes each pool, so a pool counts at twice its depth.
    """
    terms: dict[Address, SaleTerms] = {}
    halves = 2 if len(holding.market.stake_parts) > 1 else 1
    kept = {part.address for part in holding.market.stake_parts}
    for sale, depth in zip(holding.sales, valuation.depths, strict=True):
        fee = sale.route.fee_bps // halves if sale.reward.address in kept else sale.route.fee_bps
        before = terms.get(sale.reward.address)
        usd = UsdWad(depth.usd * halves)
        if before is not None:
            fee = max(fee, before.fee_bps)
            usd = usd if before.depth is None else min(usd, before.depth)
        terms[sale.reward.address] = SaleTerms(fee, usd)
    return terms


def _bill(case: Case) -> Bill:
    worth = case.valuation
    usual = None
    if case.usual_gas_wei is not None:
        usual = worth.gas_cost(case.gas * case.usual_gas_wei + case.l1_fee_wei)
    return Bill(
        gas=worth.gas_cost(case.gas * case.fees.price_wei),
        l1=worth.gas_cost(case.l1_fee_wei),
        failure_ppm=case.failure_ppm,
        call_fee=UsdWad(sum(worth.value_low(fee) for fee in case.observation.call_fee)),
        usual=usual,
    )


def _memory_of(case: Case) -> GasMemory:
    """Remember only the present, where nothing else is known."""
    memory = GasMemory()
    memory.observe(case.observation.block.timestamp, float(case.fees.price_wei))
    return memory
