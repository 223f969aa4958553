"""Compile the local world's fakes (keeper/devnet/contracts) to JSON beside them, with the pinned solc from npm.

``python tools/compile_contracts.py`` writes; ``--check`` only compares, and fails when a committed JSON is out of date.
All of it takes most of a minute of solc, so the hashes of what went in and came out are kept in ``compiled.sha256``:
the test suite compares these, and compiles a few small files; ``make faults`` compiles all.
"""

# ruff: noqa: INP001, T201
from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from keeper.devnet.install import ensure_installed

FOLDER = Path(__file__).resolve().parents[1] / "keeper" / "devnet" / "contracts"

MANIFEST = FOLDER / "compiled.sha256"

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


def fingerprints() -> dict[str, str]:
    """Hash every source with the settings, and every compiled contract."""
    settings = json.dumps(SETTINGS, sort_keys=True).encode()
    found = {path.name: hashlib.sha256(settings + path.read_bytes()).hexdigest() for path in FOLDER.glob("*.sol")}
    found |= {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in FOLDER.glob("*.json")}
    return dict(sorted(found.items()))


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
    parser.add_argument("files", nargs="*", help="source files to compile; all by default, with the hashes")
    options = parser.parse_args()
    check, outdated = options.check, []
    sources = [FOLDER / name for name in options.files] or sorted(FOLDER.glob("*.sol"))
    for name, text in compile_all(sources).items():
        file = FOLDER / name
        if not file.exists() or file.read_text() != text:
            outdated.append(name)
            if not check:
                file.write_text(text)
    if not check and not options.files:
        MANIFEST.write_text(json.dumps(fingerprints(), indent=1) + "\n")
    for name in outdated:
        print(("out of date: " if check else "wrote ") + name)
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
