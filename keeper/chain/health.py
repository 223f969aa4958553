"""What is known about one endpoint, and for how long each kind of failure sets it aside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.errors import KeeperError, RateLimited, RpcTimeout, StaleHead

__all__ = ["CIRCUIT_PAUSE", "FAILURES", "PAUSE", "WRONG_CHAIN_PAUSE", "EndpointStatus", "Member"]

#: Failures in a row after which an endpoint is set aside.
FAILURES: Final = 3

#: Seconds for which it is set aside. A time-out sets aside at once, because it costs everyone its seconds: first for
#: ``FIRST_PAUSE``, twice as long each time.
PAUSE: Final = 60.0
FIRST_PAUSE: Final = 5.0

#: Failures in a row, and within an hour, after which it is left alone for longer; and for how many seconds.
CIRCUIT_ROW: Final = 25
CIRCUIT_HOUR: Final = 75
CIRCUIT_PAUSE: Final = 600.0
_HOUR: Final = 3600.0

#: Seconds after which an endpoint of a wrong chain is looked at again.
WRONG_CHAIN_PAUSE: Final = 600.0

#: Seconds to stay away from an endpoint that asks for fewer requests without saying how long; doubled up to PAUSE.
_LIMIT_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """How one endpoint stands, for people and metrics."""

    #: Scheme and host, never a full URL.
    endpoint: str
    #: It is read from at present.
    healthy: bool
    #: Seconds until it is looked at again; 0 when it is not set aside.
    paused_seconds: int
    #: Newest height it was heard to have; ``None`` when it was never heard.
    head: int | None
    #: Blocks behind the best of the endpoints; ``None`` when unknown.
    lag: int | None
    #: Failures in a row.
    failures: int
    #: The wrong chain id it answered with, if it did.
    wrong_chain_id: int | None = None
    #: The last failure in words, empty when it answers.
    error: str = ""


@dataclass(slots=True)
class Member:
    """An endpoint and what is known about it. The pool's lock guards it."""

    endpoint: Endpoint
    #: Its chain id was read since it last failed, and is right.
    verified: bool = False
    #: It was right at some time.
    once_verified: bool = False
    #: The wrong chain id it answered with, if it did.
    wrong_id: int | None = None
    #: Failures in a row, and rate limits in a row.
    failures: int = 0
    limits: int = 0
    #: When it failed within the last hour (monotonic).
    failed_at: deque[float] = field(default_factory=deque)
    #: Monotonic time until which others are preferred.
    paused_until: float = 0.0
    #: Monotonic time until which it is not asked at all, because it asked for that.
    resting_until: float = 0.0
    #: Newest height heard from it, and when.
    head: int | None = None
    heard_at: float = 0.0
    #: It is too many blocks behind the others to be read from.
    lagging: bool = False
    #: Somebody is looking whether it is well again, and when to look next.
    probing: bool = False
    probe_at: float = 0.0
    probed_at: float = 0.0
    #: Until when others are preferred because it was outvoted.
    doubted_until: float = 0.0
    error: str = ""

    def failed(self, failure: KeeperError, now: float) -> int | None:
        """Count a failure; returns the seconds of the pause if it is worth telling (0 for none), else ``None``."""
        self.error = str(failure)
        if isinstance(failure, WrongChain):
            return self._is_wrong(failure.chain_id, now)
        if isinstance(failure, RateLimited):
            return self._is_limited(failure, now)
        if isinstance(failure, StaleHead):  # a block that has not arrived, or has gone: no fault
            return None
        self.failures += 1
        self.failed_at.append(now)
        while self.failed_at[0] <= now - _HOUR:
            self.failed_at.popleft()
        if self.failures == CIRCUIT_ROW or len(self.failed_at) >= CIRCUIT_HOUR:
            self.failed_at.clear()
            return self._rest(now)
        if self.failures > CIRCUIT_ROW:
            self._rest(now)
            return None
        pause = self._pause(failure)
        if pause:
            self.paused_until = max(self.paused_until, now + pause)
            self.probe_at = now + min(pause, FIRST_PAUSE * 2.0 ** max(0, self.failures - FAILURES))
            # What comes back may be another node behind the same name.
            self.verified = False
        return int(pause) if self.failures in (1, FAILURES) else None

    def answered(self) -> int:
        """End a row of failures; returns how many there were (rate limits count)."""
        ended = self.failures + self.limits
        self.failures = self.limits = 0
        self.paused_until = self.resting_until = 0.0
        self.error = ""
        return ended

    def _pause(self, failure: KeeperError) -> float:
        if self.failures >= FAILURES:
            return PAUSE
        return FIRST_PAUSE * 2.0 ** (self.failures - 1) if isinstance(failure, RpcTimeout) else 0.0

    def _is_wrong(self, chain_id: int, now: float) -> int | None:
        known = self.wrong_id == chain_id
        self.verified, self.wrong_id, self.head = False, chain_id, None
        self.paused_until = now + WRONG_CHAIN_PAUSE
        return None if known else int(WRONG_CHAIN_PAUSE)

    def _is_limited(self, failure: RateLimited, now: float) -> int | None:
        self.limits += 1
        wait = failure.retry_after
        if wait is None:
            wait = min(_LIMIT_PAUSE * 2.0 ** min(self.limits - 1, 10), PAUSE)
        self.resting_until = max(self.resting_until, now + wait)
        return int(wait) if self.limits == 1 or wait > PAUSE else None

    def _rest(self, now: float) -> int:
        self.verified = False
        self.paused_until = max(self.paused_until, now + CIRCUIT_PAUSE)
        self.probe_at = self.paused_until
        return int(CIRCUIT_PAUSE)
