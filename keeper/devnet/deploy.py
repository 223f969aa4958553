"""Put compiled contracts on a local node and call them; web3 encodes, the node's own unlocked accounts send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from web3 import Web3

from keeper.chain.anvil import LocalNode
from keeper.devnet.install import artifact
from keeper.domain.money import Address
from keeper.errors import TxReverted

__all__ = ["Contract", "Deployer"]

#: Gas of every transaction: more than any needs, so that nothing is estimated.
_GAS: Final = 20_000_000


class Deployer:
    """Deploys from one account of a node whose accounts are unlocked."""

    def __init__(self, node: LocalNode, account: Address) -> None:
        self.node = node
        self.account = account
        self._web3 = Web3()
        #: Transactions sent inside ``together`` and not yet mined.
        self._waiting: list[str] | None = None

    def deploy(self, path: str, *args: Any, libraries: Mapping[str, Contract] | None = None) -> Contract:
        """Deploy the artifact at ``path`` (below ``node_modules``) with constructor arguments, libraries linked in."""
        return self.deploy_compiled(artifact(path), *args, libraries=libraries)

    def deploy_compiled(
        self, compiled: Mapping[str, Any], *args: Any, libraries: Mapping[str, Contract] | None = None
    ) -> Contract:
        """Deploy an artifact that is already in memory; otherwise as ``deploy``."""
        code = _linked(compiled, libraries or {})
        factory = self._web3.eth.contract(abi=compiled["abi"], bytecode=code)
        receipt = self.send({"data": factory.constructor(*_arguments(args)).data_in_transaction})
        return self.at(Address(receipt["contractAddress"]), compiled["abi"])

    def at(self, address: Address, abi: Sequence[Any]) -> Contract:
        """Speak to a contract that is already there."""
        return Contract(self, address.lower(), self._web3.eth.contract(Web3.to_checksum_address(address), abi=abi))

    def send(self, transaction: dict[str, str], sender: Address | None = None) -> dict[str, Any]:
        """Send and mine a transaction; inside ``together`` it is only queued, and the answer is empty.

        Raises:
            TxReverted: when it fails.
        """
        filled = {"from": sender or self.account, "gas": hex(_GAS), **transaction}
        tx_hash = self.node.rpc("eth_sendTransaction", filled)
        if self._waiting is not None:
            self._waiting.append(tx_hash)
            return {}
        return self._receipt(tx_hash)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Mine everything that is sent inside in one block, so that all of it happens at the same time."""
        self.node.rpc("evm_setAutomine", False)
        self._waiting = []
        try:
            yield
            self.node.rpc("evm_mine")
        finally:
            self.node.rpc("evm_setAutomine", True)
            hashes, self._waiting = self._waiting, None
        for tx_hash in hashes:
            self._receipt(tx_hash)

    def _receipt(self, tx_hash: str) -> dict[str, Any]:
        receipt: dict[str, Any] | None = None
        while receipt is None:
            receipt = self.node.rpc("eth_getTransactionReceipt", tx_hash)
        if receipt["status"] != "0x1":
            raise TxReverted(f"transaction {tx_hash} of the local world failed. This is a bug; please report it.")
        return receipt


class Contract:
    """A deployed contract."""

    def __init__(self, deployer: Deployer, address: str, contract: Any) -> None:
        self.address = Address(address)
        self._deployer = deployer
        self._contract = contract

    def send(self, function: str, *args: Any, sender: Address | None = None, value: int = 0) -> None:
        """Call a function in a transaction, by default from the deployer's account."""
        data = self._contract.encode_abi(function, args=_arguments(args))
        self._deployer.send({"to": self.address, "data": data, "value": hex(value)}, sender)

    def call(self, function: str, *args: Any) -> Any:
        """Call a view function."""
        outputs = self._contract.get_function_by_name(function).abi["outputs"]
        request = {"to": self.address, "data": self._contract.encode_abi(function, args=_arguments(args))}
        raw = self._deployer.node.rpc("eth_call", request, "latest")
        types = [output["type"] for output in outputs]
        values = self._contract.w3.codec.decode(types, bytes.fromhex(raw[2:]))
        return values[0] if len(values) == 1 else values


def _arguments(values: Sequence[Any]) -> list[Any]:
    """Spell addresses and contracts as web3 wants them: checksummed text."""
    return [_argument(value) for value in values]


def _argument(value: Any) -> Any:
    if isinstance(value, Contract):
        return Web3.to_checksum_address(value.address)
    if isinstance(value, (list, tuple)):
        return [_argument(item) for item in value]
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return Web3.to_checksum_address(value)
    return value


def _linked(compiled: Mapping[str, Any], libraries: Mapping[str, Contract]) -> str:
    """Return deployment code as 0x hex with the addresses of its libraries filled in."""
    code = str(compiled["bytecode"]).removeprefix("0x")
    for names in compiled.get("linkReferences", {}).values():
        for name, places in names.items():
            for place in places:
                start, end = place["start"] * 2, (place["start"] + place["length"]) * 2
                code = code[:start] + libraries[name].address[2:] + code[end:]
    return "0x" + code
