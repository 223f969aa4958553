"""Receipts: costs, and which logs are ERC-20 transfers."""

import pytest

from keeper.chain.receipts import parse_receipt
from keeper.errors import BadReply

HASH = "0x" + "11" * 32
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TOKEN = "0x" + "Aa" * 20


def topic(n: int) -> str:
    return f"0x{n:064x}"


def log(topics, data=None, index="0x2", **more):
    return {"address": TOKEN, "topics": topics, "data": topic(7) if data is None else data, "logIndex": index} | more


def receipt(**changes):
    base = {
        "transactionHash": HASH,
        "blockNumber": "0x10",
        "blockHash": "0x" + "22" * 32,
        "status": "0x1",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x3",
        "logs": [],
    }
    return base | changes


def test_costs_are_read():
    parsed = parse_receipt(receipt(l1Fee="0x64"), HASH)
    assert parsed.cost_wei == 21_000 * 3 + 100
    assert (parsed.block_number, parsed.status, parsed.tx_hash) == (16, 1, HASH)


def test_transfers_of_anybody_are_read_in_order():
    parsed = parse_receipt(
        receipt(logs=[log([TRANSFER, topic(1), topic(2)]), log([TRANSFER, topic(3), topic(4)], index="0x5")]), HASH
    )
    assert [(t.token, t.sender[-1], t.recipient[-1], t.raw, t.log_index) for t in parsed.transfers] == [
        (TOKEN.lower(), "1", "2", 7, 2),
        (TOKEN.lower(), "3", "4", 7, 5),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        log([TRANSFER, topic(1), topic(2), topic(3)], "0x"),
        log([TRANSFER], topic(1) + topic(2)[2:] + topic(3)[2:]),
        log(["0x" + "00" * 32, topic(1), topic(2)]),
        log([TRANSFER, topic(1), topic(2)], "0x"),
        log([TRANSFER, topic(1), topic(2)], topic(7) + "00" * 32),
        log([]),
        log([TRANSFER, topic(1), topic(2)], removed=True),
        "x",
    ],
)
def test_other_events_are_no_transfers(odd):
    assert parse_receipt(receipt(logs=[odd]), HASH).transfers == ()


@pytest.mark.parametrize("answer", [None, receipt(blockHash=None), receipt(blockNumber=None)])
def test_no_receipt_is_none(answer):
    assert parse_receipt(answer, HASH) is None


@pytest.mark.parametrize(
    "answer",
    [
        "x",
        {},
        receipt(transactionHash="0x" + "33" * 32),
        receipt(status=None),
        receipt(gasUsed="x"),
        receipt(gasUsed="-0x5"),
        receipt(effectiveGasPrice=None),
        receipt(logs=None),
    ],
)
def test_another_receipt_or_an_incomplete_one_is_bad(answer):
    with pytest.raises(BadReply):
        parse_receipt(answer, HASH)


def test_old_chains_say_gas_price():
    answer = receipt(gasPrice="0x9")
    del answer["effectiveGasPrice"]
    assert parse_receipt(answer, HASH).effective_gas_price_wei == 9


WITHDRAWAL = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"
NOBODY = "0x" + "00" * 20


def moved(logs, wrapped="0x" + "aa" * 20):
    found = parse_receipt(receipt(logs=logs), HASH, wrapped).transfers
    return [(t.sender[-1], t.recipient[-1], t.raw, t.log_index) for t in found]


def test_unwrapping_gas_is_read_as_a_transfer_to_nobody_in_its_place():
    logs = [
        log([TRANSFER, topic(1), topic(2)], index="0x2"),
        log([WITHDRAWAL, topic(3)], index="0x3"),
        log([TRANSFER, topic(4), topic(5)], index="0x4"),
    ]
    assert moved(logs) == [("1", "2", 7, 2), ("3", "0", 7, 3), ("4", "5", 7, 4)]
    (_, burnt, _) = parse_receipt(receipt(logs=logs), HASH, TOKEN.lower()).transfers
    assert (burnt.token, burnt.recipient) == (TOKEN.lower(), NOBODY)


def test_a_withdrawal_that_is_told_as_a_burn_too_counts_once():
    burn, told = log([TRANSFER, topic(3), topic(0)], index="0x1"), log([WITHDRAWAL, topic(3)], index="0x2")
    more = log([WITHDRAWAL, topic(3)], topic(8), index="0x3")
    assert moved([burn, told]) == moved([told, burn]) == [("3", "0", 7, 1)]
    assert moved([burn, told, more]) == [("3", "0", 7, 1), ("3", "0", 8, 3)]
    again = log([WITHDRAWAL, topic(3)], index="0x4")
    assert moved([burn, told, again]) == [("3", "0", 7, 1), ("3", "0", 7, 4)]


@pytest.mark.parametrize(
    ("odd", "wrapped"),
    [
        (log([WITHDRAWAL, topic(3)]), "0x" + "bb" * 20),
        (log([WITHDRAWAL, topic(3)]), None),
        (log([WITHDRAWAL, topic(3), topic(4)]), TOKEN.lower()),
        (log([WITHDRAWAL, topic(3)], topic(7) + "00" * 32), TOKEN.lower()),
        (log([WITHDRAWAL, topic(3)], removed=True), TOKEN.lower()),
        (log([WITHDRAWAL]), TOKEN.lower()),
    ],
)
def test_events_of_that_name_of_anybody_else_are_left_out(odd, wrapped):
    assert moved([odd], wrapped) == []
