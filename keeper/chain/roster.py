"""The endpoints of one chain and what is known about each: who may be asked, in which order, who looks after whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.heads import Heads
from keeper.chain.health import EndpointStatus, Member
from keeper.chain.sight import parse_header
from keeper.domain.events import Event, EventName, Level
from keeper.errors import (
    BadReply,
    IntegrityError,
    KeeperError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    StaleHead,
    StatePruned,
    Transient,
)
from keeper.ports import EventSink

__all__ = ["DOUBT", "Roster"]

T = TypeVar("T")

#: Seconds for which an endpoint that was outvoted is asked last.
DOUBT: Final = 600.0

#: Seconds between two looks at a set-aside endpoint while there are too few others.
_URGENT: Final = 5.0


class Roster:
    """Keeps the score of a chain's endpoints. Threads may share it."""

    def __init__(
        self,
        chain: str,
        chain_id: int,
        members: Sequence[Member],
        heads: Heads | None,
        *,
        events: EventSink,
        monotonic: Callable[[], float],
        background: Callable[[Callable[[], None]], None],
    ) -> None:
        """Follow heights when there are ``heads``; ``background`` runs a look at an endpoint that nobody waits for."""
        self.members = members
        self._chain = chain
        self._chain_id = chain_id
        self._heads = heads
        self._events = events
        self._monotonic = monotonic
        self._background = background
        self._lock = threading.Lock()
        for member in members:
            member.endpoint.expect(chain_id)

    def put(self, member: Member, question: Callable[[Endpoint], T]) -> T:
        """Put a question to one endpoint and keep score."""
        if not member.verified:
            self.verify(member)
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
            member = next(member for member in self.members if member.endpoint is endpoint)
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

    def tell_conflict(self, member: Member, other: Member, about: str, outvoted: Member | None = None) -> None:
        """Tell that two endpoints contradict each other, and whether the others have decided between them."""
        if outvoted is not None:
            words = f"the others outvote {outvoted.endpoint.redacted}; it is asked last for {DOUBT / 60:.0f} minutes"
        else:
            words = "nothing is signed or settled on it; add an endpoint to decide, or remove the one you do not trust"
        known = {"other": other.endpoint.redacted, "about": about, "next": words}
        self._tell(EventName.RPC_DISAGREED, Level.ERROR, member, **known)

    def doubt(self, member: Member) -> None:
        """Ask an endpoint that the others outvoted last, for a while."""
        with self._lock:
            member.doubted_until = self._monotonic() + DOUBT

    def recipients(self) -> list[Endpoint]:
        """Return where to send: those in order, else all that were of this chain when last heard (a send is tried)."""
        verified = [member for member in self.members if member.verified]
        known = [member for member in self.members if member.once_verified and member.wrong_id is None]
        return [member.endpoint for member in verified or known]

    def status(self) -> tuple[EndpointStatus, ...]:
        """Return how every endpoint stands, in configured order."""
        now = self._monotonic()
        with self._lock:
            return tuple(
                EndpointStatus(
                    endpoint=member.endpoint.redacted,
                    healthy=self.is_usable(member) and not member.failures,
                    paused_seconds=max(0, round(max(member.paused_until, member.resting_until) - now)),
                    head=member.head,
                    lag=self._heads.lag(member, now) if self._heads else None,
                    failures=member.failures,
                    wrong_chain_id=member.wrong_id,
                    error=member.error,
                )
                for member in self.members
            )

    def nobody(self, failures: Sequence[Transient]) -> KeeperError:
        """Say why no endpoint answered."""
        wrong = [member for member in self.members if member.wrong_id is not None]
        if len(wrong) == len(self.members):
            names = ", ".join(f"{member.endpoint.redacted} (chain id {member.wrong_id})" for member in wrong)
            return IntegrityError(
                f"no endpoint of {self._chain} is chain id {self._chain_id}: {names}. Correct chains.{self._chain}.rpc."
            )
        if len(failures) == 1:
            return failures[0]
        if not failures and (limited := self._limited()) is not None:
            return limited
        words = "; ".join(dict.fromkeys(map(str, failures))) or "all are set aside after failures"
        limits = [failure.retry_after for failure in failures if isinstance(failure, RateLimited)]
        if failures and len(limits) == len(failures):
            return RateLimited(words, retry_after=min((wait for wait in limits if wait is not None), default=None))
        if failures and all(isinstance(failure, StaleHead) for failure in failures):
            return (StatePruned if all(isinstance(each, StatePruned) for each in failures) else StaleHead)(words)
        kind = RpcTimeout if any(isinstance(failure, RpcTimeout) for failure in failures) else RpcUnavailable
        return kind(f"no endpoint of {self._chain} answered: {words}")

    def _limited(self) -> RateLimited | None:
        """Say that every endpoint asked us to stay away, if that is so."""
        now = self._monotonic()
        waits = [member.resting_until - now for member in self.members if member.wrong_id is None]
        if not waits or min(waits) <= 0:
            return None
        words = f"every endpoint of {self._chain} has asked for fewer requests. Add an endpoint, or a larger plan."
        return RateLimited(words, retry_after=min(waits))

    def order(self) -> list[Member]:
        """Usable endpoints, undoubted ones first; if all are set aside, only the one whose time is up first."""
        now = self._monotonic()
        usable = [member for member in self.members if self.is_usable(member)]
        if usable:
            return sorted(usable, key=lambda member: member.doubted_until > now)
        rest = [member for member in self.members if member.resting_until <= now and not member.lagging]
        rest = [member for member in rest if member.wrong_id is None] or rest
        return [min(rest, key=lambda member: member.paused_until)] if rest else []

    def is_usable(self, member: Member) -> bool:
        """Tell whether to ask it before any that is set aside."""
        now = self._monotonic()
        if member.lagging or member.resting_until > now:
            return False
        # Where somebody looks after the set-aside ones, no question has to find out that one is still dead.
        return member.paused_until <= (0.0 if self._looks_after() else now)

    def _looks_after(self) -> bool:
        return self._heads is not None and len(self.members) > 1

    def look_after(self, *, urgent: bool = False) -> None:
        """Ask, in the background, those for their height that were not heard of late, or may be well again."""
        if not self._looks_after():
            return
        now = self._monotonic()
        for member in self.members:
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
        # The same as any look begins with: an endpoint that fails at that must not pass for well.
        head = parse_header(endpoint.call("eth_getBlockByNumber", ("latest", False)), self._chain)
        if head is None:
            raise BadReply(f"{endpoint.redacted} has no newest block. Use another endpoint.")
        self.hear(endpoint, head.number)

    def checked(self, member: Member) -> bool:
        """Verify an endpoint; ``False`` when it failed or is of another chain, which is then on record."""
        try:
            self.verify(member)
        except Transient:
            return False
        return True

    def verify(self, member: Member) -> None:
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
            member.verified = member.once_verified = True
            member.wrong_id = None

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
        known = {"chain": self._chain, "endpoint": member.endpoint.redacted}
        self._events.emit(Event(name, level, known | fields))

    def _tell_stall(self, *, stalled: bool, age: int) -> None:
        name, level = (EventName.CHAIN_STALLED, Level.WARNING) if stalled else (EventName.CHAIN_RESUMED, Level.INFO)
        self._events.emit(Event(name, level, {"chain": self._chain, "age_seconds": age}))
