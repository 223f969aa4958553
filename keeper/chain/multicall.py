"""Answer thousands of view calls at one block in few requests, in order, and never fewer answers than calls.

Where a chain has Multicall3 the calls travel in ``aggregate3``, elsewhere in JSON-RPC batches. What has been encoded
for a list of reads is kept, because the same list is asked every cycle.
"""

from __future__ import annotations

import threading
import time
import zlib
from binascii import hexlify
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from keeper.chain import aggregate
from keeper.chain.budget import Budget, load, too_much
from keeper.chain.endpoint import BATCH_LIMIT, Endpoint
from keeper.chain.quantity import raw_bytes
from keeper.chain.source import Source
from keeper.domain.block import BlockRef
from keeper.domain.money import Address
from keeper.domain.reads import Read, ReadResult
from keeper.errors import BadReply, RpcRejected, RpcTimeout, StaleHead, Transient

__all__ = ["Multicall"]

#: Lists of reads whose encoding is kept: a cycle asks a handful.
_KEPT: Final = 16

#: Shorter lists are cheap to encode and often asked once.
_WORTH_KEEPING: Final = 8

#: Seconds for which a limit that a node named is kept.
_REMEMBERED: Final = 3600.0

#: JSON-RPC's own refusals: they are about the request, not about the contract that was called.
_PROTOCOL_CODES: Final = frozenset({-32700, -32600, -32601, -32602})


class _Chunk:
    """Reads that travel together."""

    __slots__ = ("_packed", "reads")

    def __init__(self, reads: Sequence[Read]) -> None:
        self.reads = reads
        self._packed: bytes | None = None

    def calldata(self) -> bytes:
        """Encode once. Kept packed: most of it is zeros, and unpacking costs a third of encoding."""
        if self._packed is None:
            encoded = aggregate.encode(self.reads)
            self._packed = zlib.compress(encoded, 1)
            return encoded
        return zlib.decompress(self._packed)


class _Prepared:
    """A list of reads, cut into chunks under a budget; those that are asked as somebody stay out of them."""

    __slots__ = ("alone", "budget", "chunks", "reads")

    def __init__(self, reads: Sequence[Read], budget: Budget) -> None:
        self.reads = reads
        self.budget = budget
        self.alone = [index for index, read in enumerate(reads) if read.sender is not None]
        together = [read for read in reads if read.sender is None] if self.alone else reads
        self.chunks = [_Chunk(together[start:stop]) for start, stop in budget.cut(together)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked, and at which block (JSON)."""

    source: Source
    tag: bytes


class Multicall:
    """Reads of one chain. Threads may share it."""

    def __init__(
        self,
        source: Source,
        multicall3: Address | None,
        *,
        in_flight: int = 8,
        budget: Budget | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow ``in_flight`` chunks on the wire at a time; nothing is sent until the first read."""
        self._source = source
        self._multicall3 = multicall3
        #: Whether the contract is there; ``None`` until looked.
        self._present: bool | None = None if multicall3 else False
        self._executor = ThreadPoolExecutor(in_flight, thread_name_prefix=f"read-{source.chain}")
        self._budget = self._full = budget or Budget()
        self._lowered_at = 0.0
        self._monotonic = monotonic
        self._kept: list[_Prepared] = []
        self._lock = threading.Lock()

    @property
    def budget(self) -> Budget:
        """What one request may need at present; lowered by refusals."""
        return self._budget

    def read(self, reads: Sequence[Read], block: BlockRef, source: Source | None = None) -> list[ReadResult]:
        """Answer all reads at one block, through ``source`` (the pool by default).

        Raises:
            StaleHead: when the block was replaced meanwhile: the answers may be of two blocks.
            Transient, RpcRejected: as in Chain.
        """
        if not reads:
            return []
        asked = _Asked(source or self._source, b'"0x%x"' % block.number)
        ask = self._by_multicall if self._look(block, asked.source) else self._by_batch
        prepared = self._prepare(reads)
        results = self._all(prepared.chunks, lambda chunk: ask(chunk.reads, asked, chunk.calldata))
        self._ask_alone(reads, prepared.alone, results, asked)
        if len(results) != len(reads):
            raise BadReply(
                f"{len(results)} answers to {len(reads)} reads. Report this with the endpoint's client version."
            )
        self._ask_again(reads, results, asked)
        _same_block(block, asked.source)
        return results

    def close(self) -> None:
        """Stop the workers."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _look(self, block: BlockRef, source: Source) -> bool:
        """Tell whether Multicall3 has code; looked up once."""
        if self._present is None:
            code = source.call("eth_getCode", (self._multicall3, hex(block.number)))
            self._present = len(raw_bytes(code, "contract code")) > 0
        return self._present

    def _prepare(self, reads: Sequence[Read]) -> _Prepared:
        """Find the chunks of a list that was asked before, or cut it."""
        wanted = tuple(reads)
        with self._lock:
            if self._budget is not self._full and self._monotonic() - self._lowered_at > _REMEMBERED:
                self._budget = self._full
            for index, kept in enumerate(self._kept):
                if kept.budget is self._budget and kept.reads == wanted:
                    self._kept.insert(0, self._kept.pop(index))
                    return kept
            prepared = _Prepared(wanted, self._budget)
            if len(wanted) >= _WORTH_KEEPING:
                self._kept = [kept for kept in (prepared, *self._kept) if kept.budget is self._budget][:_KEPT]
            return prepared

    def _all(self, chunks: Sequence[_Chunk], ask: Callable[[_Chunk], list[ReadResult]]) -> list[ReadResult]:
        """Answer chunks side by side, keeping their order."""
        if len(chunks) == 1:
            return ask(chunks[0])
        return [result for part in self._executor.map(ask, chunks) for result in part]

    def _by_multicall(
        self, reads: Sequence[Read], asked: _Asked, calldata: Callable[[], bytes] | None = None
    ) -> list[ReadResult]:
        """Answer one chunk; halve it when it is too much."""
        encoded = calldata() if calldata else aggregate.encode(reads)
        params = b'[{"to":"%s","data":"0x%s"},%s]' % (
            str(self._multicall3).encode(),
            hexlify(encoded),
            asked.tag,
        )

        def question(endpoint: Endpoint) -> list[ReadResult]:
            answer = endpoint.call("eth_call", params)
            return aggregate.decode(raw_bytes(answer, "the result of eth_call"), len(reads))

        return self._halving(reads, asked.source, question, lambda half: self._by_multicall(half, asked))

    def _by_batch(
        self, reads: Sequence[Read], asked: _Asked, _calldata: Callable[[], bytes] | None = None
    ) -> list[ReadResult]:
        """Answer one chunk by JSON-RPC batches; halve it when it is too much."""

        def question(endpoint: Endpoint) -> list[ReadResult]:
            calls = [("eth_call", _params(read, asked.tag)) for read in reads]
            return [_single(answer) for answer in endpoint.batch(calls)]

        return self._halving(reads, asked.source, question, lambda half: self._by_batch(half, asked))

    def _halving(
        self,
        reads: Sequence[Read],
        source: Source,
        question: Callable[[Endpoint], list[ReadResult]],
        again: Callable[[Sequence[Read]], list[ReadResult]],
    ) -> list[ReadResult]:
        """Ask; on a refusal for size ask both halves, and remember what fitted."""
        if len(reads) == 1:
            return source.ask(question)
        try:
            # A time-out may mean "too much" and is not worth repeating at this size; other failures are.
            return source.ask(question, retry=False)
        except RpcTimeout as error:
            kind = too_much(error)
        except RpcRejected as error:
            kind = too_much(error)
            if kind is None:
                raise
        except Transient:
            return source.ask(question)
        middle = len(reads) // 2
        results = again(reads[:middle]) + again(reads[middle:])
        if kind is not None:
            self._remember(kind, reads[:middle])
        return results

    def _remember(self, kind: str, fitted: Sequence[Read]) -> None:
        """Lower the budget to what fitted, for an hour: a node that was slow once is given another chance."""
        with self._lock:
            self._budget = self._budget.lowered(kind, load(fitted))
            self._lowered_at = self._monotonic()

    def _ask_alone(self, reads: Sequence[Read], alone: Sequence[int], results: list[ReadResult], asked: _Asked) -> None:
        """Ask what is asked as somebody, one call each, and put the answers in their places."""
        for start in range(0, len(alone), BATCH_LIMIT):
            part = alone[start : start + BATCH_LIMIT]
            for index, result in zip(part, self._by_batch([reads[i] for i in part], asked), strict=True):
                results.insert(index, result)

    def _ask_again(self, reads: Sequence[Read], results: list[ReadResult], asked: _Asked) -> None:
        """Ask alone what failed without a word: near a gas cap an inner call fails so although it would succeed."""
        if not self._present:
            return
        silent = [index for index, result in enumerate(results) if not result.success and not result.data]
        for start in range(0, len(silent), BATCH_LIMIT):
            part = silent[start : start + BATCH_LIMIT]
            for index, result in zip(part, self._by_batch([reads[i] for i in part], asked), strict=True):
                results[index] = result


def _same_block(block: BlockRef, source: Source) -> None:
    """Prove that the number still means the block that the reads were pinned to."""
    header = source.call("eth_getBlockByNumber", (hex(block.number), False))
    if not isinstance(header, dict) or str(header.get("hash")).lower() != block.hash.lower():
        raise StaleHead(
            f"block {block.number} of {block.chain} was replaced while it was read. Nothing is decided; the next "
            "cycle reads again."
        )


def _params(read: Read, tag: bytes) -> bytes:
    sender = b'"from":"%s",' % read.sender.encode() if read.sender else b""
    return b'[{%s"to":"%s","data":"0x%s"},%s]' % (sender, read.target.encode(), read.data.hex().encode(), tag)


def _single(answer: Any) -> ReadResult:
    """Read one item of a batch: a refusal by the contract is a failed read, anything else is raised."""
    if isinstance(answer, RpcRejected):
        if answer.code in _PROTOCOL_CODES:
            raise answer
        return ReadResult(False, answer.data)
    if isinstance(answer, Exception):
        raise answer
    return ReadResult(True, raw_bytes(answer, "the result of eth_call"))
