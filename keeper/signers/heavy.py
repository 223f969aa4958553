"""Import eth_account without what it does to the interpreter.

It brings py_ecc, which raises Python's recursion limit a hundredfold. From then on deeply nested JSON, which anybody's
endpoint may answer, ends the process in a crash instead of an error that is caught.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["eth_account"]


def eth_account(module: str = "") -> Any:
    """Import ``eth_account`` or one of its modules (0.9 s that a keyless command need not pay)."""
    limit = sys.getrecursionlimit()
    try:
        return import_module(f"eth_account{module and '.' + module}")
    finally:
        sys.setrecursionlimit(limit)
