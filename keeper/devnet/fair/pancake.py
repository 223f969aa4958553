"""PancakeSwap's farms of its first years, as small fakes of our own: both chefs, syrup pools, and the CakeVault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import BLOCK_SECONDS, FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.stocks import deal_more, open_pool, per_step, stake_all, units
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

#: Blocks of syrup pools: 500 days.
_SYRUP_BLOCKS: Final = 500 * 86_400 // BLOCK_SECONDS
#: Largest stake of one account in the limited pool, whole AAVE: twice the farmer's.
_LIMIT_AAVE: Final = 100_000 // 150
_BLOCK: Final = {"block_time_ms": BLOCK_SECONDS * 1_000}


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy CAKE with its market, the chefs, two syrup pools that pay CAKE or UNI, and the vault."""
    cake, syrup = yard.fake("DevChefToken", "CAKE"), yard.fake("DevChefToken", "SYRUP")
    cake.send("mint", yard.account, 10_000_000 * 10**18)
    open_pool(yard, cake)
    # Pool 0 has 1,000 points, the stake of UNI as many, the second chef twice as many: it burns half of them.
    chef = yard.fake("DevPancakeChef", cake, syrup, per_step(BLOCK_SECONDS, parts=1, of=5))
    uni, dummy = yard.token("UNI"), yard.new_token("DUMMY")
    chef.send("add", 1000, uni)
    chef.send("add", 3000, dummy)
    second = yard.fake("DevPancakeChefV2", chef, cake, 2)
    vault = yard.fake("DevCakeVault", cake, chef, yard.account)
    rate = per_step(BLOCK_SECONDS)
    limit = (_LIMIT_AAVE * 10**18, _SYRUP_BLOCKS)
    smart = yard.fake("DevSmartChef", yard.token("AAVE"), cake, rate, _SYRUP_BLOCKS, 0, 0)
    sous = yard.fake("DevSousChef", cake, uni, rate // 8, _SYRUP_BLOCKS)
    limited = yard.fake("DevSmartChef", yard.token("AAVE"), cake, rate // 30, _SYRUP_BLOCKS, *limit)
    for pool in (smart, limited):
        cake.send("mint", pool, 2_000_000 * 10**18)
    yard.deal(uni, sous, 500_000 * 10**18)
    for minted in (cake, syrup):
        minted.send("setMinter", chef)
    _start_second(yard, second, dummy)
    _stake(yard, chef, second, cake)
    _stake_pools(yard, (smart, sous, limited), vault, cake)
    addresses = {"cake": cake, "syrup": syrup, "pancake_chef": chef, "pancake_chef_v2": second, "cake_vault": vault}
    addresses |= {"smart_chef": smart, "sous_chef": sous, "limited_chef": limited}
    return {name: contract.address for name, contract in addresses.items()} | {"pancake_owner": yard.account}


def _start_second(yard: Yard, second: Contract, dummy: Contract) -> None:
    dummy.send("mint", yard.account, 10**18)
    dummy.send("approve", second, 10**18)
    second.send("init", dummy, 10**18)
    second.send("add", 1000, yard.token("USDC"), True)
    second.send("add", 1000, yard.token("SUSHI"), False)
    for who in (yard.farmer, yard.whale):
        second.send("updateWhiteList", who, True)


def _stake(yard: Yard, chef: Contract, second: Contract, cake: Contract) -> None:
    uni = yard.token("UNI")
    stake_all(yard, cake, chef, 10**18, "enterStaking")
    stake_all(yard, uni, chef, units(yard, "UNI", 1), "deposit", 1)
    for pid, symbol in enumerate(("USDC", "SUSHI")):
        stake_all(yard, yard.token(symbol), second, units(yard, symbol, 1), "deposit", pid)
    # The farmer has veCAKE.
    second.send("updateBoostMultiplier", yard.farmer, 0, 15 * 10**11)


def _stake_pools(yard: Yard, pools: tuple[Contract, ...], vault: Contract, cake: Contract) -> None:
    smart, sous, limited = pools
    aave = yard.token("AAVE")
    per_usd = units(yard, "AAVE", 1)
    stake_all(yard, aave, smart, per_usd, "deposit")
    stake_all(yard, cake, sous, 10**18, "deposit")
    stake_all(yard, cake, vault, 10**18, "deposit")
    deal_more(yard, aave, yard.farmer, 50_000 * per_usd)
    aave.send("approve", limited, 50_000 * per_usd, sender=yard.farmer)
    limited.send("deposit", 50_000 * per_usd, sender=yard.farmer)


def stalls(ground: Ground) -> Sequence[Stall]:
    """Both kinds of pools of each chef, both kinds of syrup pools, and the vault."""
    prices = {ground["cake"]: "1"}
    plans = (
        ("cake-pool", "pancake-masterchef", "pancake_chef", {"pid": 0, **_BLOCK}),
        ("pancake-uni", "pancake-masterchef", "pancake_chef", {"pid": 1, **_BLOCK}),
        ("pancake-v2-usdc", "pancake-masterchef-v2", "pancake_chef_v2", {"pid": 0, **_BLOCK}),
        ("pancake-v2-special", "pancake-masterchef-v2", "pancake_chef_v2", {"pid": 1, **_BLOCK}),
        ("syrup-aave", "smart-chef", "smart_chef", _BLOCK),
        ("syrup-first", "smart-chef", "sous_chef", _BLOCK),
        ("cake-vault", "cake-vault", "cake_vault", _BLOCK),
    )
    return [
        Stall(
            ground.position(name, protocol, ground[target], params, ground.v2),
            FAKE,
            prices,
            Place(protocol, name, ground[target]),
            for_everybody=protocol == "cake-vault",
        )
        for name, protocol, target, params in plans
    ]
