"""Deploy an Aave v3 market from its own code: USDC and WETH reserves, and AAVE rewards on supplied USDC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from keeper.devnet.accounts import FARMER, TWIN, VAULT, WHALE
from keeper.devnet.deploy import Contract, Deployer
from keeper.devnet.install import artifact
from keeper.devnet.market import EMISSION_USD_PER_YEAR, FUNDED_DAYS, STAKE_USD, WHALE_STAKE_USD, YEAR
from keeper.devnet.uniswap import Exchange
from keeper.domain.money import Address

__all__ = ["Aave", "deploy_aave", "supply_usdc"]

_CORE: Final = "@aave/core-v3/artifacts/contracts/"
_LOGIC: Final = _CORE + "protocol/libraries/logic/"
_REWARDS: Final = "@aave/periphery-v3/artifacts/contracts/rewards/"

_NOBODY: Final = Address("0x" + "00" * 20)

#: Interest is in rays.
_RAY: Final = 10**27

#: WETH that the whale puts up, to borrow USDC against.
_COLLATERAL_WETH: Final = 1_000 * 10**18


@dataclass(frozen=True, slots=True)
class Aave:
    """The parts of the market that ``World`` names, and those that starting it needs."""

    provider: Contract
    pool: Contract
    data_provider: Contract
    controller: Contract
    emission_manager: Contract
    strategy: Contract
    a_usdc: Contract


def deploy_aave(exchange: Exchange) -> Aave:
    """Deploy the market with both reserves open and rewards funded; nothing is emitted yet."""
    deployer = exchange.deployer
    provider = deployer.deploy(
        _CORE + "protocol/configuration/PoolAddressesProvider.sol/PoolAddressesProvider.json",
        "keeper local market",
        deployer.account,
    )
    provider.send("setACLAdmin", deployer.account)
    acl = deployer.deploy(_CORE + "protocol/configuration/ACLManager.sol/ACLManager.json", provider)
    provider.send("setACLManager", acl)
    acl.send("addPoolAdmin", deployer.account)
    pool, configurator = _deploy_pool(deployer, provider)
    data_provider = _deploy_views(exchange, provider)
    controller, manager, strategy = _deploy_rewards(exchange)
    _open_reserves(exchange, provider, pool, configurator, controller)
    a_usdc = Address(data_provider.call("getReserveTokensAddresses", exchange.tokens["USDC"])[0])
    return Aave(
        provider=provider,
        pool=pool,
        data_provider=data_provider,
        controller=controller,
        emission_manager=manager,
        strategy=strategy,
        a_usdc=deployer.at(a_usdc, artifact(_CORE + "protocol/tokenization/AToken.sol/AToken.json")["abi"]),
    )


def supply_usdc(exchange: Exchange, aave: Aave) -> None:
    """Supply for the farmer, the twin and the whale, all in one block; the whale's WETH too."""
    usdc, weth, pool = exchange.tokens["USDC"], exchange.weth, aave.pool
    stakes = {FARMER: STAKE_USD, TWIN: STAKE_USD, WHALE: WHALE_STAKE_USD}
    orders = [(account.address, exchange.units("USDC", usd)) for account, usd in stakes.items()]
    with exchange.deployer.together():
        weth.send("transfer", WHALE.address, _COLLATERAL_WETH)
        for account, units in orders:
            usdc.send("transfer", account, units)
    with exchange.deployer.together():
        for account, units in orders:
            usdc.send("approve", pool, units, sender=account)
            pool.send("supply", usdc, units, account, 0, sender=account)
        weth.send("approve", pool, _COLLATERAL_WETH, sender=WHALE.address)
        pool.send("supply", weth, _COLLATERAL_WETH, WHALE.address, 0, sender=WHALE.address)


def _deploy_pool(deployer: Deployer, provider: Contract) -> tuple[Contract, Contract]:
    names = ("BorrowLogic", "SupplyLogic", "LiquidationLogic", "EModeLogic", "BridgeLogic", "PoolLogic")
    libraries = {name: deployer.deploy(f"{_LOGIC}{name}.sol/{name}.json") for name in (*names, "ConfiguratorLogic")}
    libraries["FlashLoanLogic"] = deployer.deploy(
        _LOGIC + "FlashLoanLogic.sol/FlashLoanLogic.json", libraries=libraries
    )
    proxies = []
    for name, args in (("Pool", (provider,)), ("PoolConfigurator", ())):
        path = f"{_CORE}protocol/pool/{name}.sol/{name}.json"
        provider.send(f"set{name}Impl", deployer.deploy(path, *args, libraries=libraries))
        proxies.append(deployer.at(Address(provider.call(f"get{name}")), artifact(path)["abi"]))
    return proxies[0], proxies[1]


def _deploy_views(exchange: Exchange, provider: Contract) -> Contract:
    deployer = exchange.deployer
    symbols = ("USDC", "WETH")
    oracle = deployer.deploy(
        _CORE + "misc/AaveOracle.sol/AaveOracle.json",
        provider,
        [exchange.tokens[symbol] for symbol in symbols],
        [exchange.feeds[symbol] for symbol in symbols],
        _NOBODY,
        _NOBODY,
        10**8,
    )
    provider.send("setPriceOracle", oracle)
    views = deployer.deploy(_CORE + "misc/AaveProtocolDataProvider.sol/AaveProtocolDataProvider.json", provider)
    provider.send("setPoolDataProvider", views)
    return views


def _deploy_rewards(exchange: Exchange) -> tuple[Contract, Contract, Contract]:
    deployer = exchange.deployer
    aave = exchange.tokens["AAVE"]
    controller = deployer.deploy(_REWARDS + "RewardsController.sol/RewardsController.json")
    manager = deployer.deploy(_REWARDS + "EmissionManager.sol/EmissionManager.json", controller, deployer.account)
    controller.send("initialize", manager)
    manager.send("setEmissionAdmin", aave, deployer.account)
    strategy = deployer.deploy(
        _REWARDS + "transfer-strategies/PullRewardsTransferStrategy.sol/PullRewardsTransferStrategy.json",
        controller,
        deployer.account,
        VAULT.address,
    )
    funds = exchange.units("AAVE", EMISSION_USD_PER_YEAR) * FUNDED_DAYS * 86_400 // YEAR
    aave.send("transfer", VAULT.address, funds)
    aave.send("approve", strategy, 2**256 - 1, sender=VAULT.address)
    return controller, manager, strategy


def _open_reserves(
    exchange: Exchange, provider: Contract, pool: Contract, configurator: Contract, controller: Contract
) -> None:
    deployer = exchange.deployer
    rates = deployer.deploy(
        _CORE + "protocol/pool/DefaultReserveInterestRateStrategy.sol/DefaultReserveInterestRateStrategy.json",
        provider,
        *(_RAY * percent // 1000 for percent in (800, 0, 40, 600, 5, 600, 10, 80, 200)),
    )
    tokens = [
        deployer.deploy(f"{_CORE}protocol/tokenization/{name}.sol/{name}.json", pool)
        for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    ]

    def reserve(symbol: str, decimals: int) -> tuple[Any, ...]:
        names = (f"Local {kind} {symbol}" for kind in ("Supplied", "Variable Debt", "Stable Debt"))
        symbols = (f"{prefix}{symbol}" for prefix in ("a", "variableDebt", "stableDebt"))
        labels = [text for pair in zip(names, symbols, strict=True) for text in pair]
        asset = exchange.tokens[symbol]
        return (*tokens, decimals, rates, asset, deployer.account, controller, *labels, b"")

    configurator.send("initReserves", [reserve("USDC", 6), reserve("WETH", 18)])
    configurator.send("configureReserveAsCollateral", exchange.tokens["USDC"], 8_000, 8_500, 10_500)
    configurator.send("configureReserveAsCollateral", exchange.weth, 8_000, 8_250, 10_500)
    configurator.send("setReserveBorrowing", exchange.tokens["USDC"], True)
