"""Calls as text: what is understood, what is refused and how that is said, and what may be signed."""

from __future__ import annotations

import contextlib

import eth_abi
import pytest
from adapter_kit import OWNER, STRANGER, addr, permitted
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.reads import ReadResult
from keeper.errors import ReadFailed
from keeper.protocols.grammar import parse_call

PLACES = ("owner", "amount")
FARM = addr(7)


def test_call_is_encoded_as_the_abi_says():
    call = parse_call("claim(uint256=12, address:owner, bool=true, int24=-60, address=" + STRANGER + ")", PLACES)

    expected = keccak(b"claim(uint256,address,bool,int24,address)")[:4] + eth_abi.encode(
        ["uint256", "address", "bool", "int24", "address"], [12, OWNER, True, -60, STRANGER]
    )
    assert call.encode({"owner": OWNER}) == expected
    assert call.places == {"owner"}
    assert call.target(FARM) == FARM


def test_bytes32_and_hex_numbers():
    call = parse_call("x(bytes32=0x" + "ab" * 32 + ",uint8=0xff)")
    assert call.encode({})[4:] == b"\xab" * 32 + (255).to_bytes(32, "big")


def test_another_contract_and_another_word():
    call = parse_call(f"userInfo(uint256=3,address:owner)[2]@{STRANGER}")

    assert call.read(FARM, {"owner": OWNER}).target == STRANGER
    assert call.value(ReadResult(True, eth_abi.encode(["uint256"] * 3, [1, 2, 3]))) == 3
    with pytest.raises(ReadFailed, match="no word 2"):
        call.value(ReadResult(True, bytes(64)))
    with pytest.raises(ReadFailed, match="reverted"):
        call.value(ReadResult(False, b""))


def test_token_is_an_address_and_not_nothing():
    call = parse_call("token()")
    assert call.token(ReadResult(True, eth_abi.encode(["address"], [FARM]))) == FARM
    for number in (0, 1 << 160):
        with pytest.raises(ReadFailed, match="no token"):
            call.token(ReadResult(True, number.to_bytes(32, "big")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a call"),
        ("getReward", "is not a call"),
        ("getReward()()", "is not a call"),
        ("get Reward()", "is not a call"),
        ("a(b(uint256=1))", "is not a call"),
        ("x" * 500 + "()", "is not a call"),
        ("f()[99]", r"\[99\] is no word"),
        ("f()@0x12", "is not a call"),
        ("f(uint256)", "is not an argument"),
        ("f(uint256=)", "is not an argument"),
        ("f(,)", "is not an argument"),
        ("f(uint256[]=1)", "is not an argument"),
        ("f(uint=1)", "must say its size: uint256"),
        ("f(uint7=1)", "is not a type"),
        ("f(uint264=1)", "is not a type"),
        ("f(bytes=0x12)", "is not a type"),
        ("f(string=hello)", "is not a type"),
        ("f(address:me)", "placeholders: owner, amount"),
        ("f(uint256:owner)", "owner is of type address"),
        ("f(address:amount)", "amount is of type uint256"),
        ("f(int256:amount)", "amount is of type uint256"),
        ("f(uint8=256)", "is no uint8"),
        ("f(uint256=-1)", "is no uint256"),
        ("f(uint256=1_0x)", "is no uint256"),
        ("f(address=0x1234)", "is no address"),
        ("f(bytes32=0x12)", "is no bytes32"),
        ("f(bool=1)", "is no bool"),
        ("f(" + ",".join(["uint256=1"] * 17) + ")", "17 arguments"),
    ],
)
def test_mistakes_are_worded(text, words):
    with pytest.raises(ValueError, match=words):
        parse_call(text, PLACES)


@given(amount=st.integers(0, 2**256 - 1), pool=st.integers(0, 2**256 - 1), who=st.sampled_from([OWNER, STRANGER, FARM]))
def test_only_the_written_call_is_permitted(amount, pool, who):
    allowed = [
        parse_call("deposit(uint256=12,uint256:amount,address:owner)", PLACES).permission(
            FARM, {"owner": OWNER}, "deposit"
        )
    ]
    data = keccak(b"deposit(uint256,uint256,address)")[:4] + eth_abi.encode(
        ["uint256", "uint256", "address"], [pool, amount, who]
    )
    assert permitted(allowed, FARM, data) is (pool == 12 and who == OWNER and amount < 2**128)


@given(st.text(max_size=60))
def test_any_text_is_a_call_or_a_worded_mistake(text):
    with contextlib.suppress(ValueError):
        call = parse_call(text, PLACES)
        assert call.encode({"owner": OWNER})[:4] == keccak(call.fn.signature.encode())[:4]
