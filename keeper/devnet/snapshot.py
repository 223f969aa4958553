"""Keep the deployed world in a file, so that only the first start pays for deploying it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from keeper.chain.anvil import LocalNode
from keeper.devnet.install import ensure_installed
from keeper.domain.money import Address

__all__ = ["load_or_deploy"]

_HERE: Final = Path(__file__).parent

#: Deploys onto an empty node and returns the addresses by name.
Deploy = Callable[[LocalNode], Mapping[str, Address]]


def load_or_deploy(node: LocalNode, deploy: Deploy) -> dict[str, Address]:
    """Load the kept state into an empty node, or deploy and keep it; returns the addresses by name.

    Safe to call from several processes at once: the first deploys, the others wait and load.
    """
    home = ensure_installed()
    file = home / f"world-{_fingerprint(home, node)}.json"
    if not file.exists():
        with FileLock(home / ".world.lock"):
            if not file.exists():
                return _deploy_and_keep(node, deploy, file)
    kept: dict[str, Any] = json.loads(file.read_text())
    node.rpc("anvil_loadState", kept["state"])
    return {name: Address(text) for name, text in kept["addresses"].items()}


def _deploy_and_keep(node: LocalNode, deploy: Deploy, file: Path) -> dict[str, Address]:
    addresses = dict(deploy(node))
    for outdated in file.parent.glob("world-*.json"):
        outdated.unlink(missing_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"addresses": addresses, "state": node.rpc("anvil_dumpState")}))
    partial.replace(file)
    return addresses


def _fingerprint(home: Path, node: LocalNode) -> str:
    """Hash of everything that decides what the deployed world looks like."""
    digest = hashlib.sha256((home / ".installed").read_bytes())
    digest.update(node.rpc("web3_clientVersion").encode())
    for source in sorted([*_HERE.glob("*.py"), *_HERE.glob("contracts/*.json")]):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]
