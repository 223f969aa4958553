"""Find the anvil binary on this machine, and the place where the local chain's parts are installed."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

__all__ = ["devnet_home", "find_anvil"]


def devnet_home() -> Path:
    """Directory in which the local chain's binary and contracts are installed.

    ``KEEPER_DEVNET_HOME``, else ``.cache/devnet`` in a source checkout, else ``keeper/devnet`` in the user's cache.
    """
    if configured := os.environ.get("KEEPER_DEVNET_HOME"):
        return Path(configured).absolute()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".cache" / "devnet"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "keeper" / "devnet"


def find_anvil() -> Path | None:
    """Find the anvil binary: ``KEEPER_ANVIL``, then ``PATH``, then the devnet install; ``None`` when there is none.

    Scripts are skipped: npm's wrapper starts the real one as a grandchild, which killing the wrapper would orphan.
    """
    if configured := os.environ.get("KEEPER_ANVIL"):
        return Path(configured)
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    installed = devnet_home().glob("node_modules/@foundry-rs/anvil-*/bin")
    for folder in itertools.chain(folders, installed):
        candidate = folder / "anvil"
        if _is_binary(candidate):
            return candidate
    return None


def _is_binary(path: Path) -> bool:
    """Whether it is an executable that is not a script (ELF, or Mach-O elsewhere)."""
    if not os.access(path, os.X_OK) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"
