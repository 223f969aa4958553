"""Put a key into a keystore v3 file once, so that from then on only the file and its password are needed."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from keeper.domain.money import Address
from keeper.errors import KeyUnavailable
from keeper.signers.env_key import parse_key
from keeper.signers.heavy import eth_account
from keeper.signers.keystore import decrypt_keystore, open_keystore
from keeper.signers.local import LocalKey
from keeper.signers.mnemonic import derive_key, path_of

__all__ = ["import_key"]


def import_key(
    *,
    out: Path,
    password: str,
    mnemonic: str | None = None,
    private_key: str | None = None,
    keystore: Path | None = None,
    keystore_password: str | None = None,
    path: str = "metamask",
    index: int = 0,
    passphrase: str = "",
    work_factor: int | None = None,
) -> Address:
    """Write ``out`` (mode 0600, whole or not at all, never over an existing file) and return the account.

    Args:
        out: the keystore file to make.
        password: opens it from now on.
        mnemonic: recovery phrase; with ``path`` (wallet name or derivation path), ``index`` and ``passphrase``.
        private_key: or 64 hex digits.
        keystore: or another keystore, opened by ``keystore_password`` (default: ``password``).
        keystore_password: see ``keystore``.
        path: see ``mnemonic``.
        index: see ``mnemonic``.
        passphrase: see ``mnemonic``.
        work_factor: scrypt's n; the default (2**18) takes about a second.

    Raises:
        KeyUnavailable: with what to do; nothing has been written then.
    """
    if sum(source is not None for source in (mnemonic, private_key, keystore)) != 1:
        raise KeyUnavailable("give exactly one of recovery phrase, private key and keystore")
    if not password:
        raise KeyUnavailable("the new keystore needs a password; an empty one protects nothing")
    if out.exists() or out.is_symlink():
        raise KeyUnavailable(f"{out} exists and is never overwritten; choose another name or move it away")
    if mnemonic is not None:
        secret = derive_key(mnemonic, path_of(path, index), passphrase)
    elif private_key is not None:
        secret = parse_key(private_key, "the input")
    else:
        assert keystore is not None
        secret = decrypt_keystore(keystore, password if keystore_password is None else keystore_password)
    address = LocalKey(secret).address
    _write(out, _encrypted(secret, password, work_factor), password, address)
    return address


def _encrypted(secret: bytes, password: str, work_factor: int | None) -> str:
    return json.dumps(eth_account().Account.encrypt(secret, password, kdf="scrypt", iterations=work_factor))


def _write(out: Path, text: str, password: str, address: Address) -> None:
    """Write a draft, open it as proof, then give it its name; a crash leaves no half file under that name."""
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if open_keystore(draft, password).address != address:
            raise KeyUnavailable("the new keystore does not open to the same account; nothing was written, try again")
        # A hard link fails when the name is taken, unlike a rename.
        os.link(draft, out)
        folder = os.open(out.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except FileExistsError:
        raise KeyUnavailable(f"{out} exists and is never overwritten; choose another name or move it away") from None
    except OSError as error:
        raise KeyUnavailable(
            f"cannot write {out}: {error.strerror}; choose a folder that this user can write"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
