"""Content hashes: the same content always has the same id, whoever computes it and when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = ["canonical", "content_id"]


def canonical(value: Any) -> Any:  # noqa: PLR0911
    """Turn a domain value into plain JSON data; integers become strings so that no reader loses digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__} | {f.name: canonical(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, (tuple, list, frozenset)):
        items = sorted(value) if isinstance(value, frozenset) else value
        return [canonical(item) for item in items]
    return {str(key): canonical(item) for key, item in value.items()}


def content_id(value: Any) -> str:
    """Hash a domain value: 32 hex digits of SHA-256 over its canonical JSON."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
