"""A recovery phrase (BIP-39) and a path (BIP-32) to one private key, as MetaMask, Trust Wallet and Ledger Live do."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from coincurve import PrivateKey

from keeper.errors import KeyUnavailable
from keeper.signers.heavy import eth_account

__all__ = ["PATHS", "check_phrase", "derive_key", "path_of"]

#: Where wallets keep their n-th account (``{i}``). MetaMask and Trust Wallet agree; Ledger Live counts accounts.
PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {"metamask": "m/44'/60'/0'/0/{i}", "trust": "m/44'/60'/0'/0/{i}", "ledger-live": "m/44'/60'/{i}'/0/0"}
)

#: Lengths that BIP-39 allows.
_LENGTHS: Final = (12, 15, 18, 21, 24)

_HARDENED: Final = 2**31
_PATH: Final = re.compile(r"m(/\d{1,10}'?)+")


def path_of(wallet_or_path: str, index: int = 0) -> str:
    """Turn a wallet's name, or a path that is already one, into a derivation path.

    Raises:
        KeyUnavailable: for an unknown wallet or a broken path.
    """
    if not 0 <= index < _HARDENED:
        raise KeyUnavailable(f"account index {index} is out of range; wallets count from 0")
    if wallet_or_path in PATHS:
        return PATHS[wallet_or_path].format(i=index)
    _steps(wallet_or_path)
    return wallet_or_path


def check_phrase(phrase: str) -> str:
    """Return the phrase normalised: known English words, right number, right checksum.

    Raises:
        KeyUnavailable: naming the place of the wrong word, never a word.
    """
    words = unicodedata.normalize("NFKD", phrase).lower().split()
    if len(words) not in _LENGTHS:
        raise KeyUnavailable(f"a recovery phrase has 12, 15, 18, 21 or 24 words, this one has {len(words)}")
    known = _word_numbers()
    wrong = [str(place) for place, word in enumerate(words, start=1) if word not in known]
    if wrong:
        raise KeyUnavailable(f"word {', '.join(wrong)} is not in the English BIP-39 list; check its spelling")
    bits = 0
    for word in words:
        bits = bits << 11 | known[word]
    check_bits = len(words) // 3
    entropy = (bits >> check_bits).to_bytes(check_bits * 4, "big")
    if bits & ((1 << check_bits) - 1) != hashlib.sha256(entropy).digest()[0] >> (8 - check_bits):
        raise KeyUnavailable("the words are known but do not belong together; check their order and each word")
    return " ".join(words)


def derive_key(phrase: str, path: str, passphrase: str = "") -> bytes:
    """Return the private key at ``path``.

    Args:
        phrase: recovery phrase, English.
        path: as ``path_of`` gives it.
        passphrase: the optional "25th word".

    Raises:
        KeyUnavailable: for a wrong phrase or path.
    """
    words, steps = check_phrase(phrase), _steps(path)
    salt = b"mnemonic" + unicodedata.normalize("NFKD", passphrase).encode()
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), salt, 2048)
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    secret, chain_code = node[:32], node[32:]
    for step in steps:
        parent = PrivateKey(secret)
        body = b"\0" + secret if step >= _HARDENED else parent.public_key.format()
        node = hmac.digest(chain_code, body + step.to_bytes(4, "big"), "sha512")
        secret, chain_code = parent.add(node[:32]).secret, node[32:]
    return secret


def _steps(path: str) -> list[int]:
    if not _PATH.fullmatch(path):
        raise KeyUnavailable(f"{path!r} is neither a wallet ({', '.join(PATHS)}) nor a path like m/44'/60'/0'/0/0")
    steps = [int(part.rstrip("'")) + _HARDENED * part.endswith("'") for part in path.split("/")[1:]]
    if any(int(part.rstrip("'")) >= _HARDENED for part in path.split("/")[1:]):
        raise KeyUnavailable(f"{path!r} has a step above 2147483647; check it in the wallet's settings")
    return steps


@lru_cache(maxsize=1)
def _word_numbers() -> Mapping[str, int]:
    words = eth_account("hdaccount.mnemonic").get_wordlist("english")
    return {word: number for number, word in enumerate(words)}
