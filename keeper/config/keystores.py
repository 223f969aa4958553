"""Reads what a keystore file says about itself without its password: which account it is for."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

__all__ = ["keystore_address", "read_text"]


def read_text(file: FilePath) -> tuple[str | None, str]:
    """Return a file's text, or why there is none, in words that follow the name of the file."""
    try:
        return file.read_text("utf-8"), ""
    except FileNotFoundError:
        return None, "does not exist"
    except UnicodeDecodeError:
        return None, "is not text"
    except OSError as error:
        return None, f"cannot be read: {(error.strerror or 'error').lower()}"


def keystore_address(file: FilePath) -> Any:
    """Return the ``address`` that a keystore names, if it names one; unchecked until the key is opened."""
    content, _ = read_text(file)
    try:
        shape = json.loads(content or "")
    except ValueError:
        return None
    found = shape.get("address") if isinstance(shape, dict) else None
    return f"0x{found.removeprefix('0x')}" if isinstance(found, str) else None
