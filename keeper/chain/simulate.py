"""Ask a node what calls would do, one after another, without sending anything: deltas, gas and errors per call.

Three ways, best first; which one an endpoint can do is found out once and remembered:

- ``eth_simulateV1``: every call is its own transaction, so gas is what a mined transaction uses (before its margin).
- ``probe``: ``eth_call`` with our own contract put at the owner's address by a state override. The calls share one
  transaction, so storage that an earlier call touched is cheaper than it will be; an allowance makes up for that.
- ``estimate``: ``eth_estimateGas`` at ``pending``. It knows no deltas and no second call, so it can tell the gas of a
  single call, but cannot pass a plan with amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from keeper.abi import Fn, decode_revert
from keeper.chain.endpoint import Endpoint
from keeper.chain.probe import run_probe
from keeper.chain.quantity import raw_bytes, uint
from keeper.chain.source import Source
from keeper.domain.block import BlockRef
from keeper.domain.money import Address
from keeper.domain.plan import Call
from keeper.domain.transaction import SimulatedCall, Simulation
from keeper.errors import BadReply, RpcRejected

__all__ = ["Simulator"]

_BALANCE_OF: Final = Fn("balanceOf(address)", "uint256")

#: JSON-RPC codes and words by which nodes say that they do not know a method or its arguments.
_UNKNOWN_CODES: Final = frozenset({-32601, -32602, -32600, -32004})
#: What a node says that does not have the block (yet, or any more): no word about the method.
_LAGGING_WORDS: Final = (
    "header not found",
    "block not found",
    "unknown block",
    "missing trie node",
    "state not available",
)
_UNKNOWN_WORDS: Final = (
    "not found",
    "not supported",
    "unsupported",
    "not available",
    "does not exist",
    "not whitelisted",
    "not allowed",
    "too many arguments",
    "invalid params",
    "invalid argument",
)

#: One way of simulating: the endpoint, the owner, the calls, the watched tokens, the block to stand on.
_Way = Callable[[Endpoint, Address, Sequence[Call], Sequence[Address], BlockRef], tuple[SimulatedCall, ...]]


class Simulator:
    """Simulates on the endpoints of one chain. Threads may share it."""

    def __init__(self, source: Source, block_seconds: int) -> None:
        """Take the pool, and the seconds after its parent at which the simulated block stands."""
        self._source = source
        self._seconds = max(1, block_seconds)
        self._ways: tuple[tuple[str, _Way], ...] = (
            ("eth_simulateV1", self._simulate_v1),
            ("probe", self._probe),
            ("estimate", _estimate),
        )
        #: Index into the ways that an endpoint was last seen to be able to do.
        self._known: dict[Endpoint, int] = {}

    def run(
        self,
        owner: Address,
        calls: Sequence[Call],
        tokens: Sequence[Address],
        block: BlockRef,
        source: Source | None = None,
    ) -> Simulation:
        """Simulate on top of ``block``, through ``source`` (the pool by default).

        Calls after the first failing one are not reported.

        Raises:
            RpcRejected: when no way of simulating is open, with what to do.
        """
        source = source or self._source
        return source.ask(lambda endpoint: self._on(endpoint, owner, calls, tokens, block))

    def _on(
        self, endpoint: Endpoint, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef
    ) -> Simulation:
        for index in range(self._known.get(endpoint, 0), len(self._ways)):
            name, way = self._ways[index]
            try:
                outcome = way(endpoint, owner, calls, tokens, block)
            except RpcRejected as error:
                if index + 1 == len(self._ways) or not _unknown(error):
                    raise
            else:
                if name != "estimate":  # good for one call only, so never the way to stay with
                    self._known[endpoint] = index
                return Simulation(block.number, name, _until_failure(outcome))
        raise AssertionError("unreachable")

    def _next_block(self, block: BlockRef) -> dict[str, str]:
        """Number and time of the block that the calls run in: without them some nodes repeat the parent's."""
        return {"number": hex(block.number + 1), "time": hex(block.timestamp + self._seconds)}

    def _simulate_v1(
        self, endpoint: Endpoint, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef
    ) -> tuple[SimulatedCall, ...]:
        views = [{"from": owner, "to": token, "data": "0x" + _BALANCE_OF.encode(owner).hex()} for token in tokens]
        listed: list[dict[str, str]] = list(views)
        for call in calls:
            listed += [_as_rpc(owner, call), *views]
        request = {"blockStateCalls": [{"blockOverrides": self._next_block(block), "calls": listed}]}
        answer = endpoint.call("eth_simulateV1", (request, hex(block.number)))
        blocks = answer if isinstance(answer, list) and answer and isinstance(answer[0], dict) else [{}]
        results = blocks[0].get("calls")
        if not isinstance(results, list) or len(results) != len(listed):
            raise BadReply("a node answered eth_simulateV1 with another number of results. Use another endpoint.")
        stride = len(tokens) + 1
        balances = _balances(results[: len(tokens)], tokens)
        outcome = []
        for start in range(len(tokens), len(results), stride):
            after = _balances(results[start + 1 : start + stride], tokens)
            outcome.append(_simulated(results[start], _deltas(tokens, balances, after)))
            balances = after
        return tuple(outcome)

    def _probe(
        self, endpoint: Endpoint, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef
    ) -> tuple[SimulatedCall, ...]:
        try:
            before, outcomes = run_probe(endpoint, owner, calls, tokens, block.number, self._next_block(block))
        except RpcRejected as error:
            if not _unknown(error):
                raise
            # Nodes that know state overrides but not block overrides: run on the parent's number and time.
            before, outcomes = run_probe(endpoint, owner, calls, tokens, block.number, None)
        result = []
        for one in outcomes:
            deltas = _deltas(tokens, before, one.balances) if one.success else ()
            error_text = "" if one.success else decode_revert(one.answer) or "reverted without a reason"
            result.append(SimulatedCall(one.success, one.gas, error_text, deltas, one.answer if one.success else b""))
            before = one.balances
        return tuple(result)


def _estimate(
    endpoint: Endpoint, owner: Address, calls: Sequence[Call], _tokens: Sequence[Address], _block: BlockRef
) -> tuple[SimulatedCall, ...]:
    """Estimate the gas of one call on the pending state."""
    if len(calls) != 1:
        raise RpcRejected(
            f"{endpoint.redacted} can neither eth_simulateV1 nor state overrides in eth_call, so it cannot simulate "
            f"{len(calls)} calls one after another. Use an endpoint that can."
        )
    try:
        gas = uint(endpoint.call("eth_estimateGas", (_as_rpc(owner, calls[0]), "pending")), "an estimate")
    except RpcRejected as error:
        if _unknown(error):
            raise
        return (SimulatedCall(False, 0, decode_revert(error.data) or str(error)),)
    return (SimulatedCall(True, gas),)


def _as_rpc(owner: Address, call: Call) -> dict[str, str]:
    return {"from": owner, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}


def _balances(results: Sequence[Any], tokens: Sequence[Address]) -> list[int]:
    """Read the balanceOf results that stand around each call."""
    balances = []
    for result, token in zip(results, tokens, strict=True):
        answer = raw_bytes(result.get("returnData"), "a simulated balance") if isinstance(result, dict) else b""
        if len(answer) < 32 or result.get("status") != "0x1":
            raise RpcRejected(f"balanceOf of {token} does not answer. Check that the address is a token.", code=3)
        balances.append(int.from_bytes(answer[:32], "big"))
    return balances


def _simulated(result: Any, deltas: tuple[tuple[Address, int], ...]) -> SimulatedCall:
    if not isinstance(result, dict):
        raise BadReply("a node answered eth_simulateV1 with a result that is none. Use another endpoint.")
    gas = uint(result.get("gasUsed"), "simulated gas")
    if result.get("status") == "0x1":
        return SimulatedCall(True, gas, "", deltas, raw_bytes(result.get("returnData") or "0x", "what a call returned"))
    error = result.get("error")
    error = error if isinstance(error, dict) else {}
    data = error.get("data") or result.get("returnData") or "0x"
    return SimulatedCall(
        False, gas, decode_revert(raw_bytes(data, "revert data")) or str(error.get("message", "reverted"))
    )


def _deltas(tokens: Sequence[Address], before: Sequence[int], after: Sequence[int]) -> tuple[tuple[Address, int], ...]:
    return tuple((token, new - old) for token, old, new in zip(tokens, before, after, strict=True))


def _until_failure(calls: tuple[SimulatedCall, ...]) -> tuple[SimulatedCall, ...]:
    """Cut after the first failure: what would follow it never happens."""
    for index, call in enumerate(calls):
        if not call.success:
            return calls[: index + 1]
    return calls


def _unknown(error: RpcRejected) -> bool:
    """Tell whether a refusal is about the method, not about the calls. Reverts (code 3) never are."""
    words = str(error).lower()
    if error.code == 3 or "revert" in words or any(text in words for text in _LAGGING_WORDS):
        return False
    return error.code in _UNKNOWN_CODES or any(text in words for text in _UNKNOWN_WORDS)
