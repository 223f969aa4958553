"""MasterChefs under the names that forks choose: deposit fees, harvest lock-ups, rewards that are staked themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.fair.stall import BLOCK_SECONDS, FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.devnet.stocks import open_pool, per_step, stake_all, units
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["LOCK_SECONDS", "build", "stalls"]

_SUSHI: Final = "@traderjoe-xyz/core/artifacts/contracts/sushi/"
_JOE: Final = "@traderjoe-xyz/core@2.4.6"

#: How long a harvest shuts the pool with a lock-up.
LOCK_SECONDS: Final = 600
#: Fee of each deposit into the pool that has one, basis points.
_FEE_BPS: Final = 200

_Params = Mapping[str, str | int | bool]

_BLOCK: Final[_Params] = {"block_time_ms": BLOCK_SECONDS * 1_000}
_GOOSE: Final[_Params] = {"pending": "pendingEgg(uint256,address)", "reward": "egg()", "per_block": "eggPerBlock()"}
_BREAD: Final[_Params] = {"pending": "pendingSushi(uint256,address)"}


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy Sushi's own chef (BREAD staked for BREAD, and UNI) and one of the Goose and Panther kind."""
    bread = yard.deploy(_SUSHI + "SushiToken.sol/SushiToken.json")
    bread.send("mint", yard.account, 5_000_000 * 10**18)
    open_pool(yard, bread)
    bakery = yard.deploy(
        _SUSHI + "MasterChef.sol/MasterChef.json", bread, yard.account, per_step(BLOCK_SECONDS, of=2), yard.height, 0
    )
    bread.send("transferOwnership", bakery)
    uni = yard.token("UNI")
    for token in (bread, uni):
        bakery.send("add", 100, token, False)
    egg = yard.fake("DevChefToken", "EGG")
    egg.send("mint", yard.account, 5_000_000 * 10**18)
    open_pool(yard, egg)
    goose = yard.fake("DevGooseChef", egg, per_step(BLOCK_SECONDS, of=2))
    egg.send("setMinter", goose)
    usdc = yard.token("USDC")
    goose.send("add", 100, usdc, _FEE_BPS, 0)
    goose.send("add", 100, uni, 0, LOCK_SECONDS)
    for chef, pid, staked, per_usd in (
        (bakery, 0, bread, 10**18),
        (bakery, 1, uni, units(yard, "UNI", 1)),
        (goose, 0, usdc, units(yard, "USDC", 1)),
        (goose, 1, uni, units(yard, "UNI", 1)),
    ):
        stake_all(yard, staked, chef, per_usd, "deposit", pid)
    return {
        "bread": bread.address,
        "bakery": bakery.address,
        "egg": egg.address,
        "goose": goose.address,
        "goose_owner": yard.account,
    }


def stalls(ground: Ground) -> Sequence[Stall]:
    """A pool of the reward itself, one harvested by withdrawing nothing, one with a fee and one with a lock-up."""
    plans: tuple[tuple[str, str, _Params, _Params, str], ...] = (
        ("bread-bread", "bakery", _BREAD, {"pid": 0}, _JOE),
        ("bread-uni", "bakery", {**_BREAD, "harvest": "withdraw"}, {"pid": 1}, _JOE),
        ("goose-fee", "goose", _GOOSE, {"pid": 0}, FAKE),
        ("goose-lock", "goose", _GOOSE, {"pid": 1}, FAKE),
    )
    prices = {ground["bread"]: "1", ground["egg"]: "1"}
    return [
        Stall(
            ground.position(name, "masterchef", ground[chef], {**names, **own, **_BLOCK}, ground.v2),
            proven,
            prices,
            Place("masterchef", chef, ground[chef], names),
        )
        for name, chef, names, own, proven in plans
    ]
