"""The local world's Uniswap V3 pool: NFT ranges of the farmer and its twin, and the trades that pay them fees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.devnet.accounts import FARMER, TWIN, WHALE
from keeper.devnet.market import PRICES, STAKE_USD, WHALE_STAKE_USD
from keeper.devnet.start import send
from keeper.domain.money import Address

if TYPE_CHECKING:
    from keeper.devnet.deploy import Contract, Deployer
    from keeper.devnet.uniswap import Exchange

__all__ = ["FARMER_NFT", "POOL_FEE", "TWIN_NFT", "deploy_ranges", "trade"]

#: Numbers of the NFTs, by who mints when.
FARMER_NFT: Final = 1
TWIN_NFT: Final = 2

#: Fee tier of the pool, hundredths of a basis point.
POOL_FEE: Final = 3_000

#: Half the width of the range, in tick spacings of 60: about 12 % either way.
_WIDTH: Final = 20

#: What the whale has for trading: each round sells WETH and buys it back.
_TRADING_USD: Final = 20_000_000

#: tokenIn, tokenOut, fee, recipient, deadline, amountIn, amountOutMinimum, sqrtPriceLimitX96.
_SWAP: Final = Fn("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))", "uint256")
_FOREVER: Final = 2**63


@dataclass(slots=True)
class _Hands:
    """Deals tokens as the node lets anybody."""

    deployer: Deployer

    def deal(self, token: Contract | Address, who: Address | Contract, raw: int) -> None:
        at, holder = (each if isinstance(each, str) else each.address for each in (token, who))
        self.deployer.node.rpc("anvil_dealERC20", holder, at, hex(raw))


def deploy_ranges(exchange: Exchange) -> dict[str, Address]:
    """Deploy Uniswap V3, open WETH/USDC, and put farmer, twin and whale into the same range; returns addresses."""
    from keeper.devnet.uniswap_v3 import deploy_v3, mint, open_pool  # noqa: PLC0415 - web3 costs a second

    hands = _Hands(exchange.deployer)
    weth, usdc = exchange.weth, exchange.tokens["USDC"]
    v3 = deploy_v3(exchange.deployer, weth.address, exchange.factory.address)
    pool = open_pool(v3, hands, {weth.address: PRICES["WETH"], usdc.address: PRICES["USDC"]}, POOL_FEE)
    ticks = pool.ticks(_WIDTH)
    minted = [
        mint(v3, hands, pool, who.address, ticks, usd)
        for who, usd in ((FARMER, STAKE_USD), (TWIN, STAKE_USD), (WHALE, WHALE_STAKE_USD))
    ]
    assert minted[:2] == [FARMER_NFT, TWIN_NFT], "the positions name other NFTs"
    for token in (weth, usdc):
        token.send("approve", v3.router, 2**255, sender=WHALE.address)
    hands.deal(weth, WHALE.address, _TRADING_USD * 10**18 // PRICES["WETH"])
    hands.deal(usdc, WHALE.address, usdc.call("balanceOf", WHALE.address) + _TRADING_USD * 10**6)
    return {**v3.addresses, "v3_pool": pool.contract.address}


def trade(node: LocalNode, addresses: Mapping[str, Address], usd: int) -> None:
    """Let the whale sell so many dollars of WETH and buy them back: the pool's price stays, its ranges earn fees."""
    pair = (addresses["weth"], usd * 10**18 // PRICES["WETH"]), (addresses["usdc"], usd * 10**6)
    for (sold, amount), (bought, _) in (pair, pair[::-1]):
        call = _SWAP.encode((sold, bought, POOL_FEE, WHALE.address, _FOREVER, amount, 0, 0))
        send(node, WHALE.address, addresses["v3_router"], call)
