"""Other Python ways to read the same views, as a worker: one line in is how many positions, one line out milliseconds.

Runs in whatever environment its peer lives in, so it imports nothing of keeper. ``banteg`` is the package multicall,
``web3`` are web3.py's contract objects through Multicall3, ``naive`` web3.py's contract objects one after another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Views in one request: what was measured to be the best for a single client.
_STEP = 900

_AGGREGATE3 = [
    {
        "type": "function",
        "name": "aggregate3",
        "stateMutability": "payable",
        "inputs": [
            {
                "name": "calls",
                "type": "tuple[]",
                "components": [
                    {"name": "target", "type": "address"},
                    {"name": "allowFailure", "type": "bool"},
                    {"name": "callData", "type": "bytes"},
                ],
            }
        ],
        "outputs": [
            {
                "name": "returnData",
                "type": "tuple[]",
                "components": [{"name": "success", "type": "bool"}, {"name": "returnData", "type": "bytes"}],
            }
        ],
    }
]


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]] if text else []


def _abi_type(text: str, name: str) -> dict[str, Any]:
    if not text.startswith("("):
        return {"name": name, "type": text}
    inner, _, tail = text[1:].rpartition(")")
    parts = [_abi_type(part, f"{name}{index}") for index, part in enumerate(_split(inner))]
    return {"name": name, "type": f"tuple{tail}", "components": parts}


def _item(call: dict[str, Any]) -> dict[str, Any]:
    name, _, rest = call["signature"].partition("(")
    inputs = [_abi_type(text, f"a{index}") for index, text in enumerate(_split(rest[:-1]))]
    outputs = [_abi_type(text, f"r{index}") for index, text in enumerate(_split(call["returns"]))]
    return {"type": "function", "name": name, "stateMutability": "view", "inputs": inputs, "outputs": outputs}


def _value(kind: str, value: Any, spelt: Callable[[str], str]) -> Any:
    if kind.endswith("[]"):
        return [_value(kind[:-2], part, spelt) for part in value]
    if kind.startswith("("):
        return tuple(_value(part, inner, spelt) for part, inner in zip(_split(kind[1:-1]), value, strict=True))
    if kind == "address":
        return spelt(value)
    if kind.startswith(("int", "uint")):
        return int(value)
    return bytes.fromhex(value[2:]) if kind.startswith("bytes") else value


def _args(call: dict[str, Any], spelt: Callable[[str], str] = str) -> list[Any]:
    kinds = _split(call["signature"].partition("(")[2][:-1])
    return [_value(kind, value, spelt) for kind, value in zip(kinds, call["args"], strict=True)]


class Banteg:
    """The package multicall."""

    def __init__(self, url: str, told: dict[str, Any], multicall3: str) -> None:
        from multicall import Call, multicall
        from multicall.constants import MULTICALL3_ADDRESSES
        from web3 import HTTPProvider, Web3

        MULTICALL3_ADDRESSES[31337] = multicall3
        multicall.batcher.step = _STEP
        self._call, self._multicall = Call, multicall.Multicall
        self._web3 = Web3(HTTPProvider(url))
        self._told = told
        self._each = [[self._parts(call) for call in calls] for calls in told["each"]]
        self._shared = [self._parts(call) for call in told["shared"]]

    @staticmethod
    def _parts(call: dict[str, Any]) -> tuple[str, list[Any]]:
        return call["target"], [f"{call['signature']}({call['returns']})", *_args(call)]

    def cycle(self, count: int) -> int:
        parts = [part for index in range(count) for part in self._each[index % len(self._each)]] + self._shared
        calls = [self._call(target, function, [(at, None)]) for at, (target, function) in enumerate(parts)]
        if len(calls) % _STEP == 1:  # it drops the last call then: give it none to drop
            calls.append(calls[-1])
        found = self._multicall(calls, require_success=False, gas_limit=10**9, _w3=self._web3)()
        return sum(value is None for value in found.values())


class Contracts:
    """web3.py's contract objects, through Multicall3 or one after another."""

    def __init__(self, url: str, told: dict[str, Any], multicall3: str) -> None:
        from web3 import HTTPProvider, Web3

        self.web3 = web3 = Web3(HTTPProvider(url))
        self._multicall3 = web3.eth.contract(web3.to_checksum_address(multicall3), abi=_AGGREGATE3)
        self._made: dict[tuple[str, str, str], Any] = {}
        self._each = [[self._parts(call) for call in calls] for calls in told["each"]]
        self._shared = [self._parts(call) for call in told["shared"]]

    def _parts(self, call: dict[str, Any]) -> tuple[Any, str, list[Any], list[str]]:
        key = (call["target"], call["signature"], call["returns"])
        if key not in self._made:
            at = self.web3.to_checksum_address(call["target"])
            self._made[key] = self.web3.eth.contract(at, abi=[_item(call)])
        args = _args(call, self.web3.to_checksum_address)
        return self._made[key], call["signature"].partition("(")[0], args, _split(call["returns"])

    def wanted(self, count: int) -> list[tuple[Any, str, list[Any], list[str]]]:
        return [part for index in range(count) for part in self._each[index % len(self._each)]] + self._shared

    def cycle(self, count: int) -> int:
        wanted, failed = self.wanted(count), 0
        for start in range(0, len(wanted), _STEP):
            some = wanted[start : start + _STEP]
            calls = [(contract.address, True, contract.encode_abi(name, args)) for contract, name, args, _ in some]
            for (_, _, _, returns), (done, data) in zip(
                some, self._multicall3.functions.aggregate3(calls).call(), strict=True
            ):
                try:
                    self.web3.codec.decode(returns, data) if done else None
                    failed += not done
                except Exception:
                    failed += 1
        return failed


class Naive(Contracts):
    """One request after another."""

    def cycle(self, count: int) -> int:
        failed = 0
        for contract, name, args, _ in self.wanted(count):
            try:
                contract.functions[name](*args).call()
            except Exception:
                failed += 1
        return failed


def main() -> None:
    kind, url, file, multicall3, *once = sys.argv[1:]
    peer = {"banteg": Banteg, "web3": Contracts, "naive": Naive}[kind](
        url, json.loads(Path(file).read_text()), multicall3
    )
    if once:
        print(peer.cycle(int(once[0])))
        return
    for line in sys.stdin:
        begun = time.perf_counter()
        failed = peer.cycle(int(line))
        print(1e3 * (time.perf_counter() - begun), failed, 0, flush=True)


if __name__ == "__main__":
    main()
