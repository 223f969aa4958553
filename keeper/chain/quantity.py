"""Read the hex strings of JSON-RPC, complaining when a node sends something else."""

from __future__ import annotations

from typing import Any

from keeper.errors import BadReply

__all__ = ["raw_bytes", "uint"]


def uint(value: Any, what: str) -> int:
    """Read a 0x quantity.

    Raises:
        BadReply: when it is none; ``what`` names the field.
    """
    try:
        number = int(value, 16) if value[:2] in ("0x", "0X") else -1
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise BadReply(f"a node answered {str(value)[:40]!r} as {what}. Use another endpoint.")
    return number


def raw_bytes(value: Any, what: str) -> bytes:
    """Read 0x data.

    Raises:
        BadReply: when it is none; ``what`` names the field.
    """
    try:
        if value[:2] == "0x":
            return bytes.fromhex(value[2:])
    except (TypeError, ValueError):
        pass
    raise BadReply(f"a node answered {str(value)[:40]!r} as {what}. Use another endpoint.")
