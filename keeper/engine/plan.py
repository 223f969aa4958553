"""Turn a decision to harvest into ordered, labelled legs: claim, pay out, buy gas, sell, make the stake, deposit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.ids import content_id
from keeper.domain.money import BPS, Address, Amount, Token
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Plan, Share
from keeper.domain.position import Market, SideEffect
from keeper.domain.valuation import Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.context import Plugins
from keeper.engine.payout import DUST, Parting, part, part_permissions
from keeper.engine.value import oracle_rate
from keeper.errors import HarvestPaidNothing
from keeper.ports import CompoundsAtOnce, Permission
from keeper.strategy.numbers import PPM
from keeper.strategy.split import GasMoney, Parts

__all__ = ["make_plan", "oracle_rate", "permissions_of", "sold_amounts"]

#: Gas units of a sale with its approval, at least.
_SALE_GAS: Final = 150_000

#: Most of a swap fee that a floor leaves room for, basis points: no adapter talks it away.
_MOST_FEE: Final = 300


def make_plan(
    plugins: Plugins,
    holding: Holding,
    observation: Observation,
    valuation: Valuation,
    money: GasMoney | None = None,
    gas_price_wei: int = 0,
) -> Plan:
    """Plan one compound of a position. Pure: the same inputs give the same plan and id.

    Args:
        plugins: adapters.
        holding: the position, the best way of each sale first.
        observation: with what a claim would really bring as its pending rewards.
        valuation: agreed prices.
        money: what the owner has for gas, where a top-up may be planned.
        gas_price_wei: price of gas: a sale that brings less than its own gas costs is left out.

    Raises:
        HarvestPaidNothing: it compounds in one call, and cannot with what is pending.
    """
    position, market = holding.position, holding.market
    adapter = plugins.protocols[position.protocol]
    if SideEffect.FOR_EVERYBODY in market.side_effects:
        parting = Parting(Parts(0, 0, BPS), (), ())  # what a vault's harvest brings is the vault's
    else:
        parting = part(plugins, holding, observation.pending, valuation, money)
    in_place: tuple[Amount, ...] = ()
    legs: list[Leg] = []
    if SideEffect.ONE_CALL in market.side_effects and isinstance(adapter, CompoundsAtOnce):
        legs = [*adapter.compound(position, market, observation)]
        in_place = tuple(amount for amount in observation.pending if amount.raw > 0)
        if not legs:
            raise HarvestPaidNothing(
                "what is pending cannot be put back in one call at present; waiting for more of it"
            )
    else:
        legs = [*adapter.harvest(position, market, observation), *parting.legs]
        legs += _sales(plugins, holding, observation, parting.rest, valuation, gas_price_wei)
        legs += _made(plugins, holding, valuation)
        legs += adapter.deposit(position, market, Share(market.stake_token), observation)
    plan = Plan(
        id="",
        position_id=position.id,
        chain=position.chain,
        owner=position.owner,
        legs=tuple(legs),
        tokens=holding.tokens,
        stake_token=market.stake_token,
        in_place=in_place,
    )
    return replace(plan, id=content_id(plan))


def permissions_of(plugins: Plugins, holding: Holding) -> tuple[Permission, ...]:
    """Collect the only calls that any plan of this position can ever make: what its signer's policy allows."""
    position, market = holding.position, holding.market
    allowed = [*plugins.protocols[position.protocol].permissions(position, market)]
    for sale in holding.sales:
        for spec in dict.fromkeys(way.spec for way in sale.ways):  # one way of an exchange speaks for all of its ways
            way = next(way for way in sale.ways if way.spec == spec)
            allowed += plugins.swaps[spec.kind].permissions(way, position.owner)
    if market.basket is not None:
        allowed += plugins.pools[market.basket.kind].permissions(market.basket, position.owner)
    allowed += part_permissions(plugins, holding)
    return tuple(allowed)


def _made(plugins: Plugins, holding: Holding, valuation: Valuation) -> Sequence[Leg]:
    """Make the stake token of its parts, where it is made of others."""
    basket = holding.market.basket
    if basket is None:
        return ()
    # Selling for the parts has paid the pool's fee, so the sides are apart by that much before anything has slipped.
    slippage = holding.position.options.max_slippage_bps + basket.fee_bps
    rates = [oracle_rate(valuation, each, basket.token) for each in basket.parts]
    return plugins.pools[basket.kind].join(basket, holding.position.owner, rates, slippage)


def _sales(
    plugins: Plugins,
    holding: Holding,
    observation: Observation,
    rest: tuple[Amount, ...],
    valuation: Valuation,
    gas_price_wei: int,
) -> Iterator[Leg]:
    """Sell each reward so that what is bought makes the stake token, or its parts in the mix that is wanted."""
    for sale, bps in _shares(holding, rest, valuation, observation.mix_ppm, gas_price_wei):
        swap = plugins.swaps[sale.route.spec.kind]
        slippage = holding.position.options.max_slippage_bps + min(sale.route.fee_bps, _MOST_FEE)
        floor = oracle_rate(valuation, sale.reward, sale.buy)
        yield from swap.swap(sale.route, holding.position.owner, Share(sale.reward, bps), floor, slippage)


def sold_amounts(
    plugins: Plugins,
    holding: Holding,
    observation: Observation,
    valuation: Valuation,
    money: GasMoney | None = None,
    gas_price_wei: int = 0,
) -> dict[Sale, int]:
    """Return the base units that each sale of a compound would sell, by what a claim would bring."""
    rest = part(plugins, holding, observation.pending, valuation, money).rest
    left = {amount.token.address: amount.raw for amount in rest}
    sold: dict[Sale, int] = {}
    for sale, bps in _shares(holding, rest, valuation, observation.mix_ppm, gas_price_wei):
        taken = left[sale.reward.address] * bps // BPS
        left[sale.reward.address] -= taken
        sold[sale] = sold.get(sale, 0) + taken
    return sold


def _shares(
    holding: Holding,
    pending: Sequence[Amount],
    valuation: Valuation,
    mix_ppm: Sequence[int],
    gas_price_wei: int = 0,
) -> Iterator[tuple[Sale, int]]:
    """Say which share (basis points of what is there at that moment) of each reward goes into which token."""
    market = holding.market
    if market.side_effects & {SideEffect.FOR_EVERYBODY, SideEffect.ONE_CALL}:
        return
    stake = market.stake_token.address
    targets = market.stake_parts or (market.stake_token,)
    worth = {a.token.address: valuation.value_mid(a) for a in pending if a.token.address != stake}
    lacks = _lacks(targets, worth, mix_ppm)
    dear = valuation.gas_cost(_SALE_GAS * gas_price_wei)
    for reward in market.reward_tokens:
        have = worth.get(reward.address, 0)
        surplus = min(have, max(-lacks[reward.address], 0)) if reward.address in lacks else have
        # A little too much of one side, or of a reward beside the main one, is dearer to sell than to leave.
        spare = reward.address in lacks or have < max(worth.values())
        if surplus >= max(DUST, dear if spare else 0):
            yield from _spread(holding, reward, have, surplus, lacks)


def _lacks(targets: Sequence[Token], worth: Mapping[Address, int], mix_ppm: Sequence[int]) -> dict[Address, int]:
    """How much value of each target is wanted beyond what a harvest brings of it; negative where it brings too much."""
    mix = mix_ppm or [PPM // len(targets)] * len(targets)
    total = sum(worth.values())
    wanted = [total * each // PPM for each in mix]
    wanted[-1] = total - sum(wanted[:-1])
    return {token.address: want - worth.get(token.address, 0) for token, want in zip(targets, wanted, strict=True)}


def _spread(
    holding: Holding, reward: Token, have: int, surplus: int, lacks: Mapping[Address, int]
) -> Iterator[tuple[Sale, int]]:
    """Sell a reward's surplus for every token that is lacking, in proportion; one after another, of what is left."""
    buyers = _buyers(holding.market, reward, lacks)
    total = sum(lack for _, lack in buyers)
    kept, left = have - surplus, have
    for index, (token, lack) in enumerate(buyers):
        last = index + 1 == len(buyers)
        value = left - kept if last else surplus * lack // total
        bps = BPS if last and not kept else BPS * value // left
        if bps > 0:
            yield holding.sale(reward, token), bps
        left -= value


def _buyers(market: Market, reward: Token, lacks: Mapping[Address, int]) -> list[tuple[Token, int]]:
    """List what a reward is sold for, and how much of each is lacking; evenly where rounding leaves nobody lacking."""
    targets = [token for token in market.stake_parts or (market.stake_token,) if token.address != reward.address]
    lacking = [(token, lacks[token.address]) for token in targets if lacks[token.address] > 0]
    return lacking or [(token, 1) for token in targets]
