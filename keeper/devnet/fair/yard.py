"""What families build with: a deployer of their own on the world's node, tokens to give away, time that passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eth_hash.auto import keccak

from keeper.chain.anvil import LocalNode
from keeper.devnet.accounts import FARMER, WHALE
from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.fair.stall import BLOCK_SECONDS
from keeper.devnet.install import artifact
from keeper.devnet.uniswap import compiled
from keeper.domain.money import Address

__all__ = ["Yard"]

_RICH: Final = 1_000_000 * 10**18
_ERC20: Final = "@uniswap/v2-core/build/ERC20.json"


@dataclass(slots=True)
class Yard:
    """One family's place to build in. Its account depends on its name alone, so its addresses never change."""

    node: LocalNode
    #: Name of the family (its file).
    family: str
    #: The world's addresses: weth, usdc (6 decimals), dai, uni, sushi, aave, router, factory, pair_weth_usdc ...
    world: Mapping[str, Address]
    farmer: Address = FARMER.address
    #: Everybody else.
    whale: Address = WHALE.address
    deployer: Deployer = field(init=False)

    def __post_init__(self) -> None:
        account = Address("0x" + keccak(f"fair {self.family}".encode())[12:].hex())
        for who in (account, self.farmer, self.whale):
            self.node.rpc("anvil_setBalance", who, hex(_RICH))
            self.node.rpc("anvil_impersonateAccount", who)
        self.deployer = Deployer(self.node, account)

    @property
    def account(self) -> Address:
        """Who deploys here; its node signs for it without a key."""
        return self.deployer.account

    def deploy(self, path: str, *args: Any, libraries: Mapping[str, Contract] | None = None) -> Contract:
        """Deploy an artifact of an npm package; ``path`` is below ``node_modules``."""
        return self.deployer.deploy(path, *args, libraries=libraries)

    def fake(self, name: str, *args: Any) -> Contract:
        """Deploy one of our own contracts, ``keeper/devnet/contracts/NAME.json``."""
        return self.deployer.deploy_compiled(compiled(name), *args)

    def at(self, address: Address, path: str) -> Contract:
        """Speak to a contract that is there already, with the ABI of an artifact."""
        return self.deployer.at(address, artifact(path)["abi"])

    def fake_at(self, address: Address, name: str) -> Contract:
        """Speak to a contract that is there already, with the ABI of one of our own."""
        return self.deployer.at(address, compiled(name)["abi"])

    def token(self, symbol: str) -> Contract:
        """One of the world's tokens."""
        return self.at(self.world[symbol.lower()], _ERC20)

    def new_token(self, symbol: str, decimals: int = 18) -> Contract:
        """Deploy another token; this family's account may ``mint`` it."""
        return self.fake("DevToken", symbol, symbol, decimals)

    def deal(self, token: Contract | Address, who: Address | Contract, raw: int) -> None:
        """Set a balance outright, of any ERC-20."""
        at = token.address if isinstance(token, Contract) else token
        holder = who.address if isinstance(who, Contract) else who
        self.node.rpc("anvil_dealERC20", holder, at, hex(raw))

    @property
    def now(self) -> int:
        """Timestamp of the newest block, unix seconds."""
        return int(self.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    @property
    def height(self) -> int:
        """Number of the newest block."""
        return int(self.node.rpc("eth_blockNumber"), 16)

    def pass_blocks(self, count: int, seconds: int = BLOCK_SECONDS) -> None:
        """Let so many blocks pass, so many seconds apart."""
        # Not by anvil_mine's own interval, which is ignored where one is set for the chain.
        self.node.rpc("anvil_setBlockTimestampInterval", seconds)
        self.node.rpc("anvil_mine", hex(count))
        self.node.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
