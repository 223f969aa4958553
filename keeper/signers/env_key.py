"""A raw private key in an environment variable: for throw-away keys only, and only when asked for explicitly."""

from __future__ import annotations

import re

from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import KeyUnavailable
from keeper.signers.local import LocalKey
from keeper.signers.secrets import read_secret_env

__all__ = ["EnvKeySigner", "parse_key"]


class EnvKeySigner:
    """Reads the variable once; whoever can read this process's environment can read the key."""

    __slots__ = ("_key", "_variable", "address")

    def __init__(self, variable: str, *, allow: bool = False, expect: Address | None = None) -> None:
        """Read the key.

        Raises:
            KeyUnavailable: not allowed, not set, no key, or another account than expected.
        """
        if not allow:
            raise KeyUnavailable(
                f"a raw key in {variable} is used only with --allow-env-key; "
                "better: `keeper keys import` puts it into a keystore"
            )
        self._variable = variable
        self._key = LocalKey(parse_key(read_secret_env(variable), f"environment variable {variable}"))
        self.address: Address = self._key.address
        if expect is not None and expect != self.address:
            raise KeyUnavailable(f"the key in {variable} is of {self.address}, not {expect}; correct `address`")

    def sign(self, request: TxRequest) -> SignedTx:
        """Sign exactly this request."""
        return self._key.sign(request)

    def __repr__(self) -> str:
        return f"EnvKeySigner({self._variable!r}, {self.address})"


def parse_key(text: str, where: str) -> bytes:
    """Read a private key as wallets show it: 64 hex digits, with or without 0x.

    Raises:
        KeyUnavailable: naming ``where``, never the text.
    """
    match = re.fullmatch(r"\s*(?:0[xX])?([0-9a-fA-F]{64})\s*", text)
    if match is None:
        raise KeyUnavailable(f"{where} does not hold a private key (64 hex digits, 0x allowed)")
    return bytes.fromhex(match[1])
