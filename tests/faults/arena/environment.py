"""An environment for what cannot live in keeper's own: made on demand, hash-checked, from ``requirements/arena.lock``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from filelock import FileLock

__all__ = ["NotAvailable", "arena_python"]

_ROOT: Final = Path(__file__).parents[3]
_LOCK: Final = _ROOT / "requirements" / "arena.lock"
_HOME: Final = _ROOT / ".cache" / "arena"


class NotAvailable(Exception):
    """Why the environment cannot be had here."""


def arena_python(*, install: bool) -> Path:
    """Return the environment's Python, installing it first where that is allowed.

    Raises:
        NotAvailable: with the reason, in a few words.
    """
    python = _HOME / "bin" / "python"
    wanted = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()
    stamp = _HOME / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    if not install:
        raise NotAvailable("its environment is not installed; `make faults` does that")
    _HOME.mkdir(parents=True, exist_ok=True)
    with FileLock(_HOME.with_suffix(".lock")):
        if stamp.is_file() and stamp.read_text() == wanted:
            return python
        shutil.rmtree(_HOME)
        _run([sys.executable, "-m", "venv", str(_HOME)])
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes"]
        _run([*pip, "-r", str(_LOCK)])
        stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NotAvailable(
            f"safe-eth-py could not be installed here: {words[-1][:160] if words else 'no reason given'}"
        )
