"""The threshold in words, in symbols and in figures, for ``keeper explain``."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from keeper.cli.layout import NEW_LINE
from keeper.cli.output import percent_wad, usd
from keeper.domain.decision import DecisionNumbers
from keeper.domain.money import BPS, WAD
from keeper.domain.position import StrategyOptions
from keeper.strategy.growth import mean_wad
from keeper.strategy.numbers import SECONDS_PER_YEAR, ceil_div, ceil_sqrt
from keeper.strategy.switching import economics_of
from keeper.strategy.threshold import Rule, threshold

__all__ = ["formula"]


def formula(options: StrategyOptions, n: DecisionNumbers) -> list[str]:
    """Spell R* in words, in symbols, and with this position's figures; in phrases."""
    if n.policy != "rule":
        return [f"as the policy {n.policy} says"]
    if n.cost_usd <= 0:
        return ["the call pays for itself: as soon as something is pending"]
    if n.forward_usd_per_year <= 0:
        return ["nothing more accrues: once, as soon as the cost is earned back (cost / (m x time left))"]
    factor = options.risk_factor_bps
    scaled = f"{factor / BPS:g} x " if factor != BPS else ""
    impact = n.pressure_wad - n.yield_wad
    figures = [
        f"g = {usd(n.cost_usd)}",
        f"F = {usd(n.forward_usd_per_year)} a year",
        f"k = {percent_wad(n.pressure_wad)}",
    ]
    if impact > 0:
        parts = f"{percent_wad(n.yield_wad)} yield + {percent_wad(impact)} from selling"
        figures += [NEW_LINE, f"k = m + 2F/L: {parts}"]
    if n.horizon_seconds is not None:
        return [*_until_the_end(n, factor, scaled), NEW_LINE, *figures]
    words = f"= {scaled}sqrt(2 x cost x yearly rewards / k) + 4/3 x cost"
    return [words, f"R* = {scaled}sqrt(2gF/k) + 4g/3", *_beside(options, n), NEW_LINE, *figures]


def _beside(options: StrategyOptions, n: DecisionNumbers) -> list[str]:
    """Say what moves the threshold away from the plain formula: gas that is not as it normally is, late earnings."""
    e = replace(economics_of(n), cost=n.cost_usd, reward=n.reward_usd)
    span = options.payback_seconds * options.rate_drift_bps * WAD // (BPS * SECONDS_PER_YEAR)
    payback = options.payback_seconds * mean_wad(span) // WAD
    unweighed, wanted = threshold(e, Rule(options.risk_factor_bps, payback)), n.threshold_usd
    if unweighed is None or wanted is None or n.pressure_wad <= 0:
        return []
    fixed = ceil_div(4 * n.cost_usd, 3)
    root = ceil_sqrt(2 * n.cost_usd * n.forward_usd_per_year * WAD, n.pressure_wad) * options.risk_factor_bps // BPS
    said, late = [], unweighed - root - fixed
    if late * 200 > wanted:
        said.append(f"+ {usd(late)}, as what is earned late counts less")
    if unweighed > fixed and abs(wanted - unweighed) * 200 > wanted:
        weight = (Decimal(wanted - fixed) / Decimal(unweighed - fixed)) ** 2
        why = "cheaper gas is normally near" if weight > 1 else "gas is cheaper than it normally is"
        said.append(f"the cost counts x{weight:.2f}, for {why}")
    return said


def _until_the_end(n: DecisionNumbers, factor: int, scaled: str) -> list[str]:
    """Word the threshold before a known end: an equal part of what is still to come, or room for one compound more."""
    coming = n.forward_usd_per_year * max(n.horizon_seconds or 0, 0) // SECONDS_PER_YEAR
    wanted = n.threshold_usd or 0
    parts = (coming * factor + wanted * BPS // 2) // (wanted * BPS) if wanted else 0
    if parts and ceil_div(coming * factor, parts * BPS) == wanted:
        many = f"{parts} compounds" if parts > 1 else "one compound"
        return [f"= {scaled}yearly rewards x time left / {many}", "R* = F x time left / n"]
    return ["= from which one compound more pays before the end"]
