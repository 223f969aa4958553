"""What families of the fair stock up with: a market for a token of their own, and stakes of the world's tokens."""

from __future__ import annotations

from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.yard import Yard
from keeper.devnet.install import artifact
from keeper.devnet.market import EMISSION_USD_PER_YEAR, PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.money import Address

__all__ = ["ROUTER", "deal_more", "open_pool", "per_step", "stake_all", "units"]

ROUTER: Final = "@uniswap/v2-periphery/build/UniswapV2Router02.json"
_FACTORY: Final = "@uniswap/v2-core/build/UniswapV2Factory.json"
_PAIR: Final = "@uniswap/v2-core/build/UniswapV2Pair.json"

#: Whole US dollars on each side of a pool.
_SIDE_USD: Final = 4_000_000
_NEVER: Final = 2**63


def units(yard: Yard, symbol: str, usd: int) -> int:
    """Base units of one of the world's tokens that are worth so many whole dollars."""
    return int(usd * 10 ** yard.token(symbol).call("decimals") // PRICES[symbol])


def per_step(seconds: int, usd_per_token: int = 1, *, parts: int = 1, of: int = 1) -> int:
    """Emission of each step of so many seconds, base units of 18 digits.

    With it, ``parts`` of ``of`` allocation points pay what a farm of the world pays.
    """
    return EMISSION_USD_PER_YEAR * 10**18 * seconds * of // (usd_per_token * YEAR * parts)


def deal_more(yard: Yard, token: Contract, who: Address, raw: int) -> None:
    """Add to a balance."""
    yard.deal(token, who, token.call("balanceOf", who) + raw)


def open_pool(yard: Yard, token: Contract, usd_per_token: int = 1) -> Contract:
    """Open a pool of a new token (18 digits) with WETH on the world's exchange; returns the pair.

    The family's account must hold four million dollars of the token; all of the pair's shares are its own.
    """
    router, weth = yard.at(yard.world["router"], ROUTER), yard.token("WETH")
    amounts = (_SIDE_USD * 10**18 // usd_per_token, units(yard, "WETH", _SIDE_USD))
    yard.deal(weth, yard.account, amounts[1])
    for side, amount in zip((token, weth), amounts, strict=True):
        side.send("approve", router, amount)
    router.send("addLiquidity", token, weth, *amounts, *amounts, yard.account, _NEVER)
    pair = yard.at(yard.world["factory"], _FACTORY).call("getPair", token, weth)
    return yard.deployer.at(Address(pair), artifact(_PAIR)["abi"])


def stake_all(
    yard: Yard, token: Contract, farm: Contract, per_usd: int, call: str, *before: int, to_self: bool = False
) -> None:
    """Give farmer and whale tokens at ``per_usd`` base units a dollar, and let them stake all of it in the farm.

    Args:
        yard: where.
        token: what is staked; it appears out of nothing.
        farm: what takes it.
        per_usd: base units a dollar.
        call: function that stakes.
        before: its arguments before the amount.
        to_self: whether it takes the staker's address after the amount.
    """
    for who, usd in ((yard.farmer, STAKE_USD), (yard.whale, WHALE_STAKE_USD)):
        raw = usd * per_usd
        deal_more(yard, token, who, raw)
        token.send("approve", farm, raw, sender=who)
        farm.send(call, *before, raw, *((who,) if to_self else ()), sender=who)
