"""Endpoints without a network: a deterministic chain, and what honest, lagging, dead and lying endpoints say of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain_kit import Events, make_facts

from keeper.abi import keccak
from keeper.chain.client import EvmChain
from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.pool import Pool
from keeper.chain.retry import Retry
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.reads import Read
from keeper.errors import KeeperError

ME = Address("0x" + "11" * 20)
TOKEN = Address("0x" + "22" * 20)
READ = Read(TOKEN, b"\x01\x02\x03\x04")

#: What turns an honest answer into another: ``(method, params, honest)`` to what is said.
Lie = Callable[[str, Sequence[Any], Any], Any]


def block_hash(number: int, branch: str = "") -> str:
    return "0x" + keccak(f"block {number} {branch}".encode()).hex()


def tx_hash(name: str) -> str:
    return "0x" + keccak(f"tx {name}".encode()).hex()


def receipt(name: str, number: int, **changes: Any) -> dict[str, Any]:
    """A receipt as a node gives it."""
    base = {
        "transactionHash": tx_hash(name),
        "blockNumber": hex(number),
        "blockHash": block_hash(number),
        "status": "0x1",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x77359400",
        "logs": [],
    }
    return base | changes


@dataclass
class Ledger:
    """The truth."""

    head: int = 100
    #: Receipts by hash.
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Heights at which the account's nonces 0, 1, 2 ... were mined.
    mined: list[int] = field(default_factory=list)
    pending: int = 0
    finalized: int = 60
    base_fee: int = 10**9
    tip: int = 10**9
    value: int = 7
    gas: int = 50_000

    def mine(self, name: str, number: int, **changes: Any) -> str:
        """Put a transaction of the account into a block."""
        self.receipts[tx_hash(name)] = receipt(name, number, **changes)
        self.mined.append(number)
        return tx_hash(name)

    def answer(self, method: str, params: Sequence[Any], head: int) -> Any:
        """What an honest node with this head says."""
        return getattr(self, "_" + method)(head, *params)

    def _at(self, tag: str, head: int) -> int:
        return {"latest": head, "pending": head, "finalized": min(self.finalized, head)}.get(tag) or int(tag, 16)

    def _eth_blockNumber(self, head: int) -> str:
        return hex(head)

    def _eth_getBlockByNumber(self, head: int, tag: str, full: bool) -> Any:
        number = 0 if tag == "0x0" else self._at(tag, head)
        if number > head:
            return None
        header = {"number": hex(number), "hash": block_hash(number), "timestamp": hex(1_700_000_000 + number)}
        bodies = [
            {"from": ME, "nonce": hex(nonce), "hash": next(iter(self._named(number)), tx_hash(f"n{nonce}"))}
            for nonce, height in enumerate(self.mined)
            if height == number
        ]
        return header | {"transactions": bodies if full else []}

    def _named(self, number: int) -> list[str]:
        return [key for key, found in self.receipts.items() if int(found["blockNumber"], 16) == number]

    def _eth_getTransactionCount(self, head: int, _account: str, tag: str) -> str:
        count = sum(height <= self._at(tag, head) for height in self.mined)
        return hex(count + (self.pending if tag == "pending" else 0))

    def _eth_getTransactionReceipt(self, head: int, wanted: str) -> Any:
        found = self.receipts.get(wanted)
        return found if found is not None and int(found["blockNumber"], 16) <= head else None

    def _eth_getBalance(self, _head: int, _account: str, _tag: str) -> str:
        return hex(10**18)

    def _eth_getCode(self, *_: Any) -> str:
        return "0x"

    def _eth_call(self, *_: Any) -> str:
        return "0x" + self.value.to_bytes(32, "big").hex()

    def _eth_feeHistory(self, *_: Any) -> Any:
        fee = hex(self.base_fee)
        return {"baseFeePerGas": [fee] * 3, "gasUsedRatio": [0.5] * 2, "reward": [[hex(self.tip)] * 2] * 2}

    def _eth_simulateV1(self, _head: int, request: Any, _tag: str) -> Any:
        calls = request["blockStateCalls"][0]["calls"]
        views = 0
        results = []
        for call in calls:
            if call["data"].startswith("0x70a08231"):
                views += 1
                word = "0x" + (1000 + views * self.value).to_bytes(32, "big").hex()
                results.append({"status": "0x1", "gasUsed": "0x5208", "returnData": word})
            else:
                results.append({"status": "0x1", "gasUsed": hex(self.gas), "returnData": "0x"})
        return [{"calls": results}]


class Fake:
    """Stands where an ``Endpoint`` would."""

    def __init__(self, ledger: Ledger, name: str, *, behind: int = 0, lie: Lie | None = None) -> None:
        self.ledger, self.redacted = ledger, f"https://{name}.example"
        self.behind = behind
        self.lie = lie
        self.down: KeeperError | None = None
        self.chain_id: int | None = None
        self.requests = 0
        self.items: Counter[str] = Counter()
        #: Everything that was said, for tests that ask who said what.
        self._lock = threading.Lock()

    def expect(self, chain_id: int) -> None:
        self._expected = chain_id

    def identify(self) -> None:
        self._request(["eth_chainId"])
        if self.chain_id is not None and self.chain_id != self._expected:
            raise WrongChain(f"{self.redacted} answers for chain id {self.chain_id}", self.chain_id)

    def call(self, method: str, params: Any = ()) -> Any:
        self._request([method])
        answer = self._say(method, params)
        if isinstance(answer, KeeperError):
            raise answer
        return answer

    def batch(self, calls: Sequence[tuple[str, Any]]) -> list[Any]:
        self._request([method for method, _ in calls])
        return [self._say(method, params) for method, params in calls]

    def close(self) -> None:
        pass

    def _request(self, methods: Sequence[str]) -> None:
        with self._lock:
            self.requests += 1
            self.items.update(methods)
        if self.down is not None:
            raise self.down

    def _say(self, method: str, params: Any) -> Any:
        head = self.ledger.head - self.behind
        honest = self.ledger.answer(method, () if isinstance(params, bytes) else params, head)
        return honest if self.lie is None else self.lie(method, params, honest)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def pool_of(
    fakes: Sequence[Fake],
    *,
    events: Events | None = None,
    clock: Time | None = None,
    quorum: int | None = None,
    block_seconds: float | None = None,
) -> Pool:
    """A pool whose back-off takes no time, and which looks after set-aside endpoints at once."""
    clock = clock or Time()
    endpoints: list[Any] = list(fakes)
    return Pool(
        "local",
        31337,
        endpoints,
        events=events or Events(),
        quorum=min(2, len(fakes)) if quorum is None else quorum,
        block_seconds=block_seconds,
        retry=Retry(attempts=3, sleep=clock.sleep),
        monotonic=lambda: clock.now,
        background=lambda work: work(),
    )


def chain_of(fakes: Sequence[Fake], facts: ChainFacts | None = None, **options: Any) -> EvmChain:
    """A chain over fakes."""
    return EvmChain(facts or make_facts(multicall3=None), pool_of(fakes, **options))


__all__ = ["ME", "READ", "TOKEN", "Endpoint", "Fake", "Ledger", "Time", "block_hash", "chain_of", "pool_of", "receipt"]
