"""View calls as data, so that adapters do no I/O and the engine batches everybody's reads together."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.money import Address

__all__ = ["Read", "ReadResult"]


@dataclass(frozen=True, slots=True)
class Read:
    """One view call: where, what bytes, and how large the answer and its cost may be.

    ``result_bytes`` and ``gas`` size the Multicall3 chunks; a wrong hint costs a halved chunk, never a wrong answer.
    """

    target: Address
    #: Selector and encoded arguments.
    data: bytes
    #: Expected size of the return data in bytes (32 for one word).
    result_bytes: int = 32
    #: Expected gas of the inner call; a plain mapping read costs about 5,000, a reward view 20,000 to 40,000.
    gas: int = 12_000
    #: Asked as this account, and alone: for a function that answers its owner only, or that would change what others
    #: in the same request see. Costs a call of its own; ``None`` for a plain view.
    sender: Address | None = None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What one view call answered: success and raw return (or revert) bytes."""

    success: bool
    data: bytes
