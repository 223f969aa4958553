"""The endpoints of one chain: checked to be that chain, in step, healthy ones first, failing ones set aside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.heads import Heads
from keeper.chain.health import PAUSE, WRONG_CHAIN_PAUSE, EndpointStatus, Member
from keeper.chain.retry import Retry
from keeper.chain.roster import Roster
from keeper.errors import ConfigError, IntegrityError, Transient
from keeper.ports import EventSink

__all__ = ["PAUSE", "WRONG_CHAIN_PAUSE", "Lens", "Pool"]

T = TypeVar("T")


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="rpc-probe", daemon=True).start()


class Lens:
    """One endpoint of a pool as a source of answers; its successes and failures count in the pool."""

    def __init__(self, pool: Pool, member: Member) -> None:
        self.chain = pool.chain
        #: How the endpoint is named to people.
        self.name = member.endpoint.redacted
        self.member = member
        self._pool = pool

    def call(self, method: str, params: Sequence[Any] | bytes = ()) -> Any:
        """Make one read, and again within narrow bounds."""
        return self.ask(lambda endpoint: endpoint.call(method, params))

    def batch(self, calls: Sequence[tuple[str, Sequence[Any] | bytes]]) -> list[Any]:
        """Make several reads. A node's refusal of an item is a value (RpcRejected) in its place."""
        return self.ask(lambda endpoint: _without_transients(endpoint.batch(calls)))

    def ask(self, question: Callable[[Endpoint], T], *, retry: bool = True) -> T:
        """Put a question to this endpoint; with ``retry``, again when that may help soon."""
        if not retry:
            return self._pool.roster.put(self.member, question)
        return self._pool.briefly(lambda: self._pool.roster.put(self.member, question))

    def hear(self, endpoint: Endpoint, number: int) -> None:
        """Take note of the endpoint's newest height."""
        self._pool.roster.hear(endpoint, number)


class Pool:
    """Asks questions of whichever endpoint can answer. Threads may share it.

    ``ask`` believes one endpoint; ``lenses`` are the single ones, for rules that want several to agree.
    """

    def __init__(
        self,
        chain: str,
        chain_id: int,
        endpoints: Sequence[Endpoint],
        *,
        events: EventSink,
        quorum: int = 1,
        block_seconds: float | None = None,
        retry: Retry | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        background: Callable[[Callable[[], None]], None] = _in_background,
    ) -> None:
        """Nothing is sent until the first question. Heads are followed when ``block_seconds`` are given.

        Raises:
            ConfigError: without endpoints, or with fewer than ``quorum``.
        """
        if not endpoints:
            raise ConfigError(f"chain {chain} has no RPC endpoint. Set chains.{chain}.rpc to at least one URL.")
        if not 1 <= quorum <= len(endpoints):
            raise ConfigError(
                f"chains.{chain}.quorum is {quorum}, with {len(endpoints)} endpoints. Set it to 1 up to that number."
            )
        self.chain = chain
        self.chain_id = chain_id
        #: How many endpoints must agree where money depends on it.
        self.quorum = quorum
        members = [Member(endpoint) for endpoint in endpoints]
        heads = Heads(members, block_seconds, quorum) if block_seconds is not None else None
        #: Who may be asked.
        self.roster = Roster(chain, chain_id, members, heads, events=events, monotonic=monotonic, background=background)
        self._retry = retry or Retry()
        #: Runs a read again when that may help within a second.
        self.briefly = self._retry.brief()
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

    def lenses(self) -> list[Lens]:
        """Return the endpoints that may be believed now, healthiest first; looks after the others in the background."""
        self._start()
        self.roster.look_after(urgent=sum(map(self.roster.is_usable, self.roster.members)) < self.quorum)
        return [Lens(self, member) for member in self.roster.order() if self.roster.is_usable(member)]

    def hear(self, endpoint: Endpoint, number: int) -> None:
        """Take note of an endpoint's newest height. Raises StaleHead when it lags behind the others."""
        self.roster.hear(endpoint, number)

    def status(self) -> tuple[EndpointStatus, ...]:
        """Return how every endpoint stands, in configured order; asks nothing."""
        return self.roster.status()

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint that is known to be of this chain: where transactions are sent.

        Raises:
            RpcUnavailable: when there is none at present.
        """
        self._start()
        self.roster.look_after()
        for member in self.roster.order():
            if not member.verified and member.paused_until <= 0:
                self.roster.checked(member)
        if not (right := self.roster.recipients()):
            raise self.roster.nobody([])
        return right

    def close(self) -> None:
        """Close all connections."""
        for member in self.roster.members:
            member.endpoint.close()

    def _start(self) -> None:
        """Before the first question, check the chain id of all endpoints, side by side."""
        if self._started:
            return
        with self._starting:
            if not self._started:
                with ThreadPoolExecutor(len(self.roster.members), thread_name_prefix="rpc-verify") as executor:
                    list(executor.map(self.roster.checked, self.roster.members))
                self._started = True

    def _round(self, question: Callable[[Endpoint], T]) -> T:
        """Ask each endpoint once, healthiest first."""
        self._start()
        self.roster.look_after()
        failures: list[Transient] = []
        for member in self.roster.order():
            try:
                return self.roster.put(member, question)
            except Transient as failure:
                if not isinstance(failure, WrongChain):
                    failures.append(failure)
        raise self.roster.nobody(failures)


def _without_transients(answers: list[Any]) -> list[Any]:
    """Raise an item's Transient: such a batch is asked again as a whole."""
    for answer in answers:
        if isinstance(answer, (Transient, IntegrityError)):
            raise answer
    return answers
