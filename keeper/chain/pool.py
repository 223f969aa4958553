"""The endpoints of one chain: checked to be that chain, in step, healthy ones first, failing ones set aside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.heads import Heads
from keeper.chain.health import PAUSE, WRONG_CHAIN_PAUSE, EndpointStatus, Member
from keeper.chain.quantity import uint
from keeper.chain.retry import Retry
from keeper.domain.events import Event, EventName, Level
from keeper.errors import (
    BadReply,
    ConfigError,
    IntegrityError,
    KeeperError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    StaleHead,
    Transient,
)
from keeper.ports import EventSink

__all__ = ["PAUSE", "WRONG_CHAIN_PAUSE", "Lens", "Pool"]

T = TypeVar("T")

#: Seconds for which an endpoint that was outvoted is asked last.
DOUBT: Final = 600.0

#: Seconds between two looks at a set-aside endpoint while there are too few others.
_URGENT: Final = 5.0


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
            return self._pool.put(self.member, question)
        return self._pool.briefly(lambda: self._pool.put(self.member, question))

    def hear(self, endpoint: Endpoint, number: int) -> None:
        """Take note of the endpoint's newest height."""
        self._pool.hear(endpoint, number)


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
        self._members = [Member(endpoint) for endpoint in endpoints]
        self._heads = Heads(self._members, block_seconds, quorum) if block_seconds is not None else None
        self._events = events
        self._retry = retry or Retry()
        #: Runs a read again when that may help within a second.
        self.briefly = self._retry.brief()
        self._monotonic = monotonic
        self._background = background
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._started = False
        for endpoint in endpoints:
            endpoint.expect(chain_id)

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
        member = (self._order() or self._members)[0]
        if not member.verified:
            try:
                self._verify(member)
            except WrongChain as failure:
                raise self.nobody([failure]) from None
        return member.endpoint.call(method, params)

    def lenses(self) -> list[Lens]:
        """Return the endpoints that may be believed now, healthiest first; looks after the others in the background."""
        self._start()
        self._look_after(urgent=sum(map(self._is_usable, self._members)) < self.quorum)
        return [Lens(self, member) for member in self._order() if self._is_usable(member)]

    def put(self, member: Member, question: Callable[[Endpoint], T]) -> T:
        """Put a question to one endpoint and keep score."""
        if not member.verified:
            self._verify(member)
        try:
            answer = question(member.endpoint)
        except Transient as failure:
            self._failed(member, failure)
            raise
        except RpcRejected:
            self._answered(member)
            raise
        self._answered(member)
        return answer

    def hear(self, endpoint: Endpoint, number: int) -> None:
        """Take note of an endpoint's newest height.

        Raises:
            StaleHead: when it lags so far behind the others that it is not to be believed.
        """
        if self._heads is None:
            return
        now = self._monotonic()
        with self._lock:
            member = next(member for member in self._members if member.endpoint is endpoint)
            was = member.lagging
            self._heads.hear(member, number, now)
            lag = self._heads.lag(member, now)
            changed, age = self._heads.moved(now)
            stalled = self._heads.stalled
        if changed:
            self._tell_stall(stalled=stalled, age=age)
        if was and not member.lagging:
            self._tell(EventName.RPC_RECOVERED, Level.INFO, member, failures=0)
        if member.lagging:
            words = f"{endpoint.redacted} is {lag} blocks behind the other endpoints. Use another, or wait."
            if not was:
                self._tell(EventName.RPC_FAILED, Level.WARNING, member, error=words, paused_seconds=0)
            raise StaleHead(words)

    def tell_conflict(self, member: Member, other: Member, about: str) -> None:
        """Tell that two endpoints contradict each other."""
        self._tell(EventName.RPC_DISAGREED, Level.ERROR, member, other=other.endpoint.redacted, about=about)

    def doubt(self, member: Member) -> None:
        """Ask an endpoint that the others outvoted last, for a while."""
        with self._lock:
            member.doubted_until = self._monotonic() + DOUBT

    def status(self) -> tuple[EndpointStatus, ...]:
        """Return how every endpoint stands, in configured order."""
        now = self._monotonic()
        with self._lock:
            return tuple(
                EndpointStatus(
                    endpoint=member.endpoint.redacted,
                    healthy=self._is_usable(member) and not member.failures,
                    paused_seconds=max(0, round(max(member.paused_until, member.resting_until) - now)),
                    head=member.head,
                    lag=self._heads.lag(member, now) if self._heads else None,
                    failures=member.failures,
                    wrong_chain_id=member.wrong_id,
                    error=member.error,
                )
                for member in self._members
            )

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
            raise self.nobody([])
        return right

    def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            member.endpoint.close()

    def nobody(self, failures: Sequence[Transient]) -> KeeperError:
        """Say why no endpoint answered."""
        wrong = [member for member in self._members if member.wrong_id is not None]
        if len(wrong) == len(self._members):
            names = ", ".join(f"{member.endpoint.redacted} (chain id {member.wrong_id})" for member in wrong)
            return IntegrityError(
                f"no endpoint of {self.chain} is chain id {self.chain_id}: {names}. Correct chains.{self.chain}.rpc."
            )
        if len(failures) == 1:
            return failures[0]
        if not failures and (limited := self._limited()) is not None:
            return limited
        words = "; ".join(str(failure) for failure in failures) or "all are set aside after failures"
        limits = [failure.retry_after for failure in failures if isinstance(failure, RateLimited)]
        if failures and len(limits) == len(failures):
            return RateLimited(words, retry_after=min((wait for wait in limits if wait is not None), default=None))
        if failures and all(isinstance(failure, StaleHead) for failure in failures):
            return StaleHead(words)
        kind = RpcTimeout if any(isinstance(failure, RpcTimeout) for failure in failures) else RpcUnavailable
        return kind(f"no endpoint of {self.chain} answered: {words}")

    def _limited(self) -> RateLimited | None:
        """Say that every endpoint asked us to stay away, if that is so."""
        now = self._monotonic()
        waits = [member.resting_until - now for member in self._members if member.wrong_id is None]
        if not waits or min(waits) <= 0:
            return None
        words = f"every endpoint of {self.chain} has asked for fewer requests. Add an endpoint, or a larger plan."
        return RateLimited(words, retry_after=min(waits))

    def _start(self) -> None:
        """Before the first question, check the chain id of all endpoints, side by side."""
        if self._started:
            return
        with self._starting:
            if not self._started:
                with ThreadPoolExecutor(len(self._members), thread_name_prefix="rpc-verify") as executor:
                    list(executor.map(self._checked, self._members))
                self._started = True

    def _round(self, question: Callable[[Endpoint], T]) -> T:
        """Ask each endpoint once, healthiest first."""
        self._start()
        self._look_after()
        failures: list[Transient] = []
        for member in self._order():
            try:
                return self.put(member, question)
            except Transient as failure:
                if not isinstance(failure, WrongChain):
                    failures.append(failure)
        raise self.nobody(failures)

    def _is_usable(self, member: Member) -> bool:
        """Tell whether to ask it before any that is set aside."""
        now = self._monotonic()
        if member.lagging or member.resting_until > now:
            return False
        # Where somebody looks after the set-aside ones, no question has to find out that one is still dead.
        return member.paused_until <= (0.0 if self._looks_after() else now)

    def _order(self) -> list[Member]:
        """Usable endpoints, undoubted ones first; if all are set aside, only the one whose time is up first."""
        now = self._monotonic()
        usable = [member for member in self._members if self._is_usable(member)]
        if usable:
            return sorted(usable, key=lambda member: member.doubted_until > now)
        rest = [member for member in self._members if member.resting_until <= now and not member.lagging]
        rest = [member for member in rest if member.wrong_id is None] or rest
        return [min(rest, key=lambda member: member.paused_until)] if rest else []

    def _looks_after(self) -> bool:
        return self._heads is not None and len(self._members) > 1

    def _look_after(self, *, urgent: bool = False) -> None:
        """Ask, in the background, those for their height that were not heard of late, or may be well again."""
        if not self._looks_after():
            return
        now = self._monotonic()
        for member in self._members:
            with self._lock:
                due = member.probe_at
                if urgent and member.paused_until > 0 and member.wrong_id is None:
                    due = min(due, member.probed_at + _URGENT)
                if member.probing or member.resting_until > now or now < due:
                    continue
                member.probing, member.probed_at = True, now
            self._background(partial(self._probe, member))

    def _probe(self, member: Member) -> None:
        """Ask one endpoint for its height; what comes of it is on record."""
        try:
            self.put(member, self._height)
        except KeeperError:
            pass
        finally:
            with self._lock:
                member.probing = False
                member.probe_at = max(member.probe_at, self._monotonic() + 1)

    def _height(self, endpoint: Endpoint) -> None:
        self.hear(endpoint, uint(endpoint.call("eth_blockNumber"), "a block number"))

    def _checked(self, member: Member) -> bool:
        """Verify an endpoint; ``False`` when it failed or is of another chain, which is then on record."""
        try:
            self._verify(member)
        except Transient:
            return False
        return True

    def _verify(self, member: Member) -> None:
        """Read an endpoint's chain id and keep score."""
        try:
            member.endpoint.identify()
        except Transient as failure:
            self._failed(member, failure)
            raise
        except RpcRejected as refusal:
            silent = BadReply(f"{refusal} It does not tell its chain id. Use another endpoint.")
            self._failed(member, silent)
            raise silent from None
        with self._lock:
            member.verified, member.wrong_id = True, None

    def _failed(self, member: Member, failure: KeeperError) -> None:
        """Count a failure, and tell those that change how the endpoint is used."""
        with self._lock:
            seconds = member.failed(failure, self._monotonic())
        if seconds is not None:
            level = Level.ERROR if isinstance(failure, WrongChain) else Level.WARNING
            self._tell(EventName.RPC_FAILED, level, member, error=str(failure), paused_seconds=seconds)

    def _answered(self, member: Member) -> None:
        """End a row of failures."""
        if not (member.failures or member.limits or member.paused_until):
            return
        with self._lock:
            ended = member.answered()
        self._tell(EventName.RPC_RECOVERED, Level.INFO, member, failures=ended)

    def _tell(self, name: EventName, level: Level, member: Member, **fields: str | int | None) -> None:
        known = {"chain": self.chain, "endpoint": member.endpoint.redacted}
        self._events.emit(Event(name, level, known | fields))

    def _tell_stall(self, *, stalled: bool, age: int) -> None:
        name, level = (EventName.CHAIN_STALLED, Level.WARNING) if stalled else (EventName.CHAIN_RESUMED, Level.INFO)
        self._events.emit(Event(name, level, {"chain": self.chain, "age_seconds": age}))


def _without_transients(answers: list[Any]) -> list[Any]:
    """Raise an item's Transient: such a batch is asked again as a whole."""
    for answer in answers:
        if isinstance(answer, (Transient, IntegrityError)):
            raise answer
    return answers
