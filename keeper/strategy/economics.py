"""From what was observed and what it is worth to the numbers the rule looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.money import BPS, WAD, Address, Amount, UsdWad
from keeper.domain.observation import Accrual, Observation
from keeper.domain.position import StrategyOptions
from keeper.domain.valuation import Valuation
from keeper.strategy.threshold import Economics

__all__ = ["SaleTerms", "Terms", "economics", "net_of_sale"]

_PPM = 10**6


@dataclass(frozen=True, slots=True)
class SaleTerms:
    """What selling one reward token costs."""

    #: Fees of all hops, basis points.
    fee_bps: int
    #: Value of the sold side of the shallowest pool; ``None`` when it is not sold.
    depth: UsdWad | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the owner, and the facts around a position, make of its rewards."""

    #: What the reward goes into if not into this position: its yearly yield, basis points.
    target_yield_bps: int | None = None
    #: Expected yearly change of the reward token's price, basis points; negative when it loses value.
    drift_bps: int = 0
    #: Part of a harvest that is re-deposited, basis points; the rest is paid out or becomes gas and earns nothing.
    kept_bps: int = BPS
    #: Seconds until the owner leaves or emission stops for good; ``None`` when no end is known.
    horizon: int | None = None

    @classmethod
    def of(cls, options: StrategyOptions, *, horizon: int | None = None, top_up_bps: int = 0) -> Terms:
        """Take them from a position's options; ``top_up_bps`` is the part that becomes gas now."""
        kept = max(BPS - options.payout_bps - top_up_bps, 0)
        return cls(options.target_yield_bps, options.reward_drift_bps, kept, horizon)


def net_of_sale(value: int, terms: SaleTerms | None) -> int:
    """Return what a reward of this value brings when sold: v*(1-fee)/(1+v/L), as a constant-product pool pays."""
    if terms is None:
        return value
    after_fee = value * (BPS - terms.fee_bps) // BPS
    if terms.depth is None:
        return after_fee
    return after_fee * terms.depth // (terms.depth + after_fee) if terms.depth > 0 else 0  # an empty pool pays nothing


def economics(
    *,
    observation: Observation,
    accruals: Sequence[Accrual],
    pending: Sequence[Amount],
    valuation: Valuation,
    sales: Mapping[Address, SaleTerms],
    cost: UsdWad,
    terms: Terms,
) -> Economics:
    """Assemble S, R, g, F, m, L and the horizon.

    Args:
        observation: principal, fees and share.
        accruals: forward rates, of the contract or as observed.
        pending: what a harvest would bring now (views, or better a simulated claim).
        valuation: agreed prices at the same block; rewards at the lower price.
        sales: terms by reward token address; a token that is not sold has none.
        cost: all-in cost of one compound now.
        terms: what the owner makes of the reward.
    """
    now = observation.block.timestamp
    live = [a for a in accruals if a.ends_at is None or a.ends_at > now]
    entry = BPS - observation.deposit_fee_bps if terms.target_yield_bps is None else BPS
    whole = _PPM if observation.vault_share_ppm is None else observation.vault_share_ppm

    def own(value: int) -> int:
        return value * entry * whole // (BPS * _PPM)

    rates = [(a, _after_fee(valuation.value_low(a.per_year), sales.get(a.per_year.token.address))) for a in live]
    reward = sum(net_of_sale(valuation.value_low(amount), sales.get(amount.token.address)) for amount in pending)
    principal = valuation.value_mid(observation.principal) * whole // _PPM
    yearly = _yield(rates, principal, own, terms) - _drift(observation, live, terms)
    return Economics(
        principal=UsdWad(principal),
        reward=UsdWad(own(reward)),
        cost=cost,
        forward=UsdWad(own(sum(value for _, value in rates))),
        yield_wad=yearly * terms.kept_bps // BPS if yearly > 0 else yearly,
        depth=_depth(rates, pending, valuation, sales),
        horizon=terms.horizon,
    )


def _drift(observation: Observation, live: Sequence[Accrual], terms: Terms) -> int:
    """Return mu: what an idle reward gains a year by waiting, wad; nothing where the reward is the stake itself."""
    stake = observation.principal.token.address
    return 0 if live and all(a.per_year.token.address == stake for a in live) else terms.drift_bps * WAD // BPS


def _after_fee(value: int, terms: SaleTerms | None) -> int:
    return value if terms is None else value * (BPS - terms.fee_bps) // BPS


def _yield(rates: Sequence[tuple[Accrual, int]], principal: int, own: Callable[[int], int], terms: Terms) -> int:
    """Return m before drift: what one more dollar earns a year, diluted here by the position's own share of the pool.

    Growing the stake by one part in N brings a pool with own share w only (1-w)/N more of its fixed emission.
    """
    if terms.target_yield_bps is not None:
        return terms.target_yield_bps * WAD // BPS
    if principal <= 0:
        return 0
    earned = sum(value * (_PPM - accrual.own_share_ppm) // _PPM for accrual, value in rates)
    return own(earned) * WAD // principal


def _depth(
    rates: Sequence[tuple[Accrual, int]],
    pending: Sequence[Amount],
    valuation: Valuation,
    sales: Mapping[Address, SaleTerms],
) -> UsdWad | None:
    """Return the depth of one pool in which selling everything has the impact of selling each reward in its own.

    Impact grows with the square of what is sold: sum(F_i)^2 / sum(F_i^2 / L_i). Where nothing accrues any more, what
    is pending stands for what is sold.
    """
    sold: dict[Address, int] = {}
    for accrual, value in rates:
        token = accrual.per_year.token.address
        sold[token] = sold.get(token, 0) + value
    if not any(sold.values()):
        sold = {amount.token.address: valuation.value_low(amount) for amount in pending}
    total, hurt = sum(sold.values()), 0
    for token, value in sold.items():
        terms = sales.get(token)
        if terms is not None and terms.depth:
            hurt += value * value * WAD // terms.depth
    if hurt:
        return UsdWad(total * total * WAD // hurt)
    known = [terms.depth for terms in sales.values() if terms.depth]
    return min(known) if known and not total else None
