"""Make one look of several endpoints' views: what a single lying endpoint says neither settles nor releases anything.

Each part of a Sight is judged by itself, and each in the direction in which a lie does no harm:

- **head**: the highest block that ``quorum`` endpoints have alike, hash and time. A lie can only make it lower, which
  makes everything look less deep than it is.
- **finalized**: as many endpoints must be past it; where fewer name one, there is none and depth counts.
- **nonces.latest**: the highest count that ``quorum`` endpoints have reached. Higher would say that a nonce is used,
  which is how a release begins; a lie can only make it lower, which makes the same bytes be sent again.
- **nonces.pending**: the highest of all. It settles nothing: it makes keeper wait for a stranger's transaction, and a
  lie that lowers it could hide one. A lie that raises it costs a wait and a warning that names the endpoint.
- **receipts**: only those that ``quorum`` endpoints report in every particular alike. One that fewer have is missing,
  which proves nothing. Two that contradict each other settle nothing either: that is a Disagreement.
- **canonical**: only hashes that ``quorum`` endpoints give; a height on which they differ is left out, so that neither
  a reorg nor its absence can be made up. A receipt at such a height counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

from keeper.chain.pool import Lens
from keeper.chain.quorum import Conflict, Quorum, Told, Verdict
from keeper.chain.reader import Reader
from keeper.chain.sight import View
from keeper.domain.block import BlockRef
from keeper.domain.transaction import Nonces, Receipt, Sight
from keeper.errors import KeeperError

__all__ = ["Looking"]

#: Blocks below the lowest head among which a common one is looked for: tips differ for a moment after a reorg.
_TIPS: Final = 3


class Looking:
    """One look under way: judges views, and asks the endpoints for blocks that others spoke of."""

    def __init__(
        self, quorum: Quorum, reader: Callable[[Lens], Reader], hashes: Sequence[str], heights: Sequence[int]
    ) -> None:
        self._quorum = quorum
        self._reader = reader
        self._hashes = tuple(dict.fromkeys(tx_hash.lower() for tx_hash in hashes))
        self._heights = frozenset(heights)

    def judge(self, told: Sequence[Told[View]]) -> Verdict[Sight]:
        """Judge the views of ``quorum`` endpoints or more."""
        in_receipts = {found.block_number for one in told for found in one.value.receipts.values()}
        lowest = self._reached([one.value.head.number for one in told])
        told = self._complete(told, in_receipts | {lowest})
        if (head := self._head(told, lowest)) is None:
            told = self._complete(told, set(range(max(0, lowest - _TIPS), lowest)))
            head = self._head(told, lowest)
        if head is None:
            return Verdict(conflict=_differing(told, lowest))
        receipts, conflict, unsure = self._receipts(told)
        heights = self._heights | in_receipts | {head.number}
        canonical = {height: block.hash for height in heights if (block := self._block(told, height)) is not None}
        if conflict is None:
            disputed = [height for height in sorted(heights) if height <= head.number - _TIPS]
            conflict = next((found for height in disputed if (found := _differing(told, height))), None)
            blocked = False
        else:
            blocked = conflict.outvoted is None
        settled = {key: found for key, found in receipts.items() if canonical.get(found.block_number) is not None}
        open_heights = {height for height in heights if height <= head.number} - canonical.keys()
        unsure = unsure or len(settled) < len(receipts) or bool(open_heights)
        sight = self._sight([one.value for one in told], head, settled, canonical)
        return Verdict(sight, agreed=not blocked, unsure=unsure, conflict=conflict)

    def _sight(
        self, views: Sequence[View], head: BlockRef, receipts: dict[str, Receipt], canonical: dict[int, str]
    ) -> Sight:
        finalized = self._reached([-1 if view.finalized is None else view.finalized for view in views])
        latest = self._reached([view.nonces.latest for view in views])
        return Sight(
            head=head,
            finalized=None if finalized < 0 else min(finalized, head.number),
            nonces=Nonces(latest, max(view.nonces.pending for view in views)),
            receipts=receipts,
            canonical=canonical,
        )

    def _reached(self, values: Sequence[int]) -> int:
        """Return the highest value that ``quorum`` endpoints have reached."""
        return sorted(values, reverse=True)[self._quorum.size - 1]

    def _complete(self, told: Sequence[Told[View]], wanted: set[int]) -> list[Told[View]]:
        """Ask each endpoint, side by side, for the blocks up to its head that its view lacks."""
        missing = {
            one.lens: [height for height in sorted(wanted - one.value.blocks.keys()) if height <= one.value.head.number]
            for one in told
        }
        lenses = [lens for lens, heights in missing.items() if heights]
        if not lenses:
            return list(told)
        answers = self._quorum.side_by_side(lambda lens: self._reader(lens).blocks(missing[lens]), lenses)
        more = {
            lens: {block.number: block for block in answer if block is not None}
            for lens, answer in zip(lenses, answers, strict=True)
            if not isinstance(answer, KeeperError)
        }
        return [
            Told(one.lens, replace(one.value, blocks={**more.get(one.lens, {}), **one.value.blocks})) for one in told
        ]

    def _head(self, told: Sequence[Told[View]], lowest: int) -> BlockRef | None:
        """Find the newest block, at ``lowest`` or a little below, that ``quorum`` endpoints have."""
        heights = range(lowest, max(-1, lowest - _TIPS - 1), -1)
        return next((block for height in heights if (block := self._block(told, height)) is not None), None)

    def _block(self, told: Sequence[Told[View]], height: int) -> BlockRef | None:
        """Return the block that ``quorum`` endpoints have at a height."""
        blocks = [one.value.blocks[height] for one in told if height in one.value.blocks]
        return next((block for block in blocks if blocks.count(block) >= self._quorum.size), None)

    def _receipts(self, told: Sequence[Told[View]]) -> tuple[dict[str, Receipt], Conflict | None, bool]:
        """Return receipts that ``quorum`` endpoints have alike, a contradiction, and whether more may be known."""
        agreed: dict[str, Receipt] = {}
        conflict: Conflict | None = None
        unsure = False
        for tx_hash in self._hashes:
            having = [one for one in told if tx_hash in one.value.receipts]
            found = [one.value.receipts[tx_hash] for one in having]
            best = next((receipt for receipt in found if found.count(receipt) >= self._quorum.size), None)
            if best is not None:
                agreed[tx_hash] = best
            elif found:
                unsure = True
            new = _contradiction(having, tx_hash, best)
            # One that no majority decides weighs more.
            if new is not None and (conflict is None or (conflict.outvoted and not new.outvoted)):
                conflict = new
        return agreed, conflict, unsure


def _contradiction(having: Sequence[Told[View]], tx_hash: str, best: Receipt | None) -> Conflict | None:
    """Find two endpoints whose receipts of a transaction cannot both be right."""
    about = f"the receipt of transaction {tx_hash}"  # a bare hash could be a key, and is not shown
    for first, second in combinations(having, 2):
        one, other = first.value.receipts[tx_hash], second.value.receipts[tx_hash]
        past = min(first.value.head.number, second.value.head.number) >= max(one.block_number, other.block_number)
        if one == other or (one.block_hash != other.block_hash and not past):
            continue
        if best is None:
            return Conflict(first.lens, second.lens, about)
        if one != best or other != best:
            wrong, right = (second, first) if one == best else (first, second)
            return Conflict(wrong.lens, right.lens, about, outvoted=wrong.lens)
    return None


def _differing(told: Sequence[Told[View]], height: int) -> Conflict | None:
    """Find two endpoints that have different blocks at a height."""
    having = [one for one in told if height in one.value.blocks]
    for first, second in combinations(having, 2):
        if first.value.blocks[height] != second.value.blocks[height]:
            return Conflict(first.lens, second.lens, f"block {height}")
    return None
