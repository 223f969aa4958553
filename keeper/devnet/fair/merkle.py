"""Merkle drops: two Distributors (our own small fake) with a tree each; proceeds kept, or put into a vault."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from keeper.abi import encode, keccak
from keeper.devnet.accounts import FARMER, TWIN, WHALE
from keeper.devnet.fair.stall import FAKE, Ground, Stall
from keeper.devnet.fair.yard import Yard
from keeper.domain.money import Address

__all__ = ["Leaf", "build", "document", "root_of", "stalls", "tree"]

#: Account, token, cumulative amount.
Leaf = tuple[Address, Address, int]

#: Of UNI at $8 and AAVE at $150: what the farmer is owed from the first day on, $480 and $300.
_UNI: Final = 60 * 10**18
_AAVE: Final = 2 * 10**18
_STAKE: Final = 50_000 * 10**6


def leaves(uni: Address, aave: Address) -> list[Leaf]:
    """Return what everybody is owed."""
    others = [(who.address, uni, amount * 10**18) for amount, who in enumerate((WHALE, TWIN), 1_000)]
    return [(FARMER.address, uni, _UNI), (FARMER.address, aave, _AAVE), *others, (WHALE.address, aave, 10**18)]


def tree(owed: Sequence[Leaf]) -> list[list[bytes]]:
    """Return the levels of a tree, leaves first; the last node of an odd level goes up as it is."""
    levels = [[keccak(encode(("address", "address", "uint256"), leaf)) for leaf in owed]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        pairs = [sorted(level[i : i + 2]) for i in range(0, len(level), 2)]
        levels.append([keccak(b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def root_of(owed: Sequence[Leaf]) -> bytes:
    """Return the root."""
    return tree(owed)[-1][0]


def document(owed: Sequence[Leaf], owner: Address) -> str:
    """Return one account's leaves with their proofs, as JSON."""
    levels = tree(owed)
    return json.dumps(
        {
            token: {"amount": str(amount), "proof": ["0x" + node.hex() for node in _proof(levels, index)]}
            for index, (who, token, amount) in enumerate(owed)
            if who == owner
        }
    )


def _proof(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    path = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index //= 2
    return path


def build(yard: Yard) -> Mapping[str, Address]:
    """Deploy the Distributors, give them what they owe, and a vault to go on with."""
    usdc = yard.token("USDC")
    owed = leaves(yard.world["uni"], yard.world["aave"])
    vault = yard.fake("YearnV3Vault", usdc, 6)
    yard.deal(usdc, yard.farmer, usdc.call("balanceOf", yard.farmer) + _STAKE)
    usdc.send("approve", vault, _STAKE, sender=yard.farmer)
    vault.send("deposit", _STAKE, yard.farmer, sender=yard.farmer)
    found = {"vault": vault.address, "owner": yard.account}
    for name in ("kept", "into_vault"):
        distributor = yard.fake("MerkleDistributor")
        for symbol in ("uni", "aave"):
            total = sum(amount for _, token, amount in owed if token == yard.world[symbol])
            yard.deal(yard.world[symbol], distributor, total)
        distributor.send("updateTree", root_of(owed), 0)
        found[name] = distributor.address
    return found


def stalls(ground: Ground) -> Sequence[Stall]:
    """A position whose proceeds stay in the wallet as USDC, and one that puts them into a vault."""
    uni, aave, vault = ground["uni"], ground["aave"], ground["vault"]
    params: dict[str, str | int | bool] = {
        "tokens": f"{uni}; {aave}",
        "proofs": document(leaves(uni, aave), FARMER.address),
        "into": ground["usdc"],
    }
    further = {
        "deposit": f"deposit(uint256:amount,address:owner)@{vault}",
        "principal": f"balanceOf(address:owner)@{vault}",
    }
    kept = ground.position("merkle-kept", "merkle", ground["kept"], params, ground.v2)
    on = ground.position("merkle-vault", "merkle", ground["into_vault"], {**params, **further}, ground.v2)
    return (Stall(kept, FAKE, ripe_seconds=12), Stall(on, FAKE, ripe_seconds=12))
