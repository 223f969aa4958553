"""Positions in words and numbers for tests of advice, explain and plan: one farm under any circumstances."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from adapter_kit import BLOCK, OWNER, addr, token

from keeper.domain.decision import CostParts, DecisionNumbers
from keeper.domain.money import WAD, Amount, UsdWad, usd
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.position import Position, StrategyOptions
from keeper.strategy.advice import Candidate
from keeper.strategy.threshold import Economics, Rule, evaluate

STAKE, REWARD = token(1, "USDC", 6), token(3, "UNI")

#: Gas of one compound, and its price, behind every cost.
UNITS, GWEI = 400_000, 10**9


def numbers_of(
    staked: str | int = "10000",
    apr: str | int = "0.2",
    *,
    cost: str | int = "2",
    reward: str | int = "50",
    depth: int | None = None,
    drift: str | int = "0",
    parts: CostParts | None = None,
    **changes,
) -> DecisionNumbers:
    """Numbers as the rule finds them. Money in dollars (text) or wad (int), rates likewise."""
    s, a, g, r, d = (
        value if isinstance(value, int) else int(usd(value)) for value in (staked, apr, cost, reward, drift)
    )
    forward = s * a // WAD
    paid = parts or CostParts(gas_usd=UsdWad(g))
    tau = changes.get("horizon_seconds")
    depth_usd = None if depth is None else UsdWad(depth)
    e = Economics(UsdWad(s), UsdWad(r), paid.total, UsdWad(forward), a - d, depth_usd, tau)
    t = evaluate(e, Rule())
    made = DecisionNumbers(
        principal_usd=e.principal,
        reward_usd=e.reward,
        threshold_usd=t.reward,
        budget_usd=t.budget,
        cost_usd=e.cost,
        forward_usd_per_year=e.forward,
        yield_wad=e.yield_wad,
        pressure_wad=t.pressure_wad,
        gas_units=UNITS,
        gas_price_wei=GWEI,
        harvests_per_year_milli=t.harvests_milli,
        waiting_cost_per_day_usd=t.waiting_cost_per_day,
        gain_per_year_usd=t.gain_per_year,
        eta_seconds=t.eta_seconds,
        fire_gas_price_wei=None,
        cost_parts=paid,
        rate_source="chain",
        depth_usd=depth_usd,
    )
    return replace(made, **changes)


def observation_of(
    position_id: str = "a", *, ends_at: int | None = None, share_ppm: int = 0, source=RateSource.CHAIN, **changes
) -> Observation:
    accrual = Accrual(Amount(REWARD, 10**20), share_ppm, ends_at, source)
    seen = Observation(position_id, BLOCK, Amount(STAKE, 10**10), (Amount(REWARD, 10**18),), (accrual,))
    return replace(seen, **changes)


def candidate(
    name: str = "b", numbers: DecisionNumbers | None = None, *, seen: Observation | None = None, chain="test", **options
) -> Candidate:
    options.setdefault("candidates", ("a", "b"))
    position = Position(name, chain, "x", OWNER, "s", addr(5), {}, None, StrategyOptions(**options))
    found = observation_of(name) if seen is None else seen
    return Candidate(position, found, numbers_of() if numbers is None else numbers, BLOCK.timestamp)


def years(text: str) -> int:
    return int(Decimal(text) * 365 * 86_400)
