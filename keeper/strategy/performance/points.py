"""Samples of a position's history, valued: its own part, at midpoint, in wad of the reporting currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.money import BPS, WAD, Address, Token
from keeper.domain.observation import USD_ONE, Observation, Sample

__all__ = ["GAS_TOKEN", "Point", "in_base", "points_of", "rated", "sides_of"]

#: Key of the gas token among a sample's prices.
GAS_TOKEN: Final = ""

#: Seconds for which a rate of the reporting currency stands in for one that was not recorded.
_RATE_HOLDS: Final = 3 * 86_400


def in_base(usd: int, base_usd: int) -> int:
    """Turn US dollars (wad) into the reporting currency, whose price in dollars (wad) is given."""
    return usd if base_usd == WAD else usd * WAD // base_usd


def rated(samples: Sequence[Sample]) -> list[Sample] | None:
    """Give each sample the rate of the reporting currency nearest before it, or else after it, within three days.

    ``None`` where that leaves one without: then only US dollars can be told. A sample without a rate of its own has
    that of the dollar.
    """
    forward = _carried(samples)
    backward = _carried(forward[::-1])[::-1]
    return None if any(sample.base_usd == USD_ONE for sample in backward) else backward


def _carried(samples: Sequence[Sample]) -> list[Sample]:
    """Carry rates on from sample to sample, in the order given."""
    found: list[Sample] = []
    rate, at = USD_ONE, 0
    for sample in samples:
        now = sample.observation.block.timestamp
        if sample.base_usd != USD_ONE:
            rate, at = sample.base_usd, now
            found.append(sample)
        else:
            found.append(replace(sample, base_usd=rate if abs(now - at) <= _RATE_HOLDS else USD_ONE))
    return found


def sides_of(sample: Sample) -> tuple[Address, Address] | None:
    """Return the two sides of the pool whose LP token is staked, told from the tokens that the sample has prices of.

    A market's prices begin with the stake, its sides follow, then its rewards; ``None`` where all beside the stake are
    rewards, so that the stake is no LP token (or one whose rewards are its very sides, in their order).
    """
    seen = sample.observation
    stake = seen.principal.token.address
    others = [address for address, _ in sample.prices if address not in (GAS_TOKEN, stake)]
    rewards = dict.fromkeys(amount.token.address for amount in seen.pending if amount.token.address != stake)
    if len(others) < 2 or others == list(rewards):
        return None
    return Address(others[0]), Address(others[1])


@dataclass(frozen=True, slots=True)
class Point:
    """What a sample says, the position's own part of it, valued at midpoint."""

    at: int
    #: Base units of the stake token.
    stake: int
    #: Pending base units by reward token, those of the vault's that are one's own.
    pending: tuple[int, ...]
    #: Per whole stake token, and per whole reward token.
    price: int
    reward_prices: tuple[int, ...]
    #: Values of the two.
    staked: int
    idle: int
    #: What a compound would have cost; ``None`` where that was not recorded.
    cost: int | None
    #: Part of a reward's value that is left after fees and price differences when it is sold, wad; ``None`` where
    #: nothing was pending to tell it by.
    kept: int | None
    #: Depth of the pools that it is sold into; ``None`` when it is not sold.
    depth: int | None
    #: The position's share of the rewarded pool, parts per million.
    own_share_ppm: int
    deposit_fee_bps: int
    #: The position is a share of a vault that others harvest too.
    shared: bool
    #: Prices of every token that was priced, by address.
    prices: Mapping[str, int]
    #: The reporting currency in US dollars, wad.
    base_usd: int


def points_of(samples: Sequence[Sample]) -> tuple[list[Point], tuple[Token, ...]]:
    """Value each sample; returns the points and the reward tokens in the order that their amounts have.

    Samples without the prices that it takes are left out.
    """
    rewards = tuple(dict.fromkeys(amount.token for s in samples for amount in s.observation.pending))
    points = [_point(sample, rewards) for sample in samples if _priced(sample)]
    return [point for point in points if point.price > 0], rewards


def _priced(sample: Sample) -> bool:
    known = {address for address, price in sample.prices if price > 0}
    seen = sample.observation
    return seen.principal.token.address in known and all(
        amount.token.address in known for amount in seen.pending if amount.raw > 0
    )


def _point(sample: Sample, rewards: tuple[Token, ...]) -> Point:
    seen, numbers, base = sample.observation, sample.numbers, sample.base_usd
    share = 10**6 if seen.vault_share_ppm is None else seen.vault_share_ppm
    prices = {address: in_base(price, base) for address, price in sample.prices}
    stake = seen.principal.raw * share // 10**6
    found = {amount.token.address: amount.raw * share // 10**6 for amount in seen.pending}
    pending = tuple(found.get(token.address, 0) for token in rewards)
    reward_prices = tuple(prices.get(token.address, 0) for token in rewards)
    price = prices[seen.principal.token.address]
    idle = _idle(pending, reward_prices, rewards)
    depth = None if numbers is None or not numbers.depth_usd else in_base(numbers.depth_usd, base)
    return Point(
        at=seen.block.timestamp,
        stake=stake,
        pending=pending,
        price=price,
        reward_prices=reward_prices,
        staked=stake * price // seen.principal.token.unit,
        idle=idle,
        cost=_cost(sample),
        kept=WAD if depth is None or numbers is None else _kept(_sold_for(numbers.reward_usd, seen, base), idle, depth),
        depth=depth,
        own_share_ppm=max((accrual.own_share_ppm for accrual in seen.accruals), default=0),
        deposit_fee_bps=seen.deposit_fee_bps,
        shared=seen.vault_share_ppm is not None,
        prices=prices,
        base_usd=base,
    )


def _idle(pending: Sequence[int], prices: Sequence[int], tokens: Sequence[Token]) -> int:
    return sum(raw * price // token.unit for raw, price, token in zip(pending, prices, tokens, strict=True))


def _cost(sample: Sample) -> int | None:
    """What fees a compound would have taken then: no allowances and shadow prices, which nobody pays."""
    numbers = sample.numbers
    if numbers is None:
        return None
    parts = numbers.cost_parts
    paid = parts.gas_usd + parts.l1_usd + parts.call_fee_usd
    return in_base(paid if parts.gas_usd else numbers.cost_usd, sample.base_usd)


def _sold_for(reward_usd: int, seen: Observation, base_usd: int) -> int:
    """What selling brings, before the deposit fee that a decision's reward has off already."""
    return in_base(reward_usd, base_usd) * BPS // max(BPS - seen.deposit_fee_bps, 1)


def _kept(net: int, gross: int, depth: int) -> int | None:
    """Undo net = v*kept / (1 + v*kept/depth): what selling keeps of a value before the impact of its size, wad."""
    if gross <= 0 or not 0 < net < depth:
        return None
    return min(net * depth // (depth - net) * WAD // gross, WAD)
