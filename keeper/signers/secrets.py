"""Read a password or key from where an operator may put one: a file for this user alone, or an environment variable."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from keeper.errors import KeyUnavailable

__all__ = ["read_secret_env", "read_secret_file"]

#: Where container engines mount secrets, readable inside the container only.
_MOUNTED: Final = Path("/run/secrets")


def read_secret_file(path: Path) -> str:
    """Return the file's text without its last line break.

    Raises:
        KeyUnavailable: missing, empty, or readable by other users.
    """
    try:
        real = path.resolve(strict=True)
        mode = stat.S_IMODE(real.stat().st_mode)
        if mode & 0o077 and not real.is_relative_to(_MOUNTED):
            raise KeyUnavailable(f"{path} can be read by other users (mode {mode:04o}); run `chmod 600 {path}`")
        content = real.read_bytes()
    except OSError as error:
        raise KeyUnavailable(f"cannot read {path}: {error.strerror}; check the path and who owns the file") from None
    try:
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Raised below instead: this exception holds the bytes.
        secret = ""
    if not secret:
        raise KeyUnavailable(f"{path} is empty or not UTF-8 text; write the password into it with a text editor")
    return secret


def read_secret_env(name: str) -> str:
    """Return an environment variable's text.

    Raises:
        KeyUnavailable: not set, or empty.
    """
    secret = os.environ.get(name, "")
    if not secret:
        raise KeyUnavailable(f"environment variable {name} is not set; set it where keeper is started, or in .env")
    return secret
