"""No key at all: the account is watched, and every attempt to sign is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from keeper.domain.money import Address
from keeper.domain.transaction import TxRequest
from keeper.errors import KeyUnavailable

__all__ = ["WatchOnlySigner"]


@dataclass(frozen=True, slots=True)
class WatchOnlySigner:
    """Stands where a signer stands, and never signs."""

    address: Address

    def sign(self, request: TxRequest) -> NoReturn:
        """Refuse."""
        raise KeyUnavailable(f"{request.sender} is only watched; give its positions a signer to let keeper act")
