"""The search in logs: newest first, narrower where it is refused, bounded, and honest about how far it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from keeper.chain.logs import TRANSFER, Scan, received
from keeper.domain.money import Address
from keeper.errors import BadReply, RpcRejected

OWNER = Address("0x" + "11" * 20)
NFT, TOKEN = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


def topic(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


class Node:
    """An endpoint with some transfers by block, that refuses wider ranges than it likes."""

    def __init__(self, widest: int, transfers: Mapping[int, tuple[Address, int | None]] | None = None) -> None:
        self.widest = widest
        self.transfers = transfers or {}
        self.asked: list[tuple[int, int]] = []
        self.filters: list[Mapping[str, Any]] = []

    def __call__(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        low, high = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        self.asked.append((low, high))
        self.filters.append(wanted)
        if high - low + 1 > self.widest:
            raise RpcRejected("query exceeds max block range", code=-32005)
        return [
            {
                "address": contract.upper().replace("0X", "0x"),
                "topics": [TRANSFER, topic("0x" + "00" * 20), topic(OWNER)] + ([hex(nft)] if nft is not None else []),
            }
            for block, (contract, nft) in self.transfers.items()
            if low <= block <= high
        ]


def test_a_willing_endpoint_is_asked_once_for_everything() -> None:
    node = Node(10**9, {5: (NFT, 7), 90: (TOKEN, None)})

    scan = received(node, OWNER, first=0, last=1_000_000)

    assert node.asked == [(0, 1_000_000)]
    assert [(t.contract, t.token_id) for t in scan.transfers] == [(TOKEN, None), (NFT, 7)]
    assert (scan.reached, scan.stopped, scan.requests) == (0, "", 1)


@pytest.mark.parametrize("widest", [500, 999, 2_000, 10_000, 99_999])
def test_a_narrow_endpoint_is_asked_for_every_block_exactly_once(widest: int) -> None:
    node = Node(widest, {3: (NFT, 1), 44_000: (NFT, 2), 100_000: (NFT, 3)})

    scan = received(node, OWNER, first=3, last=100_000, most_requests=1_000)

    answered = [(low, high) for low, high in node.asked if high - low < widest]
    assert [high for _, high in answered] == [100_000, *(low - 1 for low, _ in answered[:-1])], "no gap, no overlap"
    assert answered[-1][0] == 3
    assert [t.token_id for t in scan.transfers] == [3, 2, 1], "newest first"
    assert len(node.asked) <= 100_000 // widest * 4 + 20


def test_the_search_is_bounded_and_says_how_far_it_went() -> None:
    scan = received(Node(1_000), OWNER, first=0, last=10_000_000, most_requests=20)

    assert scan.requests == 20
    assert 0 < scan.reached < 10_000_000
    assert "20 requests" in scan.stopped


def test_an_endpoint_that_refuses_any_range_is_an_error() -> None:
    with pytest.raises(RpcRejected):
        received(Node(0), OWNER, first=0, last=1_000_000)


def test_an_endpoint_that_refuses_old_blocks_ends_the_search() -> None:
    class Pruned(Node):
        def __call__(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
            if int(wanted["fromBlock"], 16) < 90_000:
                raise RpcRejected("missing trie node", code=-32000)
            return super().__call__(wanted)

    scan = received(Pruned(10**9, {95_000: (NFT, 9)}), OWNER, first=0, last=100_000)

    assert [t.token_id for t in scan.transfers] == [9]
    assert scan.reached <= 90_500
    assert "missing trie node" in scan.stopped


def test_the_filter_names_receiver_contracts_and_the_zero_address() -> None:
    node = Node(10**9)

    received(node, OWNER, first=0, last=1, contracts=(NFT,))
    received(node, OWNER, first=0, last=1, minted=True)

    assert node.filters[0]["topics"] == [TRANSFER, None, topic(OWNER)]
    assert node.filters[0]["address"] == [NFT]
    assert node.filters[1]["topics"] == [TRANSFER, topic("0x" + "00" * 20), topic(OWNER)]
    assert "address" not in node.filters[1]


@pytest.mark.parametrize("answer", [None, "x", [1], [{}], [{"address": NFT, "topics": [TRANSFER, "", "", "zz"]}]])
def test_nonsense_is_no_answer(answer: Any) -> None:
    with pytest.raises(BadReply):
        received(lambda _: answer, OWNER, first=0, last=10)


def test_an_empty_range_asks_nothing() -> None:
    assert received(Node(1), OWNER, first=5, last=4) == Scan(reached=5)
