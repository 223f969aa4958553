"""RLP (https://ethereum.org/developers/docs/data-structures-and-encoding/rlp/): what transactions are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["Item", "decode", "encode", "number"]

#: What RLP can say: bytes, or a list of such items.
Item: TypeAlias = "bytes | Sequence[Item]"

#: Heads of short strings, by length.
_SHORT: Final = tuple(bytes([0x80 + size]) for size in range(56))


def number(value: int) -> bytes:
    """Write an integer without leading zeros; zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode(item: Item) -> bytes:
    """Encode bytes or nested lists of bytes."""
    if isinstance(item, bytes):
        size = len(item)
        if size == 1 and item[0] < 0x80:
            return item
        return (_SHORT[size] if size < 56 else _head(size, 0x80)) + item
    body = b"".join([encode(part) for part in item])
    return _head(len(body), 0xC0) + body


def decode(data: bytes) -> Item:
    """Decode exactly one item that fills ``data``.

    Raises:
        ValueError: when bytes are missing, left over, or not in the one canonical form.
    """
    item, end = _read(data, 0)
    if end != len(data) or encode(item) != data:
        raise ValueError("not canonical RLP")
    return item


def _head(size: int, base: int) -> bytes:
    if size < 56:
        return bytes([base + size])
    length = number(size)
    return bytes([base + 55 + len(length)]) + length


def _read(data: bytes, at: int) -> tuple[Item, int]:
    first = _cut(data, at, 1)[0]
    if first < 0x80:
        return data[at : at + 1], at + 1
    base = 0x80 if first < 0xC0 else 0xC0
    size, start = first - base, at + 1
    if size > 55:
        width = size - 55
        size, start = int.from_bytes(_cut(data, start, width), "big"), start + width
    body = _cut(data, start, size)
    if base == 0x80:
        return body, start + size
    parts: list[Item] = []
    inner = 0
    while inner < size:
        part, inner = _read(body, inner)
        parts.append(part)
    return parts, start + size


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError(f"RLP needs {at + size} bytes, has {len(data)}")
    return data[at : at + size]
