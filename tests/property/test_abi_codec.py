"""keeper.abi against eth_abi: the same bytes, the same values, and no crash on bytes that are no answer."""

import eth_abi
import pytest
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from keeper.abi import Fn, checksum, decode, encode
from keeper.domain.reads import ReadResult
from keeper.errors import ReadFailed

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())

BASIC = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint112": st.integers(0, 2**112 - 1),
    "uint8": st.integers(0, 255),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "int128": st.integers(-(2**127), 2**127 - 1),
    "int24": st.integers(-(2**23), 2**23 - 1),
    "bool": st.booleans(),
    "address": ADDRESSES,
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes": st.binary(max_size=100),
    "string": st.text(max_size=40),
}


@st.composite
def typed(draw, depth=2):
    """A type and a value of it."""
    shape = draw(st.sampled_from(["basic", "basic", "array", "tuple"])) if depth else "basic"
    if shape == "array":
        kind, _ = draw(typed(depth=depth - 1))
        return kind + "[]", draw(st.lists(value_of(kind), max_size=4))
    if shape == "tuple":
        parts = draw(st.lists(typed(depth=depth - 1), min_size=1, max_size=4))
        return "(" + ",".join(kind for kind, _ in parts) + ")", tuple(value for _, value in parts)
    kind = draw(st.sampled_from(sorted(BASIC)))
    return kind, draw(BASIC[kind])


def value_of(kind: str):
    if kind.endswith("[]"):
        return st.lists(value_of(kind[:-2]), max_size=3)
    if kind.startswith("("):
        from keeper.abi import _split

        return st.tuples(*(value_of(part) for part in _split(kind[1:-1])))
    return BASIC[kind]


def plain(value):
    """Tuples and lists alike."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@given(st.lists(typed(), min_size=0, max_size=5))
def test_encodes_the_same_bytes(pairs):
    kinds, values = [kind for kind, _ in pairs], [value for _, value in pairs]
    assert encode(kinds, values) == eth_abi.encode(kinds, values)


@given(st.lists(typed(), min_size=1, max_size=5))
def test_decodes_what_the_oracle_encoded(pairs):
    kinds, values = [kind for kind, _ in pairs], [value for _, value in pairs]
    assert plain(decode(kinds, eth_abi.encode(kinds, values))) == plain(values)


@given(
    st.sampled_from(["uint256", "bool", "address", "uint256[]", "(uint256,bytes)[]", "string", "int24", "bytes4"]),
    st.binary(max_size=200),
)
def test_what_the_oracle_decodes_we_decode_alike_and_otherwise_raise_valueerror(kind, data):
    try:
        expected = eth_abi.decode([kind], data, strict=False)
    except (DecodingError, UnicodeDecodeError, OverflowError):
        expected = None
    try:
        got = decode([kind], data)
    except ValueError:
        return
    if expected is not None and kind != "string":
        assert plain(got) == plain(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint8", 256), ("uint256", -1), ("int24", 2**23), ("uint256", "1"), ("bytes4", b"123"), ("address", "0x12")],
)
def test_what_does_not_fit_is_refused(kind, value):
    with pytest.raises(ValueError):
        encode([kind], [value])


@given(st.integers(0, 255).flatmap(lambda value: st.tuples(st.just(value), st.integers(1, 2**200))))
def test_dirty_small_integers_are_refused(pair):
    value, dirt = pair
    with pytest.raises(ValueError):
        decode(["uint8"], ((dirt << 8) | value).to_bytes(32, "big"))


@given(ADDRESSES)
def test_checksum_is_eip_55(address):
    from eth_utils import to_checksum_address

    assert checksum(address) == to_checksum_address(address)


def test_a_reverted_read_says_why():
    function = Fn("f()", "uint256")
    data = bytes.fromhex("08c379a0") + eth_abi.encode(["string"], ["boom"])
    with pytest.raises(ReadFailed, match="boom"):
        function.value(ReadResult(False, data))
    with pytest.raises(ReadFailed, match="0 bytes"):
        function.value(ReadResult(True, b""))
