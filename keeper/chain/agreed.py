"""A chain whose every answer ``quorum`` endpoints gave alike: what may be signed on.

Reads of a block, receipts, nonce proofs and balances must be equal. Where honest endpoints differ by nature, the
answer is the one with which a single lie does the least harm, and a difference too large to be honest is a
Disagreement:

- **fees**: the higher base fee, if it is within twice the lower one (six full blocks) or the chain's tip cap above it;
  a higher bid than honest is so bounded, and a refusal to go on for dear gas is not had for one lie. The lower tip,
  which is within the chain's floor and cap anyway: too low a tip waits and is bumped.
- **L1 fee**: the higher, within the same bounds.
- **simulation**: every call succeeds or fails alike and moves the same balances; gas is the higher, within twice the
  lower. The words of a failure are the first endpoint's: they are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from keeper.chain.pool import Lens
from keeper.chain.quorum import Conflict, Told, Verdict, alike, fenced
from keeper.chain.reader import Reader
from keeper.chain.sights import Looking
from keeper.domain.block import BlockRef
from keeper.domain.money import Address
from keeper.domain.plan import Call
from keeper.domain.reads import Read, ReadResult
from keeper.domain.transaction import FeeQuote, Nonces, Receipt, Sight, Simulation

if TYPE_CHECKING:
    from keeper.chain.client import EvmChain

__all__ = ["AgreedChain"]

T = TypeVar("T")

#: Blocks below the lowest head among which a common one is looked for.
_TIPS: Final = 4

#: By how much L1 fees (wei) and gas of a call may differ besides by half.
_L1_SLACK: Final = 10**12
_GAS_SLACK: Final = 100_000


class AgreedChain:
    """A ``ports.Chain``; every method may also raise Disagreement."""

    def __init__(self, chain: EvmChain) -> None:
        self.facts = chain.facts
        self._chain = chain
        self._quorum = chain.quorum

    def agreed(self) -> AgreedChain:
        """Return itself."""
        return self

    def head(self) -> BlockRef:
        """Return the newest block that ``quorum`` endpoints share."""
        return self._quorum.agree("the newest block", lambda lens: self._reader(lens).head(), self._common)

    def block(self, number: int) -> BlockRef | None:
        """Return the canonical block at a height, or ``None`` above the head."""
        return self._same(f"block {number}", lambda reader: reader.block(number))

    def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
        """Answer all reads at one block, in order."""

        def about(one: list[ReadResult], other: list[ReadResult]) -> str:
            index = next(i for i, pair in enumerate(zip(one, other, strict=True)) if not _agree(*pair))
            return f"a view of {reads[index].target} at block {block.number}"

        def judge(told: Sequence[Told[list[ReadResult]]]) -> Verdict[list[ReadResult]]:
            verdict = alike(told, self._quorum.size, _told, about)
            if verdict.value is None:
                return verdict
            same = [one.value for one in told if _told(one.value) == _told(verdict.value)]
            return replace(verdict, value=[_worded(results) for results in zip(*same, strict=True)])

        return self._quorum.agree("views", lambda lens: self._reader(lens).read(reads, block), judge)

    def fees(self) -> FeeQuote:
        """Price gas in the next block."""
        return self._quorum.agree("fees", lambda lens: self._reader(lens).fees(), self._priced)

    def simulate(
        self, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef | None = None
    ) -> Simulation:
        """Run calls as ``owner`` on top of ``block``; those after the first failing one are not reported."""
        on = block or self.head()
        return self._quorum.agree(
            "a simulation", lambda lens: self._reader(lens).simulate(owner, calls, tokens, on), self._foreseen
        )

    def l1_fee_wei(self, data: bytes) -> int:
        """Return the L1 data fee of a transaction with this calldata; 0 where the chain has none."""
        if self.facts.l1_fee != "op-stack":
            return 0
        return self._quorum.agree(
            "the L1 fee",
            lambda lens: self._reader(lens).l1_fee_wei(data),
            lambda told: fenced(told, self._quorum.size, _L1_SLACK, "the L1 fee"),
        )

    def sight(self, account: Address, hashes: Sequence[str], heights: Sequence[int] = ()) -> Sight:
        """Look at everything that an account has in flight; ``keeper.chain.sights`` says what is believed."""
        looking = Looking(self._quorum, self._reader, hashes, heights)
        return self._quorum.agree(
            "what is in flight", lambda lens: self._reader(lens).look(account, hashes, heights), looking.judge
        )

    def nonces(self, account: Address) -> Nonces:
        """Return transaction counts: mined as ``quorum`` endpoints have reached, pending as any says (see sights)."""

        def judge(told: Sequence[Told[Nonces]]) -> Verdict[Nonces]:
            latest = sorted((one.value.latest for one in told), reverse=True)[self._quorum.size - 1]
            return Verdict(Nonces(latest, max(one.value.pending for one in told)), agreed=True)

        return self._quorum.agree("transaction counts", lambda lens: self._reader(lens).nonces(account), judge)

    def used_by(self, account: Address, nonce: int) -> tuple[str, int] | None:
        """Return hash and block of the mined transaction with this nonce, which every one of the quorum found."""

        def judge(told: Sequence[Told[tuple[str, int] | None]]) -> Verdict[tuple[str, int] | None]:
            found = [one for one in told if one.value is not None]
            verdict = (
                alike(found, self._quorum.size, _identity, lambda *_: f"who used nonce {nonce}") if found else None
            )
            if verdict is not None and (verdict.agreed or verdict.conflict is not None):
                return verdict
            # Found by too few: no proof, which releases nothing.
            return Verdict(None, agreed=True, unsure=bool(found))

        return self._quorum.agree("who used a nonce", lambda lens: self._reader(lens).used_by(account, nonce), judge)

    def balance(self, account: Address) -> int:
        """Return the wei held by an account at the agreed head."""
        tag = hex(self.head().number)
        return self._same(f"the balance of {account}", lambda reader: reader.balance_at(account, tag))

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return a receipt, or ``None`` when too few endpoints have it (which proves nothing)."""

        def judge(told: Sequence[Told[Receipt | None]]) -> Verdict[Receipt | None]:
            found = [one for one in told if one.value is not None]
            if not found:
                return Verdict(None, agreed=True)
            verdict = alike(found, self._quorum.size, _identity, lambda *_: f"the receipt of transaction {tx_hash}")
            if verdict.agreed or verdict.conflict is not None:
                return verdict
            return Verdict(None, agreed=True, unsure=True)

        return self._quorum.agree("a receipt", lambda lens: self._reader(lens).receipt(tx_hash), judge)

    def _reader(self, lens: Lens) -> Reader:
        return self._chain.through(lens)

    def _same(self, about: str, question: Callable[[Reader], T]) -> T:
        """Ask for what must be equal."""
        return self._quorum.agree(
            about,
            lambda lens: question(self._reader(lens)),
            lambda told: alike(told, self._quorum.size, _identity, lambda *_: about),
        )

    def _common(self, told: Sequence[Told[BlockRef]]) -> Verdict[BlockRef]:
        """Find the newest block that ``quorum`` of those asked have, at the lowest head or a little below."""
        verdict = alike(told, self._quorum.size, _identity, lambda *_: "the newest block")
        if verdict.agreed:
            return replace(verdict, conflict=None)  # one that is a block ahead contradicts nobody
        lowest = sorted((one.value.number for one in told), reverse=True)[self._quorum.size - 1]
        heights = range(lowest, max(-1, lowest - _TIPS), -1)
        past = [one.lens for one in told if one.value.number >= lowest]
        answers = self._quorum.side_by_side(lambda lens: self._reader(lens).blocks(heights), past)
        columns = [answer for answer in answers if isinstance(answer, list)]
        for row in zip(*columns, strict=True):
            for block in row:
                if block is not None and row.count(block) >= self._quorum.size:
                    return Verdict(block, agreed=True)
        return Verdict(conflict=Conflict(past[0], past[-1], f"the blocks up to {lowest}") if len(past) > 1 else None)

    def _priced(self, told: Sequence[Told[FeeQuote]]) -> Verdict[FeeQuote]:
        bases = [Told(one.lens, one.value.base_fee_wei) for one in told]
        base = fenced(bases, self._quorum.size, self.facts.tip_cap_wei, "the base fee")
        if base.value is None:
            return Verdict(conflict=base.conflict)
        tip = min(one.value.tip_wei for one in told)
        quote = replace(told[0].value, base_fee_wei=base.value, tip_wei=tip)
        return Verdict(quote, agreed=True, conflict=base.conflict)

    def _foreseen(self, told: Sequence[Told[Simulation]]) -> Verdict[Simulation]:
        def key(simulation: Simulation) -> object:
            return simulation.block, [(call.success, call.deltas) for call in simulation.calls]

        verdict = alike(told, self._quorum.size, key, lambda *_: "what a plan would do")
        if verdict.value is None:
            return verdict
        same = [one for one in told if key(one.value) == key(verdict.value)]
        calls = []
        for index, call in enumerate(verdict.value.calls):
            gas = fenced(
                [Told(one.lens, one.value.calls[index].gas_used) for one in same],
                self._quorum.size,
                _GAS_SLACK,
                "the gas of a plan",
            )
            if gas.value is None:
                return Verdict(conflict=gas.conflict)
            calls.append(replace(call, gas_used=gas.value))
        return replace(verdict, value=replace(verdict.value, calls=tuple(calls)))


def _identity(value: object) -> object:
    return value


def _told(results: Sequence[ReadResult]) -> list[bytes | None]:
    """Return what is decided by: answers, and which reads failed."""
    return [result.data if result.success else None for result in results]


def _agree(one: ReadResult, other: ReadResult) -> bool:
    return _told([one]) == _told([other])


def _worded(results: Sequence[ReadResult]) -> ReadResult:
    """Keep the bytes of a failure only if all give the same: nodes differ in that, and nothing is decided by them."""
    first = results[0]
    return first if all(result == first for result in results) else ReadResult(False, b"")
