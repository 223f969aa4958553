"""Ask several endpoints the same, side by side, and believe only what enough of them say.

At most ``quorum`` endpoints are asked as long as they agree. A contradiction, or an answer that fewer than ``quorum``
have, makes one more be asked, as long as there is one; then the majority decides, or nobody does (Disagreement).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from keeper.chain.health import Member
from keeper.chain.pool import Lens, Pool
from keeper.errors import Disagreement, KeeperError, Transient

__all__ = ["Conflict", "Quorum", "Told", "Verdict", "alike", "fenced"]

T = TypeVar("T")
R = TypeVar("R")

#: Questions on the wire to one endpoint at a time.
_IN_FLIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What one endpoint answered."""

    lens: Lens
    value: T


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two endpoints contradict each other; one of them is wrong."""

    first: Lens
    second: Lens
    #: What about, for people.
    about: str
    #: The one that the majority contradicts, if there is one.
    outvoted: Lens | None = None
    #: The two answers, where they are short.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """What follows from some answers."""

    #: What to believe; ``None`` in ``agreed`` = False means that there is nothing to believe yet.
    value: T | None = None
    agreed: bool = False
    #: One more opinion could make more of it.
    unsure: bool = False
    conflict: Conflict | None = None


class Quorum:
    """Gathers answers of a pool's endpoints and judges them. Threads may share it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.size = pool.quorum
        #: One set of threads per endpoint, so that each keeps its connection.
        self._workers: dict[int, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        #: Contradictions by kind of question, told and not ended.
        self._known: dict[str, tuple[str, str, str]] = {}

    def agree(self, kind: str, question: Callable[[Lens], T], judge: Callable[[Sequence[Told[T]]], Verdict[R]]) -> R:
        """Ask ``question`` of as many endpoints as it takes for ``judge`` to be sure.

        Args:
            kind: what is asked for, for people; a contradiction about it is told once until it ends.
            question: what is asked of each.
            judge: what follows from the answers so far; gets ``quorum`` of them or more.

        Raises:
            Disagreement: fewer than ``quorum`` answered, or they contradict each other.
            RpcRejected: (or what else the endpoints say that is not Transient) when as many refuse.
            RpcUnavailable: (or another Transient) when none answered.
        """
        waiting = self.pool.lenses()
        if len(waiting) < self.size:
            raise self._too_few_usable(len(waiting))
        told: list[Told[T]] = []
        errors: list[tuple[Lens, KeeperError]] = []
        while len(told) < self.size and waiting:
            missing = self.size - len(told)
            self._ask(question, waiting[:missing], told, errors)
            del waiting[:missing]
        if len(told) < self.size:
            raise self._too_few(told, errors)
        verdict = judge(told)
        while waiting and (verdict.unsure or not verdict.agreed):
            before = len(told)
            self._ask(question, [waiting.pop(0)], told, errors)
            verdict = judge(told) if len(told) > before else verdict
        self._tell(kind, verdict.conflict)
        if not verdict.agreed:
            raise self._conflict(verdict.conflict)
        return verdict.value  # type: ignore[return-value]  # agreed: it is a T, which may itself be None

    def side_by_side(self, work: Callable[[Lens], T], lenses: Sequence[Lens]) -> list[T | KeeperError]:
        """Do something with several endpoints at once; an error is a value."""
        rest = [self._worker(lens.member).submit(_caught, work, lens) for lens in lenses[1:]]
        return [_caught(work, lens) for lens in lenses[:1]] + [future.result() for future in rest]

    def close(self) -> None:
        """Stop the threads."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.shutdown(wait=False, cancel_futures=True)

    def _ask(
        self,
        question: Callable[[Lens], T],
        lenses: Sequence[Lens],
        told: list[Told[T]],
        errors: list[tuple[Lens, KeeperError]],
    ) -> None:
        for lens, answer in zip(lenses, self.side_by_side(question, lenses), strict=True):
            if isinstance(answer, KeeperError):
                errors.append((lens, answer))
            else:
                told.append(Told(lens, answer))

    def _worker(self, member: Member) -> ThreadPoolExecutor:
        with self._lock:
            worker = self._workers.get(id(member))
            if worker is None:
                worker = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix=f"quorum-{self.pool.chain}")
                self._workers[id(member)] = worker
            return worker

    def _too_few(self, told: Sequence[Told[T]], errors: Sequence[tuple[Lens, KeeperError]]) -> KeeperError:
        refusals = [error for _, error in errors if not isinstance(error, Transient)]
        if len(refusals) >= self.size:
            return refusals[0]
        failures = [error for _, error in errors if isinstance(error, Transient)]
        if not told and not refusals:
            return self.pool.roster.nobody(failures)
        return self._lacking(len(told), [str(error) for _, error in errors])

    def _too_few_usable(self, count: int) -> KeeperError:
        """Say so without asking the others in vain: what they answer could not be believed."""
        if count == 0:
            return self.pool.roster.nobody([])
        return self._lacking(count, [status.error for status in self.pool.status() if status.error])

    def _lacking(self, count: int, words: Sequence[str]) -> Disagreement:
        chain = self.pool.chain
        return Disagreement(
            f"{count} of {self.size} endpoints of {chain} that must agree answered"
            f"{': ' * bool(words)}{'; '.join(words)}. Nothing is signed or settled meanwhile. Add an endpoint, or set "
            f"chains.{chain}.quorum = {max(1, count)} to trust {'a single one' if count <= 1 else 'fewer'}."
        )

    def _conflict(self, conflict: Conflict | None) -> Disagreement:
        if conflict is None:
            return Disagreement(f"the endpoints of {self.pool.chain} do not agree yet. The next look sees.")
        return Disagreement(
            f"{conflict.first.name} and {conflict.second.name} contradict each other about {conflict.about}"
            f"{conflict.detail}. Nothing "
            "is signed or settled on it; at least one of them is wrong. Add an endpoint to decide between them, or "
            "remove the one that you do not trust."
        )

    def _tell(self, kind: str, conflict: Conflict | None) -> None:
        """Tell of a contradiction when it is new."""
        new = None if conflict is None else (conflict.first.name, conflict.second.name, conflict.about)
        with self._lock:
            known = self._known.pop(kind, None)
            if new is not None:
                self._known[kind] = new
        if conflict is None or new == known:
            return
        outvoted = conflict.outvoted.member if conflict.outvoted is not None else None
        self.pool.roster.tell_conflict(conflict.first.member, conflict.second.member, conflict.about, outvoted)
        if outvoted is not None:
            self.pool.roster.doubt(outvoted)


def alike(told: Sequence[Told[T]], quorum: int, key: Callable[[T], object], about: Callable[[T, T], str]) -> Verdict[T]:
    """Believe what ``quorum`` endpoints say alike, ``key`` being what is compared."""
    groups: list[list[Told[T]]] = []
    for one in told:
        group = next((group for group in groups if key(group[0].value) == key(one.value)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    groups.sort(key=len, reverse=True)
    conflict = None
    if len(groups) > 1:
        first, second = groups[1][0], groups[0][0]
        outvoted = first.lens if len(groups[0]) >= quorum else None
        conflict = Conflict(first.lens, second.lens, about(first.value, second.value), outvoted)
    if len(groups[0]) >= quorum:
        return Verdict(groups[0][0].value, agreed=True, conflict=conflict)
    return Verdict(conflict=conflict)


def fenced(told: Sequence[Told[int]], quorum: int, slack: int, what: str) -> Verdict[int]:
    """Believe the highest of ``quorum`` estimates that lie close together: within twice the lowest, and ``slack``."""
    ranked = sorted(told, key=lambda one: one.value)
    close = [
        (ranked[start + quorum - 1].value - ranked[start].value, ranked[start + quorum - 1])
        for start in range(len(ranked) - quorum + 1)
        if ranked[start + quorum - 1].value <= 2 * ranked[start].value + slack
    ]
    apart = ranked[-1].value > 2 * ranked[0].value + slack
    conflict = None
    if apart:
        detail = f" ({ranked[-1].value:,} and {ranked[0].value:,})"
        conflict = Conflict(ranked[-1].lens, ranked[0].lens, what, detail=detail)
    if not close:
        return Verdict(conflict=conflict)
    return Verdict(min(close, key=lambda pair: pair[0])[1].value, agreed=True, conflict=conflict)


def _caught(work: Callable[[Lens], T], lens: Lens) -> T | KeeperError:
    try:
        return work(lens)
    except KeeperError as error:
        return error
