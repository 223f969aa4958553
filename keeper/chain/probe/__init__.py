"""Simulate by our own contract put at the owner's address with a state override of ``eth_call``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from keeper.abi import Fn
from keeper.chain.endpoint import Endpoint
from keeper.chain.quantity import raw_bytes
from keeper.domain.money import Address
from keeper.domain.plan import Call
from keeper.domain.reads import ReadResult
from keeper.errors import RpcRejected

__all__ = ["Outcome", "run_probe"]

_RUN: Final = Fn(
    "run((address,uint256,bytes)[],address[])",
    "uint256[],(bool,uint256,bytes,uint256[])[]",
)

#: Gas of an empty transaction.
_TRANSACTION: Final = 21_000

#: Gas per zero and per other byte of calldata.
_ZERO_BYTE: Final = 4
_OTHER_BYTE: Final = 16

#: EIP-7623: gas per token of calldata (another byte is four tokens) that a transaction pays at the least.
_FLOOR_PER_TOKEN: Final = 10

#: EIP-2929: what a first touch of an account and of a slot costs above a repeated one. The balances measured around a
#: call leave the watched tokens warm, which a real transaction will not find so.
_COLD: Final = 2_500 + 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did."""

    success: bool
    #: As a transaction of its own: with intrinsic cost, calldata and cold tokens.
    gas: int
    #: Return or revert bytes.
    answer: bytes
    #: The owner's balances of the watched tokens afterwards.
    balances: list[int]


def run_probe(
    endpoint: Endpoint,
    owner: Address,
    calls: Sequence[Call],
    tokens: Sequence[Address],
    block: int,
    next_block: dict[str, str] | None,
) -> tuple[list[int], list[Outcome]]:
    """Return balances before, and one outcome per call up to the first failure.

    Raises:
        RpcRejected: when the node refuses, or (code -32601) ignores the state override.
    """
    data = _RUN.encode([(call.to, call.value, call.data) for call in calls], list(tokens))
    request = {"from": owner, "to": owner, "data": "0x" + data.hex()}
    params: list[Any] = [request, hex(block), {owner: {"code": _runtime()}}]
    if next_block is not None:
        params.append(next_block)
    answer = raw_bytes(endpoint.call("eth_call", params), "the probe's answer")
    if not answer:
        raise RpcRejected(
            f"{endpoint.redacted} ignores state overrides of eth_call. Use another endpoint.", code=-32601
        )
    before, outcomes = _RUN.values(ReadResult(True, answer))
    return before, [
        Outcome(success, _as_transaction(gas, call, len(tokens)), result, balances)
        for call, (success, gas, result, balances) in zip(calls, outcomes, strict=False)
    ]


def _as_transaction(gas: int, call: Call, tokens: int) -> int:
    """Add what a transaction of its own would pay beside the call."""
    zeros = call.data.count(0)
    others = len(call.data) - zeros
    floor = _TRANSACTION + _FLOOR_PER_TOKEN * (zeros + 4 * others)
    return max(floor, _TRANSACTION + _ZERO_BYTE * zeros + _OTHER_BYTE * others + gas + _COLD * tokens)


@lru_cache(maxsize=1)
def _runtime() -> str:
    """Load the compiled probe (tools/compile_probe.py)."""
    compiled = json.loads(files(__name__).joinpath("Probe.json").read_text(encoding="utf-8"))
    return str(compiled["runtime"])
