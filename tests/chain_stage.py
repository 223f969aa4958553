"""A local chain to act on: hold conversations, run calls as anybody, give tokens, let blocks pass."""

from __future__ import annotations

from collections.abc import Sequence

from adapter_kit import converse, fill

from keeper.chain.anvil import LocalNode
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.plan import Call, Leg
from keeper.domain.reads import Read, ReadResult
from keeper.domain.transaction import Receipt
from keeper.erc20 import BALANCE_OF
from keeper.ports import Chain, Questions


class Stage:
    """Real contracts on a node of our own."""

    def __init__(self, node: LocalNode, chain: Chain) -> None:
        self.node = node
        self.chain = chain

    @property
    def interval(self) -> int:
        """Seconds between blocks, as the chain's facts say."""
        return self.chain.facts.block_time_ms // 1000

    def head(self) -> BlockRef:
        return self.chain.head()

    def read(self, reads: Sequence[Read]) -> list[ReadResult]:
        return self.chain.read(reads, self.head())

    def talk(self, questions: Questions):
        return converse(questions, self.read)

    def balance(self, token: Token, who: Address) -> int:
        (result,) = self.read([BALANCE_OF.read(token.address, who)])
        return BALANCE_OF.value(result)

    def pass_blocks(self, count: int) -> BlockRef:
        start = self.head().timestamp
        for index in range(1, count + 1):
            self.node.rpc("evm_setNextBlockTimestamp", start + index * self.interval)
            self.node.rpc("evm_mine")
        return self.head()

    def warp_to(self, timestamp: int) -> BlockRef:
        self.node.rpc("evm_setNextBlockTimestamp", timestamp)
        self.node.rpc("evm_mine")
        return self.head()

    def deal(self, token: Token, who: Address, raw: int) -> None:
        """Set a balance outright."""
        self.node.rpc("anvil_dealERC20", who, token.address, hex(raw))
        assert self.balance(token, who) == raw, f"the node could not give {token.symbol}"

    def send(self, sender: Address, to: Address, data: bytes) -> Receipt:
        """Mine one transaction as anybody, without a key."""
        self.node.rpc("anvil_setBalance", sender, hex(10**20))
        self.node.rpc("anvil_impersonateAccount", sender)
        fields = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
        tx_hash = self.node.rpc("eth_sendTransaction", fields)
        if self.chain.receipt(tx_hash) is None:
            self.node.rpc("evm_mine")
        receipt = self.chain.receipt(tx_hash)
        assert receipt is not None
        return receipt

    def run(self, sender: Address, legs: Sequence[Leg], have: dict[str, int]) -> list[Receipt]:
        """Run legs one after another with these amounts; every one must succeed."""
        receipts = []
        for call in self.calls(legs, have):
            receipt = self.send(sender, call.to, call.data)
            assert receipt.status == 1, f"{call.label} reverted"
            receipts.append(receipt)
        return receipts

    def calls(self, legs: Sequence[Leg], have: dict[str, int]) -> list[Call]:
        """Fill legs for the next block: deadlines count from there, however long this chain's blocks take."""
        return [fill(leg, have, self.head().timestamp + self.interval) for leg in legs]
