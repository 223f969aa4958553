"""A local chain with many positions, and the reads of one cycle over them."""

from __future__ import annotations

import json
from pathlib import Path

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.reads import Read, ReadResult

FARM = Address("0x" + "be" * 20)
MULTICALL3 = Address("0xca11bde05977b3631167028862be2a173976ca11")
POOLS = 1_000
#: Positions staked per transaction: about 66,000 gas each.
_PER_TRANSACTION = 2_000

PENDING = Fn("pendingReward(uint256,address)", "uint256")
USER_INFO = Fn("userInfo(uint256,address)", "uint256,uint256")
BALANCE_OF = Fn("balanceOf(address)", "uint256")

FACTS = ChainFacts("bench", 31337, "ETH", FARM, 12_000, "eip1559", 10**8, 10**10, "none", 1, MULTICALL3)


def start(positions: int) -> LocalNode:
    """Start a node with that many positions, seeded by a few large transactions."""
    from keeper.devnet.install import anvil_binary, multicall3_runtime

    extra = ("--hardfork", "cancun", "--gas-limit", "3000000000", "--accounts", "1")
    node = LocalNode.start(binary=anvil_binary(), extra=extra)
    compiled = json.loads(Path(__file__).with_name("BenchFarm.json").read_text())
    node.rpc("anvil_setCode", FARM, compiled["runtime"])
    node.rpc("anvil_setCode", MULTICALL3, multicall3_runtime())
    (sender,) = node.rpc("eth_accounts")
    stake = Fn("stake(uint256,uint256)")
    seeds = [Fn("addPools(uint256)").encode(POOLS)]
    seeds += [
        stake.encode(first, min(first + _PER_TRANSACTION, positions)) for first in range(0, positions, _PER_TRANSACTION)
    ]
    for data in seeds:
        fields = {"from": sender, "to": FARM, "data": "0x" + data.hex(), "gas": hex(1_000_000_000)}
        tx_hash = node.rpc("eth_sendTransaction", fields)
        while (receipt := node.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            pass
        assert receipt["status"] == "0x1", "seeding failed"
    node.rpc("anvil_mine", "0x5")
    return node


def reads(positions: int) -> tuple[Read, ...]:
    """Three reads a position, as an adapter declares them."""
    out: list[Read] = []
    for index in range(positions):
        owner = Address(f"0x{index + 1:040x}")
        pid = index % POOLS
        out.append(PENDING.read(FARM, pid, owner, gas=25_000))
        out.append(USER_INFO.read(FARM, pid, owner, gas=7_000))
        out.append(BALANCE_OF.read(FARM, owner, gas=5_000))
    return tuple(out)


def decoded(results: list[ReadResult]) -> int:
    """Turn every answer into integers, as adapters do; returns a checksum."""
    total = 0
    for index in range(0, len(results), 3):
        pending = PENDING.value(results[index])
        amount, debt = USER_INFO.values(results[index + 1])
        total += pending + amount + debt + BALANCE_OF.value(results[index + 2])
    return total
