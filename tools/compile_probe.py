"""Compile our own Solidity with npm's solc; ``--check`` proves that the committed JSON is its output."""  # noqa: INP001

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

#: Each is compiled to the JSON file beside it; the contract has the file's name.
_SOURCES = (_ROOT / "keeper/chain/probe/Probe.sol", _ROOT / "tests/bench/BenchFarm.sol")

#: Reads standard JSON, prints standard JSON; solc is a plain npm package.
_NODE = "const s=require('solc');process.stdout.write(s.compile(require('fs').readFileSync(0,'utf8')))"


def compile_source(source: Path, node_modules: Path) -> dict[str, object]:
    """Compile one contract; EVM version paris, so that chains without PUSH0 run it too."""
    request = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text(encoding="utf-8")}},
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True, "runs": 200},
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "outputSelection": {"*": {"*": ["abi", "evm.deployedBytecode.object"]}},
        },
    }
    done = subprocess.run(  # noqa: S603 - our own command line
        ["node", "-e", _NODE],  # noqa: S607 - node is found on PATH, as npm is
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        cwd=node_modules.parent,
    )
    answer = json.loads(done.stdout)
    errors = [error["formattedMessage"] for error in answer.get("errors", []) if error["severity"] == "error"]
    if errors:
        sys.exit("\n".join(errors))
    output = answer["contracts"][source.name][source.stem]
    return {
        "compiler": "solc 0.8.28, optimizer 200 runs, evm paris",
        "source": source.name,
        "abi": output["abi"],
        "runtime": "0x" + output["evm"]["deployedBytecode"]["object"],
    }


def main() -> None:
    """Write or check the compiled JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    parser.add_argument("--node-modules", type=Path, help="folder with solc; keeper's own devnet install by default")
    options = parser.parse_args()
    if options.node_modules is None:
        from keeper.devnet.install import ensure_installed  # noqa: PLC0415 - not needed with --node-modules

        options.node_modules = ensure_installed() / "node_modules"
    for source in _SOURCES:
        text = json.dumps(compile_source(source, options.node_modules), indent=1) + "\n"
        target = source.with_suffix(".json")
        if not options.check:
            target.write_text(text, encoding="utf-8")
        elif target.read_text(encoding="utf-8") != text:
            sys.exit(f"{target} is not what {source.name} compiles to. Run tools/compile_probe.py, commit the result.")


if __name__ == "__main__":
    main()
