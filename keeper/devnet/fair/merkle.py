"""Merkle drops: two Distributors (our own small fake), with one tree and with one a day; a vault for the proceeds."""

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

#: Of UNI at $8 and AAVE at $150: what the farmer is owed for a day, $48 and $30.
_UNI: Final = 6 * 10**18
_AAVE: Final = 10**18 // 5
_STAKE: Final = 50_000 * 10**6
#: A tree a day, for so many days; the first is for ten.
_TREES: Final = 40
_FIRST: Final = 10
_DAY: Final = 86_400


def leaves(uni: Address, aave: Address, days: int = _FIRST) -> list[Leaf]:
    """Return what everybody is owed after so many days."""
    others = [(who.address, uni, days * amount * 10**18) for amount, who in enumerate((WHALE, TWIN), 100)]
    own = [(FARMER.address, uni, days * _UNI), (FARMER.address, aave, days * _AAVE)]
    return [*own, *others, (WHALE.address, aave, days * 10**17)]


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


def document(trees: Sequence[Sequence[Leaf]], owner: Address) -> str:
    """Return one account's leaves of some trees with their proofs, as JSON."""
    found: dict[str, list[dict[str, object]]] = {}
    for owed in trees:
        levels = tree(owed)
        for index, (who, token, amount) in enumerate(owed):
            if who == owner:
                proof = ["0x" + node.hex() for node in _proof(levels, index)]
                found.setdefault(token, []).append({"amount": str(amount), "proof": proof})
    return json.dumps(found)


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
    trees = _trees(yard.world["uni"], yard.world["aave"])
    vault = yard.fake("YearnV3Vault", usdc, 6)
    yard.deal(usdc, yard.farmer, usdc.call("balanceOf", yard.farmer) + _STAKE)
    usdc.send("approve", vault, _STAKE, sender=yard.farmer)
    vault.send("deposit", _STAKE, yard.farmer, sender=yard.farmer)
    found = {"vault": vault.address, "owner": yard.account}
    for name in ("kept", "into_vault"):
        distributor = yard.fake("MerkleDistributor")
        for symbol in ("uni", "aave"):
            total = sum(amount for _, token, amount in trees[-1] if token == yard.world[symbol])
            yard.deal(yard.world[symbol], distributor, total)
        if name == "kept":
            distributor.send("updateTree", root_of(trees[0]), 0)
        else:
            distributor.send("layOut", [root_of(owed) for owed in trees], _DAY)
        found[name] = distributor.address
    return found


def stalls(ground: Ground) -> Sequence[Stall]:
    """A position whose proceeds go into a vault. ``kept`` is for tests of its own: nothing is staked there."""
    uni, aave, vault = ground["uni"], ground["aave"], ground["vault"]
    params: dict[str, str | int | bool] = {
        "tokens": f"{uni}; {aave}",
        "proofs": document(_trees(uni, aave), FARMER.address),
        "into": ground["usdc"],
        "deposit": f"deposit(uint256:amount,address:owner)@{vault}",
        "principal": f"balanceOf(address:owner)@{vault}",
    }
    return (Stall(ground.position("merkle-vault", "merkle", ground["into_vault"], params, ground.v2), FAKE),)


def _trees(uni: Address, aave: Address) -> list[list[Leaf]]:
    return [leaves(uni, aave, days) for days in range(_FIRST, _FIRST + _TREES)]
