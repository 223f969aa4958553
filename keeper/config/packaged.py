"""Finds the files that ship with keeper: ``config/`` of a source checkout, or ``keeper/config/files`` of a wheel."""

from __future__ import annotations

from pathlib import Path

from keeper.errors import ConfigError

__all__ = ["chain_names", "locate"]

_HERE = Path(__file__).resolve().parent


def locate(*parts: str) -> Path:
    """Return a shipped file or folder, e.g. ``locate("chains", "bnb.toml")``.

    Raises:
        ConfigError: when the installation lacks it.
    """
    for root in (_HERE / "files", _HERE.parent.parent / "config"):
        if (root / "chains").is_dir() and root.joinpath(*parts).exists():
            return root.joinpath(*parts)
    raise ConfigError(f"{'/'.join(parts)} is missing from this installation: install keeper again")


def chain_names() -> tuple[str, ...]:
    """Names of the chains whose facts ship with keeper."""
    return tuple(sorted(path.stem for path in locate("chains").glob("*.toml")))
