"""What gas costs in the next block, from what recent blocks paid, kept within the chain's floor and cap."""

from __future__ import annotations

from statistics import median_low
from typing import Any, Final

from keeper.abi import Fn, keccak
from keeper.chain.quantity import raw_bytes, uint
from keeper.chain.source import Source
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.transaction import FeeQuote
from keeper.errors import BadReply, ReadFailed, RpcRejected

__all__ = ["l1_fee_wei", "quote"]

#: Blocks looked back at.
_BLOCKS: Final = 10

#: Percentiles of the priority fees paid in a block, weighted by gas: between them lies what gets included soon.
_PERCENTILES: Final = (20, 50)

#: A base fee this many times the highest of the last blocks is no base fee but a mistake.
_ABSURD: Final = 1000

#: A priority fee this many times the chain's cap is ignored, not merely clamped: one such answer must not set the bid.
_IGNORED: Final = 1000

#: Gas-price oracle of OP-stack chains (a predeploy: the same address on all of them).
_ORACLE: Final = Address("0x420000000000000000000000000000000000000f")

_GET_L1_FEE: Final = Fn("getL1Fee(bytes)", "uint256")


def quote(source: Source, facts: ChainFacts) -> FeeQuote:
    """Ask for fees; BadReply when the answers make no sense."""
    if facts.fee_model == "legacy":
        price = uint(source.call("eth_gasPrice"), "the gas price")
        return FeeQuote(0, _within(price, facts), eip1559=False)
    try:
        history = source.call("eth_feeHistory", (hex(_BLOCKS), "latest", list(_PERCENTILES)))
    except RpcRejected:
        # Old or reduced nodes: the header's base fee can rise by an eighth in the next block.
        header = source.call("eth_getBlockByNumber", ("latest", False))
        base = uint(header.get("baseFeePerGas"), "the base fee") if isinstance(header, dict) else 0
        return FeeQuote(base + base // 8, facts.tip_floor_wei)
    if not isinstance(history, dict):
        raise BadReply("a node answered eth_feeHistory with something else. Use another endpoint.")
    return FeeQuote(_base_fee(history.get("baseFeePerGas")), _tip(history, facts))


def l1_fee_wei(source: Source, facts: ChainFacts, data: bytes) -> int:
    """Ask an OP-stack chain's oracle what a transaction with this calldata pays for L1 data; 0 on other chains.

    Raises:
        ReadFailed: when the oracle does not answer like one.
    """
    if facts.l1_fee != "op-stack":
        return 0
    call = {"to": _ORACLE, "data": "0x" + _GET_L1_FEE.encode(data + _envelope(data)).hex()}
    answer = raw_bytes(source.call("eth_call", (call, "latest")), "the L1 fee")
    if len(answer) != 32:
        raise ReadFailed(
            f"the gas-price oracle of {facts.name} answered {len(answer)} bytes. Check chain facts (l1_fee)."
        )
    return int.from_bytes(answer, "big")


def _envelope(data: bytes) -> bytes:
    """Stand for nonce, fees, gas and address of the transaction: bytes that do not compress, as those do not."""
    seed = keccak(data)
    return seed + keccak(seed) + keccak(seed[::-1])


def _base_fee(fees: Any) -> int:
    """Take the last entry: the next block's base fee; the others are the blocks' own."""
    if not isinstance(fees, list) or not fees:
        raise BadReply("a node answered eth_feeHistory without base fees. Use another endpoint.")
    *past, upcoming = [uint(fee, "a base fee") for fee in fees]
    if past and upcoming > _ABSURD * max(past) + 10**9:
        raise BadReply(f"a node says that the base fee jumps to {upcoming} wei at once. Use another endpoint.")
    return upcoming


def _tip(history: dict[str, Any], facts: ChainFacts) -> int:
    """Take the median over blocks of the middle of the percentiles; empty blocks say nothing about tips."""
    rewards, used = history.get("reward"), history.get("gasUsedRatio")
    if not isinstance(rewards, list) or not isinstance(used, list):
        return facts.tip_floor_wei
    tips = []
    for paid, ratio in zip(rewards, used, strict=False):
        if not isinstance(paid, list) or not paid or not ratio:
            continue
        tip = sum(uint(fee, "a priority fee") for fee in paid) // len(paid)
        if tip <= _IGNORED * facts.tip_cap_wei:
            tips.append(tip)
    return _within(median_low(tips), facts) if tips else facts.tip_floor_wei


def _within(wei: int, facts: ChainFacts) -> int:
    return max(facts.tip_floor_wei, min(wei, facts.tip_cap_wei))
