"""A world that is on its feet in a twentieth of a second: three farms in the protocol's own code, one wallet in all.

The state is deployed once, kept beside the devnet's, and loaded into a fresh anvil for every run. No block is mined
but by the harness, which is also the chain's clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from keeper.abi import Fn, keccak
from keeper.chain.anvil import LocalNode
from keeper.devnet.accounts import DEPLOYER, FARMER, WHALE
from keeper.devnet.install import anvil_binary, ensure_installed, multicall3_runtime

_HERE: Final = Path(__file__)
_STAKING: Final = "@uniswap/liquidity-staker/build/StakingRewards.json"
MULTICALL3: Final = "0xca11bde05977b3631167028862be2a173976ca11"
FARMS: Final = 3
CHAIN_ID: Final = 31337

#: Whole tokens that the farmer stakes in each farm, everybody else's, and what each farm pays in a year.
STAKE: Final = 50_000
OTHERS: Final = 750_000
PER_YEAR: Final = 480_000
#: Loose tokens in the wallet that no harvest brought and none may touch.
LOOSE: Final = 777

#: Chain time at which every run begins: so long after the farms were started that each position is due.
WARM_SECONDS: Final = 9 * 86_400
GWEI: Final = 10**9
#: Base fee of every block unless a run says otherwise.
BASE_FEE: Final = GWEI
#: Dollars per ether and per token, as the config states them.
ETH_USD: Final = 3_000

TRANSFER: Final = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
STAKED: Final = "0x" + keccak(b"Staked(address,uint256)").hex()
PAID: Final = "0x" + keccak(b"RewardPaid(address,uint256)").hex()

_BALANCE_OF: Final = Fn("balanceOf(address)", "uint256")
_EARNED: Final = Fn("earned(address)", "uint256")

_NODE_OPTIONS: Final = ("--no-mining", "--accounts", "6", "--hardfork", "cancun", "--gas-limit", "30000000")


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is; the same in every run."""

    token: str
    weth: str
    farms: tuple[str, ...]
    #: Block number and time (unix seconds) of the kept state.
    block: int
    timestamp: int
    #: A dumped state, as anvil takes it back.
    state: str

    @property
    def epoch(self) -> int:
        """Chain time at which runs begin."""
        return self.timestamp + WARM_SECONDS


def kept() -> Places:
    """Return the kept world, deploying it first where there is none yet."""
    home = ensure_installed()
    digest = hashlib.sha256((home / ".installed").read_bytes() + _HERE.read_bytes()).hexdigest()[:16]
    file = home / f"faults-{digest}.json"
    if not file.exists():
        with FileLock(home / ".faults.lock"):
            if not file.exists():
                places = _deployed()
                for old in home.glob("faults-*.json"):
                    old.unlink(missing_ok=True)
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps(places))
                partial.replace(file)
    loaded = json.loads(file.read_text())
    return Places(**{**loaded, "farms": tuple(loaded["farms"])})


def start(places: Places, *, mine_first: bool = True) -> LocalNode:
    """Start a node with the world on it, at ``places.epoch``; nothing is mined by itself."""
    node = LocalNode.start(binary=anvil_binary(), extra=_NODE_OPTIONS)
    node.rpc("anvil_loadState", places.state)
    if mine_first:
        mine(node.rpc, places.epoch, BASE_FEE)
    return node


def mine(rpc: Callable[..., Any], timestamp: int, base_fee: int) -> None:
    """Mine one block with this time (or the next second, if that is past) and base fee."""
    rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    head = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc("evm_mine", {"timestamp": max(timestamp, head + 1)})


def balance(node: LocalNode, token: str, owner: str, tag: str = "latest") -> int:
    """Balance of a token."""
    return _view(node, token, _BALANCE_OF.encode(owner), tag)


def earned(node: LocalNode, farm: str, owner: str) -> int:
    """Pending reward of a position."""
    return _view(node, farm, _EARNED.encode(owner), "latest")


def _view(node: LocalNode, to: str, data: bytes, tag: str) -> int:
    return int(node.rpc("eth_call", {"to": to, "data": "0x" + data.hex()}, tag), 16)


def _deployed() -> Mapping[str, Any]:
    from keeper.devnet.deploy import Deployer

    contracts = Path(__import__("keeper.devnet", fromlist=["x"]).__file__).parent / "contracts"
    dev_token = json.loads((contracts / "DevToken.json").read_text())
    with LocalNode.start(binary=anvil_binary(), extra=(*_NODE_OPTIONS[1:],)) as node:
        deployer = Deployer(node, DEPLOYER.address)
        token = deployer.deploy_compiled(dev_token, "Farm Token", "FARM", 18)
        weth = deployer.deploy_compiled(dev_token, "Wrapped Ether", "WETH", 18)
        unit = 10**18
        token.send("mint", DEPLOYER.address, 10_000_000 * unit)
        token.send("mint", FARMER.address, (FARMS * STAKE + LOOSE) * unit)
        token.send("mint", WHALE.address, FARMS * OTHERS * unit)
        farms = [deployer.deploy(_STAKING, DEPLOYER.address, token, token) for _ in range(FARMS)]
        for farm in farms:
            token.send("transfer", farm, PER_YEAR * unit)
            for account, stake in ((FARMER, STAKE), (WHALE, OTHERS)):
                token.send("approve", farm, stake * unit, sender=account.address)
                farm.send("stake", stake * unit, sender=account.address)
        for farm in farms:
            farm.send("notifyRewardAmount", PER_YEAR * unit * 60 // 365)
        node.rpc("anvil_setCode", MULTICALL3, multicall3_runtime())
        node.rpc("anvil_setBalance", FARMER.address, hex(5 * unit))
        head = node.rpc("eth_getBlockByNumber", "latest", False)
        return {
            "token": token.address.lower(),
            "weth": weth.address.lower(),
            "farms": [farm.address.lower() for farm in farms],
            "block": int(head["number"], 16),
            "timestamp": int(head["timestamp"], 16),
            "state": node.rpc("anvil_dumpState"),
        }
