"""The point on a chain that every read of a cycle is pinned to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BlockRef"]


@dataclass(frozen=True, slots=True)
class BlockRef:
    """One block of one chain; all reads of a cycle name the same one."""

    #: Chain name as in the config.
    chain: str
    number: int
    #: 0x-prefixed 32-byte hash.
    hash: str
    #: Unix seconds, from the block header: the only clock that decisions use.
    timestamp: int
