"""Uniswap V4 (real code) on a local node: the pool manager and its periphery, positions, and trades that pay fees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keeper.abi import Fn, encode, keccak
from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.install import artifact
from keeper.devnet.uniswap_v3 import Hands
from keeper.domain.money import WAD, Address
from keeper.prices.uniswap_v3_range import range_value
from keeper.ranges import MAX_TICK, amounts_for_liquidity, liquidity_for_amounts, sqrt_price_of, sqrt_ratio_at_tick

__all__ = [
    "FEE_PPM",
    "MINT",
    "MINT_AND_SETTLE",
    "NO_HOOKS",
    "PERMIT2",
    "SPACING",
    "V4",
    "PoolV4",
    "deploy_v4",
    "give_and_allow",
    "mint",
    "open_pool",
    "v4_at",
    "waves",
]

_CORE: Final = "@uniswap/v4-core/out"
_PERIPHERY: Final = "@uniswap/v4-periphery/foundry-out"
_ERC20: Final = "@uniswap/v2-core/build/ERC20.json"

#: Where Permit2 lives on every chain (https://github.com/Uniswap/permit2).
PERMIT2: Final = Address("0x000000000022d473030f116ddee9f6b43ac78ba3")
#: Length of its code. Its carrier, a script of the periphery's, ends in it.
_PERMIT2_BYTES: Final = 9_152
_PERMIT2_START: Final = "6040608081526004"

_ALLOW: Final = Fn("approve(address,address,uint160,uint48)")

#: Artifacts by the names of their addresses, in the order of ``V4``.
_NAMES: Final = {
    "v4_pool_manager": f"{_CORE}/PoolManager.sol/PoolManager.json",
    "v4_position_manager": f"{_PERIPHERY}/PositionManager.sol/PositionManager.json",
    "v4_state_view": f"{_PERIPHERY}/StateView.sol/StateView.json",
    "v4_trader": f"{_CORE}/PoolSwapTest.sol/PoolSwapTest.json",
}

#: Fee of the pools that are opened here, and their tick spacing.
FEE_PPM: Final = 3_000
SPACING: Final = 60

NO_HOOKS: Final = Address("0x" + "00" * 20)

_NEVER: Final = 2**40
_MOST: Final = 2**128 - 1

_SWAP: Final = Fn("swap((address,address,uint24,int24,address),(bool,int256,uint160),(bool,bool),bytes)")

#: Actions of the position manager.
MINT_AND_SETTLE: Final = bytes([0x02, 0x0D])
MINT: Final = (
    "(address,address,uint24,int24,address)",
    *("int24", "int24", "uint256", "uint128", "uint128", "address", "bytes"),
)


@dataclass(frozen=True, slots=True)
class V4:
    """The exchange; the trader is a router of the core's own tests."""

    pools: Contract
    positions: Contract
    view: Contract
    trader: Contract

    @property
    def addresses(self) -> dict[str, Address]:
        """By the names that everybody uses."""
        contracts = (self.pools, self.positions, self.view, self.trader)
        return {name: contract.address for name, contract in zip(_NAMES, contracts, strict=True)}


@dataclass(frozen=True, slots=True)
class PoolV4:
    """A pool, and what its two tokens are worth elsewhere."""

    tokens: tuple[Address, Address]
    #: Whole US dollars per token, and base units of one.
    usd: tuple[int, int]
    units: tuple[int, int]
    hooks: Address = NO_HOOKS

    @property
    def key(self) -> tuple[Address, Address, int, int, Address]:
        """As the contracts name it."""
        return (*self.tokens, FEE_PPM, SPACING, self.hooks)

    @property
    def id(self) -> bytes:
        """Hash of the key."""
        return keccak(encode(("address", "address", "uint24", "int24", "address"), self.key))

    @property
    def sqrt_price(self) -> int:
        """The price at which both are worth what they are elsewhere."""
        return sqrt_price_of(*self.usd, *self.units)

    def ticks(self, tick: int, width: int) -> tuple[int, int]:
        """Return a range of so many tick spacings on either side of a tick; all prices for 0."""
        if width == 0:
            most = MAX_TICK // SPACING * SPACING
            return -most, most
        middle = tick // SPACING * SPACING
        return middle - width * SPACING, middle + width * SPACING

    def liquidity(self, ticks: tuple[int, int], usd: int) -> int:
        """Return the liquidity of a range that is worth so many dollars."""
        return usd * WAD * WAD // range_value((self.usd[0] * WAD, self.usd[1] * WAD), self.units, ticks, WAD)


def deploy_v4(deployer: Deployer, weth: Address) -> V4:
    """Deploy the core, Permit2 at its own address, and the periphery."""
    deployer.node.rpc("anvil_setCode", PERMIT2, _permit2())
    pools = _deploy(deployer, "v4_pool_manager", deployer.account)
    # The pictures of NFTs are drawn by a further contract, which nobody asks here.
    positions = _deploy(deployer, "v4_position_manager", pools, PERMIT2, 300_000, NO_HOOKS, weth)
    return V4(pools, positions, _deploy(deployer, "v4_state_view", pools), _deploy(deployer, "v4_trader", pools))


def v4_at(deployer: Deployer, addresses: Mapping[str, Address]) -> V4:
    """Speak to an exchange that is there already."""
    return V4(*(deployer.at(addresses[name], artifact(path)["abi"]) for name, path in _NAMES.items()))


def open_pool(v4: V4, hands: Hands, worth: Mapping[Address, int], hooks: Address = NO_HOOKS) -> PoolV4:
    """Create the pool of two tokens at their prices (whole US dollars per token)."""
    first, second = sorted(worth)
    units = [10 ** hands.deployer.at(token, artifact(_ERC20)["abi"]).call("decimals") for token in (first, second)]
    pool = PoolV4((first, second), (worth[first], worth[second]), (units[0], units[1]), hooks)
    v4.pools.send("initialize", pool.key, pool.sqrt_price)
    return pool


def mint(v4: V4, hands: Hands, pool: PoolV4, who: Address, ticks: tuple[int, int], usd: int) -> int:
    """Give ``who`` a position worth so many dollars; returns the NFT's number."""
    liquidity = pool.liquidity(ticks, usd)
    ends = sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
    amounts = amounts_for_liquidity(pool.sqrt_price, *ends, liquidity, up=True)
    for token, amount in zip(pool.tokens, amounts, strict=True):
        # A little more than what is needed; it is taken away again.
        give_and_allow(hands, token, who, PERMIT2, amount + 10)
        allowed = _ALLOW.encode(token, v4.positions.address, amount + 10, _NEVER)
        hands.deployer.send({"to": PERMIT2, "data": "0x" + allowed.hex()}, who)
    token_id: int = v4.positions.call("nextTokenId")
    wanted = encode(
        MINT, (pool.key, *ticks, liquidity_for_amounts(pool.sqrt_price, *ends, amounts), _MOST, _MOST, who, b"")
    )
    settle = encode(("address", "address"), pool.tokens)
    v4.positions.send(
        "modifyLiquidities", encode(("bytes", "bytes[]"), (MINT_AND_SETTLE, [wanted, settle])), _NEVER, sender=who
    )
    for token in pool.tokens:
        hands.deployer.send({"to": PERMIT2, "data": "0x" + _ALLOW.encode(token, v4.positions.address, 0, 0).hex()}, who)
        hands.deployer.at(token, artifact(_ERC20)["abi"]).send("approve", PERMIT2, 0, sender=who)
    return token_id


def waves(
    trader: Address, pool: PoolV4, who: Address, bps: int, times: int
) -> tuple[tuple[Address, Address, bytes], ...]:
    """Word trades that push a pool down by a part of its price and back up to the fair one: sender, contract, calldata.

    ``who`` must have allowed the trader what that takes.
    """
    fair = pool.sqrt_price
    low = fair * (20_000 - bps) // 20_000
    down = _SWAP.encode(pool.key, (True, -_MOST // 2, low), (False, False), b"")
    up = _SWAP.encode(pool.key, (False, -_MOST // 2, fair), (False, False), b"")
    return tuple((who, trader, data) for _ in range(times) for data in (down, up))


def give_and_allow(hands: Hands, token: Address, who: Address, spender: Address, amount: int) -> None:
    """Give tokens on top of what is there, and let a contract take them."""
    contract = hands.deployer.at(token, artifact(_ERC20)["abi"])
    held: int = contract.call("balanceOf", who)
    hands.deal(token, who, held + amount)
    contract.send("approve", spender, amount, sender=who)


def _deploy(deployer: Deployer, name: str, *args: object) -> Contract:
    found = artifact(_NAMES[name])
    return deployer.deploy_compiled({"abi": found["abi"], "bytecode": found["bytecode"]["object"]}, *args)


def _permit2() -> str:
    carrier: str = artifact(f"{_PERIPHERY}/DeployPermit2.sol/DeployPermit2.json")["bytecode"]["object"]
    start = carrier.index(_PERMIT2_START)
    code = carrier[start : start + 2 * _PERMIT2_BYTES]
    assert len(code) == 2 * _PERMIT2_BYTES, "the package carries another Permit2"
    return "0x" + code
