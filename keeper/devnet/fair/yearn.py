"""Yearn: a V2 vault with its strategy, a V3 strategy that the farmer keeps, and one in an allocator (our own fakes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.domain.facts import Place
from keeper.domain.money import Address

__all__ = ["build", "stalls"]

_DECIMALS: Final = 6
_FARMER: Final = 50_000 * 10**_DECIMALS
_WHALE: Final = 1_500_000 * 10**_DECIMALS
_YEAR: Final = 365 * 86_400
#: All vaults earn 60 % a year, for longer than anybody looks.
_PER_SECOND: Final = (_FARMER + _WHALE) * 60 // 100 // _YEAR
#: Profit that the allocator's strategy has reported on the first day.
_REPORTED: Final = 30_000 * 10**_DECIMALS
_FUNDED: Final = _PER_SECOND * _YEAR


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy and fund every kind."""
    usdc = yard.token("USDC")
    names: dict[str, Contract] = {"keeper_contract": yard.fake("YearnKeeper")}
    _build_v2(yard, usdc, names)
    for name in ("v3", "v3_open", "v3_inner"):
        names[f"{name}_pot"] = yard.fake("YearnPot", usdc)
        names[name] = yard.fake("YearnV3Strategy", usdc, names[f"{name}_pot"], _DECIMALS)
    names["allocator"] = yard.fake("YearnV3Vault", usdc, _DECIMALS)
    for name in ("v3", "v3_open", "allocator"):
        _deposit(yard, usdc, names[name])
    names["allocator"].send("add_strategy", names["v3_inner"])
    names["allocator"].send("set_role", yard.farmer, 32)
    for name in ("v3", "v3_open", "v3_inner"):
        _earn(yard, usdc, names[f"{name}_pot"], names[name])
    names["v3"].send("setKeeper", yard.farmer)
    for name in ("v3_open", "v3_inner"):
        names[name].send("setKeeper", names["keeper_contract"])
    # The allocator sees what its strategy has reported, as that unlocks.
    yard.deal(usdc, names["v3_inner"], _FARMER + _WHALE + _REPORTED)
    names["keeper_contract"].send("report", names["v3_inner"])
    return {"owner": yard.account, **{name: contract.address for name, contract in names.items()}}


def stalls(ground: Ground) -> Sequence[Stall]:
    """A position of each kind."""
    via: dict[str, str | int | bool] = {"via": ground["keeper_contract"]}
    inner: dict[str, str | int | bool] = {"strategy": ground["v3_inner"]}
    plans: tuple[tuple[str, str, str, dict[str, str | int | bool], Place | None], ...] = (
        ("yearn-v2", "yearn-v2", "v2", {}, Place("yearn-v2", "Yearn USDC", ground["v2"])),
        ("yearn-v3", "yearn-v3", "v3", {}, Place("yearn-v3", "Yearn V3 USDC", ground["v3"])),
        ("yearn-v3-via", "yearn-v3", "v3_open", via, None),
        ("yearn-v3-allocator", "yearn-v3", "allocator", inner, None),
    )
    return [
        Stall(ground.position(name, protocol, ground[target], params), FAKE, place=place, for_everybody=True)
        for name, protocol, target, params, place in plans
    ]


def _build_v2(yard: Yard, usdc: Contract, names: dict[str, Contract]) -> None:
    names["v2"] = yard.fake("YearnV2Vault", usdc, _DECIMALS)
    names["v2_pot"] = yard.fake("YearnPot", usdc)
    names["v2_strategy"] = yard.fake("YearnV2Strategy", names["v2"], names["v2_pot"])
    names["v2"].send("addStrategy", names["v2_strategy"])
    _deposit(yard, usdc, names["v2"], of_two=False)
    _earn(yard, usdc, names["v2_pot"], names["v2_strategy"])
    names["v2_strategy"].send("harvest")  # puts what was deposited to work
    names["v2_strategy"].send("setKeeper", yard.farmer)


def _deposit(yard: Yard, usdc: Contract, vault: Contract, *, of_two: bool = True) -> None:
    for who, amount in ((yard.farmer, _FARMER), (yard.whale, _WHALE)):
        held = usdc.call("balanceOf", who)
        yard.deal(usdc, who, held + amount)
        usdc.send("approve", vault, amount, sender=who)
        vault.send("deposit", amount, *((who,) if of_two else ()), sender=who)


def _earn(yard: Yard, usdc: Contract, pot: Contract, client: Contract) -> None:
    yard.deal(usdc, pot, _FUNDED)
    pot.send("start", client, _PER_SECOND)
