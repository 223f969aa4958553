"""What happens on every start of the world, deployed or loaded: the clock is set, and the emissions begin."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.devnet.accounts import DEPLOYER, FARMER, WHALE
from keeper.devnet.market import BASE_FEE_WEI, EMISSION_USD_PER_YEAR, FUNDED_DAYS, PRICES, TX_SECONDS, YEAR
from keeper.domain.money import Address
from keeper.errors import TxReverted

__all__ = ["mine_at", "mine_until", "notify_farm", "send", "start_emissions"]

_NOTIFY: Final = Fn("notifyRewardAmount(uint256)")
_CONFIGURE: Final = Fn("configureAssets((uint88,uint256,uint32,address,address,address,address)[])")
_BORROW: Final = Fn("borrow(address,uint256,uint256,uint16,address)")

#: Gas money of the farmer: 5 ETH.
_GAS_MONEY_WEI: Final = 5 * 10**18

#: ``rewardsDuration`` of this build of StakingRewards.
_FARM_PERIOD: Final = 60 * 86_400

#: Aave's variable interest rate mode.
_VARIABLE: Final = 2

#: USDC that the whale borrows, so that supplied USDC earns a little interest.
_BORROWED_USDC: Final = 600_000 * 10**6


def start_emissions(node: LocalNode, addresses: Mapping[str, Address]) -> None:
    """Set the chain's clock to now, and start everything that accrues with time."""
    node.rpc("anvil_setBalance", FARMER.address, hex(_GAS_MONEY_WEI))
    head = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    node.rpc("evm_setNextBlockTimestamp", hex(max(head + 1, int(time.time()))))
    node.rpc("evm_mine")
    node.rpc("anvil_setBlockTimestampInterval", TX_SECONDS)
    notify_farm(node, addresses)
    now = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rewards = (
        EMISSION_USD_PER_YEAR * 10**18 // PRICES["AAVE"] // YEAR,
        0,
        now + FUNDED_DAYS * 86_400,
        addresses["a_usdc"],
        addresses["aave"],
        addresses["reward_strategy"],
        addresses["feed_aave"],
    )
    send(node, DEPLOYER.address, addresses["emission_manager"], _CONFIGURE.encode([rewards]))
    loan = _BORROW.encode(addresses["usdc"], _BORROWED_USDC, _VARIABLE, 0, WHALE.address)
    send(node, WHALE.address, addresses["aave_pool"], loan)


def notify_farm(node: LocalNode, addresses: Mapping[str, Address]) -> None:
    """Start (or extend) the StakingRewards farm's reward period of 60 days."""
    per_year = EMISSION_USD_PER_YEAR * 10**18 // PRICES["UNI"]
    send(node, DEPLOYER.address, addresses["farm"], _NOTIFY.encode(per_year * _FARM_PERIOD // YEAR))


def mine_until(node: LocalNode, when: int, *, blocks: int, base_fee_wei: int = BASE_FEE_WEI) -> None:
    """Mine ``blocks`` evenly spaced blocks, the last exactly at unix time ``when`` and with this base fee.

    The next block has it too. Those between have less: base fees of empty blocks fall.
    """
    now = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    node.rpc("anvil_setBlockTimestampInterval", max(1, (when - now) // blocks))
    node.rpc("anvil_mine", hex(blocks - 1))
    node.rpc("anvil_setBlockTimestampInterval", TX_SECONDS)
    node.rpc("evm_setNextBlockTimestamp", hex(when))
    mine_at(node, base_fee_wei)


def mine_at(node: LocalNode, base_fee_wei: int) -> None:
    """Mine one block with this base fee, and let the next one have it too."""
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee_wei))
    node.rpc("evm_mine")
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee_wei))


def send(node: LocalNode, sender: Address, to: Address, data: bytes) -> None:
    """Send a transaction from one of the node's unlocked accounts and see it mined.

    Raises:
        TxReverted: when it fails.
    """
    transaction = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(2_000_000)}
    receipt = node.rpc("eth_sendTransactionSync", transaction)
    if receipt["status"] != "0x1":
        raise TxReverted(f"a transaction of the local world to {to} failed. This is a bug; please report it.")
