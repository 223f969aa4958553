"""From what was observed and what it is worth to the numbers the rule looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.money import BPS, WAD, Address, Amount, UsdWad
from keeper.domain.observation import Accrual, Observation
from keeper.domain.valuation import Valuation
from keeper.strategy.threshold import Economics

__all__ = ["SaleTerms", "economics", "net_of_sale"]


@dataclass(frozen=True, slots=True)
class SaleTerms:
    """What selling one reward token costs."""

    #: Fees of all hops, basis points.
    fee_bps: int
    #: Value of the sold side of the shallowest pool; ``None`` when it is not sold.
    depth: UsdWad | None


def net_of_sale(value: int, terms: SaleTerms | None) -> int:
    """Return what a reward of this value brings when sold: v*(1-fee)/(1+v/L), as a constant-product pool pays."""
    if terms is None:
        return value
    after_fee = value * (BPS - terms.fee_bps) // BPS
    return after_fee * terms.depth // (terms.depth + after_fee) if terms.depth else after_fee


def economics(
    *,
    observation: Observation,
    pending: Sequence[Amount],
    valuation: Valuation,
    sales: Mapping[Address, SaleTerms],
    cost: UsdWad,
    drift_bps: int,
) -> Economics:
    """Assemble S, R, g, F, m and L.

    Args:
        observation: principal and forward accruals.
        pending: what a harvest would bring now (views, or better a simulated claim).
        valuation: agreed prices at the same block; rewards at the lower price.
        sales: terms by reward token address; a token that is not sold has none.
        cost: all-in cost of one compound now.
        drift_bps: the reward token's expected drift a year, negative when it loses value: then waiting costs more.
    """
    now = observation.block.timestamp
    live = [a for a in observation.accruals if a.ends_at is None or a.ends_at > now]
    reward = sum(net_of_sale(valuation.value_low(amount), sales.get(amount.token.address)) for amount in pending)
    forward = sum(_after_fee(valuation.value_low(a.per_year), sales.get(a.per_year.token.address)) for a in live)
    principal = valuation.value_mid(observation.principal)
    depths = [terms.depth for terms in sales.values() if terms.depth]
    return Economics(
        principal=principal,
        reward=UsdWad(reward),
        cost=cost,
        forward=UsdWad(forward),
        yield_wad=_yield(live, valuation, sales, principal) - _drift(observation, live, drift_bps),
        depth=min(depths) if depths else None,
    )


def _drift(observation: Observation, live: Sequence[Accrual], drift_bps: int) -> int:
    """Return mu: what an idle reward gains a year by waiting, wad; nothing where the reward is the stake itself."""
    stake = observation.principal.token.address
    return 0 if all(a.per_year.token.address == stake for a in live) else drift_bps * WAD // BPS


def _after_fee(value: int, terms: SaleTerms | None) -> int:
    return value if terms is None else value * (BPS - terms.fee_bps) // BPS


def _yield(live: Sequence[Accrual], valuation: Valuation, sales: Mapping[Address, SaleTerms], principal: int) -> int:
    """Return m before drift: what one more staked dollar earns a year, diluted by the position's own share."""
    if principal <= 0:
        return 0
    earned = 0
    for accrual in live:
        value = _after_fee(valuation.value_low(accrual.per_year), sales.get(accrual.per_year.token.address))
        earned += value * (10**6 - accrual.own_share_ppm) // 10**6
    return earned * WAD // principal
