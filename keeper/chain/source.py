"""What a question of ours needs to be asked of: the whole pool, or one endpoint of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from keeper.chain.endpoint import Endpoint

__all__ = ["Source"]

T = TypeVar("T")


class Source(Protocol):
    """Answers reads. Errors are as in ``ports.Chain``."""

    #: Name of the chain.
    chain: str

    def call(self, method: str, params: Sequence[Any] | bytes = ()) -> Any:
        """Make one read."""
        ...

    def batch(self, calls: Sequence[tuple[str, Sequence[Any] | bytes]]) -> list[Any]:
        """Make several reads in few requests; a refusal of an item is a value (RpcRejected) in its place."""
        ...

    def ask(self, question: Callable[[Endpoint], T], *, retry: bool = True) -> T:
        """Put a question to an endpoint; with ``retry``, again within bounds."""
        ...

    def hear(self, endpoint: Endpoint, number: int) -> None:
        """Take note of an endpoint's newest height. Raises StaleHead when it lags behind the others."""
        ...
