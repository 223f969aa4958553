"""Every read of a chain, put to one source of answers: the pool, or a single endpoint of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from keeper.chain import fees
from keeper.chain.endpoint import Endpoint
from keeper.chain.multicall import Multicall
from keeper.chain.quantity import uint
from keeper.chain.receipts import parse_receipt
from keeper.chain.sight import View, look, parse_header
from keeper.chain.simulate import Simulator
from keeper.chain.source import Source
from keeper.domain.block import BlockRef
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.plan import Call
from keeper.domain.reads import Read, ReadResult
from keeper.domain.transaction import FeeQuote, Nonces, Receipt, Simulation
from keeper.errors import BadReply, KeeperError, RpcRejected, StaleHead

__all__ = ["Reader"]

#: How far back blocks are looked through for a taken nonce where old state is gone, and how many are asked for at once.
_SCANNED_BLOCKS: Final = 5_000
_BLOCKS_AT_ONCE: Final = 25


class Reader:
    """Reads of one chain. Threads may share it. Errors are as in ``ports.Chain``."""

    def __init__(self, facts: ChainFacts, source: Source, multicall: Multicall, simulator: Simulator) -> None:
        """Nothing is sent until something is asked."""
        self.facts = facts
        self.source = source
        self.multicall = multicall
        self.simulator = simulator

    def head(self) -> BlockRef:
        """Return the newest block."""
        return self.source.ask(self._newest)

    def block(self, number: int) -> BlockRef | None:
        """Return the canonical block at a height, or ``None`` above the head."""
        answer = self.source.call("eth_getBlockByNumber", (hex(number), False))
        return parse_header(answer, self.facts.name, number)

    def blocks(self, numbers: Sequence[int]) -> list[BlockRef | None]:
        """Return the canonical blocks at some heights, as one endpoint sees them."""
        answers = self.source.batch([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])
        return [
            parse_header(_or_raise(answer), self.facts.name, number)
            for number, answer in zip(numbers, answers, strict=True)
        ]

    def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
        """Answer all reads at one block, in order, in few requests."""
        return self.multicall.read(reads, block, self.source)

    def fees(self) -> FeeQuote:
        """Price gas in the next block."""
        return fees.quote(self.source, self.facts)

    def simulate(
        self, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef | None = None
    ) -> Simulation:
        """Run calls as ``owner`` on top of ``block``; those after the first failing one are not reported."""
        return self.simulator.run(owner, calls, tokens, block or self.head(), self.source)

    def l1_fee_wei(self, data: bytes) -> int:
        """Return the L1 data fee of a transaction with this calldata; 0 where the chain has none."""
        return fees.l1_fee_wei(self.source, self.facts, data)

    def look(self, account: Address, hashes: Sequence[str], heights: Sequence[int]) -> View:
        """Look at everything that an account has in flight, as one endpoint sees it."""

        def question(endpoint: Endpoint) -> View:
            view = look(endpoint, self.facts, account, hashes, heights)
            self.source.hear(endpoint, view.head.number)
            return view

        return self.source.ask(question)

    def nonces(self, account: Address) -> Nonces:
        """Return transaction counts, both as one endpoint sees them."""
        method = "eth_getTransactionCount"
        answers = self.source.batch([(method, (account, "latest")), (method, (account, "pending"))])
        latest, pending = (uint(_or_raise(answer), "a transaction count") for answer in answers)
        return Nonces(latest, pending)

    def used_by(self, account: Address, nonce: int) -> tuple[str, int] | None:
        """Return hash and block of the mined transaction with this nonce: the proof that the nonce is gone.

        Looks where the account's transaction count crosses the nonce; ``None`` when it has not, or when the endpoint no
        longer has the state of that time.
        """
        high, step = self.head().number, 1
        try:
            if self._count(account, high) <= nonce:
                return None
            while high - step > 0 and self._count(account, high - step) > nonce:
                step *= 4
            low = max(high - step, 0)  # count(low) <= nonce < count(high), or low is the first block
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._count(account, middle) > nonce else (middle, high)
        except (RpcRejected, StaleHead):  # a node that keeps no old state still has the blocks
            return self._scan(account, nonce, high)
        return _with_nonce(self.source.call("eth_getBlockByNumber", (hex(high), True)), account, nonce, high)

    def balance(self, account: Address) -> int:
        """Return the wei held by an account."""
        return self.balance_at(account, "latest")

    def balance_at(self, account: Address, tag: str) -> int:
        """Return the wei held by an account at a block, given as a hex height or a tag."""
        return uint(self.source.call("eth_getBalance", (account, tag)), "a balance")

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return a receipt, or ``None`` when the chain does not have it (which proves nothing)."""
        answer = self.source.call("eth_getTransactionReceipt", (tx_hash,))
        return parse_receipt(answer, tx_hash, self.facts.wrapped_native)

    def _newest(self, endpoint: Endpoint) -> BlockRef:
        block = parse_header(endpoint.call("eth_getBlockByNumber", ("latest", False)), self.facts.name)
        if block is None:
            raise BadReply(f"an endpoint of {self.facts.name} has no newest block. Use another endpoint.")
        self.source.hear(endpoint, block.number)
        return block

    def _count(self, account: Address, number: int) -> int:
        return uint(self.source.call("eth_getTransactionCount", (account, hex(number))), "a transaction count")

    def _scan(self, account: Address, nonce: int, head: int) -> tuple[str, int] | None:
        """Look through the last blocks themselves, newest first; ``None`` when they do not go back far enough."""
        oldest = max(head - _SCANNED_BLOCKS, 0)
        for top in range(head, oldest, -_BLOCKS_AT_ONCE):
            numbers = range(top, max(top - _BLOCKS_AT_ONCE, oldest), -1)
            blocks = self.source.batch([("eth_getBlockByNumber", (hex(number), True)) for number in numbers])
            for number, block in zip(numbers, blocks, strict=True):
                if (found := _with_nonce(block, account, nonce, number)) is not None:
                    return found
        return None


def _with_nonce(block: Any, account: Address, nonce: int, number: int) -> tuple[str, int] | None:
    """Find an account's transaction with this nonce in a block's full body."""
    if block is None or isinstance(block, KeeperError):
        return None
    bodies = block.get("transactions") if isinstance(block, dict) else None
    if not isinstance(bodies, list) or not all(isinstance(tx, dict) for tx in bodies):
        raise BadReply(f"a node answered block {number} without its transactions. Use another endpoint.")
    for tx in bodies:
        if str(tx.get("from")).lower() == account and uint(tx.get("nonce"), "a nonce") == nonce:
            return str(tx.get("hash")).lower(), number
    return None


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, KeeperError):
        raise answer
    return answer
