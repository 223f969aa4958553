"""Curve: gauges V1, V3 and V5 on three shapes of pool, and a child gauge whose rewards are sold in a Curve pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.dao import deploy_dao, fill_pool, open_market, stake
from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES, YEAR
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["build", "stalls"]

#: CRV costs a dollar, so do the stable pools' LP tokens; the crypto pool's cost twice the root of 1 and 3000 dollars.
_CENTS: Final = 100
_CRYPTO_CENTS: Final = 10_954
#: What all gauges emit in a year, and the part of it that each gets.
_EMISSION_USD: Final = 3_000_000
_WEIGHT: Final = 10**18 * 14 // 100
#: What other tokens add in each gauge, and the child gauge's emission, dollars a year.
_EXTRA_USD: Final = 310_000
_CHILD_USD: Final = 930_000
_WEEKS: Final = 30
#: Dollars on each side of a pool.
_SIDE_USD: Final = 2_000_000
#: 0.04 % and 0.3 %.
_STABLE_FEE: Final = 4 * 10**6
_CRYPTO_FEE: Final = 3 * 10**7


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy the DAO, four pools and their gauges, and stake."""
    dao = deploy_dao(yard, "CRV", _CENTS, "DevMinter", _EMISSION_USD)
    pools = _stable_pools(yard)
    old_lp = yard.fake_at(Address(pools["curve_old_pool"].call("lp_token").lower()), "DevCurveToken")
    per_second = _EXTRA_USD * 10**18 // (PRICES["AAVE"] * YEAR)
    gauges = {
        "curve_v1": (yard.fake("DevGaugeV1", old_lp, dao.minter), old_lp),
        "curve_v3": (
            yard.fake("DevGaugeV3", pools["curve_ng_pool"], dao.minter, yard.world["aave"], per_second),
            pools["curve_ng_pool"],
        ),
        "curve_v5": (yard.fake("DevGaugeV5", pools["curve_pool"], dao.minter), pools["curve_pool"]),
    }
    yard.deal(yard.world["aave"], gauges["curve_v3"][0], per_second * YEAR)
    for gauge, lp in gauges.values():
        dao.controller.send("add_gauge", gauge, _WEIGHT)
        stake(yard, gauge, lp)
    _stream(yard, gauges["curve_v5"][0], yard.world["uni"], _EXTRA_USD * 10**18 // PRICES["UNI"])
    places = {**pools, **_child(yard), **{name: gauge for name, (gauge, _) in gauges.items()}}
    named = {"crv": dao.token, "curve_controller": dao.controller, "curve_minter": dao.minter, "curve_old_lp": old_lp}
    return {name: contract.address for name, contract in (places | named | {"curve_escrow": dao.escrow}).items()}


def stalls(ground: Ground) -> Sequence[Stall]:
    """One position a gauge."""
    minter = {"minter": ground["curve_minter"]}
    controller = Place("curve-gauge", "Curve GaugeController", ground["curve_controller"])
    factory = Place("curve-gauge", "Curve child gauge factory", ground["curve_factory"])
    curve = RouteSpec("curve", ground["curve_crypto_pool"], (ground["weth"],), pools=(ground["curve_crypto_pool"],))
    gauges: tuple[tuple[str, Mapping[str, str], RouteSpec, Place, str], ...] = (
        ("curve_v1", {}, ground.v2, controller, "crv"),
        ("curve_v3", {}, ground.v2, controller, "crv"),
        ("curve_v5", minter, ground.v2, replace(controller, params=MappingProxyType(minter)), "crv"),
        ("curve_child", {}, curve, factory, "child_crv"),
    )
    return [
        Stall(
            position=ground.position(name.replace("_", "-"), "curve-gauge", ground[name], params, route),
            proven=FAKE,
            prices=MappingProxyType({ground[token]: "1"}),
            place=place,
        )
        for name, params, route, place, token in gauges
    ]


def _stable_pools(yard: Yard) -> dict[str, Contract]:
    """Deploy one pool of each shape, USDC and DAI."""
    coins = [yard.world["usdc"], yard.world["dai"]]
    sides = [(coins[0], _SIDE_USD * 10**6), (coins[1], _SIDE_USD * 10**18)]
    shapes = {"curve_pool": "DevStablePool", "curve_ng_pool": "DevNgPool", "curve_old_pool": "DevOldPool"}
    pools = {}
    for name, shape in shapes.items():
        pools[name] = yard.fake(shape, name.replace("_", "-"), coins, _STABLE_FEE)
        amounts = "uint256[]" if shape == "DevNgPool" else "uint256[2]"
        fill_pool(yard, pools[name], sides, f"add_liquidity({amounts},uint256)")
    return pools


def _stream(yard: Yard, gauge: Contract, token: Address, raw_per_year: int) -> None:
    raw = raw_per_year * _WEEKS * 7 * 86_400 // YEAR
    gauge.send("add_reward", token, yard.account)
    yard.deal(token, yard.account, raw)
    yard.fake_at(token, "DevToken").send("approve", gauge, raw)
    gauge.send("deposit_reward_token", token, raw, _WEEKS)


def _child(yard: Yard) -> dict[str, Contract]:
    """Deploy another chain's CRV, its factory, the gauge of a crypto pool of that CRV, and what bridges brought."""
    crv = yard.fake("DevCurveToken", "CRV.e", "CRV.e", 0)
    open_market(yard, crv, _CENTS)
    pool = yard.fake("DevCryptoPool", "crv-weth", [yard.world["weth"], crv.address], _CRYPTO_FEE)
    fill_pool(
        yard, pool, [(yard.world["weth"], _SIDE_USD * 10**18 // PRICES["WETH"]), (crv.address, _SIDE_USD * 10**18)]
    )
    lp = yard.fake_at(Address(pool.call("token").lower()), "DevCurveToken")
    factory = yard.fake("DevChildFactory", crv, yard.fake("DevVotingEscrow"))
    factory.send("deploy_gauge", lp)
    gauge = yard.fake_at(Address(factory.call("get_gauge", 0).lower()), "DevChildGauge")
    per_second = _CHILD_USD * 10**18 // YEAR
    crv.send("mint", factory, per_second * _WEEKS * 7 * 86_400)
    gauge.send("prepare", _WEEKS + 1, per_second)
    stake(yard, gauge, lp, _CRYPTO_CENTS)
    return {
        "child_crv": crv,
        "curve_crypto_pool": pool,
        "curve_crypto_lp": lp,
        "curve_factory": factory,
        "curve_child": gauge,
    }
