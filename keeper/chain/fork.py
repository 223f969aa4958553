"""A private copy of a live chain to play on: everything keeper does can be done there, and the origin sees only reads.

Nobody's key is needed: the fork signs for an account by impersonation. What the journal asks of a signed transaction
(raw bytes, and a hash known before sending) is met by a stand-in: an unsigned encoding of the request and its hash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from keeper.abi import encode, keccak
from keeper.chain.anvil import LocalNode
from keeper.chain.anvil_binary import find_anvil
from keeper.chain.client import EvmChain
from keeper.chain.endpoint import Endpoint
from keeper.chain.pool import Pool
from keeper.domain.events import Event
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.transaction import Receipt, Sight, SignedTx, TxRequest
from keeper.errors import ConfigError, KeeperError, KeyUnavailable, RpcRejected
from keeper.ports import EventSink, Submission

__all__ = ["Fork", "ForkChain", "ImpersonatedKey", "ImpersonatingSubmitter", "open_fork"]

#: A fork answers its first reads only after it has fetched them from its origin.
_TIMEOUT: Final = 60.0

#: Most blocks mined by one warp: 250 take a tenth of a second, 5,000 take most of a minute.
_WARP_BLOCKS: Final = 250

#: Seconds that pass at most between two transactions on the fork.
_LONGEST_BLOCK: Final = 12

#: Gas money given by ``Fork.fund``: 100 of the gas token, in wei.
_FUNDS: Final = 100 * 10**18


class _Silent:
    """Drops events: a fork of our own has no operator to tell."""

    def emit(self, event: Event) -> None:
        """Drop it."""


class _Sent:
    """Which transaction on the fork stands behind each stand-in hash."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._lock = threading.Lock()

    def put(self, stand_in: str, real: str) -> None:
        """Remember a pair."""
        with self._lock:
            self._real[stand_in.lower()] = real

    def get(self, stand_in: str) -> str | None:
        """Return the real hash, if there is one."""
        with self._lock:
            return self._real.get(stand_in.lower())


class ForkChain(EvmChain):
    """A chain that also finds receipts by the stand-in hashes of impersonated transactions."""

    def __init__(self, facts: ChainFacts, pool: Pool, sent: _Sent, mined: Callable[[], None] = lambda: None) -> None:
        """``mined`` is called when a transaction of ours is first seen to be mined."""
        super().__init__(facts, pool)
        self._sent = sent
        self._mined = mined
        #: Real hashes of transactions that were seen to be mined.
        self._seen: set[str] = set()

    def used_by(self, account: Address, nonce: int) -> tuple[str, int] | None:  # noqa: ARG002
        """Tell nothing: here a transaction's real hash is not the one in the journal, so it would look foreign."""
        return None

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return a receipt under the hash that was asked for; ``None`` for unknown hashes."""
        real = self._sent.get(tx_hash)
        found = super().receipt(real or tx_hash)
        return found if found is None or real is None else self._under(tx_hash, found)

    def sight(self, account: Address, hashes: Sequence[str], heights: Sequence[int] = ()) -> Sight:
        """Look, with every receipt under the hash that was asked for."""
        names = {(self._sent.get(tx_hash) or tx_hash).lower(): tx_hash.lower() for tx_hash in hashes}
        seen = super().sight(account, list(names), heights)
        receipts = {
            names[real]: found if names[real] == real else self._under(names[real], found)
            for real, found in seen.receipts.items()
        }
        return replace(seen, receipts=receipts)

    def _under(self, stand_in: str, found: Receipt) -> Receipt:
        """Rename a receipt, and say once that its transaction is mined."""
        if found.tx_hash not in self._seen:
            self._seen.add(found.tx_hash)
            self._mined()
        return replace(found, tx_hash=stand_in)


class ImpersonatedKey:
    """Stands where a key would (``ports.KeySigner``) and signs nothing."""

    def __init__(self, address: Address) -> None:
        #: The account acted for.
        self.address = address

    def sign(self, request: TxRequest) -> SignedTx:
        """Encode the request reproducibly; its keccak is the stand-in hash."""
        if request.sender != self.address:
            raise KeyUnavailable(f"this dry run acts for {self.address}, not for {request.sender}.")
        raw = stand_in(request)
        return SignedTx(request, raw, "0x" + keccak(raw).hex())


class ImpersonatingSubmitter:
    """Sends to the fork, and only there, as whoever the request names (``ports.Submitter``)."""

    name = "fork"

    def __init__(self, node: LocalNode, sent: _Sent, block_seconds: int = 1) -> None:
        """``block_seconds`` pass before each transaction, as they would on the chain: gas depends on it."""
        self._node = node
        self._sent = sent
        self._block_seconds = block_seconds

    def submit(self, signed: SignedTx) -> tuple[Submission, str]:
        """Send by impersonation. The same bytes again are KNOWN, as in any pool."""
        if (known := self._sent.get(signed.hash)) is not None:
            return Submission.KNOWN, known
        request = signed.request
        try:
            used = int(self._node.rpc("eth_getTransactionCount", request.sender, "pending"), 16)
            if request.nonce < used:
                return Submission.NONCE_USED, f"nonce too low: next nonce {used}, tx nonce {request.nonce}"
            self._node.rpc("anvil_impersonateAccount", request.sender)
            self._node.rpc("evm_increaseTime", hex(self._block_seconds))
            real = str(self._node.rpc("eth_sendTransaction", _as_rpc(request)))
        except RpcRejected as error:
            return Submission.REFUSED, str(error)
        except KeeperError as error:
            return Submission.MAYBE, str(error)
        self._sent.put(signed.hash, real)
        return Submission.ACCEPTED, real

    def submit_many(self, batch: Sequence[SignedTx]) -> list[tuple[Submission, str]]:
        """Send several, one after another."""
        return [self.submit(signed) for signed in batch]


class Fork:
    """A running fork. Use as a context manager, or call ``close``."""

    def __init__(self, node: LocalNode, facts: ChainFacts, events: EventSink) -> None:
        self._node = node
        self._sent = _Sent()
        self._facts = facts
        pool = Pool(facts.name, facts.chain_id, [Endpoint(node.url, timeout=_TIMEOUT)], events=events)
        #: The fork as the engine sees a chain.
        self.chain = ForkChain(facts, pool, self._sent, self.hold_gas_price)
        #: Base fee of the next block when the fork began, wei; read on first use, 0 on chains without one.
        self._base_fee: int | None = None

    @property
    def url(self) -> str:
        """Loopback JSON-RPC address of the fork."""
        return self._node.url

    def impersonator(self, owner: Address) -> tuple[ImpersonatedKey, ImpersonatingSubmitter]:
        """Return what stands for the owner's key, and the submitter that goes with it."""
        seconds = max(1, min(self._facts.block_time_ms // 1000, _LONGEST_BLOCK))
        return ImpersonatedKey(owner), ImpersonatingSubmitter(self._node, self._sent, seconds)

    def warp(self, seconds: int) -> None:
        """Let ``seconds`` pass, in blocks of the chain's own pace for as many as are quickly mined.

        Farms that pay per block see fewer blocks in a long warp than in a real wait, so their rewards come out low.
        """
        self.hold_gas_price()
        blocks = max(1, min(seconds * 1000 // self._facts.block_time_ms, _WARP_BLOCKS))
        interval, rest = divmod(seconds, blocks)
        if blocks > 1:
            self._node.rpc("anvil_mine", hex(blocks - 1), hex(interval))
        self._node.rpc("evm_increaseTime", hex(interval + rest))
        self._node.rpc("evm_mine")
        self.hold_gas_price()

    def hold_gas_price(self) -> None:
        """Let the next block's base fee be what it was when the fork began: on a fork nobody else pays for space."""
        if self._base_fee is None:
            self._base_fee = self.chain.fees().base_fee_wei
        if self._base_fee:
            self._node.rpc("anvil_setNextBlockBaseFeePerGas", hex(self._base_fee))

    def fund(self, owner: Address, wei: int = _FUNDS) -> None:
        """Give the owner gas money on the fork. Not done by itself: a real run would fail for lack of it."""
        self._node.rpc("anvil_setBalance", owner, hex(wei))

    def close(self) -> None:
        """End the fork and everything on it."""
        self.chain.close()
        self._node.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_fork(
    origin_rpc_url: str,
    facts: ChainFacts,
    *,
    block: int | None = None,
    binary: Path | None = None,
    events: EventSink | None = None,
) -> Fork:
    """Start a fork of a live chain; the origin is only read from.

    Raises:
        ConfigError: when the URL is malformed, or no anvil is found.
        IntegrityError: when the origin is not the chain of ``facts``.
        RpcUnavailable: when origin or fork do not answer.
    """
    binary = binary or find_anvil()
    if binary is None:
        raise ConfigError("a dry run on a fork needs anvil, and none was found. Install it, or set KEEPER_ANVIL to it.")
    sink = events or _Silent()
    origin = Endpoint(origin_rpc_url)
    origin_pool = Pool(facts.name, facts.chain_id, [origin], events=sink)
    try:
        origin_pool.call("eth_blockNumber")
    finally:
        origin_pool.close()
    node = LocalNode.start(binary=binary, chain_id=facts.chain_id, fork_url=origin_rpc_url, fork_block=block)
    fork = Fork(node, facts, sink)
    fork.hold_gas_price()
    return fork


def stand_in(request: TxRequest) -> bytes:
    """Encode a request without a signature: the same request always gives the same bytes, another one others."""
    kinds = ("uint256", "address", "uint256", "address", "bytes", "uint256", "uint256", "uint256", "uint256", "bool")
    values = (
        request.chain_id,
        request.sender,
        request.nonce,
        request.to,
        request.data,
        request.value,
        request.gas,
        request.max_fee_wei,
        request.max_tip_wei,
        request.eip1559,
    )
    return b"keeper dry run" + encode(kinds, values)


def _as_rpc(request: TxRequest) -> dict[str, str]:
    fees = (
        {"maxFeePerGas": hex(request.max_fee_wei), "maxPriorityFeePerGas": hex(request.max_tip_wei)}
        if request.eip1559
        else {"gasPrice": hex(request.max_fee_wei)}
    )
    return {
        "from": request.sender,
        "to": request.to,
        "nonce": hex(request.nonce),
        "gas": hex(request.gas),
        "value": hex(request.value),
        "data": "0x" + request.data.hex(),
        **fees,
    }
