"""Our one contract: compiled with the pinned solc, put at a fixed address."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from keeper.abi import Fn
from keeper.devnet.install import ensure_installed

ADDRESS: Final = "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"
COUNT: Final = Fn("count(uint256)", "uint256")
_SOURCE: Final = Path(__file__).with_name("Counter.sol")
_COMPILED: Final = Path(__file__).with_name("Counter.json")
_NODE: Final = "const s=require(process.argv[1]);process.stdout.write(s.compile(require('fs').readFileSync(0,'utf8')))"


def runtime() -> str:
    """Return the committed runtime code."""
    return str(json.loads(_COMPILED.read_text())["runtime"])


def compiled() -> dict[str, Any]:
    """Compile the source, as it is committed."""
    wanted = {"*": {"*": ["evm.deployedBytecode.object"]}}
    settings = {
        "optimizer": {"enabled": True, "runs": 200},
        "evmVersion": "paris",
        "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        "outputSelection": wanted,
    }
    sources = {_SOURCE.name: {"content": _SOURCE.read_text()}}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    solc = ensure_installed() / "node_modules" / "solc"
    done = subprocess.run(
        ["node", "-e", _NODE, str(solc)], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    code = json.loads(done.stdout)["contracts"][_SOURCE.name]["Counter"]["evm"]["deployedBytecode"]["object"]
    return {
        "compiler": "solc 0.8.28, optimizer 200 runs, evm paris",
        "source": _SOURCE.name,
        "runtime": "0x" + code,
    }


if __name__ == "__main__":
    _COMPILED.write_text(json.dumps(compiled(), indent=1) + "\n")
