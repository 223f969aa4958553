"""Turn a decision to harvest into ordered, labelled legs: claim, pay out, buy gas, sell, make the stake, deposit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from keeper.domain.ids import content_id
from keeper.domain.money import BPS, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Plan, Share
from keeper.domain.valuation import Valuation
from keeper.engine.context import Plugins
from keeper.engine.payout import DUST, part, part_permissions
from keeper.engine.resolve import Holding, Sale
from keeper.engine.value import oracle_rate
from keeper.ports import Permission
from keeper.strategy.split import GasMoney

__all__ = ["make_plan", "oracle_rate", "permissions_of"]


def make_plan(
    plugins: Plugins,
    holding: Holding,
    observation: Observation,
    valuation: Valuation,
    money: GasMoney | None = None,
) -> Plan:
    """Plan one compound of a position. Pure: the same inputs give the same plan and id.

    ``money``: what the owner has for gas, where a top-up may be planned.
    """
    position, market = holding.position, holding.market
    adapter = plugins.protocols[position.protocol]
    parting = part(plugins, holding, observation.pending, valuation, money)
    legs: list[Leg] = [*adapter.harvest(position, market, observation), *parting.legs]
    legs += _sales(plugins, holding, parting.rest, valuation)
    if market.stake_parts:
        assert position.route is not None, "resolve refuses an LP position without a route"
        pool = plugins.pools[position.route.kind]
        first, second = market.stake_parts
        # Selling half pays the pool's fee, so the two sides are apart by that much before anything has slipped.
        slippage = position.options.max_slippage_bps + position.route.fee_bps
        legs += pool.join(position.route, position.owner, (first, second), market.stake_token, slippage)
    legs += adapter.deposit(position, market, Share(market.stake_token))
    plan = Plan(
        id="",
        position_id=position.id,
        chain=position.chain,
        owner=position.owner,
        legs=tuple(legs),
        tokens=holding.tokens,
        stake_token=market.stake_token,
    )
    return replace(plan, id=content_id(plan))


def permissions_of(plugins: Plugins, holding: Holding) -> tuple[Permission, ...]:
    """Collect the only calls that any plan of this position can ever make: what its signer's policy allows."""
    position, market = holding.position, holding.market
    allowed = [*plugins.protocols[position.protocol].permissions(position, market)]
    for sale in holding.sales:
        allowed += plugins.swaps[sale.route.spec.kind].permissions(sale.route, position.owner)
    if market.stake_parts and position.route is not None:
        first, second = market.stake_parts
        pool = plugins.pools[position.route.kind]
        allowed += pool.permissions(position.route, position.owner, (first, second), market.stake_token)
    allowed += part_permissions(plugins, holding)
    return tuple(allowed)


def _sales(plugins: Plugins, holding: Holding, rest: tuple[Amount, ...], valuation: Valuation) -> Iterable[Leg]:
    """Sell each reward so that what is bought makes the stake token: all of it, or half into each side of an LP."""
    for sale, bps in _shares(holding, rest, valuation):
        if bps <= 0:
            continue
        swap = plugins.swaps[sale.route.spec.kind]
        slippage = holding.position.options.max_slippage_bps + sale.route.fee_bps
        floor = oracle_rate(valuation, sale.reward, sale.buy)
        yield from swap.swap(sale.route, holding.position.owner, Share(sale.reward, bps), floor, slippage)


def _shares(holding: Holding, pending: tuple[Amount, ...], valuation: Valuation) -> Iterable[tuple[Sale, int]]:
    """Say which share (basis points of what is there at that moment) of each reward goes into which token."""
    market = holding.market
    stake = market.stake_token.address
    paying = {a.token.address for a in pending if valuation.value_mid(a) >= DUST}
    if not market.stake_parts:
        sold = [r for r in market.reward_tokens if r.address != stake and r.address in paying]
        yield from ((holding.sale(reward, market.stake_token), BPS) for reward in sold)
        return
    first, second = market.stake_parts
    value = {a.token.address: valuation.value_mid(a) for a in pending if a.token.address != stake}
    total = sum(value.values())
    lack_first = total // 2 - value.get(first.address, 0)
    lack_second = total - total // 2 - value.get(second.address, 0)
    to_first, to_second = max(lack_first, 0), max(lack_second, 0)
    for reward in market.reward_tokens:
        if reward.address in (stake, first.address, second.address) or reward.address not in paying:
            continue
        split = BPS * to_first // (to_first + to_second) if to_first + to_second else BPS // 2
        if split:
            yield holding.sale(reward, first), split
        if split < BPS:
            yield holding.sale(reward, second), BPS
    for side, other, lack in ((first, second, lack_first), (second, first, lack_second)):
        have = value.get(side.address, 0)
        if lack < 0 and have:
            yield holding.sale(side, other), BPS * -lack // have
