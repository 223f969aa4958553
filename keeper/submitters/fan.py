"""Give the same transactions to several endpoints side by side, and say what became of each."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

import tenacity

from keeper.domain.transaction import SignedTx
from keeper.errors import BadReply, IntegrityError, KeeperError, RpcUnavailable, Transient
from keeper.ports import Submission
from keeper.submitters.outcomes import Outcome, best, outcome_of
from keeper.submitters.workers import Workers
from keeper.tx.refusals import NO_WORDS, Words

__all__ = ["Fan", "Route", "SendMany", "SendRaw", "Source", "now", "one_by_one"]

S = TypeVar("S")

#: Endpoints, or what returns those of the moment.
Source: TypeAlias = Sequence[S] | Callable[[], Sequence[S]]

#: Times the same bytes are sent while nobody says anything certain.
_ATTEMPTS: Final = 3

#: Transactions in one request; common nodes take no more items.
_AT_ONCE: Final = 100

#: Seconds that others may still answer once an endpoint has said enough about every transaction.
_GRACE: Final = 0.25

#: Seconds after which an endpoint is not waited for, whatever its own time-outs are.
_PATIENCE: Final = 45.0

#: What one endpoint has to say so that no other is waited for.
_ENOUGH: Final = frozenset({Submission.ACCEPTED, Submission.KNOWN, Submission.NONCE_USED})


class SendRaw(Protocol):
    """Sends raw bytes to one endpoint, once."""

    def __call__(self, raw: bytes, /) -> str:
        """Return the hash that the node answered. Raises Transient or RpcRejected."""
        ...


class SendMany(Protocol):
    """Sends several raw transactions to one endpoint, in this order, once each."""

    def __call__(self, raws: Sequence[bytes], /) -> Sequence[str | KeeperError]:
        """Return the node's hash or its refusal of each, in order. Raises Transient when all of it failed."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint, and what it is given."""

    send: SendMany
    #: Whether it may see a transaction.
    takes: Callable[[SignedTx], bool] = lambda _: True
    #: Where such an endpoint has a transaction, it is waited for and asked again, whatever the others say.
    leads: bool = False


@dataclass(frozen=True, slots=True)
class _Manners:
    """How a fan sends and waits."""

    own: Words
    grace: float
    patience: float
    workers: Workers


class Fan:
    """Sends to all routes at once, until each transaction's fate is told. Threads may share it."""

    def __init__(
        self,
        *,
        own: Words = NO_WORDS,
        sleep: Callable[[float], None] = time.sleep,
        grace: float = _GRACE,
        patience: float = _PATIENCE,
        workers: Workers | None = None,
    ) -> None:
        """Say how to send.

        Args:
            own: the chain's own error words.
            sleep: waits between attempts.
            grace: seconds that others may still answer once an endpoint has said enough about every transaction.
            patience: seconds after which no endpoint is waited for.
            workers: the threads that send.
        """
        self._manners = _Manners(own, grace, patience, workers or Workers())
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(bool),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=4),
            sleep=sleep,
            retry_error_callback=lambda _: None,  # the journal has the bytes: they are sent again later
        )

    def send(self, batch: Sequence[SignedTx], routes: Callable[[Sequence[SignedTx]], Sequence[Route]]) -> list[Outcome]:
        """Send all of a batch; returns what became of each, in order.

        Only MAYBE is tried again, with the same bytes, and one at a time: an endpoint may take no batches. A refusal
        after a MAYBE stays MAYBE, because the first bytes may have arrived.

        Args:
            batch: in nonce order.
            routes: tells the endpoints for these transactions, at each attempt.

        Raises:
            IntegrityError: raised by ``routes`` before anything was sent.
        """
        outcomes: dict[int, Outcome] = {}
        unsure = list(range(len(batch)))

        def attempt() -> list[int]:
            """Send what is unsure; returns what stays so."""
            open_ = [batch[index] for index in unsure]
            again = bool(outcomes)
            given = _given(routes, open_, (Transient, IntegrityError) if again else Transient)
            told = _Round(self._manners, open_, given, singly=again).run()
            for index, (outcome, _) in zip(unsure, told, strict=True):
                outcomes[index] = best([outcome, outcomes[index]] if index in outcomes else [outcome])
            unsure[:] = [index for index, (_, stays) in zip(unsure, told, strict=True) if stays]
            return unsure

        if batch:
            self._retrying(attempt)
        return [outcomes[index] for index in range(len(batch))]


def _given(
    routes: Callable[[Sequence[SignedTx]], Sequence[Route]],
    batch: Sequence[SignedTx],
    forgiven: type[KeeperError] | tuple[type[KeeperError], ...],
) -> Sequence[Route] | KeeperError:
    try:
        return routes(batch) or RpcUnavailable("no endpoint takes it at present")
    except forgiven as error:
        return error


class _Round:
    """One attempt: what each endpoint said about each transaction."""

    def __init__(
        self, manners: _Manners, batch: Sequence[SignedTx], routes: Sequence[Route] | KeeperError, *, singly: bool
    ) -> None:
        self._manners, self._batch, self._singly = manners, batch, singly
        self._silence: KeeperError = RpcUnavailable("no endpoint has answered in time")
        if isinstance(routes, KeeperError):
            self._silence, routes = routes, ()
        self._routes = routes
        #: By route, the places in the batch of what it is given.
        self._shares = [[place for place, tx in enumerate(batch) if route.takes(tx)] for route in routes]
        self._said: list[list[Outcome]] = [[] for _ in batch]
        #: What counts for waiting and for asking again: the leading routes' words where there are any.
        self._leading: list[list[Outcome]] = [[] for _ in batch]
        self._led = [
            any(route.leads and place in share for route, share in zip(self._routes, self._shares, strict=True))
            for place in range(len(batch))
        ]

    def run(self) -> list[tuple[Outcome, bool]]:
        """Send; returns the outcome of each transaction, and whether to ask again."""
        answers: queue.SimpleQueue[tuple[int, Sequence[str | KeeperError]]] = queue.SimpleQueue()
        waiting = {index for index, share in enumerate(self._shares) if share}
        for index in sorted(waiting):
            self._begin(index, answers)
        end = time.monotonic() + self._manners.patience
        enough = False
        while waiting:
            try:
                index, got = answers.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            waiting.discard(index)
            self._hear(index, got)
            if not enough and all(any(o[0] in _ENOUGH for o in said) for said in self._leading):
                enough = True
                end = min(end, time.monotonic() + self._manners.grace)
        return [self._verdict(place) for place in range(len(self._batch))]

    def _begin(self, index: int, answers: queue.SimpleQueue[tuple[int, Sequence[str | KeeperError]]]) -> None:
        route, raws = self._routes[index], [self._batch[place].raw for place in self._shares[index]]
        send = _singly(route.send) if self._singly else route.send

        def task() -> None:
            got: Sequence[str | KeeperError] = [RpcUnavailable("sending failed in an unforeseen way")] * len(raws)
            try:
                got = [answer for some in _portions(raws) for answer in send(some)]
            except KeeperError as error:
                got = [error] * len(raws)
            finally:
                answers.put((index, got))  # nobody listens any more when it is late; then it is forgotten

        if not self._manners.workers.run(index, task):
            error = RpcUnavailable("an endpoint leaves too many earlier sends unanswered")
            answers.put((index, [error] * len(raws)))

    def _hear(self, index: int, got: Sequence[str | KeeperError]) -> None:
        share, leads = self._shares[index], self._routes[index].leads
        if len(got) != len(share):
            got = [_misfit(got, share)] * len(share)
        for place, answer in zip(share, got, strict=True):
            outcome = outcome_of(self._batch[place], answer, self._manners.own)
            self._said[place].append(outcome)
            if leads or not self._led[place]:
                self._leading[place].append(outcome)

    def _verdict(self, place: int) -> tuple[Outcome, bool]:
        """Whoever has not answered may have it."""
        asked = sum(place in share for share in self._shares)
        said, leading = self._said[place], self._leading[place]
        if len(said) < asked or not said:
            silent = (Submission.MAYBE, str(self._silence))
            said = [*said, silent]
            leading = [*leading, silent]
        return best(said), best(leading or said)[0] is Submission.MAYBE


def now(source: Source[S]) -> Sequence[S]:
    """Return the endpoints of this moment. Raises what the source raises."""
    return source() if callable(source) else source


def one_by_one(send: SendRaw) -> SendMany:
    """Make a sender of single transactions send several, in order; one failed connection ends the row."""

    def send_many(raws: Sequence[bytes]) -> list[str | KeeperError]:
        answers: list[str | KeeperError] = []
        for raw in raws:
            try:
                answers.append(send(raw))
            except Transient as error:
                return [*answers, *[error] * (len(raws) - len(answers))]
            except KeeperError as error:
                answers.append(error)
        return answers

    return send_many


def _singly(send: SendMany) -> SendMany:
    def send_one(raw: bytes) -> str:
        answers = send([raw])
        if len(answers) != 1:
            raise _misfit(answers, [raw])
        if isinstance(answers[0], KeeperError):
            raise answers[0]
        return answers[0]

    return one_by_one(send_one)


def _portions(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [raws[start : start + _AT_ONCE] for start in range(0, len(raws), _AT_ONCE)]


def _misfit(answers: Sequence[object], asked: Sequence[object]) -> BadReply:
    return BadReply(f"an endpoint gave {len(answers)} answers to {len(asked)} transactions")
