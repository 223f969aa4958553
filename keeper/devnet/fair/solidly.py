"""Solidly's family, as small fakes of our own: Aerodrome (a volatile and a stable pair), Solidly V1, and Thena.

All of them pay SUSHI of the world; Aerodrome's epochs and the others' weeks are given a year ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec

__all__ = ["build", "stalls"]

_NEVER: Final = 2**63

#: Weeks of rewards that every gauge gets at once.
_WEEKS: Final = 52

#: Fees of volatile and of stable pairs, basis points.
_FEES: Final = (30, 5)

#: Pools of Aerodrome: first and second token, stable, whole US dollars on both sides together.
_AERO_POOLS: Final = (
    ("WETH", "USDC", False, 20_000_000),
    ("SUSHI", "WETH", False, 6_000_000),
    ("UNI", "WETH", False, 8_000_000),
    ("DAI", "WETH", False, 6_000_000),
    ("USDC", "DAI", True, 10_000_000),
)
#: Pools of the exchange of the first form.
_V1_POOLS: Final = (("WETH", "USDC", False, 20_000_000), ("SUSHI", "WETH", False, 6_000_000))


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy two exchanges, their gauges and voters, and stake for the farmer and the whale."""
    factory, v1_factory = yard.fake("DevSolidlyFactory", *_FEES), yard.fake("DevSolidlyFactory", *_FEES)
    router, v1_router = yard.fake("DevAeroRouter", factory), yard.fake("DevSolidlyRouter", v1_factory)
    voters = {name: yard.fake("DevVoter") for name in ("aero_voter", "v1_voter", "thena_voter")}
    pools = {f"aero_{a}_{b}".lower(): _open(yard, factory, router, (a, b, s, usd)) for a, b, s, usd in _AERO_POOLS}
    pools |= {f"v1_{a}_{b}".lower(): _open(yard, v1_factory, v1_router, (a, b, s, usd)) for a, b, s, usd in _V1_POOLS}
    sushi, aero = yard.token("SUSHI"), voters["aero_voter"]
    uni_weth, usdc_dai, v1_pair = pools["aero_uni_weth"], pools["aero_usdc_dai"], pools["v1_weth_usdc"]
    gauges = {
        "aero_gauge": (yard.fake("DevAeroGauge", uni_weth, sushi, aero), uni_weth, "aero_voter"),
        "aero_stable_gauge": (yard.fake("DevAeroGauge", usdc_dai, sushi, aero), usdc_dai, "aero_voter"),
        "v1_gauge": (yard.fake("DevSolidlyGauge", v1_pair, sushi), v1_pair, "v1_voter"),
        "thena_gauge": (yard.fake("DevThenaGauge", v1_pair, sushi), v1_pair, "thena_voter"),
    }
    usd_of = {f"aero_{a}_{b}".lower(): usd for a, b, _, usd in _AERO_POOLS} | {"v1_weth_usdc": _V1_POOLS[0][3]}
    for gauge, pair, voter in gauges.values():
        voters[voter].send("register", pair, gauge)
        name = next(name for name, each in pools.items() if each is pair)
        # Solidly V1 wants the number of a ve NFT with each deposit.
        _stake(yard, gauge, pair, usd_of[name], (0,) if voter == "v1_voter" else ())
    found = {"aero_factory": factory, "aero_router": router, "v1_factory": v1_factory, "v1_router": v1_router}
    found |= {**voters, **pools, **{name: gauge for name, (gauge, _, _) in gauges.items()}}
    return {name: contract.address for name, contract in found.items()} | {"solidly_admin": yard.account}


def _open(yard: Yard, factory: Contract, router: Contract, plan: tuple[str, str, bool, int]) -> Contract:
    first, second, stable, usd = plan
    amounts = []
    for symbol in (first, second):
        token = yard.token(symbol)
        amount = usd // 2 * 10 ** token.call("decimals") // PRICES[symbol]
        yard.deal(token, yard.account, amount)
        token.send("approve", router, amount)
        amounts.append(amount)
    tokens = yard.token(first), yard.token(second)
    router.send("addLiquidity", *tokens, stable, *amounts, 0, 0, yard.account, _NEVER)
    return yard.fake_at(Address(factory.call("getPool", *tokens, stable)), "DevSolidlyPair")


def _stake(yard: Yard, gauge: Contract, pair: Contract, pool_usd: int, extra: tuple[int, ...]) -> None:
    sushi = yard.token("SUSHI")
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        amount = pair.call("totalSupply") * usd // pool_usd
        pair.send("transfer", who, amount)
        pair.send("approve", gauge, amount, sender=who)
        gauge.send("deposit", amount, *extra, sender=who)
    rewards = EMISSION_USD_PER_YEAR * 10**18 // PRICES["SUSHI"]
    yard.deal(sushi, yard.account, rewards)
    sushi.send("approve", gauge, rewards)
    gauge.send("notifyRewardWeeks", rewards, _WEEKS)


def stalls(ground: Ground) -> Sequence[Stall]:
    """Aerodrome twice, Solidly V1, and Thena."""
    aero = RouteSpec("aerodrome", ground["aero_router"], (ground["weth"], ground["usdc"]))
    first_form = RouteSpec("solidly", ground["v1_router"], (ground["weth"],))
    found = []
    for name, protocol, target, voter, route in (
        ("aerodrome-uni-weth", "aerodrome", "aero_gauge", "aero_voter", aero),
        ("aerodrome-usdc-dai", "aerodrome", "aero_stable_gauge", "aero_voter", aero),
        ("solidly-weth-usdc", "solidly", "v1_gauge", "v1_voter", first_form),
        ("thena-weth-usdc", "thena", "thena_gauge", "thena_voter", first_form),
    ):
        place = Place(protocol, f"{protocol} voter", ground[voter], MappingProxyType({}))
        stall = Stall(ground.position(name, protocol, ground[target], {}, route), FAKE)
        found.append(replace(stall, place=place))
    return found
