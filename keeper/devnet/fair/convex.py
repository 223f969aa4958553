"""Convex and Aura: boosters over a Curve and a Balancer gauge, with streams that somebody has to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from keeper.devnet.dao import Dao, deploy_dao, fill_pool, open_market, pair_cents, stake
from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: US cents: CRV, CVX, BAL, AURA.
_CENTS: Final = {"CRV": 100, "CVX": 200, "BAL": 200, "AURA": 50}
#: What the gauge pays the booster a year, and what lies in the pools from the start, so that a day earns about $80.
_EMISSION_USD: Final = 560_000
_WEEK_USD: Final = 9_000
#: Dollars a week of what is paid beside.
_EXTRA_USD: Final = 2_000
_SIDE_USD: Final = 2_000_000
_PREMINE: Final = {"DevCvx": 50_000_000 * 10**18, "DevAura": 60_000_000 * 10**18}


@dataclass(frozen=True, slots=True)
class _Stack:
    """One booster with one pool."""

    dao: Dao
    bonus: Contract
    booster: Contract
    pool: Contract
    extra: Contract


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy both stacks, stake, and start the first week's streams."""
    lp = yard.fake("DevStablePool", "cvx-lp", [yard.world["usdc"], yard.world["dai"]], 4 * 10**6)
    fill_pool(yard, lp, [(yard.world["usdc"], _SIDE_USD * 10**6), (yard.world["dai"], _SIDE_USD * 10**18)])
    convex = _stack(yard, "CRV", "CVX", "DevMinter", lp)
    aura = _stack(yard, "BAL", "AURA", "DevBalancerMinter")
    found: dict[str, Contract] = {}
    for name, stack in (("convex", convex), ("aura", aura)):
        found |= {f"{name}_pool": stack.pool, f"{name}_booster": stack.booster, f"{name}_extra": stack.extra}
        found |= {f"{name}_token": stack.dao.token, f"{name}_bonus": stack.bonus}
    return {name: contract.address for name, contract in found.items()} | {"convex_lp": lp.address}


def stalls(ground: Ground) -> Sequence[Stall]:
    """One position in each."""
    prices = {"convex": ("CRV", "CVX"), "aura": ("BAL", "AURA")}
    return [
        Stall(
            position=ground.position(f"{name}-pool", name, ground[f"{name}_pool"], {}, ground.v2),
            proven=FAKE,
            prices=MappingProxyType(
                {
                    ground[f"{name}_token"]: f"{_CENTS[token] / 100:.2f}",
                    ground[f"{name}_bonus"]: f"{_CENTS[bonus] / 100:.2f}",
                }
            ),
            place=Place(name, f"{name.title()} booster", ground[f"{name}_booster"]),
        )
        for name, (token, bonus) in prices.items()
    ]


def _stack(yard: Yard, symbol: str, bonus_symbol: str, minter: str, lp: Contract | None = None) -> _Stack:
    """Deploy one; what is staked is a pool's LP token, or the pair of the DAO's token with WETH (80/20 pools exist)."""
    dao = deploy_dao(yard, symbol, _CENTS[symbol], minter, _EMISSION_USD)
    staked, cents = (dao.pair, pair_cents(dao.pair)) if lp is None else (lp, 100)
    gauge = yard.fake("DevGaugeV5", staked, dao.minter)
    dao.controller.send("add_gauge", gauge, 10**18)
    token = f"Dev{bonus_symbol.title()}"
    bonus = yard.fake(token, _PREMINE[token])
    open_market(yard, bonus, _CENTS[bonus_symbol])
    booster = yard.fake("DevBooster", dao.minter, bonus, lp is None)
    bonus.send("set_operator", booster)
    booster.send("addPool", staked, gauge)
    pool = yard.fake_at(Address(booster.call("poolInfo", 0)[3].lower()), "DevRewardPool")
    extra = _extra(yard, pool, wrapped=lp is None)
    stake(yard, booster, staked, cents, 0, after=True)
    extra.send("queueNewRewards", _EXTRA_USD * 10**18 // PRICES["UNI"])
    raw = _WEEK_USD * 100 * 10**18 // _CENTS[symbol]
    yard.deal(dao.token, yard.account, raw)
    dao.token.send("approve", pool, raw)
    pool.send("donate", raw)
    booster.send("earmarkRewards", 0)
    return _Stack(dao, bonus, booster, pool, extra)


def _extra(yard: Yard, pool: Contract, *, wrapped: bool) -> Contract:
    """Deploy a pool that pays UNI beside, Aura's by a wrapper, funded for years."""
    uni = yard.world["uni"]
    token = yard.fake("DevStashToken", uni) if wrapped else yard.token("uni")
    extra = yard.fake("DevExtraPool", pool, token)
    pool.send("addExtraReward", extra)
    if wrapped:
        token.send("init", extra)
    yard.deal(uni, token if wrapped else extra, 100 * _EXTRA_USD * 10**18 // PRICES["UNI"])
    return extra
