"""Compile the local world's fakes (keeper/devnet/contracts) to JSON beside them, with the pinned solc from npm.

``python tools/compile_contracts.py`` writes; ``--check`` only compares, and fails when a committed JSON is out of date.
"""

# ruff: noqa: INP001, T201
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from keeper.devnet.install import ensure_installed

FOLDER = Path(__file__).resolve().parents[1] / "keeper" / "devnet" / "contracts"

SETTINGS = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "paris",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
}

NODE = """
const solc = require(process.argv[1]);
const output = JSON.parse(solc.compile(require("fs").readFileSync(0, "utf8")));
output.compiler = solc.version();
process.stdout.write(JSON.stringify(output));
"""


def compile_all(sources: list[Path]) -> dict[str, str]:
    """Return the JSON text of each contract, by the name of the file it belongs in."""
    files = {path.name: {"content": path.read_text()} for path in sources}
    request = {"language": "Solidity", "sources": files, "settings": SETTINGS}
    solc = ensure_installed() / "node_modules" / "solc"
    done = subprocess.run(  # noqa: S603 - node with a fixed script
        ["node", "-e", NODE, str(solc)],  # noqa: S607 - node is found on PATH, as npm is
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(done.stdout)
    problems = [error["formattedMessage"] for error in output.get("errors", [])]
    if problems:
        sys.exit("\n".join(problems))
    return {
        f"{name}.json": _text(name, contract, output["compiler"])
        for contracts in output["contracts"].values()
        for name, contract in contracts.items()
        if contract["evm"]["bytecode"]["object"]  # interfaces and abstract contracts have none
    }


def _text(name: str, contract: dict, compiler: str) -> str:
    artifact = {
        "contractName": name,
        "compiler": compiler,
        "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + contract["evm"]["deployedBytecode"]["object"],
        "abi": contract["abi"],
    }
    return json.dumps(artifact, indent=1) + "\n"


def main() -> int:
    """Write or compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    outdated = []
    for name, text in compile_all(sorted(FOLDER.glob("*.sol"))).items():
        file = FOLDER / name
        if not file.exists() or file.read_text() != text:
            outdated.append(name)
            if not check:
                file.write_text(text)
    for name in outdated:
        print(("out of date: " if check else "wrote ") + name)
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
