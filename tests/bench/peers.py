"""Other ways to read the fair's positions, each a warm process of its own in an environment of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from filelock import FileLock

from keeper.chain.anvil_binary import devnet_home
from tests.bench.crowd import Questions
from tests.bench.rivals import NotAvailable, install_viem

__all__ = ["Peer", "command_of", "tell"]

_HERE: Final = Path(__file__).parent
_LOCK: Final = _HERE.parents[1] / "requirements" / "bench-multicall.lock"


class Peer:
    """A worker on standard input and output. Use as a context manager."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        #: Views that the last cycle could not read, and resident bytes after it (0: not told).
        self.failed, self.resident = 0, 0

    def cycle(self, count: int) -> float:
        """Read so many positions; returns the seconds that it took, without the way here and back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().split()
        assert said, "the peer's process has ended"
        self.failed, self.resident = int(said[1]), int(said[2])
        return float(said[0]) / 1e3

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)


def tell(questions: Questions, folder: Path) -> Path:
    """Write the views for the peers."""
    path = folder / "questions.json"
    each = [[q.told() for q in some] for some in questions.each]
    path.write_text(json.dumps({"each": each, "shared": [q.told() for q in questions.shared]}))
    return path


def command_of(kind: str, url: str, file: Path, multicall3: str) -> list[str]:
    """Return what starts a peer: ``viem``, ``banteg``, ``web3`` or ``naive``. Raises NotAvailable."""
    common = [url, str(file), multicall3]
    if kind == "viem":
        return ["node", str(_HERE / "viem" / "read.mjs"), str(install_viem() / "node_modules"), *common]
    python = str(_banteg_python()) if kind == "banteg" else sys.executable
    return [python, str(_HERE / "python_peers.py"), kind, *common]


def _banteg_python() -> Path:
    """Install the package multicall by its lock file, once, in an environment of its own."""
    home = devnet_home().parent / "bench" / "banteg"
    python = home / "bin" / "python"
    wanted = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()
    stamp = home / ".installed"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if stamp.is_file() and stamp.read_text() == wanted:
            return python
        shutil.rmtree(home)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes"]
        _run([*pip, "-r", str(_LOCK)])
        stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NotAvailable(f"multicall could not be installed: {words[-1][:160] if words else 'no reason given'}")
