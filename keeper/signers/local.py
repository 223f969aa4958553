"""A private key in this process's memory, which shows its address and nothing else."""

from __future__ import annotations

from typing import Final, NoReturn

from coincurve import PrivateKey

from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import KeyUnavailable
from keeper.signers.signing import address_of, sign_request, verify_signed

__all__ = ["LocalKey"]

#: Order of secp256k1 (https://www.secg.org/sec2-v2.pdf, 2.4.1).
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class LocalKey:
    """Signs with a key that it never gives back: no attribute, no repr, no pickle holds it in readable form."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes.

        Raises:
            KeyUnavailable: when they are no key of the curve.
        """
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise KeyUnavailable(
                "a private key is 32 bytes, not zero, and below the curve's order; check what was given"
            )
        self._key = PrivateKey(secret)
        self.address: Address = address_of(self._key.public_key)

    def sign(self, request: TxRequest) -> SignedTx:
        """Sign exactly this request, and prove it."""
        signed = sign_request(self._key, request)
        verify_signed(request, signed)
        return signed

    def __repr__(self) -> str:
        return f"LocalKey({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not leave the process")
