"""Tell a JSON-RPC answer from everything else an endpoint may send, and name what went wrong by one of our errors."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from keeper.errors import BadReply, KeeperError, RateLimited, RpcRejected, RpcUnavailable, StaleHead, StatePruned

__all__ = ["MAX_ANSWER_BYTES", "Answer", "dump", "many", "one"]

#: Larger answers are refused: no question of ours has one.
MAX_ANSWER_BYTES: Final = 64 << 20

#: Characters of a node's words that are repeated.
_WORDS: Final = 300

#: JSON-RPC codes that mean "slow down" whatever the words: EIP-1474's limit exceeded, and HTTP's.
_LIMIT_CODES: Final = frozenset({-32005, 429})

#: Words that mean "slow down" whatever the code.
_LIMIT_WORDS: Final = ("rate limit", "too many requests", "compute units per second", "request count exceeded")

#: Words that mean "come back much later": the day's, or the plan's, share is used up.
_QUOTA_WORDS: Final = ("quota", "daily request", "daily limit", "monthly", "out of credits", "upgrade your plan")

#: Seconds to stay away then, and the most that any endpoint's wish is honoured for.
_LONG_WAIT: Final = 3600.0

#: Words of a node that does not have the asked block (yet); another endpoint may.
_STALE_WORDS: Final = (
    "header not found",
    "unknown block",
    "block not found",
    "blockoutofrange",
    "indexing is in progress",
    "cannot query unfinalized data",
    "after last accepted block",
)

#: How a node says both its height and the block that was asked for.
_HEIGHTS: Final = re.compile(r"block height is (\d{1,20}) but requested was (\d{1,20})\b")

#: Codes of JSON-RPC itself: the request, not its outcome, was refused.
_NOT_FOUND_CODES: Final = frozenset({-32601})

#: Code of a revert.
_REVERTED: Final = 3

Scrub = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    #: The Retry-After header, as sent.
    retry_after: str | None
    body: bytes


def dump(value: Any) -> bytes:
    """Encode JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def one(answer: Answer, number: int, name: str, scrub: Scrub) -> Any:
    """Return the result of request ``number``, or raise what the answer amounts to."""
    outcome = _outcome(_parse(answer, name), number, name, scrub)
    if isinstance(outcome, KeeperError):
        raise outcome
    return outcome


def many(answer: Answer, numbers: Sequence[int], name: str, scrub: Scrub) -> list[Any]:
    """Return the outcomes of a batch in the order asked; failed items are exception values.

    Raises:
        BadReply: when an answer is missing, doubled or not ours.
        RpcRejected: when the batch was refused as a whole.
    """
    replies = _parse(answer, name)
    if isinstance(replies, dict):
        raise _refused_batch(replies, name, scrub)
    if not isinstance(replies, list) or len(replies) != len(numbers):
        raise BadReply(f"{name} answered {_size(replies)} of {len(numbers)} batched requests. Use another endpoint.")
    by_id = {reply.get("id"): reply for reply in replies if isinstance(reply, dict) and _plain(reply.get("id"))}
    if by_id.keys() != set(numbers):
        raise BadReply(f"{name} answered a batch with ids that were not asked. Use another endpoint.")
    return [_outcome(by_id[number], number, name, scrub) for number in numbers]


def _plain(number: object) -> bool:
    return type(number) is int


def _size(replies: object) -> int:
    return len(replies) if isinstance(replies, list) else 0


def _refused_batch(reply: dict[str, Any], name: str, scrub: Scrub) -> KeeperError:
    """A single object in answer to a batch is a refusal of the whole, if it is an error at all."""
    if not isinstance(reply.get("error"), dict):
        return BadReply(f"{name} answered a batch with a single result. Use another endpoint.")
    return _error(reply["error"], name, scrub)


def _parse(answer: Answer, name: str) -> Any:
    """Decode the body; an HTTP failure without a JSON-RPC error in it is raised by its status."""
    if answer.status == 429:
        words = answer.body[:_WORDS].decode(errors="replace").lower()
        raise RateLimited(
            f"{name} asks for fewer requests (HTTP 429). Add an endpoint, or a larger plan.",
            retry_after=_LONG_WAIT if _has(words, _QUOTA_WORDS) else _seconds(answer.retry_after),
        )
    try:
        decoded = json.loads(answer.body)
    except (ValueError, RecursionError):
        decoded = None
        if answer.status == 200:
            raise BadReply(
                f"{name} answered {len(answer.body)} bytes that are not JSON. Check that its URL is for JSON-RPC."
            ) from None
    if answer.status != 200 and not (isinstance(decoded, dict) and isinstance(decoded.get("error"), dict)):
        raise _http_failure(answer.status, name)
    return decoded


def _http_failure(status: int, name: str) -> KeeperError:
    if status == 413:
        return RpcRejected(f"{name}: request body too large (HTTP 413). Use an endpoint with larger limits.", code=413)
    if status in (401, 403, 404):
        return RpcUnavailable(f"{name} refuses us (HTTP {status}). Check the key and path of its URL.")
    if status >= 500:
        return RpcUnavailable(f"{name} is out of order (HTTP {status}). Wait, or add another endpoint.")
    return BadReply(f"{name} answered HTTP {status}. Check that the URL is a JSON-RPC endpoint.")


def _outcome(reply: Any, number: int, name: str, scrub: Scrub) -> Any:
    """Return one reply's result, or the exception that it amounts to."""
    problem = _misshapen(reply, number)
    if problem:
        return BadReply(f"{name} answered {problem}. Check that the URL is a JSON-RPC endpoint, or use another.")
    if reply.get("error") is not None:
        return _error(reply["error"], name, scrub)
    return reply["result"]


def _misshapen(reply: Any, number: int) -> str:
    """Say what is wrong with the shape of a reply; empty when nothing is."""
    if not isinstance(reply, dict):
        return "something that is not a JSON-RPC reply"
    error = reply.get("error")
    if error is not None and (not isinstance(error, dict) or reply.get("result") is not None):
        return "an error of an unknown shape"
    if error is None and "result" not in reply:
        return "neither a result nor an error"
    # An error may come without an id: then the request could not be read, or was refused before it was.
    if not (_plain(reply.get("id")) and reply["id"] == number) and not (error is not None and reply.get("id") is None):
        return "with an id that was not asked"
    return ""


def _error(error: dict[str, Any], name: str, scrub: Scrub) -> KeeperError:
    """Name a JSON-RPC error object."""
    code = error.get("code")
    code = code if type(code) is int else 0
    words = scrub(str(error.get("message", "")))[:_WORDS]
    lower = words.lower()
    # A revert's words are a contract's, who may say anything.
    ours = code != _REVERTED and "revert" not in lower
    quota = ours and _has(lower, _QUOTA_WORDS)
    if quota or code in _LIMIT_CODES or (ours and _has(lower, _LIMIT_WORDS)):
        return RateLimited(
            f"{name} asks for fewer requests: {words}. Add an endpoint, or a larger plan.",
            retry_after=_LONG_WAIT if quota else _backoff(error.get("data")),
        )
    if code not in _NOT_FOUND_CODES and _has(lower, _STALE_WORDS):
        if _passed(lower):
            return StatePruned(f"{name} no longer has the state of that block: {words}. Add an archive endpoint.")
        return StaleHead(f"{name} does not have that block: {words}. Wait, or add another endpoint.")
    return RpcRejected(f"{name}: {words}", code=code, data=_revert_data(error.get("data")))


def _passed(words: str) -> bool:
    """Whether a node that lacks a block says that it is past it: waiting brings it back no more."""
    told = _HEIGHTS.search(words)
    return told is not None and int(told[2]) <= int(told[1])


def _revert_data(data: Any) -> bytes:
    """Find revert bytes in ``error.data``: a hex string, or an object holding one (older clients)."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if not isinstance(data, str):
        return b""
    text = data.removeprefix("Reverted ").removeprefix("0x")
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _has(words: str, texts: Sequence[str]) -> bool:
    return any(text in words for text in texts)


def _backoff(data: Any) -> float | None:
    """Find the wait that some providers put into ``error.data`` (``{"rate": {"backoff_seconds": 30}}``)."""
    rate = data.get("rate") if isinstance(data, dict) else None
    wait = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    return min(float(wait), _LONG_WAIT) if isinstance(wait, (int, float)) and wait >= 0 else None


def _seconds(text: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date; bounded, because a node must not send us away for good."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONG_WAIT)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(until - time.time(), 0.0), _LONG_WAIT)
