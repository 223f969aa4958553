"""Deploy the exchange and what is traded on it: WETH9, Uniswap V2 (real code), tokens and price feeds (fakes)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keeper.devnet.accounts import FARMER
from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.install import artifact, multicall3_runtime
from keeper.devnet.market import MULTICALL3, POOLS, PRICES, TOKENS, PoolPlan
from keeper.domain.money import Address

__all__ = ["Exchange", "deploy_exchange", "open_pools"]

_CONTRACTS: Final = Path(__file__).parent / "contracts"

_NEVER: Final = 2**63

#: Decimals of USD feeds, as Chainlink's.
_FEED_DECIMALS: Final = 8


@dataclass(slots=True)
class Exchange:
    """What is deployed so far, by the names used in ``World``."""

    deployer: Deployer
    weth: Contract
    factory: Contract
    router: Contract
    #: By symbol; all but SUSHI from the start, SUSHI by the chef's deployment.
    tokens: dict[str, Contract] = field(default_factory=dict)
    #: USD feeds by symbol.
    feeds: dict[str, Contract] = field(default_factory=dict)
    #: Pairs by pool name.
    pools: dict[str, Contract] = field(default_factory=dict)

    def units(self, symbol: str, usd: int) -> int:
        """Base units of a token that are worth ``usd`` whole dollars."""
        decimals = self.tokens[symbol].call("decimals")
        return int(usd * 10**decimals // PRICES[symbol])

    def lp_units(self, pool: str, usd: int) -> int:
        """Base units of a pool's LP token that are worth ``usd`` whole dollars when the pool is new."""
        plan = next(plan for plan in POOLS if plan.name == pool)
        supply: int = self.pools[pool].call("totalSupply")
        return supply * usd // plan.usd


def deploy_exchange(deployer: Deployer) -> Exchange:
    """Deploy Multicall3, WETH, the exchange, the made-up tokens and the feeds; pools come with ``open_pools``."""
    deployer.node.rpc("anvil_setCode", MULTICALL3, multicall3_runtime())
    deployer.node.rpc("anvil_setBalance", deployer.account, hex(1_000_000 * 10**18))
    weth = deployer.deploy("@uniswap/v2-periphery/build/WETH9.json")
    factory = deployer.deploy("@uniswap/v2-core/build/UniswapV2Factory.json", deployer.account)
    router = deployer.deploy("@uniswap/v2-periphery/build/UniswapV2Router02.json", factory, weth)
    exchange = Exchange(deployer, weth, factory, router, {"WETH": weth})
    weth.send("deposit", value=20_000 * 10**18)
    token_code, feed_code = compiled("DevToken"), compiled("DevFeed")
    for plan in TOKENS:
        token = deployer.deploy_compiled(token_code, plan.name, plan.symbol, plan.decimals)
        token.send("mint", deployer.account, 1_000_000_000 * 10**plan.decimals)
        token.send("transfer", FARMER.address, plan.loose * 10**plan.decimals)
        exchange.tokens[plan.symbol] = token
    for symbol, usd in PRICES.items():
        name = f"{symbol.removeprefix('W')} / USD"
        exchange.feeds[symbol] = deployer.deploy_compiled(feed_code, name, _FEED_DECIMALS, usd * 10**_FEED_DECIMALS)
    return exchange


def open_pools(exchange: Exchange) -> None:
    """Create the pairs and fill them at the feeds' prices."""
    for plan in POOLS:
        exchange.pools[plan.name] = _open_pool(exchange, plan)
    exchange.weth.send("transfer", FARMER.address, 2 * 10**18)
    exchange.pools["weth_usdc"].send("transfer", FARMER.address, exchange.lp_units("weth_usdc", 1_500))


def compiled(name: str) -> dict[str, Any]:
    """Read one of our own compiled contracts."""
    loaded: dict[str, Any] = json.loads((_CONTRACTS / f"{name}.json").read_text())
    return loaded


def _open_pool(exchange: Exchange, plan: PoolPlan) -> Contract:
    base, quote = exchange.tokens[plan.base], exchange.tokens[plan.quote]
    amounts = exchange.units(plan.base, plan.usd // 2), exchange.units(plan.quote, plan.usd // 2)
    for token, amount in zip((base, quote), amounts, strict=True):
        token.send("approve", exchange.router, amount)
    account = exchange.deployer.account
    exchange.router.send("addLiquidity", base, quote, *amounts, *amounts, account, _NEVER)
    pair = Address(exchange.factory.call("getPair", base, quote))
    return exchange.deployer.at(pair, artifact("@uniswap/v2-core/build/UniswapV2Pair.json")["abi"])
