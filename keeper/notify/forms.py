"""The forms in which one secret may turn up in text: cases, encodings, escapes."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from urllib.parse import quote, quote_plus

__all__ = ["forms"]

#: Encoded forms of fewer bytes would be so short that they hide innocent text.
_SHORTEST_ENCODED = 4

_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{64}\Z")


def forms(secret: str) -> set[str]:
    """Every spelling of a secret that is worth hiding; matching ignores case on top of that.

    A 32-byte hex secret is a private key: its decimal, raw and base64 spellings are hidden too.
    """
    found = {secret, secret.upper(), secret.lower(), secret.casefold()}
    found |= {unicodedata.normalize(form, secret) for form in ("NFC", "NFKC", "NFD", "NFKD")}
    for text in list(found):
        found |= _escaped(text)
    found |= _encoded(secret.encode("utf-8", "surrogatepass"))
    if _HEX.match(secret):
        found |= _key_forms(secret)
    return {form for form in found if form}


def _escaped(text: str) -> set[str]:
    """As JSON, Python, HTML-form and URL text spell it."""
    raw = text.encode("utf-8", "surrogatepass")
    return {
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        ascii(text)[1:-1],
        repr(raw)[2:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        "".join(f"%{byte:02x}" for byte in raw),
    }


def _encoded(raw: bytes) -> set[str]:
    """Hex and base64, also where the secret sits inside a longer base64 text (as in ``user:password``)."""
    if len(raw) < _SHORTEST_ENCODED:
        return set()
    found = {raw.hex()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        plain = encode(raw).decode()
        found |= {plain, plain.rstrip("=")} | _inside(raw, encode)
    return found


def _inside(raw: bytes, encode: object) -> set[str]:
    """The characters of a base64 text that depend on ``raw`` alone, for each of the three alignments."""
    assert callable(encode)
    found = set()
    for before in range(3):
        text: str = encode(b"\0" * before + raw).decode().rstrip("=")
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        middle = text[first:last]
        if len(middle) >= 8:
            found.add(middle)
    return found


def _key_forms(secret: str) -> set[str]:
    digits = secret.removeprefix("0x")
    raw = bytes.fromhex(digits)
    listed = {", ".join(str(byte) for byte in raw), ",".join(str(byte) for byte in raw)}
    return {digits, str(int(digits, 16)), repr(raw)[2:-1], f"{int(digits, 16):x}"} | _encoded(raw) | listed
