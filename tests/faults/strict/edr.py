"""EDR, the engine of the Hardhat network, as a node: the second opinion on what geth's pool takes.

Installed from npm on demand, beside the devnet set: one package and the binary for Linux on x86-64, pinned by hash in
``npm/package-lock.json``; no install script runs. Needs Node.js 20.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock

from keeper.chain.anvil_binary import devnet_home
from keeper.errors import ConfigError, RpcRejected

__all__ = ["EdrNode", "ensure_installed", "why_not"]

_HERE: Final = Path(__file__).parent
_FILES: Final = ("package.json", "package-lock.json")
_NODE_MAJOR: Final = 20


def why_not() -> str | None:
    """Say why EDR cannot run on this machine; ``None`` when it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the pinned EDR binary is for Linux on x86-64"
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < _NODE_MAJOR:
        return f"EDR needs Node.js {_NODE_MAJOR}; this is {version.strip()}"
    return None


def ensure_installed() -> Path:
    """Install what is missing and return the folder; safe to call from several processes at once.

    Raises:
        ConfigError: when npm fails.
    """
    home = devnet_home().parent / "strict"
    wanted = hashlib.sha256((_HERE / "npm" / "package-lock.json").read_bytes()).hexdigest()
    stamp = home / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".install.lock"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            for name in _FILES:
                shutil.copyfile(_HERE / "npm" / name, home / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            done = subprocess.run(
                command, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ConfigError(f"npm failed in {home}: {done.stderr[-600:]}. Check the network and npm's registry.")
            stamp.write_text(wanted)
    return home


class EdrNode:
    """A running EDR that mines when it is told to. Use as a context manager."""

    def __init__(self, balances: Mapping[str, int], *, chain_id: int = 31337, base_fee: int = 10**9) -> None:
        """Start it with these balances (wei by address)."""
        options = {
            "balances": {address: str(wei) for address, wei in balances.items()},
            "chainId": chain_id,
            "baseFee": str(base_fee),
        }
        home = ensure_installed()
        # The server ends when its standard input does, that is with this process, however that ends.
        self._process = subprocess.Popen(
            ["node", str(_HERE / "edr_node.js"), str(home / "node_modules"), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self.stop()
            raise ConfigError("EDR did not start; see its words above. Check `node --version`.")
        #: HTTP JSON-RPC address.
        self.url = f"http://127.0.0.1:{port}"
        self._ids = itertools.count(1)

    def rpc(self, method: str, *params: Any) -> Any:
        """Answer one call. Raises RpcRejected with the node's words."""
        call = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        request = urllib.request.Request(self.url, json.dumps(call).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            reply = json.loads(response.read())
        if "error" in reply:
            raise RpcRejected(reply["error"]["message"], code=reply["error"].get("code", 0))
        return reply["result"]

    def mine(self) -> None:
        """Make one block."""
        self.rpc("evm_mine")

    def stop(self) -> None:
        """End it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
