"""How much fits into one request: three budgets at once, each lowered when a node says that it was too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.chain import aggregate
from keeper.domain.reads import Read
from keeper.errors import KeeperError, RpcRejected, RpcTimeout

__all__ = ["Budget", "Load", "load", "too_much"]

#: Words of a refusal, by the budget that they speak of. Matched as lower-case substrings.
_TOO_MUCH: Final = {
    "return_bytes": ("exceeding limit", "response size", "response too large", "returned more than", "return data"),
    "body_bytes": ("body too large", "request entity too large", "content length too large", "request too large"),
    "gas": (
        "out of gas",
        "outofgas",
        "gas required exceeds",
        "exceeds block gas limit",
        "gas limit",
        "timeout",
        "timed out",
        "took too long",
        "execution aborted",
        "evm_timeout",
        "memory limit",
        "memorylimitoog",
        "batch too large",
        "batch limit",
        "batch size",
        "too many calls",
    ),
}

#: Gas that the multicall itself spends on one call besides the call's own.
_CALL_OVERHEAD: Final = 1_500


@dataclass(frozen=True, slots=True)
class Load:
    """What some calls are expected to need."""

    return_bytes: int
    gas: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one request may need. Defaults fit the strictest common nodes."""

    #: Bor and Erigon refuse answers of eth_call above 100,000 bytes.
    return_bytes: int = 96_000
    #: Common caps are 25 M to 50 M. Hints allow for the dearest contract of a kind, so that what is really used is far
    #: less (a fifth, over all families); a node with a lower cap says so once an hour, and gets half.
    gas: int = 24_000_000
    #: Of the HTTP body; some providers refuse above 1 MB.
    body_bytes: int = 900_000

    def cut(self, reads: Sequence[Read]) -> list[tuple[int, int]]:
        """Cut reads into runs [start, stop) that fit all three; a read that fits none stands alone."""
        runs: list[tuple[int, int]] = []
        start = 0
        left_return = left_gas = left_body = -1
        for index, read in enumerate(reads):
            left_return -= aggregate.answer_size(read)
            left_gas -= read.gas + _CALL_OVERHEAD
            left_body -= 2 * aggregate.request_size(read)
            if left_return < 0 or left_gas < 0 or left_body < 0:
                if index > start:
                    runs.append((start, index))
                start = index
                left_return = self.return_bytes - 64 - aggregate.answer_size(read)
                left_gas = self.gas - read.gas - _CALL_OVERHEAD
                left_body = self.body_bytes - 400 - 2 * aggregate.request_size(read)
        return [*runs, (start, len(reads))] if reads else []

    def lowered(self, kind: str, fits: Load) -> Budget:
        """Return this budget with ``kind`` no larger than what is known to fit."""
        return replace(self, **{kind: min(getattr(self, kind), max(1, getattr(fits, kind)))})


def load(reads: Sequence[Read]) -> Load:
    """Add up what reads are expected to need."""
    return Load(
        64 + sum(aggregate.answer_size(read) for read in reads),
        sum(read.gas + _CALL_OVERHEAD for read in reads),
        400 + 2 * sum(aggregate.request_size(read) for read in reads),
    )


def too_much(error: KeeperError) -> str | None:
    """Name the budget that a refusal speaks of; ``None`` when it is about something else."""
    if isinstance(error, RpcTimeout):
        return "gas"
    if not isinstance(error, RpcRejected):
        return None
    if error.code == 413:
        return "body_bytes"
    words = str(error).lower()
    return next((kind for kind, texts in _TOO_MUCH.items() if any(text in words for text in texts)), None)
