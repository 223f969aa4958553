"""What a raw transaction says, decoded by hand: the judge must not use the code that it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.abi import keccak


@dataclass(frozen=True, slots=True)
class Wire:
    """The fields of a signed transaction that matter to a judge."""

    hash: str
    chain_id: int
    nonce: int
    tip: int
    max_fee: int
    gas: int
    to: str
    value: int
    data: bytes


def decode_raw(raw: bytes) -> Wire:
    """Decode a type-2 or an EIP-155 legacy transaction."""
    tx_hash = "0x" + keccak(raw).hex()
    if raw[0] == 2:
        chain, nonce, tip, fee, gas, to, value, data = _rlp(raw[1:])[0][:8]
        return Wire(tx_hash, _i(chain), _i(nonce), _i(tip), _i(fee), _i(gas), "0x" + to.hex(), _i(value), data)
    nonce, price, gas, to, value, data, v = _rlp(raw)[0][:7]
    return Wire(tx_hash, (_i(v) - 35) // 2, _i(nonce), _i(price), _i(price), _i(gas), "0x" + to.hex(), _i(value), data)


def _i(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _rlp(data: bytes) -> tuple[Any, int]:
    """Decode the first item; returns it and its length."""
    first = data[0]
    if first < 0x80:
        return data[:1], 1
    short = first < 0xB8 or 0xC0 <= first < 0xF8
    base = 0x80 if first < 0xC0 else 0xC0
    if short:
        start, size = 1, first - base
    else:
        width = first - base - 55
        start, size = 1 + width, _i(data[1 : 1 + width])
    body = data[start : start + size]
    if base == 0x80:
        return body, start + size
    items, at = [], 0
    while at < size:
        item, used = _rlp(body[at:])
        items.append(item)
        at += used
    return items, start + size
