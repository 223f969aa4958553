"""Deploy what Curve, Convex and Balancer share on a local chain: an emission token with a market, gauges, pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.devnet.deploy import Contract
from keeper.devnet.fair.yard import Yard
from keeper.devnet.market import PRICES, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.domain.money import Address

__all__ = ["Dao", "deploy_dao", "fill_pool", "open_market", "pair_cents", "stake"]

_ROUTER: Final = "@uniswap/v2-periphery/build/UniswapV2Router02.json"
_FACTORY: Final = "@uniswap/v2-core/build/UniswapV2Factory.json"
_ADD: Final = "add_liquidity(uint256[2],uint256)"
_NEVER: Final = 2**63
#: Whole US dollars on each side of a token's market.
_MARKET_USD: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Dao:
    """An emission token, votes, weights and the minter."""

    token: Contract
    escrow: Contract
    controller: Contract
    minter: Contract
    #: Its Uniswap V2 pair with WETH.
    pair: Contract


def open_market(yard: Yard, token: Contract | Address, cents: int) -> Contract:
    """Open a deep Uniswap V2 pool with WETH for a token of 18 decimals that is worth so many US cents.

    Returns the pair, whose LP tokens the account all has.
    """
    router = yard.at(yard.world["router"], _ROUTER)
    at = token.address if isinstance(token, Contract) else token
    sides = {at: _MARKET_USD * 100 * 10**18 // cents, yard.world["weth"]: _MARKET_USD * 10**18 // PRICES["WETH"]}
    for side, raw in sides.items():
        yard.deal(side, yard.account, raw)
        yard.fake_at(side, "DevToken").send("approve", router, raw)
    router.send("addLiquidity", *sides, *sides.values(), *sides.values(), yard.account, _NEVER)
    pair = yard.at(yard.world["factory"], _FACTORY).call("getPair", *sides)
    return yard.fake_at(Address(pair.lower()), "DevToken")


def pair_cents(pair: Contract) -> int:
    """Return the US cents that a whole LP token of such a market is worth."""
    return int(2 * _MARKET_USD * 100 * 10**18 // pair.call("totalSupply"))


def deploy_dao(yard: Yard, symbol: str, cents: int, minter: str, usd_per_year: int) -> Dao:
    """Deploy the token with a market, the controller, and a minter (the name of its fake) that alone mints then.

    The farmer has 10 % of the votes, the whale 5 %: the farmer is boosted 2.5 times, the whale a little.
    """
    token = yard.fake("DevCurveToken", symbol, symbol, usd_per_year * 100 * 10**18 // (cents * YEAR))
    pair = open_market(yard, token, cents)
    escrow = yard.fake("DevVotingEscrow")
    for who, votes in ((yard.farmer, 10), (yard.whale, 5), (yard.account, 85)):
        escrow.send("set", who, votes * 10**18)
    controller = yard.fake("DevGaugeController", escrow)
    made = yard.fake(minter, token, controller)
    token.send("set_minter", made)
    return Dao(token, escrow, controller, made, pair)


def fill_pool(yard: Yard, pool: Contract, coins: Sequence[tuple[Address, int]], function: str = _ADD) -> None:
    """Add the first liquidity, base units of each coin; the account gets all LP tokens there are."""
    for coin, raw in coins:
        yard.deal(coin, yard.account, raw)
        yard.fake_at(coin, "DevToken").send("approve", pool, raw)
    pool.send(function, [raw for _, raw in coins], 0)


def stake(yard: Yard, farm: Contract, lp: Contract, cents: int = 100, *before: int | bool, after: bool = False) -> None:
    """Stake for whale and farmer what is worth their dollars at so many cents a whole LP token.

    The farmer comes last, so that his boost counts everything there is.

    ``before`` and ``after`` are what ``deposit`` takes beside the amount (a pool's number, whether to stake).
    """
    for who, usd in ((yard.whale, WHALE_STAKE_USD), (yard.farmer, STAKE_USD)):
        raw = usd * 100 * 10**18 // cents
        lp.send("transfer", who, raw)
        lp.send("approve", farm, raw, sender=who)
        farm.send("deposit", *before, raw, *((True,) if after else ()), sender=who)
