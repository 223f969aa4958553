"""aggregate3 by hand against eth_abi, the count check, and the three budgets."""

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import aggregate
from keeper.chain.budget import Budget, load, too_much
from keeper.domain.money import Address
from keeper.domain.reads import Read, ReadResult
from keeper.errors import BadReply, RpcRejected, RpcTimeout, RpcUnavailable

READS = st.lists(
    st.builds(
        Read,
        st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex())),
        st.binary(max_size=120),
        st.integers(0, 500),
        st.integers(0, 3_000_000),
    ),
    max_size=40,
)
RESULTS = st.lists(st.tuples(st.booleans(), st.binary(max_size=150)), max_size=40)


@given(READS)
def test_encodes_what_eth_abi_encodes(reads):
    oracle = eth_abi.encode(["(address,bool,bytes)[]"], [[(read.target, True, read.data) for read in reads]])
    assert aggregate.encode(reads) == bytes.fromhex("82ad56cb") + oracle
    assert len(aggregate.encode(reads)) == 4 + 64 + sum(aggregate.request_size(read) for read in reads)


@given(RESULTS)
def test_decodes_what_eth_abi_encodes(results):
    raw = eth_abi.encode(["(bool,bytes)[]"], [results])
    assert aggregate.decode(raw, len(results)) == [ReadResult(*result) for result in results]


@given(RESULTS, st.integers(-3, 3).filter(bool))
def test_another_count_is_refused(results, difference):
    raw = eth_abi.encode(["(bool,bytes)[]"], [results])
    with pytest.raises(BadReply):
        aggregate.decode(raw, max(0, len(results) + difference) if len(results) + difference >= 0 else 9)


@given(RESULTS.filter(bool), st.data())
def test_truncated_or_scrambled_bytes_are_refused_or_counted(results, data):
    raw = bytearray(eth_abi.encode(["(bool,bytes)[]"], [results]))
    cut = data.draw(st.integers(0, len(raw) - 1))
    raw[cut] ^= data.draw(st.integers(1, 255))
    try:
        decoded = aggregate.decode(bytes(raw), len(results))
    except BadReply:
        return
    assert len(decoded) == len(results)


@given(RESULTS.filter(bool), st.data())
def test_missing_bytes_are_refused(results, data):
    raw = eth_abi.encode(["(bool,bytes)[]"], [results])
    kept = data.draw(st.integers(0, len(raw) - 33))
    with pytest.raises(BadReply):
        aggregate.decode(raw[:kept], len(results))


@given(READS)
def test_cuts_cover_everything_once_and_fit(reads):
    budget = Budget(return_bytes=3_000, gas=100_000, body_bytes=5_000)
    runs = budget.cut(reads)
    assert [index for start, stop in runs for index in range(start, stop)] == list(range(len(reads)))
    for start, stop in runs:
        need = load(reads[start:stop])
        fits = (
            need.return_bytes <= budget.return_bytes and need.gas <= budget.gas and need.body_bytes <= budget.body_bytes
        )
        assert fits or stop - start == 1


def test_three_reads_a_position_fill_a_chunk_with_187_positions():
    target = Address("0x" + "11" * 20)
    reads = [Read(target, bytes(68), 32), Read(target, bytes(68), 64), Read(target, bytes(36), 32)] * 1_000
    sizes = [stop - start for start, stop in Budget().cut(reads)]
    assert all(186 * 3 < size <= 188 * 3 for size in sizes[:-1])
    assert len(sizes) == 6


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RpcRejected("out of gas"), "gas"),
        (RpcRejected("call returned result of length 120000 exceeding limit 100000"), "return_bytes"),
        (RpcRejected("x", code=413), "body_bytes"),
        (RpcTimeout("late"), "gas"),
        (RpcRejected("execution aborted (timeout = 5s)"), "gas"),
        (RpcRejected("batch too large"), "gas"),
        (RpcRejected("execution reverted"), None),
        (RpcUnavailable("gone"), None),
    ],
)
def test_refusals_for_size_are_told_from_others(error, kind):
    assert too_much(error) == kind


def test_lowering_never_raises_and_never_reaches_zero():
    read = Read(Address("0x" + "11" * 20), b"")
    lowered = Budget(gas=1_000).lowered("gas", load([read] * 100))
    assert lowered.gas == 1_000
    assert Budget().lowered("gas", load([])).gas == 1
