"""Accounts of the senders, each with its own nonces, rewards in each pool, and money for gas."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.abi import Fn, keccak
from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.signers.local import LocalKey
from tests.bench import farm

DEPOSIT = Fn("deposit(uint256,uint256)")

#: Gas of one harvest, with a margin; base fee and tip of a node that nobody else uses.
GAS = 150_000
MAX_FEE = 4 * 10**9
TIP = 10**8

_JOIN = Fn("join(address,uint256)")


@dataclass(frozen=True)
class Account:
    """A key that is worth nothing anywhere."""

    secret: bytes

    @property
    def key(self) -> LocalKey:
        return LocalKey(self.secret)

    @property
    def address(self) -> Address:
        return self.key.address


def account_of(name: str) -> Account:
    """The account of that name."""
    return Account(keccak(name.encode()))


def account(node, name: str, pools: int) -> Account:
    """Make an account of that name, with something pending in each of the first pools."""
    made = account_of(name)
    node.rpc("anvil_setBalance", made.address, hex(10**24))
    (sender,) = node.rpc("eth_accounts")
    fields = {
        "from": sender,
        "to": farm.FARM,
        "data": "0x" + _JOIN.encode(made.address, pools).hex(),
        "gas": hex(10**8),
    }
    tx_hash = node.rpc("eth_sendTransaction", fields)
    while (receipt := node.rpc("eth_getTransactionReceipt", tx_hash)) is None:
        pass
    assert receipt["status"] == "0x1", "joining failed"
    return made


def signed(owner: LocalKey, first_nonce: int, count: int) -> list[SignedTx]:
    """Sign one harvest of each of the first pools."""
    return [
        owner.sign(
            TxRequest(
                chain_id=farm.FACTS.chain_id,
                sender=owner.address,
                nonce=first_nonce + pid,
                to=farm.FARM,
                data=harvest(pid),
                value=0,
                gas=GAS,
                max_fee_wei=MAX_FEE,
                max_tip_wei=TIP,
            )
        )
        for pid in range(count)
    ]


def harvest(pid: int) -> bytes:
    """Calldata of a harvest: a deposit of nothing, as MasterChefs have it."""
    return DEPOSIT.encode(pid, 0)
