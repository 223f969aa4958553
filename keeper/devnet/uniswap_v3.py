"""Uniswap V3 (real code) on a local node: the exchange, deep pools, positions in them, and trades that pay fees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.install import artifact
from keeper.domain.money import WAD, Address
from keeper.prices.uniswap_v3_range import range_value
from keeper.ranges import MAX_TICK, amounts_for_liquidity, sqrt_price_of, sqrt_ratio_at_tick
from keeper.swaps.uniswap_v3_calls import SINGLE

__all__ = [
    "FEE_PPM",
    "V3",
    "Hands",
    "Pool",
    "deploy_v3",
    "mint",
    "open_pool",
    "stir",
    "trade",
    "trade_to_price",
    "v3_at",
]

_CORE: Final = "@uniswap/v3-core/artifacts/contracts"
_PERIPHERY: Final = "@uniswap/v3-periphery/artifacts/contracts"
_ROUTERS: Final = "@uniswap/swap-router-contracts/artifacts/contracts"
_POOL: Final = f"{_CORE}/UniswapV3Pool.sol/UniswapV3Pool.json"
_ERC20: Final = "@uniswap/v2-core/build/ERC20.json"

#: Artifacts of the exchange by the names of their addresses, in the order of ``V3``.
_NAMES: Final = {
    "v3_factory": f"{_CORE}/UniswapV3Factory.sol/UniswapV3Factory.json",
    "v3_router": f"{_PERIPHERY}/SwapRouter.sol/SwapRouter.json",
    "v3_router02": f"{_ROUTERS}/SwapRouter02.sol/SwapRouter02.json",
    "v3_quoter": f"{_PERIPHERY}/lens/QuoterV2.sol/QuoterV2.json",
    "v3_npm": f"{_PERIPHERY}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json",
}

#: Fee tier of the pools that are opened here.
FEE_PPM: Final = 3_000

_NEVER: Final = 2**63

#: More than a trade to a price takes.
_PLENTY_USD: Final = 5_000_000


class Hands(Protocol):
    """Who deploys and gives tokens away: the fair's yard, or anything like it. Every sender is unlocked."""

    deployer: Deployer

    def deal(self, token: Contract | Address, who: Address | Contract, raw: int) -> None:
        """Set a balance outright."""


@dataclass(frozen=True, slots=True)
class V3:
    """The exchange."""

    factory: Contract
    #: The first kind, whose swaps have deadlines, and the second one.
    router: Contract
    router02: Contract
    quoter: Contract
    npm: Contract

    @property
    def addresses(self) -> dict[str, Address]:
        """By the names that everybody uses."""
        return {
            "v3_factory": self.factory.address,
            "v3_router": self.router.address,
            "v3_router02": self.router02.address,
            "v3_quoter": self.quoter.address,
            "v3_npm": self.npm.address,
        }


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool, and what its two tokens are worth elsewhere."""

    contract: Contract
    tokens: tuple[Address, Address]
    #: Whole US dollars per token, and base units of one.
    usd: tuple[int, int]
    units: tuple[int, int]
    fee: int

    @property
    def sqrt_price(self) -> int:
        """The price at which both are worth what they are elsewhere."""
        return sqrt_price_of(*self.usd, *self.units)

    def ticks(self, width: int) -> tuple[int, int]:
        """Return a range of so many tick spacings on either side of the present price; all prices for 0."""
        spacing: int = self.contract.call("tickSpacing")
        if width == 0:
            most = MAX_TICK // spacing * spacing
            return -most, most
        middle = int(self.contract.call("slot0")[1]) // spacing * spacing
        return middle - width * spacing, middle + width * spacing

    def amounts(self, ticks: tuple[int, int], usd: int) -> tuple[int, int]:
        """Return what liquidity worth so many dollars takes of both tokens."""
        each = range_value((self.usd[0] * WAD, self.usd[1] * WAD), self.units, ticks, WAD)
        ends = sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
        return amounts_for_liquidity(self.sqrt_price, *ends, usd * WAD * WAD // each, up=True)


def deploy_v3(deployer: Deployer, weth: Address, v2_factory: Address) -> V3:
    """Deploy factory, both kinds of routers, QuoterV2 and position manager."""
    factory = deployer.deploy(_NAMES["v3_factory"])
    factory.send("enableFeeAmount", 100, 1)  # as its owners did later
    router = deployer.deploy(_NAMES["v3_router"], factory, weth)
    quoter = deployer.deploy(_NAMES["v3_quoter"], factory, weth)
    # The last argument draws the NFTs' pictures, which nobody looks at here.
    npm = deployer.deploy(_NAMES["v3_npm"], factory, weth, weth)
    router02 = deployer.deploy(_NAMES["v3_router02"], v2_factory, factory, npm, weth)
    return V3(factory, router, router02, quoter, npm)


def v3_at(hands: Hands, addresses: Mapping[str, Address]) -> V3:
    """Speak to an exchange that is there already."""
    deployer = hands.deployer
    return V3(*(deployer.at(addresses[name], artifact(path)["abi"]) for name, path in _NAMES.items()))


def open_pool(v3: V3, hands: Hands, worth: Mapping[Address, int], fee: int = FEE_PPM) -> Pool:
    """Create the pool of two tokens at their prices (whole US dollars per token)."""
    first, second = sorted(worth)
    units = [10 ** _erc20(hands, token).call("decimals") for token in (first, second)]
    price = sqrt_price_of(worth[first], worth[second], units[0], units[1])
    v3.npm.send("createAndInitializePoolIfNecessary", first, second, fee, price)
    at = Address(v3.factory.call("getPool", first, second, fee))
    contract = hands.deployer.at(at, artifact(_POOL)["abi"])
    return Pool(contract, (first, second), (worth[first], worth[second]), (units[0], units[1]), fee)


def mint(v3: V3, hands: Hands, pool: Pool, who: Address, ticks: tuple[int, int], usd: int) -> int:
    """Give ``who`` a position worth so many dollars; returns the NFT's number."""
    amounts = pool.amounts(ticks, usd)
    for token, amount in zip(pool.tokens, amounts, strict=True):
        _grant(hands, token, who, v3.npm.address, amount)
    v3.npm.send("mint", (*pool.tokens, pool.fee, *ticks, *amounts, 0, 0, who, _NEVER), sender=who)
    held: int = v3.npm.call("balanceOf", who)
    token_id: int = v3.npm.call("tokenOfOwnerByIndex", who, held - 1)
    return token_id


def trade(v3: V3, hands: Hands, pool: Pool, who: Address, side: int, amount: int, limit: int = 0) -> int:
    """Sell ``amount`` of the pool's token ``side``, at most to a price; returns what came of the other one."""
    sold, bought = pool.tokens[side], pool.tokens[1 - side]
    other = _erc20(hands, bought)
    before: int = other.call("balanceOf", who)
    _grant(hands, sold, who, v3.router.address, amount)
    v3.router.send("exactInputSingle", (sold, bought, pool.fee, who, _NEVER, amount, 0, limit), sender=who)
    after: int = other.call("balanceOf", who)
    return after - before


def trade_to_price(v3: V3, hands: Hands, pool: Pool, who: Address, sqrt_price: int, usd: int) -> None:
    """Trade until the pool is at a price, with at most so many dollars."""
    now: int = pool.contract.call("slot0")[0]
    if now != sqrt_price:
        side = 0 if sqrt_price < now else 1
        trade(v3, hands, pool, who, side, usd * pool.units[side] // pool.usd[side], sqrt_price)


def stir(v3: V3, hands: Hands, pool: Pool, who: Address, usd: int, times: int) -> None:
    """Trade so many dollars to and fro, and leave the pool at the price it should have: its positions earn fees."""
    for _ in range(times):
        got = trade(v3, hands, pool, who, 0, usd * pool.units[0] // pool.usd[0])
        trade(v3, hands, pool, who, 1, got)
    trade_to_price(v3, hands, pool, who, pool.sqrt_price, usd)


def let_trade(v3: V3, hands: Hands, pool: Pool, who: Address, usd: int) -> None:
    """Give ``who`` so many dollars of both tokens, and let the router take them: what ``waves`` need."""
    for token, price, unit in zip(pool.tokens, pool.usd, pool.units, strict=True):
        _grant(hands, token, who, v3.router.address, usd * unit // price)


def waves(
    router: Address, who: Address, worth: Sequence[tuple[Address, int, int]], fee: int, times: int = 4
) -> tuple[tuple[Address, Address, bytes], ...]:
    """Word trades that push a pool 2 % down and back up to its fair price: sender, contract and calldata of each.

    ``worth``: both tokens, each with whole dollars per token and base units of one. ``who`` must have been let trade.
    """
    (first, usd0, unit0), (second, usd1, unit1) = sorted(worth)
    fair = sqrt_price_of(usd0, usd1, unit0, unit1)
    down = (first, second, fee, who, _NEVER, _PLENTY_USD * unit0 // usd0, 0, fair * 99 // 100)
    up = (second, first, fee, who, _NEVER, _PLENTY_USD * unit1 // usd1, 0, fair)
    return tuple((who, router, SINGLE.encode(each)) for _ in range(times) for each in (down, up))


def _grant(hands: Hands, token: Address, who: Address, spender: Address, amount: int) -> None:
    """Give tokens on top of what is there, and let a contract take them."""
    contract = _erc20(hands, token)
    held: int = contract.call("balanceOf", who)
    hands.deal(token, who, held + amount)
    contract.send("approve", spender, amount, sender=who)


def _erc20(hands: Hands, token: Address) -> Contract:
    return hands.deployer.at(token, artifact(_ERC20)["abi"])
