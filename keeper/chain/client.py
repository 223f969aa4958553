"""One EVM chain as the engine sees it (``ports.Chain``): reads, fees, simulation, nonces and receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from keeper.chain import fees
from keeper.chain.endpoint import DEFAULT_TIMEOUT, Endpoint
from keeper.chain.multicall import Multicall
from keeper.chain.pool import Pool
from keeper.chain.quantity import raw_bytes, uint
from keeper.chain.receipts import parse_receipt
from keeper.chain.sight import look, parse_header, sight_of
from keeper.chain.simulate import Simulator
from keeper.domain.block import BlockRef
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.plan import Call
from keeper.domain.reads import Read, ReadResult
from keeper.domain.transaction import FeeQuote, Receipt, Sight, Simulation
from keeper.errors import BadReply, RpcRejected
from keeper.ports import EventSink, Nonces

__all__ = ["EvmChain", "open_chain", "raw_sender"]


#: How far back blocks are looked through for a taken nonce where old state is gone, and how many are asked for at once.
_SCANNED_BLOCKS: Final = 5_000
_BLOCKS_AT_ONCE: Final = 25


class EvmChain:
    """A chain through its pool of endpoints. Threads may share it. Errors are as in ``ports.Chain``."""

    def __init__(self, facts: ChainFacts, pool: Pool, *, in_flight: int = 8) -> None:
        """Nothing is sent until something is asked; then every endpoint's chain id is checked first."""
        self.facts = facts
        self.pool = pool
        self.multicall = Multicall(pool, facts.multicall3, in_flight=in_flight)
        self._simulator = Simulator(pool, facts.block_time_ms // 1000)

    def head(self) -> BlockRef:
        """Return the newest block."""
        block = self._block("latest")
        if block is None:
            raise BadReply(f"an endpoint of {self.facts.name} has no newest block. Use another endpoint.")
        return block

    def block(self, number: int) -> BlockRef | None:
        """Return the canonical block at a height, or ``None`` above the head."""
        return self._block(hex(number))

    def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
        """Answer all reads at one block, in order, in few requests."""
        return self.multicall.read(reads, block)

    def fees(self) -> FeeQuote:
        """Price gas in the next block."""
        return fees.quote(self.pool, self.facts)

    def simulate(
        self, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef | None = None
    ) -> Simulation:
        """Run calls as ``owner`` on top of ``block``; those after the first failing one are not reported."""
        return self._simulator.run(owner, calls, tokens, block or self.head())

    def l1_fee_wei(self, data: bytes) -> int:
        """Return the L1 data fee of a transaction with this calldata; 0 where the chain has none."""
        return fees.l1_fee_wei(self.pool, self.facts, data)

    def agreed(self) -> EvmChain:
        """Return the same chain, every answer given alike by the quorum of endpoints."""
        return self

    def sight(self, account: Address, hashes: Sequence[str], heights: Sequence[int] = ()) -> Sight:
        """Look at everything that an account has in flight: heads, nonces, receipts and canonical hashes."""
        return sight_of(self.pool.ask(lambda endpoint: look(endpoint, self.facts, account, hashes, heights)))

    def nonces(self, account: Address) -> Nonces:
        """Return transaction counts, both as one endpoint sees them."""
        method = "eth_getTransactionCount"
        answers = self.pool.batch([(method, (account, "latest")), (method, (account, "pending"))])
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
        except RpcRejected:  # a node that keeps no old state still has the blocks
            return self._scan(account, nonce, high)
        return _with_nonce(self.pool.call("eth_getBlockByNumber", (hex(high), True)), account, nonce, high)

    def _count(self, account: Address, number: int) -> int:
        return uint(self.pool.call("eth_getTransactionCount", (account, hex(number))), "a transaction count")

    def _scan(self, account: Address, nonce: int, head: int) -> tuple[str, int] | None:
        """Look through the last blocks themselves, newest first; ``None`` when they do not go back far enough."""
        oldest = max(head - _SCANNED_BLOCKS, 0)
        for top in range(head, oldest, -_BLOCKS_AT_ONCE):
            numbers = range(top, max(top - _BLOCKS_AT_ONCE, oldest), -1)
            blocks = self.pool.batch([("eth_getBlockByNumber", (hex(number), True)) for number in numbers])
            for number, block in zip(numbers, blocks, strict=True):
                if (found := _with_nonce(block, account, nonce, number)) is not None:
                    return found
        return None

    def balance(self, account: Address) -> int:
        """Return the wei held by an account."""
        return uint(self.pool.call("eth_getBalance", (account, "latest")), "a balance")

    def code_at(self, address: Address) -> bytes:
        """Return an account's code; empty for none."""
        return raw_bytes(self.pool.call("eth_getCode", (address, "latest")), "contract code")

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return a receipt, or ``None`` when the chain does not have it (which proves nothing)."""
        return parse_receipt(self.pool.call("eth_getTransactionReceipt", (tx_hash,)), tx_hash)

    def senders(self) -> list[Callable[[bytes], str]]:
        """Return one function per endpoint of this chain that sends raw bytes there, once: what a submitter takes."""
        return [raw_sender(endpoint) for endpoint in self.pool.endpoints()]

    def close(self) -> None:
        """Stop workers and close connections."""
        self.multicall.close()
        self.pool.close()

    def _block(self, tag: str) -> BlockRef | None:
        return parse_header(self.pool.call("eth_getBlockByNumber", (tag, False)), self.facts.name)


def _with_nonce(block: Any, account: Address, nonce: int, number: int) -> tuple[str, int] | None:
    """Find an account's transaction with this nonce in a block's full body."""
    for tx in block.get("transactions", ()) if isinstance(block, dict) else ():
        if isinstance(tx, dict) and str(tx.get("from")).lower() == account and int(tx.get("nonce", "0x0"), 16) == nonce:
            return str(tx["hash"]), number
    return None


def open_chain(
    facts: ChainFacts,
    urls: Sequence[str],
    *,
    events: EventSink,
    timeout: float = DEFAULT_TIMEOUT,
    in_flight: int = 8,
) -> EvmChain:
    """Make a chain from RPC URLs; nothing is sent yet.

    Raises:
        ConfigError: when a URL is malformed, or there is none.
    """
    endpoints = [Endpoint(url, timeout=timeout) for url in urls]
    return EvmChain(facts, Pool(facts.name, facts.chain_id, endpoints, events=events), in_flight=in_flight)


def raw_sender(endpoint: Endpoint) -> Callable[[bytes], str]:
    """Return a function that sends raw transaction bytes to one endpoint, exactly once, and returns the node's hash."""

    def send(raw: bytes) -> str:
        return str(endpoint.call("eth_sendRawTransaction", ("0x" + raw.hex(),)))

    return send


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, RpcRejected):
        raise answer
    return answer
