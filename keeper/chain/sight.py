"""One endpoint's view of everything that an account has in flight, asked in one batch and read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.chain.endpoint import Endpoint
from keeper.chain.quantity import uint
from keeper.chain.receipts import parse_receipt
from keeper.domain.block import BlockRef
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.transaction import Nonces, Receipt, Sight
from keeper.errors import BadReply, IntegrityError, KeeperError, RateLimited, StaleHead

__all__ = ["View", "look", "parse_header", "sight_of"]

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class View:
    """What one endpoint says, all in one batch (blocks that receipts turn out to be in, in a second one)."""

    head: BlockRef
    #: Newest finalized block's height; ``None`` where the chain or the node names none.
    finalized: int | None
    nonces: Nonces
    #: Receipts by lower-case hash. One that the node could not look for is missing, like one that it does not have.
    receipts: Mapping[str, Receipt]
    #: Canonical blocks by height; the head is among them, one that the node does not have is missing.
    blocks: Mapping[int, BlockRef]


def look(
    endpoint: Endpoint, facts: ChainFacts, account: Address, hashes: Sequence[str], heights: Sequence[int]
) -> View:
    """Look through one endpoint.

    Raises:
        BadReply: when an answer is malformed.
        StaleHead: when the chain turned over while the batch was answered.
        Transient, RpcRejected: when the endpoint does not answer, or not about head and nonces.
    """
    wanted = tuple(dict.fromkeys(tx_hash.lower() for tx_hash in hashes))
    asked = tuple(sorted(set(heights)))
    tags = ["latest", "finalized"] if facts.finality_tag else ["latest"]
    count = "eth_getTransactionCount"
    answers = endpoint.batch(
        [("eth_getBlockByNumber", (tag, False)) for tag in tags]
        + [(count, (account, "latest")), (count, (account, "pending"))]
        + [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in wanted]
        + [_header_at(height) for height in asked]
    )
    _no_limit_hit(answers)
    take = iter(answers)
    head = parse_header(_or_raise(next(take)), facts.name)
    if head is None:
        raise BadReply(f"an endpoint of {facts.name} has no newest block. Use another endpoint.")
    finalized = _finalized(next(take), facts, head) if facts.finality_tag else None
    latest, pending = (uint(_or_raise(next(take)), "a transaction count") for _ in range(2))
    receipts = {tx_hash: found for tx_hash in wanted if (found := _receipt(next(take), tx_hash, facts)) is not None}
    blocks = _blocks(asked, list(take), facts)
    _untorn(blocks, head)
    unasked = sorted({receipt.block_number for receipt in receipts.values()} - blocks.keys() - set(asked))
    if unasked:
        more = endpoint.batch([_header_at(height) for height in unasked])
        _no_limit_hit(more)
        blocks |= _blocks(unasked, more, facts)
        _untorn(blocks, head)
    return View(head, finalized, Nonces(latest, pending), receipts, blocks)


def sight_of(view: View) -> Sight:
    """Believe one endpoint. A receipt in a block of unknown standing counts as missing: nobody could judge it."""
    receipts = {key: found for key, found in view.receipts.items() if found.block_number in view.blocks}
    canonical = {height: block.hash for height, block in view.blocks.items()}
    return Sight(view.head, view.finalized, view.nonces, receipts, canonical)


def parse_header(answer: Any, chain: str, height: int | None = None) -> BlockRef | None:
    """Read a block header; ``None`` when the node has none.

    Raises:
        BadReply: when it is malformed, or of another ``height``.
    """
    if answer is None:
        return None
    block_hash = answer.get("hash") if isinstance(answer, dict) else None
    if not isinstance(block_hash, str) or not _HASH.fullmatch(block_hash.lower()):
        raise BadReply(f"an endpoint of {chain} answered a block without a hash. Use another endpoint.")
    number = uint(answer.get("number"), "a block number")
    if height is not None and number != height:
        raise BadReply(f"an endpoint of {chain} answered another block than {height}. Use another endpoint.")
    return BlockRef(chain, number, block_hash.lower(), uint(answer.get("timestamp"), "a block's time"))


def _header_at(height: int) -> tuple[str, tuple[str, bool]]:
    return ("eth_getBlockByNumber", (hex(height), False))


def _finalized(answer: Any, facts: ChainFacts, head: BlockRef) -> int | None:
    """Read the finalized height; a node that does not know the tag, or nothing final yet, names none."""
    if isinstance(answer, KeeperError):
        return None
    header = parse_header(answer, facts.name)
    # Above the head it would make final what is not even there.
    return None if header is None else min(header.number, head.number)


def _receipt(answer: Any, tx_hash: str, facts: ChainFacts) -> Receipt | None:
    """Read a receipt; one that the node refuses to look for is missing, which proves nothing."""
    if isinstance(answer, KeeperError) and not _broken(answer):
        return None
    return parse_receipt(_or_raise(answer), tx_hash, facts.wrapped_native)


def _blocks(heights: Sequence[int], answers: Sequence[Any], facts: ChainFacts) -> dict[int, BlockRef]:
    """Read headers by height; what the node does not have, or refuses to say, is missing."""
    found: dict[int, BlockRef] = {}
    for height, answer in zip(heights, answers, strict=True):
        if isinstance(answer, KeeperError) and not _broken(answer):
            continue
        header = parse_header(_or_raise(answer), facts.name, height)
        if header is not None:
            found[height] = header
    return found


def _untorn(blocks: dict[int, BlockRef], head: BlockRef) -> None:
    """Put the head among the canonical blocks; two hashes at its height mean a reorg within the batch."""
    if blocks.setdefault(head.number, head) != head:
        raise StaleHead(f"block {head.number} of {head.chain} was replaced while it was looked at. The next look sees.")


def _no_limit_hit(answers: Sequence[Any]) -> None:
    """Raise an item's rate limit: the whole look is asked again, later or elsewhere."""
    for answer in answers:
        if isinstance(answer, RateLimited):
            raise answer


def _broken(error: KeeperError) -> bool:
    """Tell a malformed answer from a node's refusal."""
    return isinstance(error, (BadReply, IntegrityError))


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, KeeperError):
        raise answer
    return answer
