"""Balancer: a gauge for a weighted pool, whose minter nobody tells, and one of another chain with its pseudo minter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.dao import deploy_dao, open_market, pair_cents, stake
from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: BAL costs two dollars; the farmer's boost gives him 7 % of the main gauge.
_CENTS: Final = 200
_EMISSION_USD: Final = 420_000
_CHILD_USD: Final = 930_000
_EXTRA_USD: Final = 310_000
_WEEKS: Final = 30
#: Dollars on each side of the weighted pool.
_SIDE_USD: Final = 2_000_000


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy both; one takes a weighted pool's token, the other one of a pair."""
    dao = deploy_dao(yard, "BAL", _CENTS, "DevBalancerMinter", _EMISSION_USD)
    vault, pool = _weighted_pool(yard, dao.token)
    gauge = yard.fake("DevGaugeV5", pool, dao.minter)
    dao.controller.send("add_gauge", gauge, 10**18)
    stake(yard, gauge, pool, 2 * _SIDE_USD * 100 * 10**18 // pool.call("totalSupply"))
    uni = yard.token("uni")
    raw = _EXTRA_USD * 10**18 * _WEEKS * 7 * 86_400 // (PRICES["UNI"] * YEAR)
    yard.deal(uni, yard.account, raw)
    uni.send("approve", gauge, raw)
    gauge.send("add_reward", uni, yard.account)
    gauge.send("deposit_reward_token", uni, raw, _WEEKS)
    bridged = yard.fake("DevCurveToken", "BAL.e", "BAL.e", 0)
    pair = open_market(yard, bridged, _CENTS)
    pseudo = yard.fake("DevPseudoMinter", bridged)
    pseudo.send("deploy_balancer_gauge", pair)
    child = yard.fake_at(Address(pseudo.call("get_gauge", 0).lower()), "DevBalancerChildGauge")
    per_second = _CHILD_USD * 100 * 10**18 // (_CENTS * YEAR)
    bridged.send("mint", pseudo, per_second * _WEEKS * 7 * 86_400)
    child.send("prepare", _WEEKS + 1, per_second)
    stake(yard, child, pair, pair_cents(pair))
    named = {"bal": dao.token, "bal_minter": dao.minter, "bal_controller": dao.controller, "bal_gauge": gauge}
    named |= {"child_bal": bridged, "bal_pseudo_minter": pseudo, "bal_child": child}
    named |= {"bal_vault": vault, "bal_pool": pool}
    return {name: contract.address for name, contract in named.items()}


def stalls(ground: Ground) -> Sequence[Stall]:
    """One position in each."""
    minter = {"minter": ground["bal_minter"]}
    place = Place("balancer-gauge", "Balancer GaugeController", ground["bal_controller"], MappingProxyType(minter))
    main = Stall(
        position=ground.position("balancer-main", "balancer-gauge", ground["bal_gauge"], minter, ground.v2),
        proven=FAKE,
        prices=MappingProxyType({ground["bal"]: "2"}),
        place=place,
    )
    child = ground.position("balancer-child", "balancer-gauge", ground["bal_child"], {}, ground.v2)
    known = Place("balancer-gauge", "Balancer gauge", ground["bal_child"])
    return [main, replace(main, position=child, prices=MappingProxyType({ground["child_bal"]: "2"}), place=known)]


def _weighted_pool(yard: Yard, bal: Contract) -> tuple[Contract, Contract]:
    """Deploy a vault with a pool of BAL and WETH by halves."""
    vault = yard.fake("DevBalancerVault")
    weth = yard.world["weth"]
    amounts = {bal.address: _SIDE_USD * 100 * 10**18 // _CENTS, weth: _SIDE_USD * 10**18 // PRICES["WETH"]}
    for token, raw in amounts.items():
        yard.deal(token, yard.account, raw)
        yard.fake_at(token, "DevToken").send("approve", vault, raw)
    tokens = sorted(amounts)
    vault.send("create", "50BAL-50WETH", tokens, [amounts[token] for token in tokens])
    return vault, yard.fake_at(Address(vault.call("last").lower()), "DevWeightedPool")
