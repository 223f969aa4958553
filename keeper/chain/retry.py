"""Try a read again, with bounds: the one place where the chain room uses tenacity. Never wrapped around a send."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import tenacity

from keeper.chain.endpoint import WrongChain
from keeper.errors import RateLimited, RpcTimeout, StatePruned, Transient

__all__ = ["Retry"]

T = TypeVar("T")

#: A Retry-After above this many seconds is not worth waiting for inside a read.
_PATIENCE: Final = 5.0

#: Attempts at one of several endpoints that are to agree.
_BRIEF_ATTEMPTS: Final = 3

#: First back-off's upper bound in seconds; it doubles, with full jitter.
_FIRST_WAIT: Final = 0.25

#: Longest back-off in seconds.
_LONGEST_WAIT: Final = 4.0


class Retry:
    """Bounded attempts and a deadline around something that may raise Transient."""

    def __init__(
        self, *, attempts: int = 4, deadline: float = 30.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Allow ``attempts`` tries within ``deadline`` seconds; a try that has begun is not cut short."""
        self._sleep = sleep
        self._attempts = attempts
        self._retrying = self._made(_worth_it, attempts, deadline)

    def brief(self) -> Retry:
        """Return one for questions that another endpoint can answer instead: only what may help within a second."""
        made = Retry(attempts=min(_BRIEF_ATTEMPTS, self._attempts), sleep=self._sleep)
        made._retrying = self._made(_worth_it_here, made._attempts, _LONGEST_WAIT)
        return made

    def __call__(self, question: Callable[[], T]) -> T:
        """Return the first answer, or raise the last failure."""
        return self._retrying(question)

    def _made(self, worth_it: Callable[[BaseException], bool], attempts: int, deadline: float) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_it),
            stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_after_delay(deadline),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )


def _worth_it(error: BaseException) -> bool:
    """Tell whether to try again: not when the endpoint asked for more patience than a read has, nor what is gone."""
    if isinstance(error, RateLimited) and error.retry_after is not None:
        return error.retry_after <= _PATIENCE
    return isinstance(error, Transient) and not isinstance(error, StatePruned)


def _worth_it_here(error: BaseException) -> bool:
    """Tell whether the same endpoint may do better at once: not after a time-out or a limit, nor of another chain."""
    return isinstance(error, Transient) and not isinstance(error, (RateLimited, RpcTimeout, StatePruned, WrongChain))


_backoff: Final = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    """Honour Retry-After, else back off with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RateLimited) else None
    return _backoff(state) if asked is None else asked
