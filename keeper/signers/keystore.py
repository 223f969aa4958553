"""A key in a keystore v3 file, as MetaMask, geth and eth-account write them, opened by a password."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from keeper.domain.money import Address, address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import KeyUnavailable
from keeper.signers.heavy import eth_account
from keeper.signers.local import LocalKey
from keeper.signers.secrets import read_secret_env, read_secret_file

__all__ = ["KeystoreSigner", "decrypt_keystore", "open_keystore", "read_keystore"]


class KeystoreSigner:
    """Opens its file on first use (about 0.8 s of scrypt), or at once by ``unlock``; then signs from memory."""

    def __init__(
        self,
        path: Path,
        *,
        password_file: Path | None = None,
        password_env: str | None = None,
        expect: Address | None = None,
    ) -> None:
        """Check what can be checked without the password.

        Args:
            path: keystore v3 JSON.
            password_file: file that holds the password, for this user alone.
            password_env: or the environment variable that does. Exactly one of both.
            expect: the account it must be, from the config.

        Raises:
            KeyUnavailable: with what to do.
        """
        if (password_file is None) == (password_env is None):
            raise KeyUnavailable(f"the password of {path} comes from password_file or password_env: set exactly one")
        self._path = path
        self._file = password_file
        self._env = password_env
        self._key: LocalKey | None = None
        self._opening = threading.Lock()
        stated = _stated_address(path, read_keystore(path))
        _same_account(path, expect, stated)
        known = expect or stated
        self.address: Address = known if known is not None else self.unlock()

    def unlock(self) -> Address:
        """Open the file now, so that a wrong password shows at start. Raises KeyUnavailable."""
        with self._opening:
            if self._key is None:
                self._key = self._open()
            return self._key.address

    def sign(self, request: TxRequest) -> SignedTx:
        """Sign exactly this request."""
        self.unlock()
        assert self._key is not None
        return self._key.sign(request)

    def __repr__(self) -> str:
        return f"KeystoreSigner({str(self._path)!r})"

    def _open(self) -> LocalKey:
        password = read_secret_file(self._file) if self._file else read_secret_env(str(self._env))
        key = open_keystore(self._path, password)
        _same_account(self._path, getattr(self, "address", None), key.address)
        return key


def read_keystore(path: Path) -> dict[str, Any]:
    """Read the JSON of a keystore v3 file.

    Raises:
        KeyUnavailable: when it is not there or is something else.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise KeyUnavailable(
            f"cannot read keystore {path}: {error.strerror}; make one with `keeper keys import`"
        ) from None
    # What is not JSON may be a raw key, and the decoder's error would carry it along: raised outside of `except`.
    content: Any = None
    with suppress(ValueError):
        content = json.loads(text)
    crypto = content.get("crypto", content.get("Crypto")) if isinstance(content, dict) else None
    if not isinstance(crypto, dict) or str(content.get("version")) != "3":
        raise _not_a_keystore(path)
    return dict(content)


def decrypt_keystore(path: Path, password: str) -> bytes:
    """Return the private key in a keystore v3 file; only for whoever puts it into another one.

    Raises:
        KeyUnavailable: wrong password, or a damaged file.
    """
    content = read_keystore(path)
    account = eth_account().Account
    # Raised outside of `except`: the frames below hold the password and pieces of the key.
    broken = False
    try:
        return bytes(account.decrypt(content, password))
    except ValueError:
        pass
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        broken = True
    if broken:
        raise _not_a_keystore(path)
    raise KeyUnavailable(f"the password does not open keystore {path}; check the password file or variable")


def open_keystore(path: Path, password: str) -> LocalKey:
    """Open a keystore v3 file.

    Raises:
        KeyUnavailable: wrong password, damaged file, or an address that is not the key's.
    """
    key = LocalKey(decrypt_keystore(path, password))
    _same_account(path, _stated_address(path, read_keystore(path)), key.address)
    return key


def _stated_address(path: Path, content: dict[str, Any]) -> Address | None:
    """Return the address that the file states in the clear; some wallets leave it out."""
    stated = content.get("address")
    if not stated:
        return None
    try:
        return address("0x" + str(stated).lower().removeprefix("0x"))
    except ValueError:
        raise _not_a_keystore(path) from None


def _same_account(path: Path, wanted: Address | None, found: Address | None) -> None:
    if wanted is not None and found is not None and wanted != found:
        raise KeyUnavailable(
            f"keystore {path} holds {found}, not {wanted}; correct `address` or name the other keystore"
        )


def _not_a_keystore(path: Path) -> KeyUnavailable:
    return KeyUnavailable(f"{path} is not a keystore v3 file; export one from the wallet, or use `keeper keys import`")
