"""The endpoints of one chain: checked to be that chain, healthy ones first, failing ones set aside for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from keeper.chain.endpoint import Endpoint
from keeper.chain.quantity import uint
from keeper.chain.retry import Retry
from keeper.domain.events import Event, EventName, Level
from keeper.errors import (
    ConfigError,
    IntegrityError,
    KeeperError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    Transient,
)
from keeper.ports import EventSink

__all__ = ["Pool"]

T = TypeVar("T")

#: Failures in a row after which an endpoint is set aside.
FAILURES: Final = 3

#: Seconds for which it is set aside.
PAUSE: Final = 60.0

#: Seconds after which an endpoint of a wrong chain is looked at again.
WRONG_CHAIN_PAUSE: Final = 600.0


@dataclass(slots=True)
class _Member:
    """An endpoint and what is known about it."""

    endpoint: Endpoint
    #: Its chain id was read since it last failed, and is right.
    verified: bool = False
    #: The wrong chain id it answered with, if it did.
    wrong_id: int | None = None
    #: Failures in a row.
    failures: int = 0
    #: Monotonic time until which others are preferred.
    paused_until: float = 0.0


class Pool:
    """Asks questions of whichever endpoint can answer. Threads may share it.

    ``ask`` is the one way to a node: a rule that wants several nodes to agree is another method beside it.
    """

    def __init__(
        self,
        chain: str,
        chain_id: int,
        endpoints: Sequence[Endpoint],
        *,
        events: EventSink,
        retry: Retry | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is sent until the first question.

        Raises:
            ConfigError: without endpoints.
        """
        if not endpoints:
            raise ConfigError(f"chain {chain} has no RPC endpoint. Set chains.{chain}.rpc to at least one URL.")
        self.chain = chain
        self.chain_id = chain_id
        self._members = [_Member(endpoint) for endpoint in endpoints]
        self._events = events
        self._retry = retry or Retry()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._started = False

    def call(self, method: str, params: Sequence[Any] | bytes = ()) -> Any:
        """Make one read: fail over, and try again within bounds."""
        return self.ask(lambda endpoint: endpoint.call(method, params))

    def batch(self, calls: Sequence[tuple[str, Sequence[Any] | bytes]]) -> list[Any]:
        """Make several reads in few requests. A node's refusal of an item is a value (RpcRejected) in its place."""
        return self.ask(lambda endpoint: _without_transients(endpoint.batch(calls)))

    def ask(self, question: Callable[[Endpoint], T], *, retry: bool = True) -> T:
        """Put a question to the healthiest endpoint, then to the next; with ``retry``, go round again within bounds.

        Raises:
            RpcUnavailable: (or another Transient) when no endpoint answered.
            RpcRejected: what a node refused is not asked of another.
            IntegrityError: when every endpoint is of another chain.
        """
        return self._retry(lambda: self._round(question)) if retry else self._round(question)

    def once(self, method: str, params: Sequence[Any] | bytes = ()) -> Any:
        """Make one request of the healthiest endpoint, and never a second time: for what is not a read."""
        self._start()
        member = self._order()[0]
        if not member.verified:
            self._verify(member)
        return member.endpoint.call(method, params)

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint that is known to be of this chain: where transactions are sent.

        Raises:
            RpcUnavailable: when there is none at present.
        """
        self._start()
        for member in self._order():
            if not member.verified and member.paused_until <= self._monotonic():
                self._checked(member)
        right = [member.endpoint for member in self._members if member.verified]
        if not right:
            raise self._nobody([])
        return right

    def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            member.endpoint.close()

    def _start(self) -> None:
        """Before the first question, check the chain id of all endpoints, side by side."""
        with self._starting:
            if not self._started:
                with ThreadPoolExecutor(len(self._members), thread_name_prefix="rpc-verify") as executor:
                    list(executor.map(self._checked, self._members))
                self._started = True

    def _round(self, question: Callable[[Endpoint], T]) -> T:
        """Ask each endpoint once, healthiest first."""
        self._start()
        failures: list[Transient] = []
        for member in self._order():
            if not member.verified and not self._checked(member, failures):
                continue
            try:
                answer = question(member.endpoint)
            except Transient as failure:
                failures.append(failure)
                self._failed(member, failure)
            except RpcRejected:
                self._answered(member)
                raise
            else:
                self._answered(member)
                return answer
        raise self._nobody(failures)

    def _order(self) -> list[_Member]:
        """Usable endpoints in configured order; if all are set aside, only the one whose time is up first."""
        now = self._monotonic()
        usable = [member for member in self._members if member.paused_until <= now]
        candidates = [member for member in self._members if member.wrong_id is None] or self._members
        return usable or [min(candidates, key=lambda member: member.paused_until)]

    def _checked(self, member: _Member, failures: list[Transient] | None = None) -> bool:
        """Verify an endpoint; ``False`` when it failed or is of another chain, which is then on record."""
        try:
            self._verify(member)
        except Transient as failure:
            if failures is not None:
                failures.append(failure)
            return False
        except (RpcRejected, IntegrityError):
            return False
        return True

    def _verify(self, member: _Member) -> None:
        """Read an endpoint's chain id and keep score."""
        try:
            answer = member.endpoint.call("eth_chainId")
            chain_id = uint(answer, "its chain id")
        except (Transient, RpcRejected) as failure:
            self._failed(member, failure)
            raise
        if chain_id == self.chain_id:
            with self._lock:
                member.verified, member.wrong_id = True, None
            return
        with self._lock:
            member.verified, member.wrong_id = False, chain_id
            member.paused_until = self._monotonic() + WRONG_CHAIN_PAUSE
        problem = f"answers for chain id {chain_id}, not {self.chain_id}"
        self._tell(EventName.RPC_FAILED, Level.ERROR, member, error=problem, paused_seconds=int(WRONG_CHAIN_PAUSE))
        raise IntegrityError(f"{member.endpoint.redacted} {problem} ({self.chain}). Correct chains.{self.chain}.rpc.")

    def _failed(self, member: _Member, failure: KeeperError) -> None:
        """Count a failure; the third in a row sets the endpoint aside."""
        with self._lock:
            member.failures += 1
            first, paused = member.failures == 1, member.failures >= FAILURES
            if paused:
                member.paused_until = self._monotonic() + PAUSE
                # What comes back may be another node behind the same name.
                member.verified = False
            tell = first or member.failures == FAILURES
        if tell:
            seconds = int(PAUSE) if paused else 0
            self._tell(EventName.RPC_FAILED, Level.WARNING, member, error=str(failure), paused_seconds=seconds)

    def _answered(self, member: _Member) -> None:
        """End a row of failures."""
        if member.failures == 0:
            return
        with self._lock:
            failures, member.failures, member.paused_until = member.failures, 0, 0.0
        self._tell(EventName.RPC_RECOVERED, Level.INFO, member, failures=failures)

    def _tell(self, name: EventName, level: Level, member: _Member, **fields: str | int | None) -> None:
        known = {"chain": self.chain, "endpoint": member.endpoint.redacted}
        self._events.emit(Event(name, level, known | fields))

    def _nobody(self, failures: Sequence[Transient]) -> KeeperError:
        """Say why no endpoint answered."""
        wrong = [member for member in self._members if member.wrong_id is not None]
        if len(wrong) == len(self._members):
            names = ", ".join(f"{member.endpoint.redacted} (chain id {member.wrong_id})" for member in wrong)
            return IntegrityError(
                f"no endpoint of {self.chain} is chain id {self.chain_id}: {names}. Correct chains.{self.chain}.rpc."
            )
        if len(failures) == 1:
            return failures[0]
        words = "; ".join(str(failure) for failure in failures) or "all are set aside after failures"
        kind = RpcTimeout if any(isinstance(failure, RpcTimeout) for failure in failures) else RpcUnavailable
        limits = [failure.retry_after for failure in failures if isinstance(failure, RateLimited)]
        if failures and len(limits) == len(failures):
            return RateLimited(words, retry_after=min((wait for wait in limits if wait is not None), default=None))
        return kind(f"no endpoint of {self.chain} answered: {words}")


def _without_transients(answers: list[Any]) -> list[Any]:
    """Raise an item's Transient: such a batch is asked again as a whole."""
    for answer in answers:
        if isinstance(answer, (Transient, IntegrityError)):
            raise answer
    return answers
