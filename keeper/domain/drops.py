"""What a merkle drop owes an account of one token, as somebody outside the chain says it, with the proof.

Two forms are understood: that of Merkl's ``/v4/users/ADDRESS/rewards?chainId=N``, and the plain one,
``{"0xTOKEN": {"amount": "123", "proof": ["0x..."]}}`` (``accumulated`` for ``amount``, ``proofs`` for ``proof``; a list
of such leaves where those of several trees are known).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from keeper.domain.money import Address, address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_PROOF", "Drop", "Drops", "parse_drops"]

#: Longest proof: a tree of four billion leaves.
MAX_PROOF: Final = 32
#: Most leaves that one document may have.
_MOST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Drop:
    """One leaf of the tree, and the way to its root."""

    token: Address
    #: Base units, cumulative: everything that was ever owed.
    amount: int
    #: Siblings from the leaf upwards, 32 bytes each as integers.
    proof: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drops:
    """What one source says of one account, newest known."""

    #: By token, newest first: while a new tree can still be disputed, the proofs of the one before are those that hold.
    by_token: Mapping[Address, tuple[Drop, ...]] = field(default_factory=lambda: MappingProxyType({}))
    #: Why nothing newer could be had; empty when all is well.
    problem: str = ""


def parse_drops(document: Any, owner: Address, chain_id: int) -> dict[Address, tuple[Drop, ...]]:
    """Read the leaves of one account on one chain.

    Raises:
        ValueError: saying what has the wrong shape.
    """
    leaves = _merkl(document, owner, chain_id) if isinstance(document, list) else _plain(document)
    found: dict[Address, tuple[Drop, ...]] = {}
    for count, leaf in enumerate(leaves):
        if count >= _MOST:
            raise ValueError(f"more than {_MOST} rewards")
        drop = _drop(*leaf)
        found[drop.token] = (*found.get(drop.token, ()), drop)
    return found


def _plain(document: Any) -> Iterator[tuple[Any, Any, Any]]:
    for token, leaves in _table(document, "the document").items():
        for leaf in leaves if isinstance(leaves, list) else [leaves]:
            inside = _table(leaf, token)
            yield token, inside.get("amount", inside.get("accumulated")), inside.get("proof", inside.get("proofs"))


def _merkl(document: list[Any], owner: Address, chain_id: int) -> Iterator[tuple[Any, Any, Any]]:
    for part in document:
        rewards = _table(part, "an entry").get("rewards")
        if not isinstance(rewards, list):
            raise ValueError("an entry without rewards")  # noqa: TRY004 (one kind of error for all wrong shapes)
        for reward in rewards:
            inside = _table(reward, "a reward")
            token = _table(inside.get("token"), "a reward's token")
            chain = inside.get("distributionChainId", token.get("chainId", chain_id))
            recipient = str(inside.get("recipient", owner)).lower()
            if chain == chain_id and recipient == owner and inside.get("proofs"):
                yield token.get("address"), inside.get("amount"), inside.get("proofs")


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no table")  # noqa: TRY004
    return value


def _drop(token: Any, amount: Any, proof: Any) -> Drop:
    if not isinstance(amount, (str, int)) or isinstance(amount, bool) or not str(amount).isascii():
        raise ValueError(f"an amount of {str(amount)[:40]!r}")
    if not str(amount).isdecimal() or len(str(amount)) > 39 or int(amount) >= 1 << 128:
        raise ValueError(f"an amount of {str(amount)[:40]!r}")
    if not isinstance(proof, list) or len(proof) > MAX_PROOF:
        raise ValueError(f"a proof that is no list of at most {MAX_PROOF}")
    return Drop(address(str(token)), int(amount), tuple(_node(node) for node in proof))


def _node(value: Any) -> int:
    raw = bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else b""
    if len(raw) != 32:
        raise ValueError("a proof with something else than 32 bytes in it")
    return int.from_bytes(raw, "big")
