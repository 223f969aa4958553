"""What a position may sign, as data: shapes of calls whose fixed parts are fixed by its adapters."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.money import Address

__all__ = ["ArgRule", "Permission"]


@dataclass(frozen=True, slots=True)
class ArgRule:
    """What one 32-byte word of calldata may be."""

    #: Word index after the selector.
    word: int
    #: The only values allowed (addresses as integers); empty means any within the bounds below.
    allowed: tuple[int, ...] = ()
    at_least: int = 0
    at_most: int = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Permission:
    """One shape of call that a position may make. Everything else is refused where transactions are signed."""

    to: Address
    #: First four bytes of the calldata.
    selector: bytes
    #: Exact number of calldata words after the selector.
    words: int
    args: tuple[ArgRule, ...] = ()
    #: For people: what this permits.
    label: str = ""
