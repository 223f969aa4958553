"""Spans of time in words, the same wherever one is told."""

from __future__ import annotations

from typing import Final

__all__ = ["span_text"]

_UNITS: Final = (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span_text(seconds: int) -> str:
    """Spell a time in its two largest units: ``11 d 6 h``."""
    left = abs(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
        if len(parts) == 2:
            break
    text = " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
    return f"-{text}" if seconds < 0 else text
