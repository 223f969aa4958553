"""SushiSwap's MasterChefV2, MiniChefV2 and rewarders, as small fakes of our own, over a MasterChef in its own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import BLOCK_SECONDS, FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, YEAR
from keeper.devnet.stocks import open_pool, per_step, stake_all, units
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_SUSHI: Final = "@traderjoe-xyz/core/artifacts/contracts/sushi/"
_NOBODY: Final = Address("0x" + "0" * 40)


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy both chefs, each with a pool that has a rewarder, and the first one with a pool that has none."""
    token = yard.deploy(_SUSHI + "SushiToken.sol/SushiToken.json")
    token.send("mint", yard.account, 5_000_000 * 10**18)
    open_pool(yard, token)
    rate = per_step(BLOCK_SECONDS, of=2)
    first = yard.deploy(_SUSHI + "MasterChef.sol/MasterChef.json", token, yard.account, rate, yard.height, 0)
    token.send("transferOwnership", first)
    dummy = yard.new_token("DUMMY")
    dummy.send("mint", yard.account, 10**18)
    first.send("add", 100, dummy, False)
    second = yard.fake("DevMasterChefV2", first, token, 0)
    dummy.send("approve", second, 10**18)
    second.send("init", dummy)
    usdc, uni = yard.token("USDC"), yard.token("UNI")
    second.send("add", 100, usdc, _rewarder(yard, "AAVE", second))
    second.send("add", 100, uni, _NOBODY)
    per_year = units(yard, "UNI", EMISSION_USD_PER_YEAR)
    mini = yard.fake("DevMiniChef", uni)
    yard.deal(uni, mini, per_year)
    mini.send("setSushiPerSecond", per_year // YEAR)
    mini_rewarder = _rewarder(yard, "AAVE", mini)
    mini.send("add", 100, usdc, mini_rewarder)
    for chef, pid, staked, per_usd in (
        (second, 0, usdc, units(yard, "USDC", 1)),
        (second, 1, uni, units(yard, "UNI", 1)),
        (mini, 0, usdc, units(yard, "USDC", 1)),
    ):
        stake_all(yard, staked, chef, per_usd, "deposit", pid, to_self=True)
    named = {
        "sushi_first": first,
        "sushi_v2": second,
        "sushi_token": token,
        "mini": mini,
        "mini_rewarder": mini_rewarder,
    }
    return {name: contract.address for name, contract in named.items()}


def _rewarder(yard: Yard, symbol: str, chef: Contract) -> Contract:
    """A tenth of the farm's own emission in another token, held for a year."""
    per_year = EMISSION_USD_PER_YEAR * 10**17 // PRICES[symbol]
    token = yard.token(symbol)
    rewarder = yard.fake("DevRewarderTime", token, chef, per_year // YEAR)
    yard.deal(token, rewarder, per_year)
    return rewarder


def stalls(ground: Ground) -> Sequence[Stall]:
    """All three pools."""
    block = {"block_time_ms": BLOCK_SECONDS * 1_000}
    plans: tuple[tuple[str, str, str, Mapping[str, str | int | bool]], ...] = (
        ("sushi-v2-usdc", "sushi-masterchef-v2", "sushi_v2", {"pid": 0, **block}),
        ("sushi-v2-uni", "sushi-masterchef-v2", "sushi_v2", {"pid": 1, **block}),
        ("minichef-usdc", "minichef-v2", "mini", {"pid": 0}),
    )
    return [
        Stall(
            ground.position(name, protocol, ground[chef], params, ground.v2),
            FAKE,
            {ground["sushi_token"]: "1"},
            Place(protocol, chef, ground[chef]),
        )
        for name, protocol, chef, params in plans
    ]
