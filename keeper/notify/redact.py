"""The one redaction step: no key, password or RPC token leaves the process in a log line, a message or a traceback.

Two nets, one behind the other. By value: every secret that was registered, in the forms it commonly takes (upper case,
percent-encoded, base64, hex, escaped). By pattern: what looks like a secret wherever it comes from (URL credentials,
paths and queries, ``password=...``, bearer tokens, 32-byte hex that is not labelled as a hash).
"""

from __future__ import annotations

import logging
import re
import threading
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from keeper.notify.forms import forms

__all__ = ["HIDDEN", "SHORTEST", "RedactingFilter", "Redactor", "show_url"]

#: What stands in place of a secret.
HIDDEN: Final = "***"

#: Shorter secrets are not hidden by value: hiding every "abc" would make the log unreadable and the secret guessable.
SHORTEST: Final = 4

#: Secrets below this length are hidden only where they stand alone, so that "test" does not mangle "latest".
_STANDS_ALONE_BELOW: Final = 8

#: Nesting that is followed in structured values; deeper values are turned into text first.
_DEPTH: Final = 8

#: Labels under which 32-byte hex is public: hashes of what is on the chain, and our own content ids.
_PUBLIC = (
    r"tx|tx_?hash|transaction|transaction_?hash|hash|block|block_?hash|parent_?hash|plan|plan_id|topic|root|codehash"
)

#: Labels whose value is secret whatever it looks like.
_PRIVATE = (
    r"pass(?:word|wd|phrase)|pwd|secret(?:[_-]?key)?|private[_-]?key|priv[_-]?key|mnemonic|seed(?:[_-]?(?:phrase|words))?"
    r"|api[_-]?(?:key|token|secret)|access[_-]?(?:key|token)|auth[_-]?token|bearer|x-api-key|credentials?"
)

_KEY_IS_PRIVATE = re.compile(rf"(?:.*[_.\s-])?(?:{_PRIVATE}|authorization|cookie)\Z", re.IGNORECASE)
_KEY_IS_PUBLIC = re.compile(rf"(?:.*[_.])?(?:{_PUBLIC})\Z", re.IGNORECASE)

_URL = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,20})://([^\s\"'<>`\\{}|^]+)")
_LABELLED = re.compile(
    rf"(?P<label>(?<![A-Za-z0-9])(?:{_PRIVATE})[\"']?\s*[=:]\s*)"
    r"(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)'"
    r"|(?P<words>(?:[a-z]{3,8}[ \t]+){11,23}[a-z]{3,8})"
    r"|(?P<bare>[^\s\"',;&)\]}]+))",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    r"((?:proxy-)?authorization[\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic|digest|token)\s+)?[^\s\"',;]+"
    r"|(\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}",
    re.IGNORECASE,
)
_HEX32 = re.compile(
    rf"(?P<label>(?<![A-Za-z0-9])(?:{_PUBLIC})[\"']?(?:\s*[=:]\s*|\s+)[\"']?)?(?<![0-9a-zA-Z])(?:0x)?[0-9a-f]{{64}}(?![0-9a-zA-Z])",
    re.IGNORECASE,
)


def show_url(url: str) -> str:
    """Shorten a URL to ``scheme://host[:port]``, with ``/***`` when anything more was there."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    tail = rest[len(authority) :]
    more = "@" in authority or tail not in {"", "/"}
    return f"{scheme}://{host}/{HIDDEN}" if more else f"{scheme}://{host}{tail}"


@lru_cache(maxsize=1024)
def _pattern(secret: str) -> tuple[str, ...]:
    """Regular expressions for every form of one secret."""
    alone = len(secret) < _STANDS_ALONE_BELOW
    body = [re.escape(form) for form in forms(secret)]
    return tuple(rf"(?<![A-Za-z0-9]){text}(?![A-Za-z0-9])" if alone else text for text in body)


def _phrase_patterns(words: list[str]) -> list[str]:
    """Match a mnemonic however it is separated, and any three of its words in a row."""
    gap = r"(?:[^a-z0-9]|\\[nrt]|%[0-9a-f]{2}|(?<=[^a-z])\d{1,2}(?=[^a-z0-9]))+"
    whole = gap.join(map(re.escape, words))
    threes = [gap.join(map(re.escape, words[at : at + 3])) for at in range(len(words) - 2)]
    return [whole, *(rf"(?<![a-z]){three}(?![a-z])" for three in threes)]


class Redactor:
    """Knows the secrets of this process and removes them from text. Safe to use from several threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._patterns: set[str] = set()
        self._regex: re.Pattern[str] | None = None
        #: Characters of the shortest form of a secret: most texts are shorter and need no search.
        self._shortest = 0
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> bool:
        """Register a key, password, token or mnemonic.

        Returns:
            ``False`` when it is shorter than ``SHORTEST`` and will not be hidden by value.
        """
        stripped = secret.strip()
        if len(stripped) < SHORTEST or set(stripped) == {"*"}:
            return False
        found = set(_pattern(secret)) | set(_pattern(stripped))
        shortest = min(map(len, forms(stripped)))
        words = stripped.lower().split()
        if len(words) >= 12 and all(word.isalpha() for word in words):
            found |= set(_phrase_patterns(words))
            shortest = min(shortest, 3 * min(map(len, words)) + 2)
        with self._lock:
            self._patterns |= found
            ordered = sorted(self._patterns, key=lambda pattern: (-len(pattern), pattern))
            self._shortest = min(self._shortest or shortest, shortest)
            self._regex = re.compile("|".join(ordered), re.IGNORECASE)
        return True

    def add_url(self, url: str) -> str:
        """Register the secret parts of an RPC URL: user info, long path segments, query values, fragment.

        Returns:
            The URL as it may be shown.
        """
        parts = urlsplit(url)
        user_info = parts.netloc.rpartition("@")[0]
        segments = [piece for piece in parts.path.split("/") if len(piece) >= _STANDS_ALONE_BELOW]
        values = [value for _, value in parse_qsl(parts.query)]
        candidates = [user_info, *user_info.split(":", 1), *segments, *values, parts.fragment]
        for candidate in candidates:
            self.add(candidate)
            self.add(unquote(candidate))
        return show_url(url)

    def values(self, text: str) -> str:
        """Remove registered secrets only. Never damages the quoting of a rendered line."""
        regex = self._regex
        return text if regex is None or len(text) < self._shortest else regex.sub(HIDDEN, text)

    def text(self, text: str) -> str:
        """Remove registered secrets and everything that looks like one."""
        text = self.values(text)
        shown = self._patterned(text)
        return text if shown == text else self.values(shown)

    def value(self, value: Any, key: str = "", depth: int = 0) -> Any:
        """Redact a structured value; ``key`` is the name it stands under."""
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < _DEPTH:
            return self._nested(value, key, depth)
        if _KEY_IS_PRIVATE.match(key):
            return HIDDEN
        if isinstance(value, int):
            shown = self.values(str(value))
            return value if shown == str(value) else shown
        return self._plain(_as_text(value), key)

    def processor(self, _logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact an event as a structlog processor; goes before the renderer."""
        return {self.text(str(key)): self.value(value, str(key)) for key, value in event_dict.items()}

    def exception(self, error: BaseException) -> str:
        """Format a traceback that is safe to show."""
        return self.text("".join(traceback.format_exception(error)))

    def _patterned(self, text: str) -> str:
        """Hide what looks like a secret; each pattern is tried only on text that has what it cannot do without."""
        if "://" in text:
            text = _URL.sub(lambda match: self._url(match.group(0)), text)
        if "=" in text or ":" in text or "bearer" in text.lower():
            text = _AUTHORIZATION.sub(lambda match: (match.group(1) or match.group(2)) + HIDDEN, text)
            text = _LABELLED.sub(_hide_labelled, text)
        if len(text) >= 64:
            text = _HEX32.sub(lambda match: match.group(0) if match.group("label") else HIDDEN, text)
        return text

    def _nested(self, value: Any, key: str, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(item, str(name), depth + 1) for name, item in value.items()}
        return [self.value(item, key, depth + 1) for item in value]

    def _plain(self, text: str, key: str) -> str:
        if _KEY_IS_PUBLIC.match(key) and re.fullmatch(r"(?:0x)?[0-9a-fA-F]{64}", text):
            return self.values(text)
        return self.text(text)

    def _url(self, url: str) -> str:
        bare = url.rstrip(".,;:!?)]")
        return show_url(bare) + url[len(bare) :]


def _hide_labelled(match: re.Match[str]) -> str:
    for group, quote in (("double", '"'), ("single", "'")):
        if match.group(group) is not None:
            return f"{match.group('label')}{quote}{HIDDEN}{quote}"
    return f"{match.group('label')}{HIDDEN}"


def _as_text(value: Any) -> str:
    """Turn anything into text without ever raising for a broken ``__repr__``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        if is_dataclass(value) and not isinstance(value, type):
            inner = ", ".join(f"{item.name}={getattr(value, item.name)!r}" for item in fields(value))
            return f"{type(value).__name__}({inner})"
        return repr(value)
    except (TypeError, ValueError, AttributeError, RecursionError):
        return f"<{type(value).__name__}>"


#: Attributes that every log record has; anything else came in through ``extra=``.
_RECORD_ATTRIBUTES: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}


class RedactingFilter(logging.Filter):
    """Redacts standard-library log records. Put it on handlers: a filter on a logger does not see its children."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace message, traceback and extras by their safe forms; never drops a record."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = f"{record.msg} {record.args!r}"
        record.msg, record.args = self._redactor.text(message), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = self._redactor.exception(record.exc_info[1]).rstrip("\n")
        elif record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        record.exc_info = None
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        for name in vars(record).keys() - _RECORD_ATTRIBUTES:
            setattr(record, name, self._redactor.value(getattr(record, name), name))
        return True
