"""Encode and decode contract calls by hand, without contract objects: a signature in, bytes out.

``eth_abi`` is the oracle in the tests; in the loop it would cost seven times the call it encodes.
Types: ``uintN intN address bool bytesN bytes string``, arrays ``T[]`` and tuples ``(T,...)`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from eth_hash.auto import keccak

from keeper.domain.money import Address
from keeper.domain.reads import Read, ReadResult
from keeper.errors import ReadFailed

__all__ = ["EventSig", "Fn", "checksum", "decode", "decode_revert", "encode", "keccak"]

_WORD: Final = 32


class Fn:
    """One contract function: its selector, and the types of its arguments and results.

    Example:
        ``BALANCE_OF = Fn("balanceOf(address)", "uint256")``, then ``BALANCE_OF.read(token, owner)``.
    """

    __slots__ = ("inputs", "name", "outputs", "selector", "signature")

    def __init__(self, signature: str, returns: str = "") -> None:
        """Parse ``signature`` ("name(type,...)") and ``returns`` ("type,..." or "")."""
        self.signature = signature
        self.name, _, rest = signature.partition("(")
        self.inputs = _split(rest[:-1])
        self.outputs = _split(returns)
        self.selector: bytes = keccak(signature.encode())[:4]

    def encode(self, *args: Any) -> bytes:
        """Return selector and encoded arguments. Addresses are hex strings, amounts integers.

        Raises:
            ValueError: when an argument does not fit its type.
        """
        return self.selector + encode(self.inputs, args)

    def read(self, target: Address, *args: Any, result_bytes: int = 0, gas: int = 12_000) -> Read:
        """Make the view call as data."""
        return Read(target, self.encode(*args), result_bytes or _WORD * max(1, len(self.outputs)), gas)

    def value(self, result: ReadResult) -> Any:
        """Decode a single-valued result.

        Raises:
            ReadFailed: when the call reverted or the bytes have the wrong shape.
        """
        return self.values(result)[0]

    def values(self, result: ReadResult) -> tuple[Any, ...]:
        """Decode all values of a result; errors as in ``value``."""
        if not result.success:
            raise ReadFailed(f"{self.signature} reverted: {decode_revert(result.data) or 'no reason given'}")
        try:
            return decode(self.outputs, result.data)
        except ValueError as error:
            raise ReadFailed(
                f"{self.signature} answered {len(result.data)} bytes that do not decode: {error}"
            ) from error

    def __repr__(self) -> str:
        return f"Fn({self.signature!r})"


class EventSig:
    """One event: its topic."""

    __slots__ = ("signature", "topic")

    def __init__(self, signature: str) -> None:
        """Hash ``signature``, e.g. ``"Transfer(address,address,uint256)"``."""
        self.signature = signature
        self.topic = "0x" + keccak(signature.encode()).hex()


def checksum(address: str) -> str:
    """Return the EIP-55 spelling of an address."""
    digits = address[2:].lower()
    bits = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(b, 16) > 7 else c for c, b in zip(digits, bits, strict=False))


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Encode values as an ABI tuple.

    Raises:
        ValueError: when counts differ or a value does not fit.
    """
    if len(types) != len(values):
        raise ValueError(f"{len(types)} types but {len(values)} values")
    heads: list[bytes | None] = []
    tails: list[bytes] = []
    for kind, value in zip(types, values, strict=True):
        dynamic = _is_dynamic(kind)
        body = _encode_one(kind, value)
        heads.append(None if dynamic else body)
        tails.append(body if dynamic else b"")
    offset = sum(_WORD if head is None else len(head) for head in heads)
    out: list[bytes] = []
    for head, tail in zip(heads, tails, strict=True):
        out.append(offset.to_bytes(_WORD, "big") if head is None else head)
        offset += len(tail)
    return b"".join(out) + b"".join(tails)


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Decode an ABI tuple; addresses come back as lower-case hex.

    Raises:
        ValueError: when bytes are missing or out of range.
    """
    out: list[Any] = []
    at = 0
    for kind in types:
        if kind == "uint256":
            # Most answers are; spelt out because thousands of them are decoded every cycle.
            word = data[at : at + _WORD]
            if len(word) != _WORD:
                raise ValueError(f"needs {at + _WORD} bytes, has {len(data)}")
            out.append(int.from_bytes(word, "big"))
            at += _WORD
        elif kind == "address":
            out.append(_decode_word(kind, _word(data, at)))
            at += _WORD
        elif _is_dynamic(kind):
            out.append(_decode_one(kind, data, _uint(data, at)))
            at += _WORD
        else:
            out.append(_decode_one(kind, data, at))
            at += _static_size(kind)
    return tuple(out)


def decode_revert(data: bytes) -> str:
    """Word a revert's data: ``Error(string)``, ``Panic(uint256)``, or the custom error's selector; empty for none."""
    if not data:
        return ""
    if data[:4] == b"\x08\xc3\x79\xa0":
        try:
            return str(decode(("string",), data[4:])[0])
        except ValueError:
            return "Error(string) with broken text"
    if data[:4] == b"\x4e\x48\x7b\x71" and len(data) >= 36:
        return f"panic 0x{int.from_bytes(data[4:36], 'big'):02x}"
    return f"custom error 0x{data[:4].hex()}"


def _split(text: str) -> tuple[str, ...]:
    """Split a comma list of types at the outermost level."""
    parts: list[str] = []
    depth = start = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return (*parts, text[start:]) if text else ()


@lru_cache(maxsize=512)
def _is_dynamic(kind: str) -> bool:
    if kind.endswith("[]") or kind in ("bytes", "string"):
        return True
    return kind.startswith("(") and any(_is_dynamic(part) for part in _split(kind[1:-1]))


@lru_cache(maxsize=512)
def _static_size(kind: str) -> int:
    if kind.startswith("("):
        return sum(_static_size(part) for part in _split(kind[1:-1]))
    return _WORD


def _encode_one(kind: str, value: Any) -> bytes:
    if kind.endswith("[]"):
        return len(value).to_bytes(_WORD, "big") + encode((kind[:-2],) * len(value), value)
    if kind.startswith("("):
        return encode(_split(kind[1:-1]), value)
    if kind == "address":
        return bytes(12) + _address_bytes(value)
    if kind in ("bytes", "string"):
        raw = value.encode() if isinstance(value, str) else bytes(value)
        return len(raw).to_bytes(_WORD, "big") + raw + bytes(-len(raw) % _WORD)
    if kind == "bool":
        return int(bool(value)).to_bytes(_WORD, "big")
    if kind.startswith("bytes"):
        if len(value) != int(kind[5:]):
            raise ValueError(f"{kind} takes {kind[5:]} bytes, got {len(value)}")
        return bytes(value) + bytes(_WORD - len(value))
    return _encode_number(kind, value)


def _encode_number(kind: str, value: Any) -> bytes:
    signed = kind.startswith("int")
    bits = int(kind[3 if signed else 4 :] or 256)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    if not isinstance(value, int) or not low <= value < high:
        raise ValueError(f"{value!r} does not fit {kind}")
    return value.to_bytes(_WORD, "big", signed=signed)


def _address_bytes(value: str) -> bytes:
    raw = bytes.fromhex(value[2:])
    if len(raw) != 20:
        raise ValueError(f"{value!r} is not an address")
    return raw


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + _WORD]
    if at < 0 or len(word) != _WORD:
        raise ValueError(f"needs {at + _WORD} bytes, has {len(data)}")
    return word


def _uint(data: bytes, at: int) -> int:
    return int.from_bytes(_word(data, at), "big")


def _decode_one(kind: str, data: bytes, at: int) -> Any:
    if kind.endswith("[]"):
        count = _uint(data, at)
        if count * _WORD > len(data):
            raise ValueError(f"array of {count} in {len(data)} bytes")
        return list(decode((kind[:-2],) * count, data[at + _WORD :]))
    if kind.startswith("("):
        return decode(_split(kind[1:-1]), data[at:])
    if kind in ("bytes", "string"):
        size = _uint(data, at)
        raw = data[at + _WORD : at + _WORD + size]
        if len(raw) != size:
            raise ValueError(f"{size} bytes announced, {len(raw)} present")
        return raw.decode(errors="replace") if kind == "string" else raw
    return _decode_word(kind, _word(data, at))


def _decode_word(kind: str, word: bytes) -> Any:
    if kind == "address":
        if any(word[:12]):
            raise ValueError("dirty address word")
        return Address("0x" + word[12:].hex())
    if kind == "bool":
        if int.from_bytes(word, "big") > 1:
            raise ValueError("bool above 1")
        return word[31] == 1
    if kind.startswith("bytes"):
        return word[: int(kind[5:])]
    number = int.from_bytes(word, "big", signed=kind.startswith("int"))
    bits = int(kind[3 if kind.startswith("int") else 4 :] or 256)
    if number.bit_length() > bits:
        raise ValueError(f"{number} exceeds {kind}")
    return number
