"""Which nonce a new transaction takes. The journal decides; what a node says can only raise it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Allocation", "allocate", "holes"]


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the next transactions get."""

    #: One nonce for each wanted transaction, rising without a gap among what is not mined.
    nonces: tuple[int, ...]
    #: A transaction that the journal does not know waits in a pool at or above the first free nonce.
    foreign: bool


def holes(known: Iterable[int], mined: int, above: int) -> list[int]:
    """Nonces below ``above`` that are neither mined nor anybody's on record: what waits above them waits for ever.

    Args:
        known: nonces from ``mined`` on that the journal has.
        mined: the account's mined count, agreed.
        above: one above the highest nonce on record.
    """
    taken = set(known)
    return [nonce for nonce in range(mined, above) if nonce not in taken]


def allocate(
    wanted: int, *, known: Iterable[int], mined: int, journal_next: int, pending: int, floor: int = 0
) -> Allocation:
    """Give nonces to new transactions: first those missing on record, then the next ones.

    A pool's count (``pending``) never raises a nonce: a ghost in a pool would leave a gap that nothing fills. It only
    tells that somebody else uses the account.

    Args:
        wanted: how many.
        known: nonces from ``mined`` on that the journal has.
        mined: the account's mined count, agreed.
        journal_next: one above the highest nonce on record.
        floor: nonces below it are taken, though this journal has no rows of them (it was rebuilt).
        pending: the highest count, pool included, that any endpoint gave.
    """
    first = max(journal_next, mined)
    free = holes(known, max(mined, floor), first)
    nonces = (*free, *range(first, first + wanted))[:wanted]
    return Allocation(nonces, pending > first)
