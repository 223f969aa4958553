"""Token metadata as real and hostile contracts answer it."""

from __future__ import annotations

import eth_abi
import pytest
from adapter_kit import World, addr, token

from keeper.abi import Fn
from keeper.domain.reads import ReadResult
from keeper.erc20 import ask_parts, ask_tokens, optional, token_from
from keeper.errors import ReadFailed


def made_of(symbol: bytes, decimals: int = 6):
    results = [ReadResult(bool(symbol), symbol), ReadResult(True, eth_abi.encode(["uint256"], [decimals]))]
    return token_from("test", addr(0xABC), results)


def test_symbol_may_be_string_bytes32_or_missing():
    assert made_of(eth_abi.encode(["string"], ["USDC"])).symbol == "USDC"
    assert made_of(b"MKR" + bytes(29)).symbol == "MKR"
    assert made_of(b"").symbol == "0x0040..0abc"
    assert made_of(b"\xff" * 70).symbol == "0x0040..0abc"


def test_hostile_symbol_cannot_reach_a_terminal():
    assert made_of(eth_abi.encode(["string"], ["\x1b[2J\nUSDC" + "x" * 99])).symbol == "[2JUSDC" + "x" * 17


@pytest.mark.parametrize("decimals", [37, 255, 256, 2**200])
def test_absurd_decimals_are_refused(decimals):
    with pytest.raises(ReadFailed):
        made_of(b"", decimals)


def test_contract_without_decimals_is_no_token():
    with pytest.raises(ReadFailed, match="not an ERC-20"):
        World().talk(ask_tokens("test", [addr(1)]))


def test_only_a_whole_pair_counts_as_lp():
    world, lp = World(), token(1, "LP")
    world.put_pair(lp, token(2), token(3))
    assert [t.address for t in world.talk(ask_parts(lp))] == [addr(2), addr(3)]

    world.remove(lp.address, "getReserves()")
    assert world.talk(ask_parts(lp)) == ()


def test_optional_view_that_is_missing_or_not_a_word_is_none():
    fn = Fn("paused()", "bool")

    assert optional(fn, ReadResult(False, b"")) is None
    assert optional(fn, ReadResult(True, b"")) is None
    assert optional(fn, ReadResult(True, b"\0" * 31 + b"\x02")) is None
    assert optional(fn, ReadResult(True, b"\0" * 31 + b"\x01")) == 1
