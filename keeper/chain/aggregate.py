"""Multicall3's ``aggregate3`` by hand: many view calls as one, bytes in and bytes out.

Writing out the layout costs a fiftieth of what a general ABI codec costs; ``eth_abi`` is the oracle in the tests.
Layout of the argument: word 0x20, count, one offset per call, then per call (target, 1, 0x60, length, data, padding).
Layout of the answer: word 0x20, count, one offset per result, then per result (success, 0x40, length, data, padding).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Final

from keeper.domain.reads import Read, ReadResult
from keeper.errors import BadReply

__all__ = ["SELECTOR", "answer_size", "decode", "encode", "request_size"]

#: ``aggregate3((address,bool,bytes)[])``.
SELECTOR: Final = bytes.fromhex("82ad56cb")

_WORD: Final = 32
_HEAD: Final = (_WORD).to_bytes(_WORD, "big")
#: allowFailure = true, then the offset of the data inside the tuple.
_ALLOW_AND_OFFSET: Final = (1).to_bytes(_WORD, "big") + (0x60).to_bytes(_WORD, "big")
_PAD_12: Final = bytes(12)


def _padded(size: int) -> int:
    return size + -size % _WORD


def request_size(read: Read) -> int:
    """Bytes that one call adds to the argument."""
    return 5 * _WORD + _padded(len(read.data))


def answer_size(read: Read) -> int:
    """Bytes that one result is expected to add to the answer."""
    return 4 * _WORD + _padded(read.result_bytes)


def encode(reads: Sequence[Read]) -> bytes:
    """Encode calldata of ``aggregate3`` with every call allowed to fail."""
    count = len(reads)
    offsets: list[bytes] = []
    tuples: list[bytes] = []
    at = count * _WORD
    for read in reads:
        size = len(read.data)
        offsets.append(at.to_bytes(_WORD, "big"))
        tuples += (
            _PAD_12,
            bytes.fromhex(read.target[2:]),
            _ALLOW_AND_OFFSET,
            size.to_bytes(_WORD, "big"),
            read.data,
            bytes(-size % _WORD),
        )
        at += 4 * _WORD + _padded(size)
    return b"".join((SELECTOR, _HEAD, count.to_bytes(_WORD, "big"), *offsets, *tuples))


def decode(raw: bytes, count: int) -> list[ReadResult]:
    """Decode an answer of exactly ``count`` results.

    Raises:
        BadReply: when bytes are missing, out of place or of another count.
    """
    words = _low_words(raw)
    if len(words) < 2 + count or words[0] != _WORD or words[1] != count:
        raise BadReply(f"Multicall3 answered {len(raw)} bytes that are not {count} results. Use another endpoint.")
    results: list[ReadResult] = []
    add = results.append
    size = len(raw)
    for offset in words[2 : 2 + count]:
        # Success, 0x40 and length are the words behind the two that offsets are counted from.
        word = (offset >> 5) + 2
        begin = offset + 5 * _WORD
        if begin > size or offset & 31:
            raise _out_of_place(len(results), count)
        end = begin + words[word + 2]
        success = words[word]
        if end > size or success > 1 or words[word + 1] != 2 * _WORD:
            raise _out_of_place(len(results), count)
        add(ReadResult(success == 1, raw[begin:end]))
    return results


def _out_of_place(index: int, count: int) -> BadReply:
    return BadReply(f"Multicall3's result {index} of {count} is out of place. Use another endpoint.")


def _low_words(raw: bytes) -> array[int]:
    """Return the low eight bytes of every whole word as integers, without a loop in Python."""
    words = array("Q", raw[: len(raw) - len(raw) % _WORD])
    if sys.byteorder == "little":
        words.byteswap()
    return words[3::4]
