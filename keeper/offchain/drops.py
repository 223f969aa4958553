"""Proofs of merkle drops, from a file or a web address: read again and again, checked for shape, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from keeper.domain.drops import Drop, Drops, parse_drops
from keeper.domain.money import Address
from keeper.offchain.fetch import Unfetched, get_json, shown

__all__ = ["DropShelf"]

#: Trees whose leaves are kept.
_TREES: Final = 4
_NOTHING_YET: Final = "no proofs have come yet"


class DropShelf:
    """The newest drops of every account that is watched. Threads may share it; asking never waits."""

    def __init__(self, accounts: Iterable[tuple[str, Address, int]], tell: Callable[[str], None]) -> None:
        """Keep drops of accounts.

        Args:
            accounts: source (``{owner}`` and ``{chain_id}`` are filled in), account and chain id of each.
            tell: called once with why a source cannot be read, and again only after it could.
        """
        self._accounts = tuple(dict.fromkeys(accounts))
        self._tell = tell
        self._known: dict[tuple[str, Address, int], Drops] = {}
        self._lock = threading.Lock()

    def drops(self, source: str, owner: Address, chain_id: int) -> Drops:
        """Return what is known at this moment."""
        with self._lock:
            return self._known.get((source, owner, chain_id), Drops(problem=_NOTHING_YET))

    def look(self) -> None:
        """Read every source once; what cannot be read keeps what it said before."""
        for source, owner, chain_id in self._accounts:
            where = source.replace("{owner}", owner).replace("{chain_id}", str(chain_id))
            before = self.drops(source, owner, chain_id)
            try:
                leaves = parse_drops(get_json(where), owner, chain_id)
                new = Drops(_with_older(leaves, before))
            except Unfetched as error:
                new = Drops(before.by_token, str(error))
            except ValueError as error:
                new = Drops(before.by_token, f"{shown(where)} answers something else than drops: {error}")
            with self._lock:
                self._known[source, owner, chain_id] = new
            if new.problem and before.problem in {"", _NOTHING_YET}:
                self._tell(f"proofs: {new.problem}")


def _with_older(leaves: Mapping[Address, tuple[Drop, ...]], before: Drops) -> Mapping[Address, tuple[Drop, ...]]:
    """Keep the leaves of earlier trees behind the new ones: the contract may still go by one of them."""
    known = {
        token: tuple(dict.fromkeys((*drops, *before.by_token.get(token, ()))))[: max(_TREES, len(drops))]
        for token, drops in leaves.items()
    }
    return MappingProxyType(known)
