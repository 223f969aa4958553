"""The numbers of the local world: prices, pool depths, stakes and emissions, chosen to resemble a real chain.

Each farm holds $1.6 million, of which the farmer and the twin own $50,000 each, and pays $960,000 a year: 60 % for
everybody. At 1 gwei and $3,000 a compound of 700,000 gas costs about $2, so the rule (R* = sqrt(2 g S), about $450)
fires every five to six days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.money import Address

__all__ = [
    "BASE_FEE_WEI",
    "BLOCK_SECONDS",
    "CHAIN_ID",
    "CHAIN_NAME",
    "CHEF_PID",
    "EMISSION_USD_PER_YEAR",
    "FUNDED_DAYS",
    "MULTICALL3",
    "POOLS",
    "PRICES",
    "STAKE_USD",
    "TOKENS",
    "TX_SECONDS",
    "WHALE_STAKE_USD",
    "YEAR",
    "PoolPlan",
    "TokenPlan",
]

#: Chain name in configs and tokens.
CHAIN_NAME: Final = "local"

#: anvil's own default.
CHAIN_ID: Final = 31337

#: Seconds in a year of 365 days.
YEAR: Final = 365 * 86_400

#: Seconds between blocks. Long, because anvil's cost per block grows with the length of the chain: a month is 1,440
#: blocks and takes seconds, at 12 seconds a block it would take hours.
BLOCK_SECONDS: Final = 1_800

#: Seconds from the newest block to the one that a transaction mines.
TX_SECONDS: Final = 12

#: Where Multicall3 lives on every chain (https://github.com/mds1/multicall3).
MULTICALL3: Final = Address("0xca11bde05977b3631167028862be2a173976ca11")

#: The chef's pool of the SUSHI/WETH LP; pool 0 is another one, with half its weight.
CHEF_PID: Final = 1

#: Base fee that ``World.advance`` leaves behind: 1 gwei.
BASE_FEE_WEI: Final = 10**9

#: Whole US dollars per token.
PRICES: Final = {"WETH": 3_000, "USDC": 1, "DAI": 1, "UNI": 8, "SUSHI": 1, "AAVE": 150}

#: Stake of the farmer, and of the twin, in each farm.
STAKE_USD: Final = 50_000

#: Stake of everybody else in each farm.
WHALE_STAKE_USD: Final = 1_500_000

#: What each farm pays in a year.
EMISSION_USD_PER_YEAR: Final = 960_000

#: Days of emission that each farm holds rewards for.
FUNDED_DAYS: Final = 150


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """A token that the world makes up."""

    symbol: str
    name: str
    decimals: int
    #: Whole tokens in the farmer's wallet that no harvest brought and none may touch.
    loose: int


#: SUSHI and WETH are not here: they are the protocols' own contracts.
TOKENS: Final = (
    TokenPlan("USDC", "USD Coin", 6, 1_234),
    TokenPlan("DAI", "Dai Stablecoin", 18, 777),
    TokenPlan("UNI", "Uniswap", 18, 31),
    TokenPlan("AAVE", "Aave Token", 18, 2),
    TokenPlan("LINK", "ChainLink Token", 18, 55),
    TokenPlan("SHIB", "Shiba Inu", 18, 9_000_000),
)


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """A Uniswap V2 pool: half of ``usd`` on each side."""

    #: Name of its LP token in ``World``.
    name: str
    base: str
    quote: str
    #: Whole US dollars on both sides together.
    usd: int


POOLS: Final = (
    PoolPlan("weth_usdc", "WETH", "USDC", 60_000_000),
    PoolPlan("uni_weth", "UNI", "WETH", 8_000_000),
    PoolPlan("sushi_weth", "SUSHI", "WETH", 6_000_000),
    PoolPlan("aave_weth", "AAVE", "WETH", 8_000_000),
)
